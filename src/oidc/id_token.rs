//! The ID token: OpenID Connect Core 1.0 sections 2 and 3.1.3.7, in the specification's order.
//!
//! Owns what is an ID token's alone; what holds for every signed token is in `jwt`. Claims stay raw JSON.

use std::time::Duration;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::jwe::JweError;
use super::jwks::Keys;
use super::jwt::{self, JwtError, OtherAudiences, Policy};
use super::{Algorithm, DecryptionKey, Settings, logout_token};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;

pub(super) mod refreshed;

/// What the ID token of one login is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) settings: &'a Settings,
    pub(super) algs: &'a [Algorithm],
    /// What the authorization request sent; `None` where there was none, so that the token must have none.
    pub(super) nonce: Option<&'a Secret>,
    /// What the authorization request sent.
    pub(super) max_age: Option<Duration>,
    /// What this login asked for in place of the setting: it will do as well.
    pub(super) acr_values: Option<&'a str>,
    /// The access token that came beside the ID token.
    pub(super) access_token: &'a Secret,
}

/// Who signed in.
#[derive(Debug)]
pub(super) struct IdToken {
    pub(super) subject: String,
    pub(super) provider_session: Option<String>,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) issued_at: Option<Timestamp>,
    pub(super) claims: Map<String, Value>,
}

/// Why an ID token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdTokenError {
    /// It fails a check that every signed token has to pass.
    #[error("{0}")]
    Jwt(#[from] JwtError),
    /// It is a token of the same provider's by which people are signed out.
    #[error("it is a logout token")]
    LogoutToken,
    /// Made for another login.
    #[error("its `nonce` is not the one that was sent")]
    Nonce,
    /// The provider does not say when the person signed in, though it was asked with `max_age`.
    #[error("it has no `auth_time`, though `max_age` was asked for")]
    NoAuthTime,
    /// The person signed in too long ago for `max_age`.
    #[error("the person signed in {ago:?} ago, though `max_age` is {max_age:?}")]
    TooLongAgo {
        /// How long ago.
        ago: Duration,
        /// What was asked for.
        max_age: Duration,
    },
    /// The person signed in otherwise than `acr_values` asks for.
    #[error("its `acr` is {}, none of {asked:?}", .found.as_ref().map_or_else(|| "missing".to_owned(), |acr| format!("{acr:?}")))]
    Acr {
        /// What it says, if anything.
        found: Option<String>,
        /// The setting `acr_values`.
        asked: String,
    },
    /// The access token was exchanged.
    #[error("its `at_hash` does not fit the access token")]
    AccessTokenHash,
    /// `sub` is not 1 to 255 ASCII characters.
    #[error("its `sub` is not 1 to 255 printable ASCII characters")]
    Subject,
    /// It came with a refresh and is not like the one before.
    #[error("its `{0}` is not that of the ID token before the refresh")]
    Changed(&'static str),
}

impl IdTokenError {
    /// A code for logs that stays the same between versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jwt(error) => match error {
                JwtError::Malformed(_) | JwtError::Critical => "id_token_malformed",
                JwtError::Encrypted | JwtError::Decryption(_) => "id_token_encryption",
                JwtError::Algorithm { .. } => "id_token_algorithm",
                JwtError::Type(_) => "id_token_type",
                JwtError::NoKey { .. } => "id_token_key",
                JwtError::Signature { .. } => "id_token_signature",
                JwtError::Issuer { .. } => "id_token_issuer",
                JwtError::Audience { .. } | JwtError::UntrustedAudience(_) => "id_token_audience",
                JwtError::NoAuthorizedParty | JwtError::AuthorizedParty(_) => "id_token_azp",
                JwtError::Expired(_) => "id_token_expired",
                JwtError::NotYetValid(_) | JwtError::IssuedInFuture(_) => "id_token_not_yet_valid",
                JwtError::Missing(_) | JwtError::NotA { .. } => "id_token_claim",
            },
            Self::LogoutToken => "id_token_type",
            Self::Nonce => "id_token_nonce",
            Self::NoAuthTime | Self::TooLongAgo { .. } => "id_token_auth_time",
            Self::Acr { .. } => "id_token_acr",
            Self::AccessTokenHash => "id_token_at_hash",
            Self::Subject => "id_token_subject",
            Self::Changed(_) => "id_token_changed",
        }
    }

    pub(super) fn mend(&self) -> Option<&'static str> {
        let error = match self {
            Self::Jwt(error) => error,
            Self::Acr { .. } => {
                return Some("let the provider reach that level for this client, or leave `acr_values` out");
            }
            _ => return None,
        };
        mend(error)
    }

    /// Whether newer keys of the provider could make this token good.
    pub(super) const fn may_be_rotation(&self) -> bool {
        matches!(self, Self::Jwt(error) if error.may_be_rotation())
    }
}

/// What the operator can do about a signed token of the provider that fails a check.
pub(super) fn mend(error: &JwtError) -> Option<&'static str> {
    Some(match error {
        JwtError::Algorithm { .. } => {
            "if you trust that algorithm, name it in `id_token_algs`, or set it for this client at the provider"
        }
        JwtError::Encrypted | JwtError::Decryption(JweError::NoKey(_)) => {
            "set `decryption_key`, or let the provider answer this client without encryption"
        }
        JwtError::Decryption(JweError::Algorithm(_) | JweError::Encryption(_)) => {
            "set RSA-OAEP-256 or ECDH-ES, with A256GCM, for this client at the provider"
        }
        JwtError::Decryption(_) => {
            "compare the key that the provider encrypts to with the public half of `decryption_key`"
        }
        JwtError::Issuer { .. } => "write `issuer` exactly as the provider does",
        JwtError::Audience { .. } => "compare `client_id` with the provider's entry for this client",
        JwtError::UntrustedAudience(_) => {
            "if that audience may hold this client's tokens, name it in `audience`"
        }
        JwtError::Expired(_) | JwtError::NotYetValid(_) | JwtError::IssuedInFuture(_) => {
            "compare the clocks of this machine and of the provider; `clock_skew` allows up to 60s"
        }
        _ => return None,
    })
}

/// Core 3.1.3.7 (1), decryption: the signed ID token inside, which is also the one that may be shown to the provider
/// again (Core 3.1.2.1). A plain one is taken too: its signature is what is relied on, and a key can be made
/// known to the provider before it is used.
pub(super) fn decrypt(token: Secret, keys: &[DecryptionKey]) -> Result<Secret, IdTokenError> {
    let inside = jwt::inside(token.expose(), keys)?;
    Ok(inside.map_or(token, |inside| Secret::new(inside.as_str())))
}

/// Checks the ID token of one login.
pub(super) fn check(
    token: &Secret,
    keys: &Keys,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<IdToken, IdTokenError> {
    let settings = expected.settings;
    // Core 3.1.3.7 (1), decryption: done before.
    // SECURITY: what was inside is held to the same checks: encrypting needs our public key alone.
    // Core 3.1.3.7 (2) to (10)
    let policy = policy(settings, expected.algs);
    let leeway = policy.leeway;
    let verified = jwt::verify(token.expose(), keys, &policy, now)?;
    let claims = verified.claims;

    // Back-Channel Logout 1.0 section 4: a logout token is no ID token, also where its `typ` does not say so.
    check_kind(&claims)?;

    // Core 3.1.3.7 (11): nonce
    check_nonce(&claims, expected.nonce)?;

    // Core 3.1.3.7 (12): acr, when it was asked for. The provider may answer with less (section 3.1.2.1); an
    // operator who sets `acr_values` means it.
    check_acr(&claims, expected.settings.acr_values.as_deref(), expected.acr_values)?;

    // Core 3.1.3.7 (13): auth_time
    let auth_time = check_auth_time(&claims, expected.max_age, leeway, now)?;

    // Core 3.1.3.8: at_hash. c_hash (section 3.3.2.11) is for codes that came beside an ID token; ours don't.
    check_access_token_hash(&claims, verified.alg, expected.access_token)?;

    // Core 2: sub
    let subject = check_subject(&claims)?.to_owned();
    let provider_session = claims.get("sid").and_then(Value::as_str).filter(|sid| !sid.is_empty());
    let provider_session = provider_session.map(str::to_owned);
    let issued_at = jwt::time(&claims, "iat")?;
    Ok(IdToken { subject, provider_session, auth_time, issued_at, claims })
}

/// What any ID token of a provider is held against.
pub(super) fn policy<'a>(settings: &'a Settings, algs: &'a [Algorithm]) -> Policy<'a> {
    Policy {
        issuer: &settings.issuer,
        audience: &settings.client_id,
        trusted_audience: settings.audience.as_deref(),
        other_audiences: OtherAudiences::Refused,
        authorized_party: Some(&settings.client_id),
        algs,
        typ: &["jwt"],
        leeway: settings.clock_skew.min(jwt::MOST_SKEW),
        required: &["exp", "iat"],
    }
}

fn check_kind(claims: &Map<String, Value>) -> Result<(), IdTokenError> {
    if logout_token::is_logout(claims) { Err(IdTokenError::LogoutToken) } else { Ok(()) }
}

fn check_nonce(claims: &Map<String, Value>, expected: Option<&Secret>) -> Result<(), IdTokenError> {
    let Some(expected) = expected else {
        // RFC 8628 has no nonce.
        // SECURITY: a token that has one was made for a login in some browser (token injection).
        return if claims.contains_key("nonce") { Err(IdTokenError::Nonce) } else { Ok(()) };
    };
    let nonce = claims.get("nonce").ok_or(JwtError::Missing("nonce"))?;
    let nonce = nonce.as_str().ok_or(JwtError::NotA { claim: "nonce", expected: "a string" })?;
    // SECURITY: an ID token of another login, replayed; compared without telling by time where they differ.
    constant_time::verify_slices_are_equal(nonce.as_bytes(), expected.expose().as_bytes())
        .map_err(|_| IdTokenError::Nonce)
}

fn check_acr(
    claims: &Map<String, Value>,
    asked: Option<&str>,
    of_this_login: Option<&str>,
) -> Result<(), IdTokenError> {
    let Some(asked) = asked else { return Ok(()) };
    let found = claims.get("acr").and_then(Value::as_str);
    let mut fitting =
        asked.split_ascii_whitespace().chain(of_this_login.unwrap_or_default().split_ascii_whitespace());
    if found.is_some_and(|found| fitting.any(|value| value == found)) {
        return Ok(());
    }
    Err(IdTokenError::Acr { found: found.map(str::to_owned), asked: asked.to_owned() })
}

fn check_auth_time(
    claims: &Map<String, Value>,
    max_age: Option<Duration>,
    leeway: Duration,
    now: Timestamp,
) -> Result<Option<Timestamp>, IdTokenError> {
    let Some(max_age) = max_age else {
        // Not asked for: an odd value is no reason to refuse, it is just not believed.
        return Ok(jwt::time(claims, "auth_time").unwrap_or_default());
    };
    let auth_time = jwt::time(claims, "auth_time")?.ok_or(IdTokenError::NoAuthTime)?;
    let ago = now.since(auth_time);
    if ago > max_age.saturating_add(leeway) {
        return Err(IdTokenError::TooLongAgo { ago, max_age });
    }
    Ok(Some(auth_time))
}

fn check_access_token_hash(
    claims: &Map<String, Value>,
    alg: Algorithm,
    access_token: &Secret,
) -> Result<(), IdTokenError> {
    let at_hash = match claims.get("at_hash") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(at_hash)) => at_hash,
        Some(_) => return Err(JwtError::NotA { claim: "at_hash", expected: "a string" }.into()),
    };
    let hash = digest::digest(alg.hash(), access_token.expose().as_bytes());
    let (left_half, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    // SECURITY: an access token of another login, put beside a genuine ID token.
    if *at_hash != URL_SAFE_NO_PAD.encode(left_half) {
        return Err(IdTokenError::AccessTokenHash);
    }
    Ok(())
}

fn check_subject(claims: &Map<String, Value>) -> Result<&str, IdTokenError> {
    let subject = claims.get("sub").ok_or(JwtError::Missing("sub"))?;
    let subject = subject.as_str().ok_or(JwtError::NotA { claim: "sub", expected: "a string" })?;
    let fits = (1..=255).contains(&subject.len()) && subject.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits { Ok(subject) } else { Err(IdTokenError::Subject) }
}

#[cfg(test)]
mod tests;
