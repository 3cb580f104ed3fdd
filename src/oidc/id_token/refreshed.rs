//! The ID token of a refresh response: OpenID Connect Core 1.0 section 12.2, in its order.

use serde_json::{Map, Value};

use super::{IdTokenError, check_access_token_hash, check_kind, check_subject, jwt, policy};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;
use crate::oidc::jwks::Keys;
use crate::oidc::refresh::Held;
use crate::oidc::{Algorithm, Settings};

/// What the ID token of a refresh response is held against.
#[derive(Clone, Copy, Debug)]
pub(in crate::oidc) struct Expected<'a> {
    pub(in crate::oidc) settings: &'a Settings,
    pub(in crate::oidc) algs: &'a [Algorithm],
    /// What the session has.
    pub(in crate::oidc) held: Held<'a>,
    /// The access token that came beside the ID token.
    pub(in crate::oidc) access_token: &'a Secret,
}

/// Checks the ID token of a refresh response; gives its claims.
pub(in crate::oidc) fn check(
    token: &Secret,
    keys: &Keys,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Map<String, Value>, IdTokenError> {
    // iss the same, iat of now, aud with us in it, and azp ours where there is one: as of any ID token. The one
    // before passed the same checks, so that these are the same too.
    let verified = jwt::verify(token.expose(), keys, &policy(expected.settings, expected.algs), now)?;
    let claims = verified.claims;
    check_kind(&claims)?;
    let before = expected.held.tokens.id.as_ref().and_then(|token| jwt::claims_of_own(token.expose()));

    // sub
    // SECURITY: another person's tokens must not turn one person's session into the other's.
    if check_subject(&claims)? != expected.held.subject {
        return Err(IdTokenError::Changed("sub"));
    }

    // auth_time, if it is there: the time of the first authentication
    let auth_time = |claims: &Map<String, Value>| jwt::time(claims, "auth_time").ok().flatten();
    if let Some(before) = before.as_ref().and_then(auth_time)
        && auth_time(&claims).is_some_and(|now| now != before)
    {
        return Err(IdTokenError::Changed("auth_time"));
    }

    // nonce should not be there; if it is, it is the first one's, and a screen's first one has none
    if let Some(before) = &before
        && claims.get("nonce").is_some_and(|nonce| !nonce.is_null() && Some(nonce) != before.get("nonce"))
    {
        return Err(IdTokenError::Changed("nonce"));
    }

    // Core 3.1.3.8: at_hash
    check_access_token_hash(&claims, verified.alg, expected.access_token)?;
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::claims::{Claims, Tokens};
    use crate::oidc::fixture::{self, Signer, answer};
    use crate::oidc::jwks;

    const ISSUER: &str = "https://id.example";
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    /// The outcome for a token like the first one with this claim set; null takes it away.
    fn refreshed_with(name: &str, value: &Value) -> Result<Map<String, Value>, IdTokenError> {
        refreshed(&fixture::claims(ISSUER, NOW), name, value)
    }

    fn refreshed(first: &Value, name: &str, value: &Value) -> Result<Map<String, Value>, IdTokenError> {
        let signer = Signer::get(Algorithm::Es256);
        let token = |claims: &Value| Secret::new(signer.token(&json!({"alg": "ES256", "kid": "k"}), claims));
        let mut claims = first.clone();
        claims[name] = value.clone();
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let keys = jwks::response(&answer(200, json!({"keys": [signer.jwk("k")]}).to_string())).unwrap();
        let settings = fixture::settings(ISSUER);
        let held = Tokens { id: Some(token(first)), ..Tokens::default() };
        let expected = Expected {
            settings: &settings,
            algs: &Algorithm::ALL,
            held: Held { subject: "anna", tokens: &held, claims: &Claims::default() },
            access_token: &Secret::new("at"),
        };
        check(&token(&claims), &keys, &expected, NOW)
    }

    #[test]
    fn a_refreshed_id_token_is_about_the_same_person_and_the_same_sign_in() {
        for (name, value) in [
            ("nonce", json!(null)),
            ("nonce", json!("the nonce")),
            ("auth_time", json!(null)),
            ("auth_time", json!(NOW.as_secs() - 10)),
            ("email", json!("new@example.org")),
            ("azp", json!("lms")),
            ("aud", json!(["lms"])),
        ] {
            assert!(refreshed_with(name, &value).is_ok(), "{name} {value}");
        }
        for (name, value, code) in [
            ("sub", json!("boris"), "id_token_changed"),
            ("sub", json!(null), "id_token_claim"),
            ("auth_time", json!(NOW.as_secs()), "id_token_changed"),
            ("nonce", json!("another"), "id_token_changed"),
            ("nonce", json!(7), "id_token_changed"),
            ("iss", json!("https://evil.example"), "id_token_issuer"),
            ("aud", json!("another"), "id_token_audience"),
            ("azp", json!("another"), "id_token_azp"),
            ("exp", json!(NOW.as_secs() - 100), "id_token_expired"),
            ("at_hash", json!("AAAA"), "id_token_at_hash"),
        ] {
            let error = refreshed_with(name, &value).unwrap_err();
            assert_eq!(error.code(), code, "{name} {value}");
        }
    }

    #[test]
    fn a_session_that_began_without_a_nonce_gets_none_later() {
        let mut first = fixture::claims(ISSUER, NOW);
        first.as_object_mut().unwrap().remove("nonce");
        assert!(refreshed(&first, "nonce", &json!(null)).is_ok());
        let error = refreshed(&first, "nonce", &json!("another login's")).unwrap_err();
        assert_eq!(error.code(), "id_token_changed");
    }
}
