//! Tokens that are bound to a key of ours (DPoP, RFC 9449), at a provider that checks every proof.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use crate::world::proofs::Proofs;
use crate::world::rogue::Endpoint;
use crate::world::{Answer, Browser, Engine, Gateway, Rogue, Server, Shape, World};

const DPOP: &str = "dpop = true";

/// A gateway that binds its tokens, and a provider that treats proofs so.
async fn with_rogue(proofs: Proofs) -> (Gateway, Rogue, Server) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.wants_proofs(proofs);
    let config = rogue.table("rogue", DPOP) + &world.app("lms", &app);
    (world.start(&config).await, rogue, app)
}

/// What the proofs say that reached this path.
fn proofs(rogue: &Rogue, path: &str) -> Vec<(Value, Value)> {
    let read = |part: &str| -> Value { serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap() };
    let asked = rogue.asked(path);
    let parts = |proof: String| {
        let mut parts = proof.split('.');
        (read(parts.next().unwrap()), read(parts.next().unwrap()))
    };
    asked.iter().map(|request| parts(request.header("dpop").unwrap())).collect()
}

#[tokio::test]
async fn every_request_with_a_token_proves_the_key_that_the_login_named() {
    let (gateway, rogue, app) = with_rogue(Proofs::Wanted).await;
    let first = Browser::new().visit(&gateway.url("/wanted")).await.expect(200);
    assert_eq!(app.last().target(), "/wanted", "{first:?}");
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let (token, userinfo) = (proofs(&rogue, "/token"), proofs(&rogue, "/userinfo"));
    assert_eq!((token.len(), userinfo.len()), (2, 2));
    assert_eq!(token[0].0["jwk"], userinfo[0].0["jwk"], "one key for one login");
    assert_ne!(token[0].0["jwk"], token[1].0["jwk"], "and for no other");
    assert!(rogue.asked("/userinfo")[0].header("authorization").unwrap().starts_with("DPoP "));
    let all: HashSet<_> =
        token.iter().chain(&userinfo).map(|(_, claims)| claims["jti"].to_string()).collect();
    assert_eq!(all.len(), 4, "no proof is used twice");
    let logged = gateway.log();
    assert!(!logged.contains(token[0].0["jwk"]["x"].as_str().unwrap()));
}

#[tokio::test]
async fn a_nonce_is_put_into_the_proof_when_the_provider_wants_one() {
    let (gateway, rogue, app) = with_rogue(Proofs::WithNonce).await;
    Browser::new().visit(&gateway.url("/wanted")).await.expect(200);
    assert_eq!(app.last().target(), "/wanted");
    let nonces = |path| -> Vec<Value> {
        proofs(&rogue, path).into_iter().map(|(_, claims)| claims["nonce"].clone()).collect()
    };
    assert_eq!(nonces("/token"), [json!(null), json!("nonce-1")]);
    // What the token endpoint gave is not userinfo's.
    assert_eq!(nonces("/userinfo"), [json!(null), json!("nonce-3")]);
    let codes: HashSet<_> = rogue.asked("/token").iter().map(|request| request.param("code")).collect();
    assert_eq!(codes.len(), 1);
}

#[tokio::test]
async fn a_provider_that_is_never_content_with_a_nonce_is_asked_twice_and_no_more() {
    let (gateway, rogue, app) = with_rogue(Proofs::NeverContent).await;
    Browser::new().visit(&gateway.url("/")).await.expect(502);
    assert_eq!(rogue.asked("/token").len(), 2);
    gateway.logs("use_dpop_nonce").await;
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_token_that_is_not_bound_though_that_was_asked_for_is_refused_and_the_reverse() {
    for (lines, proofs, kind) in [
        (DPOP, Proofs::Wanted, "Bearer"),
        (DPOP, Proofs::Wanted, "MAC"),
        (DPOP, Proofs::NotWanted, "Bearer"),
        ("", Proofs::NotWanted, "DPoP"),
    ] {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        rogue.wants_proofs(proofs);
        rogue.bend_tokens(move |tokens| tokens["token_type"] = json!(kind));
        let gateway = world.clone().start(&(rogue.table("rogue", lines) + &world.app("lms", &app))).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(502);
        gateway.logs("`token_type` is").await;
        assert!(rogue.asked("/userinfo").is_empty(), "{lines} {kind}: a token that is not ours goes nowhere");
        assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401);
    }
}

#[tokio::test]
async fn a_provider_that_takes_no_proofs_of_ours_is_told_before_anybody_goes_there() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.bend_discovery(|document| document["dpop_signing_alg_values_supported"] = json!(["RS256"]));
    let gateway = world.clone().start(&(rogue.table("rogue", DPOP) + &world.app("lms", &app))).await;
    Browser::new().visit(&gateway.url("/")).await.expect(502);
    gateway.logs("provider_dpop").await;
    assert!(rogue.asked("/authorize").is_empty());
}

#[tokio::test]
async fn a_nonce_that_is_none_is_not_taken() {
    let (gateway, rogue, _app) = with_rogue(Proofs::Wanted).await;
    let long = "n".repeat(2000);
    for nonce in ["a b", "a\"b", &*long] {
        let refusal = Answer::of(400, "application/json", r#"{"error":"use_dpop_nonce"}"#);
        rogue.replace(Endpoint::Token, refusal.with("DPoP-Nonce", nonce));
        let before = rogue.asked("/token").len();
        Browser::new().visit(&gateway.url("/")).await.expect(502);
        assert_eq!(rogue.asked("/token").len(), before + 1, "{nonce:.5}");
    }
}

#[tokio::test]
async fn tokens_are_refreshed_with_the_key_that_they_were_bound_to() {
    for store in ["file", "cookie"] {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        rogue.wants_proofs(Proofs::WithNonce);
        rogue.gives_refresh_tokens(Duration::from_secs(3));
        let session = format!("[session]\nstore = {store:?}\n");
        let gateway =
            world.clone().start(&(rogue.table("rogue", DPOP) + &world.app("lms", &app) + &session)).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        tokio::time::sleep(Duration::from_millis(3100)).await;
        browser.get(&gateway.url("/x")).await.expect(200);
        assert_eq!(rogue.refreshes(), 2, "{store}: the second with a nonce\n{}", gateway.log());
        let proofs = proofs(&rogue, "/token");
        let keys: HashSet<_> = proofs.iter().map(|(header, _)| header["jwk"]["x"].to_string()).collect();
        assert_eq!(keys.len(), 1, "{store}");
        // Each with a nonce at the second try.
        let asked = async {
            while rogue.asked("/userinfo").len() < 4 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await.expect("claims asked for again");
    }
}

#[tokio::test]
async fn the_real_providers_bind_their_tokens_also_where_every_proof_needs_a_nonce() {
    for engine in [
        Engine::v8(),
        Engine::v9(),
        Engine::own(Shape::V8, json!({"dpop": "nonce"})),
        Engine::own(Shape::V9, json!({"dpop": "nonce"})),
    ] {
        let (world, app) = (World::new(), Server::start().await);
        let table = engine.client(&world, "school", json!({"dpop_bound_access_tokens": true}), DPOP);
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        for login in ["petrova", "ivanov"] {
            let page = Browser::new().sign_in(&gateway.url("/wanted"), login).await;
            assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
            assert!(app.last().header("x-auth-email").unwrap().starts_with(login), "userinfo was asked");
        }
    }
}

#[tokio::test]
async fn a_real_provider_refreshes_bound_tokens() {
    let engine = Engine::own(Shape::V9, json!({"dpop": "nonce", "ttl": {"AccessToken": 3}}));
    let (world, app) = (World::new(), Server::start().await);
    let lines = format!("{DPOP}\nscopes = [\"openid\", \"email\", \"offline_access\"]");
    let table = engine.client(&world, "school", json!({"dpop_bound_access_tokens": true}), &lines);
    let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
    let browser = Browser::new();
    let consent = browser.sign_in(&gateway.url("/"), "petrova").await.expect(200);
    browser.submit(&consent, consent.form("consent")).await.expect(200);
    for round in 1..=2 {
        tokio::time::sleep(Duration::from_millis(3100)).await;
        browser.get(&gateway.url("/x")).await.expect(200);
        assert_eq!(engine.count("refresh_token"), round, "{}", gateway.log());
    }
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("petrova@school.example"));
}
