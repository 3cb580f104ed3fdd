//! A good logout token of each kind is believed; each token with one thing wrong is not.

use serde_json::json;

use super::*;
use crate::foundation::secret::Secret;
use crate::oidc::fixture::{self, Signer, answer, unsigned};
use crate::oidc::id_token::Expected;
use crate::oidc::jwks;

const ISSUER: &str = "https://id.example";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ALG: Algorithm = Algorithm::Es256;

/// A member and its new value; null takes it away.
type Change = (&'static str, Value);

fn said() -> Value {
    json!({
        "iss": ISSUER, "aud": "lms", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 120, "jti": "token 1",
        "sub": "anna", "sid": "session 1", "events": {EVENT: {}},
    })
}

fn keys() -> Keys {
    jwks::response(&answer(200, json!({"keys": [Signer::get(ALG).jwk("k")]}).to_string())).unwrap()
}

fn check(token: &str) -> Result<LogoutToken, LogoutTokenError> {
    super::check(token, &keys(), &fixture::settings(ISSUER), &[ALG], NOW)
}

fn changed(mut members: Value, changes: &[Change]) -> Value {
    for (name, value) in changes {
        members[*name] = value.clone();
    }
    members.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    members
}

fn with_claims(changes: &[Change]) -> Result<LogoutToken, LogoutTokenError> {
    let header = json!({"alg": "ES256", "kid": "k", "typ": "logout+jwt"});
    check(&Signer::get(ALG).token(&header, &changed(said(), changes)))
}

fn with_header(changes: &[Change]) -> Result<LogoutToken, LogoutTokenError> {
    let header = changed(json!({"alg": "ES256", "kid": "k", "typ": "logout+jwt"}), changes);
    check(&Signer::get(ALG).token(&header, &said()))
}

#[test]
fn a_token_names_a_session_or_all_of_a_person_and_says_how_long_to_remember_it() {
    let now = NOW.as_secs();
    let session = Whose::Session("session 1".into());
    for (changes, whose, good_for) in [
        (&[][..], &session, 180),
        (&[("sub", json!(null))], &session, 180),
        (&[("sid", json!(null))], &Whose::Person("anna".into()), 180),
        // As `oidc-provider` 7 makes it.
        (&[("exp", json!(null))], &session, 240),
        (&[("exp", json!(null)), ("iat", json!(now - 239))], &session, 1),
        (&[("exp", json!(now + 86_400))], &session, 3660),
        (&[("iat", json!(now + 60))], &session, 180),
        (&[("exp", json!(now - 59))], &session, 1),
        (&[("aud", json!(["lms"]))], &session, 180),
        (&[("events", json!({EVENT: {}, "urn:example:other": {}}))], &session, 180),
        (&[("events", json!({EVENT: {"reason": "left"}}))], &session, 180),
    ] {
        let token = with_claims(changes).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        assert_eq!((&token.whose, &*token.id), (whose, "token 1"), "{changes:?}");
        assert_eq!(token.good_for, Duration::from_secs(good_for), "{changes:?}");
    }
    for typ in [json!("JWT"), json!("logout+jwt"), json!("application/logout+jwt"), json!(null)] {
        assert!(with_header(&[("typ", typ.clone())]).is_ok(), "{typ}");
    }
}

#[test]
fn each_claim_that_is_wrong_is_refused_for_what_it_is() {
    let now = NOW.as_secs();
    for (changes, code) in [
        (&[("iss", json!("https://evil.example"))][..], "logout_token_issuer"),
        (&[("iss", json!("https://id.example/"))], "logout_token_issuer"),
        (&[("iss", json!(null))], "logout_token_claim"),
        (&[("aud", json!("other"))], "logout_token_audience"),
        (&[("aud", json!(["lms", "other"]))], "logout_token_audience"),
        (&[("aud", json!(null))], "logout_token_claim"),
        (&[("azp", json!("other"))], "logout_token_audience"),
        (&[("iat", json!(null))], "logout_token_claim"),
        (&[("iat", json!("now"))], "logout_token_claim"),
        (&[("iat", json!(now + 61))], "logout_token_expired"),
        (&[("exp", json!(now - 60))], "logout_token_expired"),
        (&[("exp", json!("never"))], "logout_token_claim"),
        (&[("exp", json!(null)), ("iat", json!(now - 240))], "logout_token_expired"),
        (&[("exp", json!(now + 600)), ("iat", json!(now - 3660))], "logout_token_expired"),
        (&[("nbf", json!(now + 61))], "logout_token_expired"),
        (&[("jti", json!(null))], "logout_token_claim"),
        (&[("jti", json!(""))], "logout_token_claim"),
        (&[("jti", json!(7))], "logout_token_claim"),
        (&[("sub", json!(null)), ("sid", json!(null))], "logout_token_claim"),
        (&[("sub", json!(7))], "logout_token_claim"),
        (&[("sid", json!([]))], "logout_token_claim"),
        (&[("sid", json!(""))], "logout_token_claim"),
        (&[("events", json!(null))], "logout_token_type"),
        (&[("events", json!(EVENT))], "logout_token_type"),
        (&[("events", json!([EVENT]))], "logout_token_type"),
        (&[("events", json!({EVENT: null}))], "logout_token_type"),
        (&[("events", json!({EVENT: true}))], "logout_token_type"),
        (&[("events", json!({"urn:example:other": {}}))], "logout_token_type"),
        (&[("nonce", json!("the nonce"))], "logout_token_type"),
    ] {
        assert_eq!(with_claims(changes).map_err(|error| error.code()), Err(code), "{changes:?}");
    }
    let mut claims = said();
    claims["nonce"] = json!(null);
    let token = Signer::get(ALG).token(&json!({"alg": "ES256"}), &claims);
    assert_eq!(check(&token), Err(LogoutTokenError::Nonce), "also where it holds nothing");
}

#[test]
fn a_signature_that_is_none_or_a_strangers_and_a_token_of_another_kind_are_refused() {
    let header = |alg: &str| json!({"alg": alg, "kid": "k"});
    let bare = |alg: &str| format!("{}.", unsigned(&header(alg), &said()));
    for (name, token, code) in [
        ("none", bare("none"), "logout_token_signature"),
        ("empty", bare("ES256"), "logout_token_signature"),
        ("a secret", bare("HS256"), "logout_token_signature"),
        ("a stranger", Signer::stranger(ALG).token(&header("ES256"), &said()), "logout_token_signature"),
        (
            "not allowed",
            Signer::get(Algorithm::Rs256).token(&header("RS256"), &said()),
            "logout_token_signature",
        ),
        ("encrypted", "a.b.c.d.e".into(), "logout_token_encryption"),
        ("text", "text".into(), "logout_token_malformed"),
        ("nothing", String::new(), "logout_token_malformed"),
    ] {
        assert_eq!(check(&token).map_err(|error| error.code()), Err(code), "{name}");
    }
    for (changes, code) in [
        (&[("typ", json!("at+jwt"))][..], "logout_token_type"),
        (&[("typ", json!("secevent+jwt"))], "logout_token_type"),
        (&[("typ", json!(7))], "logout_token_claim"),
        (&[("crit", json!(["exp"]))], "logout_token_malformed"),
        (&[("kid", json!("other"))], "logout_token_signature"),
    ] {
        assert_eq!(with_header(changes).map_err(|error| error.code()), Err(code), "{changes:?}");
    }
}

#[test]
fn an_id_token_signs_nobody_out_and_a_logout_token_signs_nobody_in() {
    let header = |typ: &str| json!({"alg": "ES256", "kid": "k", "typ": typ});
    let mut id_token = fixture::claims(ISSUER, NOW);
    id_token["jti"] = json!("token 1");
    assert_eq!(check(&Signer::get(ALG).token(&header("JWT"), &id_token)), Err(LogoutTokenError::Event));
    id_token["events"] = json!({EVENT: {}});
    assert_eq!(check(&Signer::get(ALG).token(&header("JWT"), &id_token)), Err(LogoutTokenError::Nonce));

    // As for a screen without a keyboard, whose ID token has no nonce.
    let settings = fixture::settings(ISSUER);
    let expected = Expected {
        settings: &settings,
        algs: &[ALG],
        nonce: None,
        max_age: None,
        acr_values: None,
        access_token: &Secret::new("at"),
    };
    let sign_in = |typ: &str, claims: &Value| {
        let token = Secret::new(Signer::get(ALG).token(&header(typ), claims));
        id_token::check(&token, &keys(), &expected, NOW).map_err(|error| error.code())
    };
    assert_eq!(sign_in("logout+jwt", &said()).unwrap_err(), "id_token_type");
    assert_eq!(sign_in("JWT", &said()).unwrap_err(), "id_token_type");
    assert!(sign_in("JWT", &changed(said(), &[("events", json!(null))])).is_ok());
}
