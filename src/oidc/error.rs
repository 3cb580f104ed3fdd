//! What can go wrong between us and a provider: whose fault it is, a stable code, the facts, the mend.
//!
//! The errors of a message's own checks stand beside those checks; here they come together.

use std::time::Duration;

use thiserror::Error;

use super::callback::CallbackError;
use super::id_token::{self, IdTokenError};
use super::jarm::JarmError;
use super::jwt::JwtError;
use super::logout_token::LogoutTokenError;
use super::message::Call;
use super::refusal::Refusal;
use super::subject::SubjectError;
use crate::foundation::trust::TrustError;

/// Whose fault an error is, and with it the status of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The browser's request: 400.
    Request,
    /// The provider says that the person may not, or the person said no: 403.
    Denied,
    /// The provider's answer can't be trusted or read, or it refuses our client: 502.
    Provider,
    /// The provider can't be reached, is too slow or fails: 503.
    Unreachable,
}

/// A sign-in that failed, or metadata that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OidcError {
    /// There was no answer.
    #[error("{call}: {failure}")]
    Network {
        /// The call that was made.
        call: Call,
        /// What happened to it.
        failure: NetworkFailure,
    },
    /// The answer has a status that says no, and nothing more.
    #[error("{call}: the provider answered {status}")]
    Status {
        /// The call that was made.
        call: Call,
        /// The status of its answer.
        status: u16,
    },
    /// The answer is a redirect. Redirects of these endpoints are never followed.
    #[error("{call}: the provider answered with a redirect to {to}")]
    Redirect {
        /// The call that was made.
        call: Call,
        /// Where it pointed, without the query.
        to: String,
    },
    /// The answer does not end.
    #[error("{call}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// The call that was made.
        call: Call,
        /// How many bytes we read.
        limit: usize,
    },
    /// The answer is something else than a JSON object.
    #[error("{call}: the answer is {found}, not a JSON object")]
    NotJson {
        /// The call that was made.
        call: Call,
        /// What came instead.
        found: NotJson,
    },
    /// A member of the answer is missing or unusable.
    #[error("{call}: `{member}` {problem}")]
    Member {
        /// The call that was made.
        call: Call,
        /// The member of its answer.
        member: &'static str,
        /// What is wrong with it.
        problem: MemberProblem,
    },
    /// The provider, or through it the person, said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The document that the issuer's address gives is another issuer's (Discovery 1.0 section 4.3).
    #[error("the discovery document's issuer is {announced:?}, the configured one {configured:?}")]
    Issuer {
        /// What the operator wrote.
        configured: String,
        /// What the provider says.
        announced: String,
    },
    /// An endpoint that is needed is neither announced nor set by hand.
    #[error("the provider announces no `{endpoint}`, and none is set by hand")]
    EndpointMissing {
        /// Its name in the metadata.
        endpoint: &'static str,
    },
    /// An announced endpoint can't be used.
    #[error("the announced `{endpoint}` {problem}")]
    Endpoint {
        /// Its name in the metadata.
        endpoint: &'static str,
        /// What is wrong with it.
        problem: EndpointProblem,
    },
    /// The request is to be signed, and there is nothing to sign it with that the provider takes.
    #[error(
        "the authorization request has to be signed: there is no `private_key`, and the provider announces no signature by the client secret"
    )]
    NothingToSignWith,
    /// The provider does not announce what the profile needs.
    #[error("profile = \"fapi2\" needs {needed} of the provider, which it does not announce in `{member}`")]
    Profile {
        /// The member of its metadata.
        member: &'static str,
        /// What should be there.
        needed: &'static str,
    },
    /// Our own key made no signature.
    #[error("{call}: our key made no signature")]
    Unsigned {
        /// The call that was not made.
        call: Call,
    },
    /// An address that can't be put into an HTTP request.
    #[error("{call}: its address can't be requested")]
    Address {
        /// The call that was not made.
        call: Call,
    },
    /// The key set holds no key that we can verify with.
    #[error("key set: none of its {keys} keys can verify a signature that we know")]
    NoUsableKey {
        /// How many keys it holds.
        keys: usize,
    },
    /// The authorization response breaks the protocol or belongs to another login.
    #[error("authorization response: {0}")]
    Callback(#[from] CallbackError),
    /// The signed authorization response fails a check.
    #[error("authorization response: {0}")]
    Jarm(#[from] JarmError),
    /// The provider takes no proofs that we can make (RFC 9449 section 5.1).
    #[error("the provider takes DPoP proofs by {announced}, not by ES256")]
    ProofAlgorithm {
        /// What it announces.
        announced: String,
    },
    /// The key of a login's DPoP proofs can't be made, or is none.
    #[error("the key of the login's DPoP proofs can't be used")]
    ProofKey,
    /// The ID token fails a check.
    #[error("ID token: {0}")]
    IdToken(#[from] IdTokenError),
    /// The provider's session was over before ours was made.
    #[error("the person signed out at the provider while this sign-in was under way")]
    SignedOutMeanwhile,
    /// The logout token fails a check.
    #[error("logout token: {0}")]
    LogoutToken(#[from] LogoutTokenError),
    /// The userinfo answer is a signed JWT that fails a check.
    #[error("userinfo endpoint: {0}")]
    Userinfo(JwtError),
    /// The userinfo answer names nobody (OAuth 2.0 alone).
    #[error("userinfo endpoint: {0}")]
    Subject(#[from] SubjectError),
    /// The userinfo answer is about somebody else.
    #[error("userinfo endpoint: its `sub` is not the ID token's")]
    OtherSubject,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetworkFailure {
    /// The time limit passed.
    #[error("no complete answer within {0:?}")]
    TimedOut(Duration),
    /// There was no connection: the name is unknown, nobody listens, no route.
    #[error("no connection: {0}")]
    Connect(String),
    /// TLS failed, most often because the certificate is not trusted.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke or spoke something else than HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// What came instead of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotJson {
    /// No body.
    #[error("empty")]
    Empty,
    /// A page.
    #[error("an HTML or XML page")]
    Html,
    /// JSON, but no object.
    #[error("another JSON value")]
    AnotherValue,
    /// Anything else.
    #[error("something else")]
    Other,
}

/// What is wrong with a member of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MemberProblem {
    /// It is not there, or empty.
    #[error("is missing")]
    Missing,
    /// It has another JSON type.
    #[error("is not {0}")]
    NotA(&'static str),
    /// It has a value that we can't go on with.
    #[error("is {0:?}")]
    Value(String),
}

/// What is wrong with an announced endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointProblem {
    /// It is no absolute http(s) address, or holds a user name.
    #[error("is not an absolute http or https address")]
    NotAnAddress,
    /// It is unprotected although the issuer is not.
    #[error("is not https, though the issuer is")]
    NotHttps,
}

impl OidcError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Network { .. } => Fault::Unreachable,
            Self::Status { status, .. } if *status >= 500 || *status == 429 => Fault::Unreachable,
            Self::Callback(_) | Self::LogoutToken(_) | Self::SignedOutMeanwhile => Fault::Request,
            Self::Refused(refusal) => refusal.fault(),
            Self::Jarm(error) => error.fault(),
            _ => Fault::Provider,
        }
    }

    /// Whether newer keys of the provider could make good what was signed.
    pub(super) const fn may_be_rotation(&self) -> bool {
        match self {
            Self::Jarm(error) => error.may_be_rotation(),
            Self::IdToken(error) => error.may_be_rotation(),
            Self::LogoutToken(error) => error.may_be_rotation(),
            Self::Userinfo(error) => error.may_be_rotation(),
            _ => false,
        }
    }

    /// A code for logs and alerts that stays the same between versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Network { failure: NetworkFailure::TimedOut(_), .. } => "provider_too_slow",
            Self::Network { failure: NetworkFailure::Tls(_), .. } => "provider_tls",
            Self::Network { .. } => "provider_unreachable",
            Self::Status { .. } => "provider_status",
            Self::Redirect { .. } => "provider_redirected",
            Self::TooLarge { .. } => "provider_too_large",
            Self::NotJson { .. } => "provider_not_json",
            Self::Member { .. } => "provider_member",
            Self::Refused(refusal) => refusal.code(),
            Self::Issuer { .. } => "provider_issuer",
            Self::EndpointMissing { .. } | Self::Endpoint { .. } | Self::Address { .. } => {
                "provider_endpoint"
            }
            Self::NothingToSignWith | Self::Unsigned { .. } => "client_key",
            Self::NoUsableKey { .. } => "provider_keys",
            Self::Profile { .. } => "provider_profile",
            Self::Callback(error) => error.code(),
            Self::Jarm(error) => error.code(),
            Self::ProofAlgorithm { .. } | Self::ProofKey => "provider_dpop",
            Self::IdToken(error) => error.code(),
            Self::LogoutToken(error) => error.code(),
            Self::SignedOutMeanwhile => "provider_session_over",
            Self::Userinfo(_) => "userinfo_jwt",
            Self::Subject(_) | Self::OtherSubject => "userinfo_subject",
        }
    }

    /// What the operator can do about it.
    pub fn mend(&self) -> Option<&'static str> {
        Some(match self {
            Self::Network { failure: NetworkFailure::Tls(_), .. } => {
                "if the provider's certificate comes from a CA of your own, name that CA's file in `ca`"
            }
            Self::Network { failure: NetworkFailure::Connect(_), .. } => {
                "check that this machine resolves and reaches the provider's address"
            }
            Self::Network { .. } => "check the network to the provider; `timeout` limits each call",
            Self::Redirect { .. } | Self::NotJson { found: NotJson::Html, .. } => {
                "something in front of the provider answers in its place, or the endpoint's address is wrong"
            }
            Self::Status { call: Call::Discovery, status: 404, .. } => {
                "check `issuer`; a provider without discovery needs `discovery = false` and its endpoints"
            }
            Self::Issuer { configured, announced }
                if configured.trim_end_matches('/') == announced.trim_end_matches('/') =>
            {
                "the two differ by a final slash only: write `issuer` exactly as the provider does"
            }
            Self::Issuer { .. } => "if that is the provider you mean, write `issuer` exactly as it does",
            Self::EndpointMissing { endpoint: "pushed_authorization_request_endpoint" } => {
                "set `request` to what the provider takes, or the endpoint by hand"
            }
            Self::EndpointMissing { endpoint: "registration_endpoint" } => {
                "enter the client at the provider by hand; `vestibule urls` prints the addresses"
            }
            Self::Status { call: Call::Registration, status: 401 | 403 } => {
                "give the provider's initial access token by --token-env or --token-file"
            }
            Self::EndpointMissing { .. } | Self::Endpoint { .. } => "set the endpoint by hand",
            Self::Profile { .. } => "switch it on at the provider, or take `profile` out",
            Self::NothingToSignWith => "set `private_key`; the provider has to know its public half",
            Self::Member { call: Call::Token, member: "id_token", .. } => {
                "let this client use OpenID Connect (scope `openid`) at the provider"
            }
            Self::Callback(CallbackError::OtherIssuer { expected, .. }) if expected.is_empty() => {
                "if that is the provider you mean, name it in `issuer`"
            }
            Self::Subject(_) => "name the claim that tells people apart at this provider in `subject`",
            Self::Userinfo(error) => return id_token::mend(error),
            Self::Member { call: Call::Token, member: "token_type", problem: MemberProblem::Value(kind) } => {
                match kind.to_ascii_lowercase().as_str() {
                    "dpop" => "set `dpop = true`, or let the provider issue this client bearer tokens",
                    "bearer" => {
                        "let the provider bind this client's tokens to a key (DPoP), or leave `dpop` out"
                    }
                    _ => return None,
                }
            }
            Self::ProofAlgorithm { .. } => "leave `dpop` out, or let the provider take ES256",
            Self::Refused(refusal) => return refusal.mend(),
            Self::Callback(error) => return error.mend(),
            Self::Jarm(error) => return error.mend(),
            Self::IdToken(error) => return error.mend(),
            Self::LogoutToken(error) => return error.mend(),
            _ => return None,
        })
    }
}

/// A provider that can't even be tried with these settings.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The issuer is no address.
    #[error("the issuer {0:?} is not an absolute http or https address")]
    Issuer(String),
    /// Without discovery, this endpoint has to be set.
    #[error("without discovery, `{0}` has to be set")]
    EndpointMissing(&'static str),
    /// A further parameter has the name of one that the protocol or another setting owns.
    #[error("`params` can't set `{0}`: the login or another key sets it")]
    ReservedParam(String),
    /// A method of client authentication needs a secret.
    #[error("`client_auth` needs a `client_secret`")]
    SecretMissing,
    /// A method of client authentication, or a signed request, needs a key.
    #[error("`{0}` needs a `private_key`")]
    KeyMissing(&'static str),
    /// A method of client authentication needs a certificate.
    #[error("`client_auth` needs a `tls_client`")]
    CertificateMissing,
    /// The trust roots can't be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP client can't be built.
    #[error("the HTTP client for provider calls can't be built: {0}")]
    Client(String),
}
