//! Each algorithm's good token is believed; each token with one thing wrong is not.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::oidc::fixture::{self, Signer, answer, unsigned};
use crate::oidc::jwks;

const ISSUER: &str = "https://id.example";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A member and its new value; null takes it away.
type Change = (&'static str, Value);

const POLICY: Policy<'static> = Policy {
    issuer: ISSUER,
    audience: "lms",
    other_audiences: OtherAudiences::Refused,
    trusted_audience: Some("api"),
    authorized_party: Some("lms"),
    algs: &Algorithm::ALL,
    typ: &["jwt"],
    leeway: Duration::from_secs(60),
    required: &["exp", "iat"],
};

fn keys() -> Keys {
    let algs = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];
    let keys = algs.map(|alg| Signer::get(alg).jwk(alg.name()));
    jwks::response(&answer(200, json!({ "keys": keys }).to_string())).unwrap()
}

fn header(alg: Algorithm) -> Value {
    json!({"alg": alg.name(), "typ": "JWT"})
}

/// The outcome for a good RS256 token with these claims changed.
fn with_claims(changes: &[Change]) -> Result<Verified, JwtError> {
    let mut claims = fixture::claims(ISSUER, NOW);
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    verify(&Signer::get(Algorithm::Rs256).token(&header(Algorithm::Rs256), &claims), &keys(), &POLICY, NOW)
}

/// The outcome for a good RS256 token with these members of the header set.
fn with_header(changes: &[Change]) -> Result<Verified, JwtError> {
    let mut header = header(Algorithm::Rs256);
    for (name, value) in changes {
        header[*name] = value.clone();
    }
    header.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let token = Signer::get(Algorithm::Rs256).token(&header, &fixture::claims(ISSUER, NOW));
    verify(&token, &keys(), &POLICY, NOW)
}

#[test]
fn a_good_token_of_each_algorithm_is_believed_with_and_without_kid() {
    for alg in Algorithm::ALL {
        let kid = Signer::get(alg).jwk("x")["crv"].as_str().map_or("RS256", |crv| match crv {
            "P-256" => "ES256",
            "P-384" => "ES384",
            _ => "EdDSA",
        });
        for header in [header(alg), json!({"alg": alg.name(), "kid": kid})] {
            let token = Signer::get(alg).token(&header, &fixture::claims(ISSUER, NOW));
            let verified = verify(&token, &keys(), &POLICY, NOW).unwrap();
            assert_eq!((verified.alg, &verified.claims["sub"]), (alg, &json!("anna")), "{header}");
        }
    }
}

#[test]
fn a_token_of_each_algorithm_by_a_strangers_key_or_with_a_byte_changed_is_refused() {
    for alg in Algorithm::ALL {
        let claims = fixture::claims(ISSUER, NOW);
        let forged = Signer::stranger(alg).token(&header(alg), &claims);
        assert_eq!(verify(&forged, &keys(), &POLICY, NOW).unwrap_err(), JwtError::Signature { kid: None });

        let good = Signer::get(alg).token(&header(alg), &claims);
        let (_, signature) = good.rsplit_once('.').unwrap();
        let mut other = claims.clone();
        other["sub"] = json!("boris");
        let changed = format!("{}.{signature}", unsigned(&header(alg), &other));
        for token in [changed, good[..good.len() - 4].to_owned(), format!("{good}="), format!("{good}AAAA")] {
            assert!(verify(&token, &keys(), &POLICY, NOW).is_err(), "{alg:?} {token}");
        }
    }
}

#[test]
fn only_allowed_algorithms_count_whatever_key_is_there() {
    let rs256 = Policy { algs: &[Algorithm::Rs256], ..POLICY };
    for alg in Algorithm::ALL {
        let token = Signer::get(alg).token(&header(alg), &fixture::claims(ISSUER, NOW));
        let refused = matches!(verify(&token, &keys(), &rs256, NOW), Err(JwtError::Algorithm { .. }));
        assert_eq!(refused, alg != Algorithm::Rs256, "{alg:?}");
    }
}

#[test]
fn unsigned_tokens_and_those_signed_with_a_secret_are_refused() {
    let claims = fixture::claims(ISSUER, NOW);
    for alg in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "ES512", "ES256K", "A128GCM"]
    {
        let signed = unsigned(&json!({ "alg": alg }), &claims);
        // As an attacker would: our own client secret, or the public key that everybody knows, as the secret.
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"client secret");
        let tag = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()));
        for token in [format!("{signed}."), format!("{signed}.{tag}")] {
            let refused = verify(&token, &keys(), &POLICY, NOW).unwrap_err();
            assert!(matches!(refused, JwtError::Algorithm { .. }), "{alg}: {refused}");
        }
    }
    assert!(matches!(with_header(&[("alg", json!(null))]), Err(JwtError::Algorithm { .. })));
    assert!(matches!(with_header(&[("alg", json!(["RS256"]))]), Err(JwtError::Algorithm { .. })));
}

#[test]
fn the_algorithm_has_to_fit_the_key() {
    let claims = fixture::claims(ISSUER, NOW);
    let mut only_ec = POLICY;
    only_ec.algs = &[Algorithm::Es256, Algorithm::Rs256];
    let keys =
        jwks::response(&answer(200, json!({"keys": [Signer::get(Algorithm::Es256).jwk("k")]}).to_string()));
    let token = Signer::get(Algorithm::Rs256).token(&json!({"alg": "RS256", "kid": "k"}), &claims);
    let refused = verify(&token, &keys.unwrap(), &only_ec, NOW).unwrap_err();
    assert_eq!(refused, JwtError::NoKey { kid: Some("k".into()), alg: "RS256" });
}

#[test]
fn a_header_with_one_thing_wrong_is_refused_and_a_token_can_not_bring_its_own_key() {
    let mut jwk = Signer::stranger(Algorithm::Rs256).jwk("evil");
    jwk["alg"] = json!("RS256");
    for (name, value, expected) in [
        ("typ", json!("at+jwt"), Some(JwtError::Type("at+jwt".into()))),
        ("typ", json!("application/at+jwt"), Some(JwtError::Type("application/at+jwt".into()))),
        ("typ", json!("logout+jwt"), Some(JwtError::Type("logout+jwt".into()))),
        ("typ", json!("dpop+jwt"), Some(JwtError::Type("dpop+jwt".into()))),
        ("typ", json!(7), Some(JwtError::NotA { claim: "typ", expected: "a string" })),
        ("typ", json!("jwt"), None),
        ("typ", json!("application/jwt"), None),
        ("typ", json!(null), None),
        ("crit", json!(["exp"]), Some(JwtError::Critical)),
        ("crit", json!([]), Some(JwtError::Critical)),
        ("kid", json!("unknown"), Some(JwtError::NoKey { kid: Some("unknown".into()), alg: "RS256" })),
        ("kid", json!(7), Some(JwtError::NotA { claim: "kid", expected: "a string" })),
        ("kid", json!("ES256"), Some(JwtError::NoKey { kid: Some("ES256".into()), alg: "RS256" })),
        ("x", json!({"deep": [1]}), None),
    ] {
        assert_eq!(with_header(&[(name, value.clone())]).err(), expected, "{name} {value}");
    }
    let claims = fixture::claims(ISSUER, NOW);
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = header(Algorithm::Rs256);
        header[name] = value;
        let forged = Signer::stranger(Algorithm::Rs256).token(&header, &claims);
        assert_eq!(
            verify(&forged, &keys(), &POLICY, NOW).unwrap_err(),
            JwtError::Signature { kid: None },
            "{name}"
        );
    }
}

#[test]
fn issuer_and_audience_with_one_thing_wrong_are_refused() {
    let missing = |name| Some(JwtError::Missing(name));
    let issuer = |found: &str| Some(JwtError::Issuer { found: found.into(), expected: ISSUER.into() });
    let audience = |found: &str| Some(JwtError::Audience { found: found.into(), expected: "lms".into() });
    let not_a_list = Some(JwtError::NotA { claim: "aud", expected: "a string or a list of strings" });
    let cases: Vec<(Vec<Change>, Option<JwtError>)> = vec![
        (vec![("iss", json!(null))], missing("iss")),
        (vec![("iss", json!("https://id.example/"))], issuer("https://id.example/")),
        (vec![("iss", json!("https://ID.example"))], issuer("https://ID.example")),
        (vec![("iss", json!("https://evil.example"))], issuer("https://evil.example")),
        (vec![("iss", json!([ISSUER]))], Some(JwtError::NotA { claim: "iss", expected: "a string" })),
        (vec![("aud", json!(null))], missing("aud")),
        (vec![("aud", json!([]))], audience("[]")),
        (vec![("aud", json!("LMS"))], audience(r#"["LMS"]"#)),
        (vec![("aud", json!(["other"]))], audience(r#"["other"]"#)),
        (vec![("aud", json!(["lms", 7]))], not_a_list.clone()),
        (vec![("aud", json!({"lms": 1}))], not_a_list),
        (vec![("aud", json!(["lms"]))], None),
        (vec![("aud", json!(["lms"])), ("azp", json!("lms"))], None),
        (vec![("aud", json!(["lms", "api"])), ("azp", json!("lms"))], None),
        (vec![("aud", json!(["lms", "api"]))], Some(JwtError::NoAuthorizedParty)),
        (vec![("aud", json!(["lms", "lms"]))], Some(JwtError::NoAuthorizedParty)),
        (
            vec![("aud", json!(["lms", "evil"])), ("azp", json!("lms"))],
            Some(JwtError::UntrustedAudience("evil".into())),
        ),
        (vec![("azp", json!("evil"))], Some(JwtError::AuthorizedParty("evil".into()))),
        (vec![("azp", json!(["lms"]))], Some(JwtError::NotA { claim: "azp", expected: "a string" })),
    ];
    for (changes, expected) in cases {
        assert_eq!(with_claims(&changes).err(), expected, "{changes:?}");
    }
}

#[test]
fn a_token_is_good_for_its_time_and_the_skew_only() {
    let now = NOW.as_secs();
    let seconds = Duration::from_secs;
    let not_a = |claim| Some(JwtError::NotA { claim, expected: "a number of seconds" });
    for (name, value, expected) in [
        ("exp", json!(null), Some(JwtError::Missing("exp"))),
        ("exp", json!(now - 59), None),
        ("exp", json!(now - 60), Some(JwtError::Expired(seconds(60)))),
        ("exp", json!(now as f64 + 0.5), None),
        ("exp", json!(now as f64 - 100.5), Some(JwtError::Expired(seconds(101)))),
        ("exp", json!((now + 300).to_string()), not_a("exp")),
        ("exp", json!(-1), not_a("exp")),
        ("exp", json!(1e300), not_a("exp")),
        ("exp", json!(u64::MAX), None),
        ("exp", json!([now + 300]), not_a("exp")),
        ("iat", json!(null), Some(JwtError::Missing("iat"))),
        ("iat", json!(now + 60), None),
        ("iat", json!(now + 61), Some(JwtError::IssuedInFuture(seconds(61)))),
        ("iat", json!("now"), not_a("iat")),
        ("iat", json!(0), None),
        ("nbf", json!(now + 60), None),
        ("nbf", json!(now + 3600), Some(JwtError::NotYetValid(seconds(3600)))),
        ("nbf", json!(true), not_a("nbf")),
    ] {
        assert_eq!(with_claims(&[(name, value.clone())]).err(), expected, "{name} {value}");
    }
}

#[test]
fn text_that_is_no_token_is_refused_as_such() {
    let json = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let deep = format!("{}.{}.x", json(r#"{"alg":"RS256"}"#), json(&"[".repeat(100_000)));
    for (token, expected) in [
        ("", JwtError::Malformed("token")),
        ("a.b", JwtError::Malformed("token")),
        ("a.b.c.d", JwtError::Malformed("token")),
        ("a.b.c.d.e", JwtError::Encrypted),
        ("..", JwtError::Malformed("header")),
        (&format!("{}.!!.x", json("{}")), JwtError::Malformed("claims")),
        (&format!("{}.{}.x", json("[]"), json("{}")), JwtError::Malformed("header")),
        (&format!("{}.{}.x", json("{}"), json("7")), JwtError::Malformed("claims")),
        (&deep, JwtError::Malformed("claims")),
    ] {
        assert_eq!(verify(token, &keys(), &POLICY, NOW).unwrap_err(), expected, "{token:.60}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_or_pass(token: String, header: String, claims: String, signature: String) {
        prop_assert!(verify(&token, &keys(), &POLICY, NOW).is_err());
        let encoded = [header, claims, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        prop_assert!(verify(&encoded, &keys(), &POLICY, NOW).is_err());
    }
}
