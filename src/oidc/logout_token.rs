//! The logout token: OpenID Connect Back-Channel Logout 1.0 sections 2.4 and 2.6, in the specification's order.
//!
//! Owns what is a logout token's alone; what holds for every signed token is in `jwt`. Whether one came before is
//! for whoever remembers: here is only for how long that has to be.

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use super::jwks::Keys;
use super::jwt::{self, JwtError, Policy};
use super::{Algorithm, Settings, id_token};
use crate::foundation::clock::Timestamp;

/// The member of `events` that makes a token a logout token (section 2.4).
pub(super) const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How long a token without `exp` is good after its `iat`. The specification wants `exp` since its final version;
/// `oidc-provider` 7, and with it Trusted.ID, sends none.
const WITHOUT_EXP: Duration = Duration::from_secs(3 * 60);

/// How long a token is good after its `iat` at most, whatever its `exp` says: so long it has to be remembered. Section
/// 2.4 recommends two minutes.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What a provider says by a logout token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// Whose sessions are over.
    pub whose: Whose,
    /// When they were (`iat`), by the provider's clock.
    pub issued_at: Timestamp,
    /// What tells the token from all others of this provider (`jti`).
    pub id: String,
    /// How long from now the same token would still be good.
    pub good_for: Duration,
}

/// Whose sessions are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those that belong to one session at the provider (`sid`).
    Session(String),
    /// All of one person (`sub`).
    Person(String),
}

/// Why a logout token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogoutTokenError {
    /// It fails a check that every signed token has to pass.
    #[error("{0}")]
    Jwt(#[from] JwtError),
    /// It has no `exp` and is too old to go without, or an `exp` that is too far off.
    #[error("it was issued {0:?} ago, too long for a logout token")]
    Old(Duration),
    /// It names nobody.
    #[error("it has neither `sub` nor `sid`")]
    Nobody,
    /// `events` does not say that it is a logout token.
    #[error("its `events` is not that of a logout")]
    Event,
    /// It has a `nonce`, as only ID tokens have.
    #[error("it has a `nonce`: it is an ID token")]
    Nonce,
}

impl LogoutTokenError {
    /// A code for logs that stays the same between versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jwt(error) => match error {
                JwtError::Malformed(_) | JwtError::Critical => "logout_token_malformed",
                JwtError::Encrypted | JwtError::Decryption(_) => "logout_token_encryption",
                JwtError::Type(_) => "logout_token_type",
                JwtError::Algorithm { .. } | JwtError::NoKey { .. } | JwtError::Signature { .. } => {
                    "logout_token_signature"
                }
                JwtError::Issuer { .. } => "logout_token_issuer",
                JwtError::Audience { .. }
                | JwtError::UntrustedAudience(_)
                | JwtError::NoAuthorizedParty
                | JwtError::AuthorizedParty(_) => "logout_token_audience",
                JwtError::Expired(_) | JwtError::NotYetValid(_) | JwtError::IssuedInFuture(_) => {
                    "logout_token_expired"
                }
                JwtError::Missing(_) | JwtError::NotA { .. } => "logout_token_claim",
            },
            Self::Old(_) => "logout_token_expired",
            Self::Nobody => "logout_token_claim",
            Self::Event | Self::Nonce => "logout_token_type",
        }
    }

    /// What the operator can do about it.
    pub(super) fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Jwt(error) => id_token::mend(error),
            Self::Old(_) => {
                Some("compare the clocks of this machine and of the provider; `clock_skew` allows up to 60s")
            }
            Self::Nobody | Self::Event | Self::Nonce => None,
        }
    }

    /// Whether newer keys of the provider could make this token good.
    pub(super) const fn may_be_rotation(&self) -> bool {
        matches!(self, Self::Jwt(error) if error.may_be_rotation())
    }
}

/// Whether these claims are those of a logout token, whatever else they are.
pub(super) fn is_logout(claims: &Map<String, Value>) -> bool {
    claims.get("events").is_some_and(|events| events.get(EVENT).is_some())
}

/// Checks a token that was signed with one of `keys`.
pub(super) fn check(
    token: &str,
    keys: &Keys,
    settings: &Settings,
    algs: &[Algorithm],
    now: Timestamp,
) -> Result<LogoutToken, LogoutTokenError> {
    // 2.6 (1), decryption: done before.
    // 2.6 (2), (3): signature, `alg`, `iss`, `aud`, `iat` and `exp` as of ID tokens; 2.4: `typ` should be `logout+jwt`,
    // and was `JWT` or left out before that was said
    // SECURITY: who signs here is the provider alone: never `none`, never a secret.
    let usual = id_token::policy(settings, algs);
    let policy = Policy { typ: &["jwt", "logout+jwt"], required: &["iat"], ..usual };
    let claims = jwt::verify(token, keys, &policy, now)?.claims;
    let issued_at = jwt::time(&claims, "iat")?.ok_or(JwtError::Missing("iat"))?;
    let good_until = good_until(&claims, issued_at)?.plus(policy.leeway);
    if now >= good_until {
        return Err(LogoutTokenError::Old(now.since(issued_at)));
    }

    // 2.6 (4): `sub`, `sid` or both
    let whose = match (text(&claims, "sid")?, text(&claims, "sub")?) {
        (Some(session), _) => Whose::Session(session.to_owned()),
        (None, Some(person)) => Whose::Person(person.to_owned()),
        (None, None) => return Err(LogoutTokenError::Nobody),
    };

    // 2.6 (5): `events`
    // SECURITY: an ID token of the same provider and for us, which browsers and logs of others may hold, must not sign
    // anybody out.
    if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return Err(LogoutTokenError::Event);
    }

    // 2.6 (6): no `nonce`
    if claims.contains_key("nonce") {
        return Err(LogoutTokenError::Nonce);
    }

    // 2.6 (7): `jti`, by which a second delivery is known
    let id = text(&claims, "jti")?.ok_or(JwtError::Missing("jti"))?.to_owned();
    Ok(LogoutToken { whose, issued_at, id, good_for: good_until.since(now) })
}

/// SECURITY: a token that was kept by somebody must not end sessions that begin much later.
fn good_until(claims: &Map<String, Value>, issued_at: Timestamp) -> Result<Timestamp, JwtError> {
    let expires_at = jwt::time(claims, "exp")?;
    Ok(expires_at.unwrap_or(issued_at.plus(WITHOUT_EXP)).min(issued_at.plus(LONGEST)))
}

fn text<'c>(claims: &'c Map<String, Value>, claim: &'static str) -> Result<Option<&'c str>, JwtError> {
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(JwtError::NotA { claim, expected: "a string that is not empty" }),
    }
}

#[cfg(test)]
mod tests;
