// A real OpenID Connect provider (npm oidc-provider, major 7) in the shape of Trusted.ID or of Indeed AM.
//
//   node provider.cjs '{"shape":"trusted","host":"127.0.0.1","port":0}'
//
// It prints one line of JSON, {"ready":true,"port":…,"issuer":…}, and then obeys one line of JSON on stdin at
// a time, answering each with one line on stdout (see COMMANDS). When stdin closes it ends, so a test that
// dies leaves nothing behind.
'use strict';

const crypto = require('crypto');
const http = require('http');
const readline = require('readline');
const { Provider } = require('oidc-provider');

const memory = require('./memory.cjs');
const pages = require('./pages.cjs');
const people = require('./people.cjs')();
const shapes = require('./shapes.cjs');

// The engine tells on the console that Node is newer than it knows; stdout belongs to the test.
console.info = console.warn = console.log = (...words) => console.error(...words);

const options = { shape: 'trusted', host: '127.0.0.1', port: 0, trailing_slash: false, ...JSON.parse(process.argv[2] || '{}') };
const shape = shapes[options.shape];
const adapter = memory();
const counts = new Map();
const disabled = new Set();
let keys = [];
let provider;
let issuer;
let endSession = true;

function newKey() {
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = crypto.randomBytes(8).toString('hex');
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}

// The existing grant, or one for all that was asked: a company's provider does not ask its own people.
async function loadExistingGrant(ctx) {
  const { client, session, result } = ctx.oidc;
  const id = (result && result.consent && result.consent.grantId) || session.grantIdFor(client.clientId);
  const grant = (id && (await provider.Grant.find(id)))
    || new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
  grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(' '));
  await grant.save();
  return grant;
}

async function findAccount(ctx, sub) {
  const person = people.bySub(sub);
  if (!person || disabled.has(person.login)) return undefined;
  return { accountId: sub, claims: (use) => shape.claimsFor(people.bySub(sub), use) };
}

function build() {
  const { features, ...configuration } = shape.configuration;
  provider = new Provider(issuer, {
    ...configuration,
    adapter,
    findAccount,
    loadExistingGrant,
    jwks: { keys },
    cookies: { keys: ['test'] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256'] },
    features: {
      devInteractions: { enabled: false },
      requestObjects: { request: false, requestUri: false },
      ...features,
      rpInitiatedLogout: { ...features.rpInitiatedLogout, enabled: endSession },
    },
    interactions: { url: (ctx, interaction) => `${shape.mount}/interaction/${interaction.uid}` },
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = pages.failure(out);
    },
    ttl: { Session: 86400, Grant: 86400, Interaction: 3600, IdToken: 3600, AccessToken: 3600, AuthorizationCode: 60 },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
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
    return show(prompt.name === 'login' ? pages.login(uid, params.login_hint) : pages.consent(uid, params.client_id));
  }
  const form = await readForm(request);
  if (prompt.name === 'consent') {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    return finish({ consent: { grantId: await grant.save() } });
  }
  const person = people.byLogin(form.get('login'));
  if (!person || disabled.has(person.login) || !form.get('password')) {
    return show(pages.login(uid, form.get('login'), 'Логин или пароль не подходят'));
  }
  return finish({ login: { accountId: person.sub, remember: true } });
}

async function serve(request, response) {
  const path = request.url.split('?')[0];
  counts.set(path, (counts.get(path) || 0) + 1);
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
  // New signing key; {keep: true} leaves the old one in the key set.
  rotate: ({ keep }) => {
    keys = [newKey(), ...(keep ? keys : [])];
    build();
  },
  // {enabled}: whether there is an end_session_endpoint.
  end_session: ({ enabled }) => {
    endSession = enabled;
    build();
  },
  // How often each path was asked for since the last `reset`.
  counts: () => Object.fromEntries(counts),
  reset: () => counts.clear(),
};

const server = http.createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(400, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end(pages.failure({ error: error.name, error_description: error.message }));
  });
});

server.listen(options.port, options.host, () => {
  const { port } = server.address();
  issuer = `http://${options.host}:${port}${shape.mount}${options.trailing_slash ? '/' : ''}`;
  keys = [newKey()];
  build();
  process.stdout.write(`${JSON.stringify({ ready: true, port, issuer })}\n`);
});

const commands = readline.createInterface({ input: process.stdin });
commands.on('line', async (line) => {
  let answer;
  try {
    const { do: name, ...rest } = JSON.parse(line);
    answer = { ok: (await COMMANDS[name](rest)) ?? true };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
commands.on('close', () => process.exit(0));
