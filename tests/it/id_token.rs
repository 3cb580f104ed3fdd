//! Every way in which an ID token can be wrong, and that each ends in 502 without a session.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::world::keys::{SigningKey, half_hash};
use crate::world::rogue::{Draft, Signed};
use crate::world::{Browser, Gateway, Rogue, Server, World};

/// Seconds since the epoch.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

type Wrong = (&'static str, Box<dyn Fn(&mut Draft) + Send + Sync>);

/// One claim set to a value.
fn claim(what: &'static str, name: &'static str, value: Value) -> Wrong {
    (what, Box::new(move |draft| draft.claims[name] = value.clone()))
}

/// One claim taken away.
fn without(name: &'static str) -> Wrong {
    (name, Box::new(move |draft| drop(draft.claims.as_object_mut().unwrap().remove(name))))
}

/// Each of these is refused with 502, and the app sees nothing.
async fn each_is_refused(gateway: &Gateway, rogue: &Rogue, app: &Server, wrongs: Vec<Wrong>) {
    for (what, bend) in wrongs {
        rogue.bend_id_token(bend);
        let browser = Browser::new();
        let page = browser.visit(&gateway.url("/")).await;
        assert_eq!(page.status, 502, "{what}: {}\n{}", page.text(), gateway.log());
        assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401, "{what}: no session");
    }
    assert!(app.received().is_empty());
}

/// Each of these is fine.
async fn each_is_accepted(gateway: &Gateway, rogue: &Rogue, rights: Vec<Wrong>) {
    for (what, bend) in rights {
        rogue.bend_id_token(bend);
        let page = Browser::new().visit(&gateway.url("/")).await;
        assert_eq!(page.status, 200, "{what}: {}\n{}", page.text(), gateway.log());
    }
}

#[tokio::test]
async fn an_id_token_for_another_issuer_audience_or_login_is_refused() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let slash = format!("{}/", rogue.issuer());
    let wrongs = vec![
        claim("another issuer", "iss", json!("https://evil.example")),
        claim("the issuer with a slash", "iss", json!(slash)),
        claim("the issuer as a list", "iss", json!([rogue.issuer()])),
        without("iss"),
        claim("another audience", "aud", json!("other")),
        claim("no audience", "aud", json!([])),
        claim("a number as audience", "aud", json!(7)),
        without("aud"),
        claim("an audience that we don't trust besides us", "aud", json!(["lms", "other"])),
        claim("somebody else as authorized party", "azp", json!("other")),
        claim("another nonce", "nonce", json!("other")),
        claim("an empty nonce", "nonce", json!("")),
        without("nonce"),
    ];
    each_is_refused(&gateway, &rogue, &app, wrongs).await;
    let rights = vec![
        claim("us in a list", "aud", json!(["lms"])),
        claim("us as authorized party", "azp", json!("lms")),
    ];
    each_is_accepted(&gateway, &rogue, rights).await;
}

#[tokio::test]
async fn an_id_token_outside_its_time_is_refused_and_a_minute_of_skew_is_not() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let wrongs = vec![
        claim("expired", "exp", json!(now() - 120)),
        claim("an expiry as text", "exp", json!("tomorrow")),
        without("exp"),
        without("iat"),
        claim("issued tomorrow", "iat", json!(now() + 86_400)),
        claim("not valid before tomorrow", "nbf", json!(now() + 86_400)),
    ];
    each_is_refused(&gateway, &rogue, &app, wrongs).await;
    let rights = vec![
        claim("expired half a minute ago", "exp", json!(now() - 30)),
        claim("issued in half a minute", "iat", json!(now() + 30)),
        claim("valid in half a minute", "nbf", json!(now() + 30)),
        claim("an expiry with a fraction", "exp", json!(now() as f64 + 600.5)),
    ];
    each_is_accepted(&gateway, &rogue, rights).await;
}

#[tokio::test]
async fn an_id_token_without_a_usable_subject_is_refused() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let wrongs = vec![
        without("sub"),
        claim("empty", "sub", json!("")),
        claim("256 characters", "sub", json!("a".repeat(256))),
        claim("not ASCII", "sub", json!("Иван")),
    ];
    each_is_refused(&gateway, &rogue, &app, wrongs).await;
}

#[tokio::test]
async fn an_id_token_of_another_access_token_is_refused() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    each_is_refused(&gateway, &rogue, &app, vec![claim("at_hash", "at_hash", json!(half_hash("other")))])
        .await;
    each_is_accepted(&gateway, &rogue, vec![without("at_hash")]).await;
}

#[tokio::test]
async fn an_id_token_whose_signature_does_not_hold_is_refused() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let stranger = Arc::new(SigningKey::new("first", "ES256"));
    let unknown = Arc::new(SigningKey::new("never seen", "ES256"));
    let public = rogue.key().public_der();
    let header = |name: &'static str, value: Value| {
        move |draft: &mut Draft| drop(draft.header.insert(name.into(), value.clone()))
    };
    let hashed = |secret: Vec<u8>| {
        move |draft: &mut Draft| {
            draft.header["alg"] = json!("HS256");
            draft.signed = Signed::Hash(secret.clone());
        }
    };
    let wrongs: Vec<Wrong> = vec![
        (
            "another key under our key's name",
            Box::new(move |draft| draft.signed = Signed::With(Arc::clone(&stranger))),
        ),
        (
            "a key that is not in the set",
            Box::new(move |draft| {
                draft.header["kid"] = json!("never seen");
                draft.signed = Signed::With(Arc::clone(&unknown));
            }),
        ),
        (
            "no signature",
            Box::new(|draft| {
                draft.header["alg"] = json!("none");
                draft.signed = Signed::NotAtAll;
            }),
        ),
        (
            "no signature in another spelling",
            Box::new(|draft| {
                draft.header["alg"] = json!("nOnE");
                draft.signed = Signed::NotAtAll;
            }),
        ),
        ("an empty signature under a real algorithm", Box::new(|draft| draft.signed = Signed::NotAtAll)),
        ("hashed with the client secret", Box::new(hashed(b"s3cret".to_vec()))),
        ("hashed with the public key", Box::new(hashed(public))),
        ("an algorithm that the key is not for", Box::new(header("alg", json!("RS256")))),
        ("an algorithm that nobody knows", Box::new(header("alg", json!("XX999")))),
        ("critical extensions that we don't know", Box::new(header("crit", json!(["b64"])))),
    ];
    each_is_refused(&gateway, &rogue, &app, wrongs).await;
}

#[tokio::test]
async fn an_id_token_without_a_key_id_is_verified_with_the_key_that_fits() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let rights: Vec<Wrong> = vec![
        ("no kid", Box::new(|draft| drop(draft.header.remove("kid")))),
        ("no typ", Box::new(|draft| drop(draft.header.remove("typ")))),
    ];
    each_is_accepted(&gateway, &rogue, rights).await;
}

#[tokio::test]
async fn every_algorithm_of_the_list_is_accepted() {
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let (world, app) = (World::new(), Server::start().await);
        let rogue = Rogue::with_key(SigningKey::new("k", algorithm), "").await;
        let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app))).await;
        let page = Browser::new().visit(&gateway.url("/")).await;
        assert_eq!(page.status, 200, "{algorithm}: {}\n{}", page.text(), gateway.log());
    }
}

#[tokio::test]
async fn an_algorithm_that_the_operator_did_not_list_is_refused() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("rogue", "id_token_algs = [\"RS256\"]") + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    assert_eq!(Browser::new().visit(&gateway.url("/")).await.status, 502);
}

#[tokio::test]
async fn authentication_that_is_older_than_asked_for_is_refused() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("rogue", "max_age = \"5m\"") + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    rogue.bend_id_token(|draft| draft.claims["auth_time"] = json!(now() - 10));
    assert_eq!(Browser::new().visit(&gateway.url("/")).await.status, 200);
    app.forget();
    let wrongs = vec![without("auth_time"), claim("an hour ago", "auth_time", json!(now() - 3600))];
    each_is_refused(&gateway, &rogue, &app, wrongs).await;
}

#[tokio::test]
async fn an_authentication_context_other_than_asked_for_is_refused() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("rogue", "acr_values = \"urn:mfa urn:card\"") + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let wrongs = vec![claim("less", "acr", json!("urn:pwd")), without("acr")];
    each_is_refused(&gateway, &rogue, &app, wrongs).await;
    each_is_accepted(&gateway, &rogue, vec![claim("one of them", "acr", json!("urn:card"))]).await;
}
