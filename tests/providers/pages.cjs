// The pages a person meets at the provider: sign in, allow, sign out. Plain forms, no scripts.
'use strict';

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const layout = (title, body) => `<!DOCTYPE html>
<html lang="ru"><head><meta charset="utf-8"><title>${escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{font:16px sans-serif;max-width:26em;margin:3em auto;padding:0 1em}input,button{font:inherit;display:block;margin:.5em 0;padding:.4em;width:100%;box-sizing:border-box}</style>
</head><body><h1>${escape(title)}</h1>${body}</body></html>`;

// `acr` is what was asked for, or undefined where the engine knows no levels of sign-in.
const login = (uid, hint, problem, acr) =>
  layout(
    'Вход в школу',
    `${problem ? `<p role="alert">${escape(problem)}</p>` : ''}
<form id="login" method="post" action="${uid}">
<label>Логин <input name="login" autocomplete="off" required value="${escape(hint || '')}"></label>
<label>Пароль <input name="password" type="password" required></label>
${acr === undefined ? '' : `<label>Уровень <input name="acr" value="${escape(acr)}"></label>`}
<button type="submit">Войти</button></form>
<p><a id="abort" href="${uid}/abort">Отказаться</a></p>`,
  );

const consent = (uid, client) =>
  layout(
    'Разрешить доступ?',
    `<p>Приложение «${escape(client)}» узнает, кто вы.</p>
<form id="consent" method="post" action="${uid}"><input type="hidden" name="consent" value="yes">
<button type="submit">Разрешить</button></form>
<p><a id="abort" href="${uid}/abort">Отказаться</a></p>`,
  );

// `form` is the engine's own, with its one-time token; the button belongs to it by id.
const logout = (form) =>
  layout(
    'Выйти из школы?',
    `${form}
<button id="logout" form="op.logoutForm" type="submit" name="logout" value="yes">Выйти</button>
<button id="stay" form="op.logoutForm" type="submit">Остаться</button>`,
  );

const loggedOut = () => layout('Вы вышли', '<p>До свидания.</p>');

// `form` is the engine's own; without one there is nothing to press.
const device = (title, form, id) =>
  layout(title, `${form}${id ? `\n<button id="go" form="${id}" type="submit">Продолжить</button>
<button id="stop" form="${id}" type="submit" name="abort" value="yes">Отказаться</button>` : ''}`);

const failure = (out) => layout('Ошибка', `<pre>${escape(JSON.stringify(out, null, 1))}</pre>`);

module.exports = { login, consent, logout, loggedOut, device, failure };
