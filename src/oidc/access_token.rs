//! An access token that a client of an app presents: JWT access tokens, RFC 9068 section 4, in its order; what an
//! introspection answers (RFC 7662) is held against the same rules.
//!
//! Whether a token is asked for, and what the client is told, is the gateway's matter (RFC 6750).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::jwks::Keys;
use super::jwt::{self, JwtError, OtherAudiences, Policy};
use super::{Algorithm, Settings};
use crate::foundation::clock::Timestamp;
use crate::identity::claims::Claims;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;

/// An access token that is good.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Whose it is: `sub`, or the client itself where nobody's sign-in is behind it.
    pub subject: String,
    /// What it says, or what its provider says of it.
    pub claims: Claims,
    /// What it may be used for (RFC 6749 section 3.3).
    pub scopes: Vec<String>,
    /// When it ends, where that is said.
    pub expires_at: Option<Timestamp>,
    /// Until when this may be believed without asking again.
    pub believed_until: Timestamp,
}

/// Why an access token is not taken. The client is told `invalid_token` and no more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenRefused {
    /// It is no token at all.
    #[error("it is empty, too long, or holds characters that no token has")]
    Malformed,
    /// A signed token fails a check.
    #[error("{0}")]
    Jwt(#[from] JwtError),
    /// It does not say who issued it, and several providers could have.
    #[error("it names no issuer, and neither does the rule (provider), while the app has several providers")]
    Unattributed,
    /// The provider does not know it, or it is over.
    #[error("the provider says that it is not active")]
    Inactive,
    /// It is an ID token or a refresh token, which some providers call active, too.
    #[error("the provider says that it is no access token: its kind is {0}")]
    Kind(String),
    /// It is over.
    #[error("it expired {0:?} ago")]
    Expired(Duration),
    /// It is for another API.
    #[error("its audience is {found}, without {expected:?}")]
    Audience {
        /// What the provider says.
        found: String,
        /// `audience` of the configuration, else our client id.
        expected: String,
    },
    /// Another issuer's.
    #[error("its issuer is not the configured one")]
    Issuer,
    /// It names neither a person nor a client.
    #[error("it has no `sub` and no `client_id`")]
    Nobody,
    /// It is bound to a key that a Bearer token does not prove (RFC 9449 section 7.1, RFC 8705 section 3).
    #[error("it is bound to a key (`cnf`) and can't be used as a Bearer token")]
    Bound,
    /// It is not a JWT access token, and nobody can be asked about others.
    #[error(
        "it is no JWT access token (`typ` at+jwt) of a provider with keys, and the provider has no introspection endpoint"
    )]
    Opaque,
}

impl TokenRefused {
    /// Whether newer keys of the provider could make this token good.
    pub(super) const fn may_be_rotation(&self) -> bool {
        matches!(self, Self::Jwt(JwtError::NoKey { .. } | JwtError::Signature { .. }))
    }
}

/// What a token is by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// A JWT access token.
    Jwt,
    /// Anything else: only its provider can tell.
    Opaque,
}

/// RFC 6750 section 2.1: what may stand behind `Bearer`; RFC 9068 section 2.1: the `typ` of a JWT access token.
///
/// SECURITY: an ID token, or a JWT of any other kind, is no access token, however good its signature is.
pub(super) fn looks(token: &str) -> Result<Looks, TokenRefused> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || token.len() > LONGEST || !token.bytes().all(fits) {
        return Err(TokenRefused::Malformed);
    }
    let header = token.split_once('.').and_then(|(header, _)| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
    let typ = header.as_ref().and_then(|header| header.get("typ")?.as_str()).unwrap_or_default();
    let typ = typ.to_ascii_lowercase();
    Ok(if typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt" { Looks::Jwt } else { Looks::Opaque })
}

/// The issuer that a token names, before anything about it is believed: only to find whose it may be.
pub fn named_issuer(token: &str) -> Option<String> {
    let claims = token.split('.').nth(1)?;
    let claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// RFC 9068 section 4.
pub(super) fn check(
    token: &str,
    keys: &Keys,
    settings: &Settings,
    algs: &[Algorithm],
    now: Timestamp,
) -> Result<AccessToken, TokenRefused> {
    let policy = Policy {
        issuer: &settings.issuer,
        audience: audience(settings),
        trusted_audience: None,
        other_audiences: OtherAudiences::Allowed,
        authorized_party: None,
        algs,
        typ: &["at+jwt"],
        leeway: settings.clock_skew.min(jwt::MOST_SKEW),
        required: &["exp", "iat"],
    };
    let verified = jwt::verify(token, keys, &policy, now)?;
    made(verified.claims, now)
}

/// RFC 7662 section 2.2: what the provider answers of a token.
pub(super) fn introspected(
    answer: Map<String, Value>,
    settings: &Settings,
    now: Timestamp,
) -> Result<AccessToken, TokenRefused> {
    if answer.get("active") != Some(&Value::Bool(true)) {
        return Err(TokenRefused::Inactive);
    }
    check_kind(&answer)?;
    if let Some(issuer) = answer.get("iss").filter(|issuer| !issuer.is_null())
        && issuer.as_str() != Some(&settings.issuer)
    {
        return Err(TokenRefused::Issuer);
    }
    if let Ok(Some(expires_at)) = jwt::time(&answer, "exp")
        && now >= expires_at.plus(settings.clock_skew.min(jwt::MOST_SKEW))
    {
        return Err(TokenRefused::Expired(now.since(expires_at)));
    }
    check_audience(&answer, settings)?;
    made(answer, now)
}

/// RFC 7662 section 2.2, `token_type`; `typ` and `token_use` are where providers say more, or the same.
///
/// SECURITY: Keycloak answers `active` also for ID tokens, whose audience is this client, and for refresh tokens
/// (`ID`, `Refresh`). Those go through other hands and other logs than access tokens.
fn check_kind(answer: &Map<String, Value>) -> Result<(), TokenRefused> {
    for member in ["token_type", "typ", "token_use"] {
        let Some(kind) = answer.get(member).filter(|kind| !kind.is_null()) else { continue };
        let known = kind.as_str().map(str::to_ascii_lowercase);
        if !known.is_some_and(|kind| ACCESS_TOKENS.contains(&kind.as_str())) {
            return Err(TokenRefused::Kind(super::message::told(&kind.to_string())));
        }
    }
    Ok(())
}

/// What providers call an access token that may be used as a Bearer token, and what leaves it open.
const ACCESS_TOKENS: [&str; 7] =
    ["bearer", "access_token", "access-token", "access", "at+jwt", "application/at+jwt", "jwt"];

/// What a token must be meant for.
pub(super) fn audience(settings: &Settings) -> &str {
    settings.audience.as_deref().unwrap_or(&settings.client_id)
}

/// Many providers leave `aud` out of an introspection: then the token must be this client's own, unless an
/// audience is configured, which has to be there.
fn check_audience(answer: &Map<String, Value>, settings: &Settings) -> Result<(), TokenRefused> {
    let expected = audience(settings);
    let found: Vec<&str> = match answer.get("aud") {
        Some(Value::String(audience)) => vec![audience],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ if settings.audience.is_none() => {
            answer.get("client_id").and_then(Value::as_str).into_iter().collect()
        }
        _ => Vec::new(),
    };
    if found.contains(&expected) {
        return Ok(());
    }
    let found = super::message::told(&format!("{found:?}"));
    Err(TokenRefused::Audience { found, expected: expected.to_owned() })
}

fn made(mut claims: Map<String, Value>, now: Timestamp) -> Result<AccessToken, TokenRefused> {
    if claims.get("cnf").is_some_and(|cnf| !cnf.is_null()) {
        return Err(TokenRefused::Bound);
    }
    let named = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|name| !name.is_empty());
    let subject = named("sub").or_else(|| named("client_id")).ok_or(TokenRefused::Nobody)?.to_owned();
    // Apps are told the person by `sub`; here it is the client.
    claims.entry("sub").or_insert_with(|| subject.clone().into());
    let scopes = match claims.get("scope") {
        Some(Value::String(scopes)) => scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let expires_at = jwt::time(&claims, "exp").ok().flatten();
    let believed_until = now.plus(BELIEVED);
    let believed_until = expires_at.map_or(believed_until, |expires_at| expires_at.min(believed_until));
    Ok(AccessToken { subject, claims: Claims(claims), scopes, expires_at, believed_until })
}

/// How long an answer about a token is believed: so long a revoked token may still be used.
const BELIEVED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
