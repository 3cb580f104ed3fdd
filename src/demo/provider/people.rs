//! The three people who can sign in, and what is told of them for which scope (Core 5.1, 5.4).
//!
//! Their names are in Cyrillic, one has no e-mail address, and they differ in their groups: what a mapping
//! to headers and a rule have to cope with.

use serde_json::{Map, Value, json};

/// What a client may ask for.
pub(super) const SCOPES: [&str; 6] = ["openid", "profile", "email", "phone", "address", "groups"];

/// What a client may be told.
pub(super) const CLAIMS: [&str; 22] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "sid",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "preferred_username",
    "locale",
    "custom_fields",
    "email",
    "email_verified",
    "phone_number",
    "phone_number_verified",
    "address",
    "groups",
];

/// Somebody who does not exist.
pub(super) struct Person {
    /// The subject identifier, the same for ever.
    pub(super) sub: &'static str,
    pub(super) role: &'static str,
    pub(super) role_en: &'static str,
    pub(super) given_name: &'static str,
    pub(super) middle_name: &'static str,
    pub(super) family_name: &'static str,
    pub(super) username: &'static str,
    pub(super) email: Option<&'static str>,
    pub(super) phone_number: &'static str,
    pub(super) locality: &'static str,
    pub(super) snils: &'static str,
    pub(super) groups: &'static [&'static str],
}

/// Everybody. Country code 7 has no subscriber numbers that begin with 0: nobody is called by mistake.
pub(super) static PEOPLE: [Person; 3] = [
    Person {
        sub: "person-1001",
        role: "ученица",
        role_en: "student",
        given_name: "Анна",
        middle_name: "Сергеевна",
        family_name: "Королёва",
        username: "koroleva",
        email: None,
        phone_number: "+70000000001",
        locality: "Казань",
        snils: "000-000-001 01",
        groups: &["students", "10-А"],
    },
    Person {
        sub: "person-1002",
        role: "учитель",
        role_en: "teacher",
        given_name: "Пётр",
        middle_name: "Алексеевич",
        family_name: "Щербаков",
        username: "scherbakov",
        email: Some("scherbakov@school.example"),
        phone_number: "+70000000002",
        locality: "Нижний Новгород",
        snils: "000-000-002 02",
        groups: &["teachers", "физика"],
    },
    Person {
        sub: "person-1003",
        role: "администратор",
        role_en: "administrator",
        given_name: "Мария",
        middle_name: "Владимировна",
        family_name: "Южина",
        username: "yuzhina",
        email: Some("yuzhina@school.example"),
        phone_number: "+70000000003",
        locality: "Москва",
        snils: "000-000-003 03",
        groups: &["admins"],
    },
];

impl Person {
    /// The person with that subject identifier.
    pub(super) fn find(sub: &str) -> Option<&'static Self> {
        PEOPLE.iter().find(|person| person.sub == sub)
    }

    /// First, middle and last name.
    pub(super) fn full_name(&self) -> String {
        format!("{} {} {}", self.given_name, self.middle_name, self.family_name)
    }

    /// The first letters of first and last name.
    pub(super) fn initials(&self) -> String {
        self.given_name.chars().take(1).chain(self.family_name.chars().take(1)).collect()
    }

    /// The claims for these scopes. What nobody knows is left out (Core 5.3.2).
    pub(super) fn claims(&self, scopes: &[String]) -> Map<String, Value> {
        let mut claims = Map::new();
        let mut tell = |name: &str, value: Value| {
            claims.insert(name.to_owned(), value);
        };
        tell("sub", json!(self.sub));
        for scope in scopes {
            match scope.as_str() {
                "profile" => {
                    tell("name", json!(self.full_name()));
                    tell("given_name", json!(self.given_name));
                    tell("family_name", json!(self.family_name));
                    tell("middle_name", json!(self.middle_name));
                    tell("preferred_username", json!(self.username));
                    tell("locale", json!("ru-RU"));
                    tell("custom_fields", json!({ "snils": self.snils }));
                }
                "email" => {
                    if let Some(email) = self.email {
                        tell("email", json!(email));
                        tell("email_verified", json!(true));
                    }
                }
                "phone" => {
                    tell("phone_number", json!(self.phone_number));
                    tell("phone_number_verified", json!(true));
                }
                "address" => {
                    let formatted = format!("Россия, {}", self.locality);
                    let address =
                        json!({ "country": "Россия", "locality": self.locality, "formatted": formatted });
                    tell("address", address);
                }
                "groups" => tell("groups", json!(self.groups)),
                _ => {}
            }
        }
        claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_told_for_its_scope_alone() {
        let teacher = Person::find("person-1002").unwrap();
        let told = teacher.claims(&["openid".to_owned(), "groups".to_owned()]);
        assert_eq!(Value::Object(told), json!({ "sub": "person-1002", "groups": ["teachers", "физика"] }));
    }

    #[test]
    fn one_person_has_no_email_and_every_claim_is_announced() {
        let scopes = SCOPES.map(str::to_owned);
        let without = PEOPLE.iter().filter(|person| !person.claims(&scopes).contains_key("email")).count();
        assert_eq!(without, 1);
        for name in PEOPLE.iter().flat_map(|person| person.claims(&scopes)).map(|(name, _)| name) {
            assert!(CLAIMS.contains(&name.as_str()), "{name}");
        }
    }
}
