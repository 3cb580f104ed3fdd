// How the two providers look from outside: Trusted.ID and Indeed AM.
'use strict';

const pages = require('./pages.cjs');

// Trusted.ID as its documentation shows its discovery document: these members, in this order.
const TRUSTED_MEMBERS = [
  'authorization_endpoint', 'device_authorization_endpoint', 'claims_parameter_supported', 'claims_supported',
  'code_challenge_methods_supported', 'end_session_endpoint', 'grant_types_supported',
  'id_token_signing_alg_values_supported', 'issuer', 'jwks_uri', 'registration_endpoint',
  'authorization_response_iss_parameter_supported', 'response_modes_supported', 'response_types_supported',
  'scopes_supported', 'subject_types_supported', 'token_endpoint_auth_methods_supported', 'token_endpoint',
  'userinfo_endpoint', 'introspection_endpoint', 'revocation_endpoint',
  'introspection_endpoint_auth_methods_supported', 'revocation_endpoint_auth_methods_supported',
  'claim_types_supported',
];

// The engine's routes below a prefix.
const routes = (prefix) => ({
  authorization: `${prefix}/auth`,
  code_verification: `${prefix}/device`,
  device_authorization: `${prefix}/device/auth`,
  end_session: `${prefix}/session/end`,
  introspection: `${prefix}/token/introspection`,
  jwks: `${prefix}/jwks`,
  registration: `${prefix}/reg`,
  revocation: `${prefix}/token/revocation`,
  token: `${prefix}/token`,
  userinfo: `${prefix}/me`,
});

const rpInitiatedLogout = {
  enabled: true,
  logoutSource: (ctx, form) => {
    ctx.body = pages.logout(form);
  },
  postLogoutSuccessSource: (ctx) => {
    ctx.body = pages.loggedOut();
  },
};

const trusted = {
  mount: '',
  members: TRUSTED_MEMBERS,
  claimsFor: (person) => person,
  configuration: {
    routes: routes('/api/oidc'),
    scopes: ['openid', 'offline_access', 'email', 'profile', 'accounts', 'phone'],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_public', 'email_verified'],
      profile: [
        'name', 'nickname', 'given_name', 'family_name', 'login', 'profile', 'birthdate', 'password_updated_at',
        'password_change_required', 'deleted', 'picture', 'custom_fields',
      ],
      accounts: ['publicExternalAccounts'],
      phone: ['phone_number', 'phone_number_verified'],
    },
    responseTypes: ['code token', 'code id_token token', 'code id_token', 'code', 'id_token', 'none'],
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: (ctx, sub, client) => `${client.clientId}-${sub}`,
    pkce: { methods: ['S256'], required: () => false },
    features: {
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      registration: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout,
      // An application's settings have request_uris and require_signed_request_object, though the document is silent.
      requestObjects: { request: true, requestUri: true, requireUriRegistration: false },
      // It announces `sid` among the claims: an application that is told of logouts gets it.
      backchannelLogout: { enabled: true },
    },
  },
};

// The keys that Indeed AM's userinfo answers with; any other name under CustomAttributes is in the ID token alone.
const STANDARD = ['sub', 'email', 'name', 'given_name', 'family_name', 'middle_name'];

const indeed = {
  mount: '/am/idp',
  claimsFor: (person, use) => (use === 'userinfo'
    ? Object.fromEntries(STANDARD.filter((name) => name in person).map((name) => [name, person[name]])) : person),
  configuration: {
    routes: { ...routes('/connect'), authorization: '/connect/authorize', end_session: '/connect/logout' },
    scopes: ['openid', 'offline_access', 'email', 'profile'],
    claims: {
      openid: [
        'sub', 'SamCompatibleName', 'PrincipalName', 'DistinguishedName', 'CanonicalName', 'Sid', 'ObjectGUID',
      ],
      email: ['email'],
      profile: ['name', 'given_name', 'family_name', 'middle_name'],
    },
    conformIdTokenClaims: false,
    responseTypes: ['code'],
    tokenEndpointAuthMethods: ['client_secret_basic', 'client_secret_post'],
    pkce: { methods: ['S256'], required: () => true },
    features: { rpInitiatedLogout, requestObjects: { request: false, requestUri: false } },
  },
};

module.exports = { trusted, indeed };
