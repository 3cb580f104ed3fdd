// The people who can sign in. Names are Cyrillic, as they are where the gateway is used; one has no e-mail.
'use strict';

const PEOPLE = [
  {
    login: 'ivanov',
    sub: '5f6d1c0e9b1e8a0017a1b001',
    name: 'Иванов Иван Сергеевич',
    nickname: 'Ваня',
    given_name: 'Иван',
    family_name: 'Иванов',
    middle_name: 'Сергеевич',
    email: 'ivanov@school.example',
    email_public: false,
    email_verified: true,
    phone_number: '+79001234567',
    phone_number_verified: true,
    profile: 'https://id.school.example/profile/ivanov',
    picture: 'https://id.school.example/avatar/ivanov.png',
    birthdate: '2008-05-14',
    password_updated_at: '2026-01-15T10:00:00.000Z',
    password_change_required: false,
    deleted: null,
    custom_fields: { snils: '112-233-445 95', position: 'Ученик', groups: ['students', '10 «А»'], class: 10 },
    publicExternalAccounts: [{ type: 'telegram', sub: 42, label: '@vanya' }],
    unit: 'Ученики',
  },
  {
    login: 'petrova',
    sub: '5f6d1c0e9b1e8a0017a1b002',
    name: 'Петрова Мария Алексеевна',
    nickname: 'Мария Алексеевна',
    given_name: 'Мария',
    family_name: 'Петрова',
    middle_name: 'Алексеевна',
    email: 'petrova@school.example',
    email_public: true,
    email_verified: true,
    phone_number: '+79007654321',
    phone_number_verified: true,
    profile: 'https://id.school.example/profile/petrova',
    picture: 'https://id.school.example/avatar/petrova.png',
    birthdate: '1984-11-02',
    password_updated_at: '2025-09-01T06:30:00.000Z',
    password_change_required: false,
    deleted: null,
    custom_fields: { snils: '087-654-303 00', position: 'Учитель', groups: ['teachers', 'staff'] },
    publicExternalAccounts: [],
    unit: 'Учителя',
  },
  {
    login: 'sidorova',
    sub: '5f6d1c0e9b1e8a0017a1b003',
    name: 'Сидорова-Ёжикова Ольга',
    nickname: 'Оля',
    given_name: 'Ольга',
    family_name: 'Сидорова-Ёжикова',
    phone_number: '+79005550101',
    phone_number_verified: false,
    profile: 'https://id.school.example/profile/sidorova',
    picture: null,
    birthdate: '1990-02-28',
    password_updated_at: '2026-03-08T12:00:00.000Z',
    password_change_required: true,
    deleted: null,
    custom_fields: { position: 'Администратор', groups: ['admins', 'staff'] },
    publicExternalAccounts: [{ type: 'vk', sub: 7, label: 'Ольга' }],
    unit: 'Администрация',
  },
];

// What Active Directory knows of a person, by the names that Indeed AM's `UserNameFormat` has.
function directory(person, number) {
  return {
    SamCompatibleName: `SCHOOL\\${person.login}`,
    PrincipalName: `${person.login}@school.example`,
    DistinguishedName: `CN=${person.name},OU=${person.unit},OU=Школа № 7,DC=school,DC=example`,
    CanonicalName: `school.example/Школа № 7/${person.unit}/${person.name}`,
    ObjectGUID: `6f1a2b3c-4d5e-4f60-8a9b-00000000${1013 + number}`,
    Sid: `S-1-5-21-3623811015-3361044348-30300820-${1013 + number}`,
  };
}

function people() {
  const byLogin = new Map();
  const add = (person) => byLogin.set(person.login, { ...person, ...directory(person, byLogin.size) });
  PEOPLE.forEach(add);
  return {
    add,
    byLogin: (login) => byLogin.get(login),
    bySub: (sub) => [...byLogin.values()].find((person) => person.sub === sub),
  };
}

module.exports = people;
