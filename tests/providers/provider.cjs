// A real OpenID Connect provider: npm oidc-provider, major 7 in the shape of Trusted.ID or of Indeed AM, or
// major 7, 8 or 9 with everything that the major can do (open.cjs).
//
//   node provider.cjs '{"shape":"trusted","host":"127.0.0.1","port":0}'
//   node provider.cjs '{"shape":"v9","par":"required","ttl":{"AccessToken":5}}'
//
// It prints one line of JSON, {"ready":true,"port":…,"issuer":…}, and then obeys one line of JSON on stdin at
// a time, answering each with one line on stdout (see COMMANDS). When stdin closes it ends, so a test that
// dies leaves nothing behind.
'use strict';

const crypto = require('crypto');
const http = require('http');
const https = require('https');
const readline = require('readline');

const memory = require('./memory.cjs');
const open = require('./open.cjs');
const pages = require('./pages.cjs');
const people = require('./people.cjs')();
const shapes = require('./shapes.cjs');

// The engine tells on the console that Node is newer than it knows; stdout belongs to the test.
console.info = console.warn = console.log = (...words) => console.error(...words);

const options = { shape: 'trusted', host: '127.0.0.1', port: 0, trailing_slash: false, ...JSON.parse(process.argv[2] || '{}') };
const adapter = memory();
const counts = new Map();
const disabled = new Set();
const troubles = new Map();
let Provider;
let shape;
let keys = [];
let provider;
let issuer;
let endSession = true;

function newKeys() {
  if (shape.keys) return shape.keys();
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = crypto.randomBytes(8).toString('hex');
  return [{ ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }];
}

const count = (what) => counts.set(what, (counts.get(what) || 0) + 1);

const LIFETIMES = {
  Session: 86400, Grant: 86400, Interaction: 3600, IdToken: 3600, AccessToken: 3600, AuthorizationCode: 60,
  RefreshToken: 86400, ClientCredentials: 600, DeviceCode: 600,
};

// The existing grant, or one for all that was asked: a company's provider does not ask its own people.
async function loadExistingGrant(ctx) {
  const { client, session, result } = ctx.oidc;
  const id = (result && result.consent && result.consent.grantId) || session.grantIdFor(client.clientId);
  const grant = (id && (await provider.Grant.find(id)))
    || new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
  grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(' '));
  grant.addOIDCClaims([...ctx.oidc.requestParamClaims]);
  for (const [resource, server] of Object.entries(ctx.oidc.resourceServers || {})) {
    grant.addResourceScope(resource, server.scope);
  }
  await grant.save();
  return grant;
}

async function findAccount(ctx, sub) {
  const person = people.bySub(sub);
  if (!person || disabled.has(person.login)) return undefined;
  return { accountId: sub, claims: (use) => shape.claimsFor(people.bySub(sub), use) };
}

function build() {
  const { features, interactions, ...configuration } = shape.configuration(server.address().port);
  provider = new Provider(issuer, {
    cookies: { keys: ['test'] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256'] },
    ...configuration,
    adapter,
    findAccount,
    loadExistingGrant,
    jwks: { keys },
    features: {
      devInteractions: { enabled: false },
      ...features,
      rpInitiatedLogout: { ...features.rpInitiatedLogout, enabled: endSession },
    },
    interactions: {
      ...interactions,
      url: (ctx, interaction) => `${shape.mount}/interaction/${interaction.uid}`,
    },
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = pages.failure(out);
    },
    ttl: { ...LIFETIMES, ...options.ttl },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  provider.on('grant.success', (ctx) => count(ctx.oidc.params.grant_type));
  provider.on('grant.error', (ctx) => count(`${ctx.oidc.params && ctx.oidc.params.grant_type} refused`));
  if (shape.members) {
    provider.use(async (ctx, next) => {
      await next();
      if (ctx.oidc && ctx.oidc.route === 'discovery') {
        const { body } = ctx;
        ctx.body = Object.fromEntries(shape.members.filter((name) => name in body).map((name) => [name, body[name]]));
      }
    });
  }
}

async function readForm(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return new URLSearchParams(Buffer.concat(pieces).toString());
}

// Our own login and consent pages, which the engine sends people to.
async function interaction(request, response, path) {
  const { uid, prompt, params, session } = await provider.interactionDetails(request, response);
  const finish = (result) => provider.interactionFinished(request, response, result);
  const show = (html) => response.setHeader('Content-Type', 'text/html; charset=utf-8').end(html);
  if (path.endsWith('/abort')) {
    return finish({ error: 'access_denied', error_description: 'Человек передумал' });
  }
  if (request.method !== 'POST') {
    return show(prompt.name === 'login'
      ? pages.login(uid, params.login_hint, undefined, wantedLevel(prompt, params))
      : pages.consent(uid, params.client_id));
  }
  const form = await readForm(request);
  if (prompt.name === 'consent') {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    return finish({ consent: { grantId: await grant.save() } });
  }
  const person = people.byLogin(form.get('login'));
  if (!person || disabled.has(person.login) || !form.get('password')) {
    return show(pages.login(uid, form.get('login'), 'Логин или пароль не подходят', wantedLevel(prompt, params)));
  }
  const level = form.get('acr') ? { acr: form.get('acr'), amr: LEVELS[form.get('acr')] || ['pwd'] } : {};
  return finish({ login: { accountId: person.sub, remember: true, ...level } });
}

const LEVELS = { bronze: ['pwd'], silver: ['pwd', 'otp'], gold: ['pwd', 'hwk'] };

// The first level that the request names, which a test may write over; undefined where there are no levels.
function wantedLevel({ details }, params) {
  if (!shape.acr) return undefined;
  const { values, value } = (details && details.acr) || {};
  return value || (values && values[0]) || (params.acr_values || '').split(' ')[0];
}

async function serve(request, response) {
  const path = request.url.split('?')[0];
  count(path);
  const trouble = troubles.get(path);
  if (trouble && trouble.times !== 0) {
    if (trouble.times) trouble.times -= 1;
    if (trouble.ms) await new Promise((resolve) => { setTimeout(resolve, trouble.ms); });
    if (trouble.status) return response.writeHead(trouble.status, { 'Content-Type': trouble.type || 'application/json' }).end(trouble.body);
  }
  if (!path.startsWith(`${shape.mount}/`)) return response.writeHead(404).end();
  if (path.startsWith(`${shape.mount}/interaction/`)) return interaction(request, response, path);
  if (shape.mount) {
    request.originalUrl = request.url;
    request.url = request.url.slice(shape.mount.length);
  }
  return provider.callback()(request, response);
}

const COMMANDS = {
  // Registers a client as the test needs it: {client:{client_id,client_secret,redirect_uris,…}}
  client: async ({ client }) => new adapter('Client').upsert(client.client_id, client),
  // Adds or replaces a person; {person:{login,…}} keeps what it does not name.
  person: ({ person }) => people.add({ ...people.byLogin(person.login), ...person }),
  // {login}: the account no longer exists for anybody; {login, enable: true} brings it back.
  disable: ({ login, enable }) => (enable ? disabled.delete(login) : disabled.add(login)),
  // New signing keys; {keep: true} leaves the old ones in the key set.
  rotate: ({ keep }) => {
    keys = [...newKeys(), ...(keep ? keys : [])];
    build();
  },
  // {login}: every token of this person is worth nothing from now on; {sessions: true} ends their sessions too.
  revoke: ({ login, sessions }) => {
    const models = ['Grant', 'AccessToken', 'RefreshToken', 'AuthorizationCode', ...(sessions ? ['Session'] : [])];
    adapter.forget(models, (payload) => payload.accountId === people.byLogin(login).sub);
  },
  // {path, status, body, type}: what this path answers instead; {path, ms}: how long it waits before it
  // answers; {times}: that many times only. {path} alone ends it.
  trouble: ({ path, ...trouble }) => (Object.keys(trouble).length ? troubles.set(path, trouble) : troubles.delete(path)),
  // {enabled}: whether there is an end_session_endpoint.
  end_session: ({ enabled }) => {
    endSession = enabled;
    build();
  },
  // How often each path was asked for since the last `reset`, and how often each grant type was served
  // ("refresh_token") or not ("refresh_token refused").
  counts: () => Object.fromEntries(counts),
  reset: () => counts.clear(),
};

function answer(request, response) {
  serve(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(400, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end(pages.failure({ error: error.name, error_description: error.message }));
  });
}

const server = options.tls
  ? https.createServer({ ...options.tls, requestCert: true, rejectUnauthorized: false }, answer)
  : http.createServer(answer);

async function start() {
  const major = /^v([789])$/.exec(options.shape);
  if (major) {
    ({ Provider, shape } = await open(Number(major[1]), options));
  } else {
    ({ Provider } = require('oidc-provider'));
    shape = { ...shapes[options.shape], configuration: () => shapes[options.shape].configuration };
  }
  server.listen(options.port, options.host, () => {
    const { port } = server.address();
    issuer = `http${options.tls ? 's' : ''}://${options.host}:${port}${shape.mount}${options.trailing_slash ? '/' : ''}`;
    keys = newKeys();
    build();
    process.stdout.write(`${JSON.stringify({ ready: true, port, issuer })}\n`);
  });
}

start();

const commands = readline.createInterface({ input: process.stdin });
commands.on('line', async (line) => {
  let said;
  try {
    const { do: name, ...rest } = JSON.parse(line);
    said = { ok: (await COMMANDS[name](rest)) ?? true };
  } catch (error) {
    said = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
});
commands.on('close', () => process.exit(0));
