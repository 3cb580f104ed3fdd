// The engine in its majors 7, 8 and 9 with everything switched on that a client may choose; what a provider
// can demand of all its clients is demanded when the test's options say so:
//
//   par: 'required'           only pushed requests        jar: 'required'    only signed requests
//   dpop: 'nonce'             every proof needs a nonce   pkce: 'optional'   (it is required otherwise)
//   ttl: {AccessToken: 5, …}  lifetimes in seconds        refresh: 'kept'    refresh tokens are not rotated
//   refresh_token: 'always'   without offline_access      claims: 'id_token' claims in the ID token as well
//   tls: {cert, key, ca}      HTTPS (PEM); a client certificate is asked for, and trusted when `ca` signed it
//   features, configuration   the engine's own words, over everything else
//
// A client chooses by its metadata: require_pushed_authorization_requests, require_signed_request_object,
// dpop_bound_access_tokens, authorization_signed_response_alg, id_token_encrypted_response_alg and so on.
'use strict';

const crypto = require('crypto');

const pages = require('./pages.cjs');

const PACKAGES = { 7: 'oidc-provider', 8: 'oidc-provider-8', 9: 'oidc-provider-9' };
const SIGNING = ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'EdDSA'];
const KEY_WRAPPING = ['RSA-OAEP', 'RSA-OAEP-256', 'ECDH-ES'];
const CONTENT = ['A256GCM', 'A128GCM', 'A128CBC-HS256'];
const METHODS = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'];
const CERTIFICATE_METHODS = ['tls_client_auth', 'self_signed_tls_client_auth'];

// One key of each kind: any algorithm of the client's choice can be signed.
function keys() {
  const pairs = [
    crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    crypto.generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    crypto.generateKeyPairSync('ed25519'),
  ];
  return pairs.map(({ privateKey }) => ({
    ...privateKey.export({ format: 'jwk' }), kid: crypto.randomBytes(8).toString('hex'), use: 'sig',
  }));
}

// Algorithms by the names that this major has for their uses.
function algorithms(major) {
  const signed = ['idToken', 'requestObject', 'userinfo', 'introspection', 'authorization'];
  const authenticated = major === 7
    ? ['tokenEndpointAuth', 'introspectionEndpointAuth', 'revocationEndpointAuth'] : ['clientAuth'];
  const named = (uses, suffix, values) => uses.map((use) => [`${use}${suffix}`, values]);
  return Object.fromEntries([
    ...named(signed.filter((use) => use !== 'requestObject'), 'SigningAlgValues', SIGNING),
    ...named(['requestObject', ...authenticated], 'SigningAlgValues', ['HS256', ...SIGNING]),
    ...named(['dPoP'], 'SigningAlgValues', ['ES256', 'RS256', 'PS256', 'EdDSA']),
    ...named(signed, 'EncryptionAlgValues', KEY_WRAPPING),
    ...named(signed, 'EncryptionEncValues', CONTENT),
  ]);
}

// Whether the certificate is the one that the client's metadata names (RFC 8705 section 2.1.2).
function certificateSubjectMatches(ctx, property, expected) {
  const certificate = ctx.socket.getPeerX509Certificate();
  const parts = (name) => name.split(/[\n,]/).map((part) => part.trim()).sort().join();
  if (property === 'tls_client_auth_subject_dn') return parts(certificate.subject) === parts(expected);
  const kind = { tls_client_auth_san_dns: 'DNS', tls_client_auth_san_uri: 'URI', tls_client_auth_san_email: 'email' };
  return (certificate.subjectAltName || '').split(', ').includes(`${kind[property]}:${expected}`);
}

const mTLS = (major) => ({
  enabled: true,
  certificateBoundAccessTokens: true,
  tlsClientAuth: true,
  selfSignedTlsClientAuth: true,
  getCertificate: (ctx) => {
    const certificate = ctx.socket.getPeerX509Certificate();
    return certificate && major === 7 ? certificate.toString() : certificate;
  },
  certificateAuthorized: (ctx) => ctx.socket.authorized,
  certificateSubjectMatches,
});

// Two servers of resources: one wants JWT access tokens (RFC 9068), the other opaque ones.
const RESOURCES = {
  'https://api.school.example': { audience: 'https://api.school.example', accessTokenFormat: 'jwt' },
  'https://opaque.school.example': { audience: 'https://opaque.school.example', accessTokenFormat: 'opaque' },
};

const resourceIndicators = (engine) => ({
  enabled: true,
  // A request that names no resource is for userinfo.
  defaultResource: (ctx, client, oneOf) => oneOf && oneOf[0],
  getResourceServerInfo: (ctx, resource) => {
    if (!RESOURCES[resource]) throw new engine.errors.InvalidTarget();
    return { ...RESOURCES[resource], scope: 'read write', jwt: { sign: { alg: 'RS256' } } };
  },
});

const deviceFlow = {
  enabled: true,
  userCodeInputSource: (ctx, form, out, error) => {
    ctx.body = pages.device('Код с экрана', `${error ? '<p role="alert">Код не подходит</p>' : ''}${form}`, 'op.deviceInputForm');
  },
  userCodeConfirmSource: (ctx, form, client, info, code) => {
    ctx.body = pages.device(`Это ваш код: ${code}?`, form, 'op.deviceConfirmForm');
  },
  successSource: (ctx) => {
    ctx.body = pages.device('Готово', '<p>Экран уже открыт.</p>');
  },
};

// A session that is weaker than what `acr_values` ask for is sent to the login page, once.
function policy(engine) {
  const { base, Check } = engine.interactionPolicy;
  const prompts = base();
  prompts.get('login').checks.add(new Check('acr_wanted', 'a stronger sign-in is wanted', ({ oidc }) => {
    const wanted = oidc.params.acr_values ? oidc.params.acr_values.split(' ') : [];
    const asked = oidc.result && oidc.result.login;
    return wanted.length > 0 && oidc.session.accountId && !asked && !wanted.includes(oidc.session.acr)
      ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT;
  }));
  return prompts;
}

function features(major, engine, options) {
  const on = { enabled: true };
  const signed = options.jar === 'required';
  const byReference = major === 9 ? on : { request: true, requestUri: true, requireUriRegistration: true };
  return {
    backchannelLogout: on,
    claimsParameter: on,
    clientCredentials: on,
    deviceFlow,
    dPoP: {
      enabled: true,
      ...(major === 7 ? { ack: 'draft-03' } : {}),
      ...(options.dpop === 'nonce' ? { nonceSecret: crypto.randomBytes(32), requireNonce: () => true } : {}),
    },
    encryption: on,
    introspection: on,
    jwtResponseModes: on,
    jwtUserinfo: on,
    ...(options.tls ? { mTLS: mTLS(major) } : {}),
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: options.par === 'required' },
    registration: { enabled: true, initialAccessToken: 'initial-access-token' },
    registrationManagement: on,
    requestObjects: { ...byReference, requireSignedRequestObject: signed },
    resourceIndicators: resourceIndicators(engine),
    revocation: on,
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = pages.logout(form);
      },
      postLogoutSuccessSource: (ctx) => {
        ctx.body = pages.loggedOut();
      },
    },
    ...options.features,
  };
}

// The shape, as `shapes.cjs` has the others, and the engine that it is for.
async function open(major, options) {
  const loaded = major === 7 ? require(PACKAGES[7]) : await import(PACKAGES[major]);
  const methods = options.tls ? [...METHODS, ...CERTIFICATE_METHODS] : METHODS;
  const shape = {
    mount: '',
    acr: ['bronze', 'silver', 'gold'],
    keys,
    claimsFor: (person) => ({ ...person, preferred_username: person.login, groups: person.custom_fields.groups }),
    configuration: (port) => ({
      acrValues: ['bronze', 'silver', 'gold'],
      scopes: ['openid', 'offline_access', 'email', 'profile', 'phone', 'groups', 'read', 'write'],
      claims: {
        openid: ['sub'],
        email: ['email', 'email_verified'],
        profile: ['name', 'given_name', 'family_name', 'middle_name', 'preferred_username', 'login', 'picture', 'birthdate'],
        phone: ['phone_number', 'phone_number_verified'],
        groups: ['groups'],
      },
      conformIdTokenClaims: options.claims !== 'id_token',
      // Several engines live on one host, and cookies know no ports.
      cookies: {
        keys: ['test'],
        names: { session: `session_${port}`, interaction: `interaction_${port}`, resume: `resume_${port}` },
      },
      ...(major === 7
        ? { tokenEndpointAuthMethods: methods, introspectionEndpointAuthMethods: methods, revocationEndpointAuthMethods: methods }
        : { clientAuthMethods: methods }),
      enabledJWA: algorithms(major),
      pkce: { required: () => options.pkce !== 'optional', ...(major < 9 ? { methods: ['S256'] } : {}) },
      interactions: { policy: policy(loaded) },
      rotateRefreshToken: options.refresh !== 'kept',
      ...(options.refresh_token === 'always'
        ? { issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token') } : {}),
      // Major 9 reaches no loopback address through the dispatcher it would have its requests use.
      ...(major === 9 ? { fetch: (url, { dispatcher, ...rest }) => globalThis.fetch(url, rest) } : {}),
      features: features(major, loaded, options),
      ...options.configuration,
    }),
  };
  return { Provider: loaded.Provider || loaded.default, shape };
}

module.exports = open;
