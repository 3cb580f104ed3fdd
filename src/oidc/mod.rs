//! Floor 3: the relying party: OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0, OAuth 2.0.
//!
//! One file a message. Each message builds a request and reads a response as plain values; only
//! `transport` opens sockets, and no file here asks for the time but through an argument.

mod access_token;
mod algorithm;
mod authorization;
mod believed;
mod cached;
mod callback;
mod carriage;
mod client_assertion;
mod client_auth;
mod client_choice;
mod decryption_key;
mod device;
mod discovery;
mod dpop;
mod end_session;
mod error;
mod examination;
#[cfg(test)]
mod fixture;
mod held_requests;
mod id_token;
mod introspection;
mod jarm;
mod jwe;
mod jwks;
mod jwt;
mod logout_token;
mod message;
mod metadata;
mod own_jwt;
mod profile;
mod provider;
mod pushed;
mod refresh;
mod refusal;
mod registration;
mod report;
mod request_object;
mod response_mode;
mod revocation;
mod signing_key;
mod subject;
mod token;
mod transport;
mod userinfo;

pub use access_token::{AccessToken, TokenRefused, named_issuer};
pub use authorization::{LoginRequest, PendingLogin, RESERVED_PARAMS};
pub use believed::Disbelief;
pub use cached::Readiness;
pub use callback::{AuthorizationResponse, CallbackError, Redemption};
pub use decryption_key::{DecryptionKey, DecryptionKeyError};
pub use device::{Answer as DeviceAnswer, PendingDevice};
pub use end_session::{EndSession, EndSessionRequest};
pub use error::{EndpointProblem, Fault, MemberProblem, NetworkFailure, NotJson, OidcError, SetupError};
pub use examination::AskedRedirect;
pub use id_token::IdTokenError;
pub use jarm::JarmError;
pub use jwe::JweError;
pub use jwt::JwtError;
pub use logout_token::{LogoutToken, LogoutTokenError, Whose};
pub use message::Call;
pub use profile::Profile;
pub use provider::{ClientAuths, Provider, SignIn};
pub use refresh::{Held, RefreshError, Refreshed};
pub use refusal::Refusal;
pub use registration::{ClientAddresses, Registered};
pub use response_mode::{Carrier, ResponseMode};
pub use signing_key::{SigningKey, SigningKeyError};
pub use subject::SubjectError;

use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use url::Url;

use crate::foundation::secret::Secret;

/// One provider, as the configuration describes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The administrator's name for it.
    pub name: String,
    /// What people read where they choose a provider; left out, its name.
    pub label: Option<String>,
    /// The domains, folded, whose e-mail addresses belong to people who sign in here.
    pub domains: Vec<String>,
    /// What it speaks.
    pub protocol: Protocol,
    /// The issuer identifier, byte for byte as it must stand in `iss`. An OAuth 2.0 provider may have none: then
    /// it is empty, which no `iss` is equal to.
    pub issuer: String,
    /// Whether the metadata is fetched from the issuer (OpenID Connect Discovery 1.0 section 4, RFC 8414).
    pub discovery: Discovery,
    /// Endpoints set by hand; each wins over what discovery says.
    pub endpoints: Endpoints,
    /// Our identifier at the provider.
    pub client_id: String,
    /// Our secret at the provider; a public client has none.
    pub client_secret: Option<Secret>,
    /// How we authenticate at the token endpoint; left out, the best that the provider announces.
    pub client_auth: Option<ClientAuth>,
    /// Our keys that ID tokens and userinfo answers may be encrypted to.
    pub decryption_keys: Vec<DecryptionKey>,
    /// The same at the introspection endpoint; left out, as at the token endpoint where the provider takes it.
    pub introspection_auth: Option<ClientAuth>,
    /// The same at the revocation endpoint.
    pub revocation_auth: Option<ClientAuth>,
    /// Our private key: signs client assertions and request objects.
    pub private_key: Option<Arc<SigningKey>>,
    /// Our certificate with its key, shown to the provider by TLS (RFC 8705).
    pub tls_client: Option<Arc<CertifiedKey>>,
    /// Certificates trusted for calls to this provider besides the system's.
    pub ca: Vec<CertificateDer<'static>>,
    /// What is asked for; with OpenID Connect always with `openid`.
    pub scopes: Vec<String>,
    /// How the authorization response comes back.
    pub response_mode: ResponseMode,
    /// Whether tokens are bound to a key of the login's own.
    pub binding: TokenBinding,
    /// What a sign-in has to keep to besides.
    pub profile: Profile,
    /// How the authorization request travels, unless the provider demands more.
    pub request: RequestForm,
    /// Whether the userinfo endpoint is asked.
    pub userinfo: Userinfo,
    /// The signature algorithms an ID token and a signed userinfo answer may have; left out, those that the provider announces.
    pub id_token_algs: Option<Vec<Algorithm>>,
    /// How far the provider's clock may be off; 60 s at most.
    pub clock_skew: Duration,
    /// The time limit of each call to the provider.
    pub timeout: Duration,
    /// `prompt` of the authorization request.
    pub prompt: Option<String>,
    /// `acr_values` of the authorization request.
    pub acr_values: Option<String>,
    /// `max_age` of the authorization request.
    pub max_age: Option<Duration>,
    /// `ui_locales` of the authorization request.
    pub ui_locales: Option<String>,
    /// `audience` of the authorization request; an ID token's `aud` may name it beside our client id.
    pub audience: Option<String>,
    /// `claims` of the authorization request, JSON (OpenID Connect Core 1.0 section 5.5).
    pub claims: Option<String>,
    /// `resource` of the authorization and token requests, each an absolute URI (RFC 8707).
    pub resource: Vec<String>,
    /// `login_hint` of the authorization request, where a login has none of its own.
    pub login_hint: Option<String>,
    /// Further parameters of the authorization request.
    pub params: Vec<(String, String)>,
    /// How sign-out at the provider is asked for.
    pub logout: Logout,
}

impl Settings {
    /// The public halves of our keys, as the provider has to know them (RFC 7517 section 4): what we sign with, and
    /// what it encrypts to.
    pub fn public_keys(&self) -> Vec<Value> {
        let signs = self.private_key.iter().map(|key| key.public_jwk().clone());
        signs.chain(self.decryption_keys.iter().map(DecryptionKey::public_jwk)).collect()
    }
}

/// What a provider speaks, and with it what says who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenID Connect: the signed ID token, by its `sub`.
    OpenIdConnect,
    /// OAuth 2.0 alone (RFC 6749): the userinfo endpoint's answer.
    OAuth2 {
        /// The path of the claim that names the person; left out, `sub`, else `id`.
        subject: Option<String>,
    },
}

/// Where the provider's metadata comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// The issuer's well-known address.
    Fetch,
    /// The endpoints set by hand, and nothing else.
    ByHand,
}

/// The provider's endpoints that were set by hand.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Where a person signs in.
    pub authorization: Option<Url>,
    /// Where a code is redeemed.
    pub token: Option<Url>,
    /// Where claims are asked for.
    pub userinfo: Option<Url>,
    /// Where the provider's keys are.
    pub jwks: Option<Url>,
    /// Where a person signs out.
    pub end_session: Option<Url>,
    /// Where a token's state is asked for.
    pub introspection: Option<Url>,
    /// Where a token is revoked.
    pub revocation: Option<Url>,
    /// Where a device asks for a code.
    pub device_authorization: Option<Url>,
    /// Where authorization requests are pushed to (RFC 9126).
    pub pushed_authorization_request: Option<Url>,
}

/// How a client proves itself at the token endpoint (OpenID Connect Core 1.0 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// The secret in an `Authorization: Basic` header, form-urlencoded first (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// The secret in the body.
    ClientSecretPost,
    /// An assertion keyed with the secret (RFC 7523), which is not sent itself.
    ClientSecretJwt,
    /// An assertion signed with our private key (RFC 7523).
    PrivateKeyJwt,
    /// The certificate of the connection (RFC 8705).
    TlsClientAuth,
    /// A public client: no proof but PKCE.
    None,
}

/// What it takes to use a token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenBinding {
    /// To have it (RFC 6750).
    Bearer,
    /// To have the key that it was issued for as well (DPoP, RFC 9449).
    Key,
}

/// How the authorization request travels to the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestForm {
    /// In the browser's address, in plain parameters.
    #[default]
    Query,
    /// From us to the provider beforehand (RFC 9126).
    Pushed,
    /// In the browser's address, as a signed object (RFC 9101).
    Signed,
    /// Both: a signed object, beforehand.
    PushedAndSigned,
    /// A signed object that the provider fetches from us (RFC 9101 section 5.2).
    ByReference,
}

/// When the userinfo endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Userinfo {
    /// When there is one.
    Auto,
    /// Always; a provider without one is an error.
    Always,
    /// Never.
    Never,
}

/// The signature algorithms that an ID token may have (RFC 7518 section 3, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512
    Rs512,
    /// RSASSA-PSS with SHA-256
    Ps256,
    /// RSASSA-PSS with SHA-384
    Ps384,
    /// RSASSA-PSS with SHA-512
    Ps512,
    /// ECDSA on P-256 with SHA-256
    Es256,
    /// ECDSA on P-384 with SHA-384
    Es384,
    /// Ed25519
    EdDsa,
}

/// How sign-out at the provider is asked for (OpenID Connect RP-Initiated Logout 1.0).
#[derive(Clone, Debug)]
pub struct Logout {
    /// Whether the ID token goes along as `id_token_hint`.
    pub id_token_hint: IdTokenHint,
    /// The name of an extra parameter that carries the provider's session id (`sid`).
    pub session_param: Option<String>,
}

/// Whether the ID token goes along when a person signs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdTokenHint {
    /// It does: the provider knows whom it signs out and need not ask.
    Send,
    /// It does not.
    Omit,
}
