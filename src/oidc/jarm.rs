//! The signed authorization response: JWT Secured Authorization Response Mode for OAuth 2.0 (JARM), section 2.4.
//!
//! What a response must say is checked in `callback`, whether it came signed or not; here is only whether the
//! provider said it, to us, and just now.

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use super::error::Fault;
use super::jwks::Keys;
use super::jwt::{self, JwtError, OtherAudiences, Policy};
use super::{Algorithm, Settings};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;

/// JARM section 2.1: a response is good for ten minutes at most.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Why a signed response is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JarmError {
    /// It fails a check that every signed token has to pass.
    #[error("{0}")]
    Jwt(#[from] JwtError),
    /// It could be used long after the login.
    #[error("it is good for another {0:?}, though ten minutes are the most")]
    LongLived(Duration),
}

impl JarmError {
    /// Whose fault it is. What says of itself that it is another provider's is the browser's: somebody sent it here.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Jwt(JwtError::Malformed(_) | JwtError::Issuer { .. } | JwtError::Missing("iss")) => {
                Fault::Request
            }
            Self::Jwt(_) | Self::LongLived(_) => Fault::Provider,
        }
    }

    /// A code for logs that stays the same between versions.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::LongLived(_) => "callback_expired",
            Self::Jwt(error) => match error {
                JwtError::Issuer { .. } | JwtError::Missing("iss") => "callback_issuer",
                JwtError::Algorithm { .. } | JwtError::NoKey { .. } | JwtError::Signature { .. } => {
                    "callback_signature"
                }
                JwtError::Audience { .. } | JwtError::UntrustedAudience(_) | JwtError::Missing("aud") => {
                    "callback_audience"
                }
                JwtError::Expired(_)
                | JwtError::NotYetValid(_)
                | JwtError::IssuedInFuture(_)
                | JwtError::Missing("exp") => "callback_expired",
                _ => "callback_malformed",
            },
        }
    }

    /// What the operator can do about it.
    pub(super) const fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Jwt(JwtError::Encrypted) => {
                Some("let the provider send this client signed responses without encryption")
            }
            Self::Jwt(JwtError::Algorithm { .. }) => {
                Some("let the provider sign this client's responses with an algorithm that it announces")
            }
            Self::Jwt(JwtError::Audience { .. }) => {
                Some("compare `client_id` with the provider's entry for this client")
            }
            Self::Jwt(JwtError::Expired(_) | JwtError::NotYetValid(_)) | Self::LongLived(_) => {
                Some("compare the clocks of this machine and of the provider; `clock_skew` allows up to 60s")
            }
            _ => None,
        }
    }

    /// Whether newer keys of the provider could make this response good.
    pub(super) const fn may_be_rotation(&self) -> bool {
        matches!(self, Self::Jwt(JwtError::NoKey { .. } | JwtError::Signature { .. }))
    }
}

/// What a response says whose signature, issuer, audience and time are good. Its `state` is compared once more
/// afterwards: until here it only told which login is meant.
pub(super) fn verify(
    response: &Secret,
    keys: &Keys,
    settings: &Settings,
    algs: &[Algorithm],
    now: Timestamp,
) -> Result<Map<String, Value>, JarmError> {
    let leeway = settings.clock_skew.min(jwt::MOST_SKEW);
    // JARM section 2.4 (1), decryption: we register no key for it; an encrypted response is refused as such.
    // JARM section 2.4 (3): issuer; (4): audience; (5): expiry; (6): signature, never `none`
    // SECURITY: a response of another client or provider, put into this browser (mix-up, code injection).
    let policy = Policy {
        issuer: &settings.issuer,
        audience: &settings.client_id,
        trusted_audience: None,
        other_audiences: OtherAudiences::Refused,
        authorized_party: None,
        algs,
        typ: &["jwt"],
        leeway,
        required: &["exp"],
    };
    let claims = jwt::verify(response.expose(), keys, &policy, now)?.claims;
    // JARM section 2.1: a maximum lifetime of ten minutes.
    let left = jwt::time(&claims, "exp")?.map_or(Duration::ZERO, |exp| exp.since(now));
    if left > LONGEST.saturating_add(leeway) {
        return Err(JarmError::LongLived(left));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::fixture::{self, Signer, answer, unsigned};
    use crate::oidc::jwks;

    const ISSUER: &str = "https://id.example";
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const ES256: Algorithm = Algorithm::Es256;

    fn said() -> Value {
        json!({"iss": ISSUER, "aud": "lms", "exp": NOW.as_secs() + 120, "code": "c", "state": "s"})
    }

    fn verify(token: &str) -> Result<Map<String, Value>, JarmError> {
        let keys =
            jwks::response(&answer(200, json!({"keys": [Signer::get(ES256).jwk("k")]}).to_string())).unwrap();
        super::verify(&Secret::new(token), &keys, &fixture::settings(ISSUER), &[ES256], NOW)
    }

    #[test]
    fn a_response_is_believed_when_the_provider_signed_it_for_us_just_now() {
        let header = json!({"alg": "ES256", "kid": "k"});
        let claims = verify(&Signer::get(ES256).token(&header, &said())).unwrap();
        assert_eq!((&claims["code"], &claims["state"]), (&json!("c"), &json!("s")));
        let now = NOW.as_secs();
        for (name, value, code, fault) in [
            ("iss", json!("https://evil.example"), "callback_issuer", Fault::Request),
            ("iss", json!(null), "callback_issuer", Fault::Request),
            ("iss", json!([ISSUER]), "callback_malformed", Fault::Provider),
            ("aud", json!("other"), "callback_audience", Fault::Provider),
            ("aud", json!(["lms", "other"]), "callback_audience", Fault::Provider),
            ("aud", json!(null), "callback_audience", Fault::Provider),
            ("exp", json!(null), "callback_expired", Fault::Provider),
            ("exp", json!(now - 60), "callback_expired", Fault::Provider),
            ("exp", json!(now + 661), "callback_expired", Fault::Provider),
            ("nbf", json!(now + 61), "callback_expired", Fault::Provider),
        ] {
            let mut claims = said();
            claims[name] = value.clone();
            let error = verify(&Signer::get(ES256).token(&header, &claims)).unwrap_err();
            assert_eq!((error.code(), error.fault()), (code, fault), "{name} {value}");
        }
        for exp in [now - 59, now + 660] {
            let mut claims = said();
            claims["exp"] = json!(exp);
            assert!(verify(&Signer::get(ES256).token(&header, &claims)).is_ok(), "{exp}");
        }
    }

    #[test]
    fn a_signature_that_is_none_or_a_strangers_is_refused() {
        let header = |alg: &str| json!({"alg": alg, "kid": "k"});
        let bare = |alg: &str| format!("{}.", unsigned(&header(alg), &said()));
        for (name, token, code) in [
            ("none", bare("none"), "callback_signature"),
            ("empty", bare("ES256"), "callback_signature"),
            ("a secret", bare("HS256"), "callback_signature"),
            ("a stranger", Signer::stranger(ES256).token(&header("ES256"), &said()), "callback_signature"),
            (
                "not allowed",
                Signer::get(Algorithm::Rs256).token(&header("RS256"), &said()),
                "callback_signature",
            ),
            ("encrypted", "a.b.c.d.e".into(), "callback_malformed"),
            ("text", "text".into(), "callback_malformed"),
        ] {
            assert_eq!(verify(&token).unwrap_err().code(), code, "{name}");
        }
        assert!(verify("a.b.c.d.e").unwrap_err().mend().is_some());
    }
}
