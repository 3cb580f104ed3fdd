//! What a proof says, and how often a server is asked that wants another.

use std::time::Duration;

use http::header::AUTHORIZATION;
use url::Url;

use super::*;
use crate::foundation::clock::{Clock, Timestamp};
use crate::oidc::fixture::{self, FakeProvider};
use crate::oidc::message;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn a_key_is_32_bytes_comes_back_as_it_was_and_has_the_name_that_rfc_7638_gives_it() {
    let kept = ProofKey::generate().unwrap();
    assert_eq!(kept.expose().len(), 43);
    assert_eq!(ProofKey::open(&kept).unwrap().thumbprint(), ProofKey::open(&kept).unwrap().thumbprint());
    assert_ne!(ProofKey::generate().unwrap(), kept);
    // RFC 7517 appendix A.2 has this key; the thumbprint is that of its public half.
    let known = ProofKey::open(&Secret::new("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE")).unwrap();
    assert_eq!(known.x, "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
    assert_eq!(known.y, "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
    assert_eq!(known.thumbprint(), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    assert!(!format!("{known:?}").contains(&known.x));
    for wrong in ["", "AA", "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eA", "*", &"A".repeat(43)] {
        assert_eq!(ProofKey::open(&Secret::new(wrong)).unwrap_err(), OidcError::ProofKey, "{wrong}");
    }
}

#[test]
fn a_proof_is_for_one_request_and_used_once() {
    let key = ProofKey::open(&ProofKey::generate().unwrap()).unwrap();
    let url = Url::parse("https://id.example:8443/a/token?x=1#y").unwrap();
    let request = message::post(Call::Token, &url, String::new()).unwrap();
    let proof = |with| key.proof(&request, &with, NOW.as_secs()).unwrap().to_str().unwrap().to_owned();
    let bare = proof(With::default());
    let (header, claims) = (part(&bare, 0), part(&bare, 1));
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": key.x, "y": key.y});
    assert_eq!(header, json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}));
    assert_eq!(claims["htm"], "POST");
    assert_eq!(claims["htu"], "https://id.example:8443/a/token");
    assert_eq!(claims["iat"], NOW.as_secs());
    assert_eq!(claims.as_object().unwrap().len(), 4, "{claims}");
    assert_ne!(part(&proof(With::default()), 1)["jti"], claims["jti"]);

    let token = Secret::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    let full = part(&proof(With { nonce: Some("n"), access_token: Some(&token) }), 1);
    assert_eq!(full["nonce"], "n");
    // RFC 9449 section 7.1 has this token and its hash.
    assert_eq!(full["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");

    let set = json!({"keys": [jwk]}).to_string();
    let keys = crate::oidc::jwks::response(&fixture::answer(200, set)).unwrap();
    let (signed, signature) = bare.rsplit_once('.').unwrap();
    let public = keys.eligible(crate::oidc::Algorithm::Es256, None).next().unwrap();
    let es256 = jsonwebtoken::Algorithm::ES256;
    assert!(jsonwebtoken::crypto::verify(signature, signed.as_bytes(), public, es256).unwrap());
}

#[test]
fn a_nonce_is_printable_short_and_given_once() {
    let long = "n".repeat(LONGEST_NONCE + 1);
    for (values, nonce) in [
        (vec!["eyJ7S_zG.eyJH0-Z.HX4w-7v"], Some("eyJ7S_zG.eyJH0-Z.HX4w-7v")),
        (vec![], None),
        (vec![""], None),
        (vec!["a b"], None),
        (vec!["a\\b"], None),
        (vec!["a\"b"], None),
        (vec!["a", "b"], None),
        (vec![&*long], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in &values {
            headers.append(DPOP_NONCE, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(given(&headers).as_deref(), nonce, "{values:?}");
    }
}

#[test]
fn a_server_says_in_its_answer_or_its_challenge_that_it_wants_a_nonce() {
    let challenged = |status, challenge: &'static str| {
        let mut answer = fixture::answer(status, "");
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        answer
    };
    for (wants, answer) in [
        (true, fixture::answer(400, r#"{"error":"use_dpop_nonce"}"#)),
        (true, fixture::answer(401, r#"{"error":"use_dpop_nonce"}"#)),
        (true, challenged(401, r#"DPoP error="use_dpop_nonce", algs="ES256""#)),
        (false, challenged(401, r#"DPoP error="invalid_token""#)),
        (false, fixture::answer(400, r#"{"error":"invalid_grant"}"#)),
        (false, fixture::answer(200, r#"{"error":"use_dpop_nonce"}"#)),
        (false, fixture::answer(500, r#"{"error":"use_dpop_nonce"}"#)),
        (false, fixture::answer(400, "use_dpop_nonce")),
    ] {
        assert_eq!(wants_nonce(&answer), wants, "{answer:?}");
    }
}

#[tokio::test]
async fn a_nonce_is_asked_for_once_and_kept_for_the_server_that_gave_it() {
    let fake = FakeProvider::start().await;
    let transport = Transport::new(&fixture::settings(&fake.base)).unwrap();
    let (nonces, clock) = (Nonces::default(), Clock::manual(NOW));
    let key = ProofKey::open(&ProofKey::generate().unwrap()).unwrap();
    let token = Secret::new("at");
    let url = |path: &str| Url::parse(&format!("{}{path}", fake.base)).unwrap();
    let ask = async |call, path: &str| {
        let url = url(path);
        let build = || message::post(call, &url, "form".into());
        let token = (call == Call::Userinfo).then_some(&token);
        nonces.exchange(&transport, call, &key, token, || clock.now(), build).await.unwrap().status().as_u16()
    };
    let sent = |path: &str| -> Vec<Value> {
        let seen = fake.seen(path);
        seen.iter().map(|seen| part(seen.headers["dpop"].to_str().unwrap(), 1)).collect()
    };
    // Never content: asked twice, and its answer stands.
    fake.says_with("/token", 401, ("dpop-nonce", "one"));
    fake.adds("/token", ("www-authenticate", "DPoP error=\"use_dpop_nonce\""));
    assert_eq!(ask(Call::Token, "/token").await, 401);
    let proofs = sent("/token");
    assert_eq!(proofs.len(), 2);
    assert_eq!((&proofs[0]["nonce"], &proofs[1]["nonce"]), (&Value::Null, &json!("one")));
    assert_ne!(proofs[0]["jti"], proofs[1]["jti"]);
    assert!(fake.seen("/token").iter().all(|seen| seen.body == "form"));
    // A success brings the next one; it is used from then on, there and nowhere else.
    fake.says_with("/more", 200, ("dpop-nonce", "two"));
    for _ in 0..2 {
        assert_eq!(ask(Call::Token, "/more").await, 200);
    }
    assert_eq!(sent("/more").iter().map(|proof| &proof["nonce"]).collect::<Vec<_>>(), ["one", "two"]);
    fake.says("/me", 401, "");
    assert_eq!(ask(Call::Userinfo, "/me").await, 401);
    let proof = &sent("/me")[0];
    assert_eq!((&proof["nonce"], &proof["ath"]), (&Value::Null, &json!(hash("at"))));
    assert_eq!(sent("/me").len(), 1);
    assert!(fake.seen("/me")[0].headers.get(AUTHORIZATION).is_none(), "the request is the caller's");
    clock.advance(Duration::from_secs(5));
    ask(Call::Token, "/more").await;
    assert_eq!(sent("/more")[2]["iat"], NOW.as_secs() + 5);
}
