//! What is an ID token's alone: nonce, auth_time, at_hash, sub.

use serde_json::json;

use super::*;
use crate::oidc::fixture::{self, Signer, answer};
use crate::oidc::{Fault, OidcError, jwks};

const ISSUER: &str = "https://id.example";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The outcome for a good token with this claim set; null takes it away.
fn check_with(
    alg: Algorithm,
    name: &str,
    value: Value,
    max_age: Option<u64>,
) -> Result<IdToken, IdTokenError> {
    let mut claims = fixture::claims(ISSUER, NOW);
    claims[name] = value;
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let signer = Signer::get(alg);
    let token = Secret::new(signer.token(&json!({"alg": alg.name(), "kid": "k"}), &claims));
    let keys = jwks::response(&answer(200, json!({"keys": [signer.jwk("k")]}).to_string())).unwrap();
    let settings = fixture::settings(ISSUER);
    let expected = Expected {
        settings: &settings,
        algs: &Algorithm::ALL,
        nonce: Some(&Secret::new("the nonce")),
        max_age: max_age.map(Duration::from_secs),
        acr_values: None,
        access_token: &Secret::new("the access token"),
    };
    check(&token, &keys, &expected, NOW)
}

#[test]
fn a_good_token_says_who_signed_in() {
    let id_token = check_with(Algorithm::Rs256, "custom", json!({"a": [1, null]}), None).unwrap();
    assert_eq!(id_token.subject, "anna");
    assert_eq!(id_token.provider_session.as_deref(), Some("session 1"));
    assert_eq!(id_token.auth_time, Some(NOW.minus(Duration::from_secs(10))));
    assert_eq!(id_token.claims["custom"], json!({"a": [1, null]}));
}

#[test]
fn odd_values_of_claims_that_decide_nothing_never_fail_a_login() {
    for (name, value) in [
        ("email", json!(7)),
        ("email_verified", json!("true")),
        ("address", json!("a string")),
        ("phone_number", json!({"number": 1})),
        ("name", json!([1])),
        ("sid", json!(7)),
        ("auth_time", json!("yesterday")),
        ("auth_time", json!(1_699_999_990.25)),
        ("acr", json!(0)),
        ("amr", json!("pwd")),
        ("at_hash", json!(null)),
    ] {
        assert!(check_with(Algorithm::Rs256, name, value.clone(), None).is_ok(), "{name} {value}");
    }
}

#[test]
fn a_token_with_one_thing_wrong_is_refused() {
    let now = NOW.as_secs();
    let not_a = |claim, expected| IdTokenError::Jwt(JwtError::NotA { claim, expected });
    let missing = |claim| IdTokenError::Jwt(JwtError::Missing(claim));
    let long_ago =
        IdTokenError::TooLongAgo { ago: Duration::from_secs(161), max_age: Duration::from_secs(100) };
    for (name, value, max_age, expected) in [
        ("nonce", json!(null), None, missing("nonce")),
        ("nonce", json!("another"), None, IdTokenError::Nonce),
        ("nonce", json!(""), None, IdTokenError::Nonce),
        ("nonce", json!(["the nonce"]), None, not_a("nonce", "a string")),
        ("sub", json!(null), None, missing("sub")),
        ("sub", json!(42), None, not_a("sub", "a string")),
        ("sub", json!(""), None, IdTokenError::Subject),
        ("sub", json!("a".repeat(256)), None, IdTokenError::Subject),
        ("sub", json!("анна"), None, IdTokenError::Subject),
        ("sub", json!("an\r\nna"), None, IdTokenError::Subject),
        ("auth_time", json!(null), Some(100), IdTokenError::NoAuthTime),
        ("auth_time", json!("now"), Some(100), not_a("auth_time", "a number of seconds")),
        ("auth_time", json!(now - 161), Some(100), long_ago),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), None, IdTokenError::AccessTokenHash),
        ("at_hash", json!(""), None, IdTokenError::AccessTokenHash),
        ("at_hash", json!(1), None, not_a("at_hash", "a string")),
        ("exp", json!(now - 61), None, IdTokenError::Jwt(JwtError::Expired(Duration::from_secs(61)))),
        ("azp", json!("evil"), None, IdTokenError::Jwt(JwtError::AuthorizedParty("evil".into()))),
    ] {
        let error = check_with(Algorithm::Rs256, name, value.clone(), max_age).unwrap_err();
        assert_eq!(error, expected, "{name} {value}");
        assert_eq!(OidcError::from(error).fault(), Fault::Provider, "{name} {value}");
    }
    for (name, value, max_age) in [
        ("sub", json!("a".repeat(255)), None),
        ("auth_time", json!(now - 160), Some(100)),
        ("auth_time", json!(now + 30), Some(0)),
    ] {
        assert!(check_with(Algorithm::Rs256, name, value.clone(), max_age).is_ok(), "{name} {value}");
    }
}

#[test]
fn a_token_for_a_code_on_a_screen_has_no_nonce() {
    let claims = |value: Value| value.as_object().unwrap().clone();
    assert_eq!(check_nonce(&claims(json!({})), None), Ok(()));
    assert_eq!(check_nonce(&claims(json!({"nonce": "another login's"})), None), Err(IdTokenError::Nonce));
    assert_eq!(check_nonce(&claims(json!({"nonce": null})), None), Err(IdTokenError::Nonce));
}

#[test]
fn an_acr_is_held_against_the_setting_and_what_this_login_asked_for_will_do_too() {
    for (set, own, found, good) in [
        (None, None, None, true),
        (None, Some("urn:mfa"), Some("urn:password"), true),
        (Some("urn:password urn:pin"), None, Some("urn:pin"), true),
        (Some("urn:password"), None, Some("urn:mfa"), false),
        (Some("urn:password"), None, None, false),
        (Some("urn:password"), Some("urn:mfa"), Some("urn:mfa"), true),
        (Some("urn:password"), Some("urn:mfa"), Some("urn:password"), true),
        (Some("urn:password"), Some("urn:mfa"), Some("urn:pin"), false),
    ] {
        let claims = json!({ "acr": found }).as_object().unwrap().clone();
        assert_eq!(check_acr(&claims, set, own).is_ok(), good, "{set:?} {own:?} {found:?}");
    }
}

#[test]
fn at_hash_is_made_with_the_hash_of_the_tokens_own_algorithm() {
    for alg in Algorithm::ALL {
        for hash in [&digest::SHA256, &digest::SHA384, &digest::SHA512] {
            let digest = digest::digest(hash, b"the access token");
            let at_hash = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2]);
            let good = check_with(alg, "at_hash", json!(at_hash), None).is_ok();
            assert_eq!(good, hash == alg.hash(), "{alg:?} {hash:?}");
        }
    }
}

#[test]
fn newer_keys_are_worth_a_try_for_an_unknown_key_or_a_bad_signature_only() {
    let jwt = |error| IdTokenError::Jwt(error).may_be_rotation();
    assert!(jwt(JwtError::NoKey { kid: None, alg: "RS256" }));
    assert!(jwt(JwtError::Signature { kid: None }));
    assert!(!jwt(JwtError::Missing("iss")));
    assert!(!IdTokenError::Nonce.may_be_rotation());
}
