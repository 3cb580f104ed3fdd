//! A provider's discovery document and keys that are wrong, and how they are told and got over.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Answer, Browser, Endpoint, Gateway, Rogue, Server, World};

/// A gateway whose provider is already wrong when it starts.
async fn started(wrong: impl Fn(&Rogue)) -> (Gateway, Rogue, Server) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    wrong(&rogue);
    let config = rogue.table("rogue", "timeout = \"2s\"") + &world.app("lms", &app);
    (world.start(&config).await, rogue, app)
}

/// Nobody is signed in, a page says so, and the log says why.
async fn is_told(gateway: &Gateway, what: &str) {
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await;
    assert!(matches!(page.status, 502 | 503), "{what}: {page:?}");
    assert!(!page.text().contains("SECRET-HTML"), "{what}");
    assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401, "{what}");
    gateway.logs("WARN").await;
}

#[tokio::test]
async fn a_discovery_document_that_cannot_be_read_is_told_and_asked_for_again() {
    let json = |text: &str| Answer::of(200, "application/json", text);
    for (what, answer) in [
        ("HTML", Answer::of(200, "text/html", "<h1>SECRET-HTML</h1>")),
        ("a redirect", Answer::redirect(302, "http://127.0.0.1:1/")),
        ("404", Answer::of(404, "text/html", "<h1>SECRET-HTML</h1>")),
        ("half of it", json("{\"issuer\":")),
        ("a list", json("[]")),
        ("50 MB", json(&format!("{{\"a\":\"{}\"}}", "x".repeat(50 << 20)))),
        ("no connection", Answer::Close),
    ] {
        let (gateway, rogue, _app) =
            started(|rogue| rogue.replace(Endpoint::Discovery, answer.clone())).await;
        is_told(&gateway, what).await;
        rogue.restore();
        let again = tokio::time::timeout(Duration::from_secs(20), async {
            while Browser::new().visit(&gateway.url("/")).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        again.await.unwrap_or_else(|_| panic!("{what}: never found again\n{}", gateway.log()));
    }
}

#[tokio::test]
async fn a_discovery_document_without_what_a_login_needs_is_told() {
    type Bend = fn(&mut Value);
    let wrongs: [(&str, Bend); 6] = [
        ("no authorization endpoint", |document| {
            drop(document.as_object_mut().unwrap().remove("authorization_endpoint"))
        }),
        ("no token endpoint", |document| drop(document.as_object_mut().unwrap().remove("token_endpoint"))),
        ("no key set", |document| drop(document.as_object_mut().unwrap().remove("jwks_uri"))),
        ("a script as endpoint", |document| {
            document["authorization_endpoint"] = json!("javascript:alert(1)")
        }),
        ("a relative endpoint", |document| document["token_endpoint"] = json!("/token")),
        ("the issuer with a slash", |document| {
            document["issuer"] = json!(format!("{}/", document["issuer"].as_str().unwrap()));
        }),
    ];
    for (what, bend) in wrongs {
        let (gateway, _rogue, _app) = started(|rogue| rogue.bend_discovery(bend)).await;
        is_told(&gateway, what).await;
    }
}

#[tokio::test]
async fn a_discovery_document_that_is_odd_but_fine_signs_in() {
    type Bend = fn(&mut Value);
    let rights: [(&str, Bend); 5] = [
        ("only what is needed", |document| {
            let needed = [
                "issuer",
                "authorization_endpoint",
                "token_endpoint",
                "jwks_uri",
                "authorization_response_iss_parameter_supported",
            ];
            document.as_object_mut().unwrap().retain(|name, _| needed.contains(&name.as_str()));
            document["id_token_signing_alg_values_supported"] = json!(["ES256"]);
        }),
        ("unknown algorithms", |document| {
            document["id_token_signing_alg_values_supported"] = json!(["XX1", "ES256", 7])
        }),
        ("booleans as text", |document| {
            document["authorization_response_iss_parameter_supported"] = json!("true")
        }),
        ("nulls", |document| {
            document["end_session_endpoint"] = Value::Null;
            document["token_endpoint_auth_methods_supported"] = Value::Null;
        }),
        ("a query in an endpoint", |document| {
            let endpoint = format!("{}?tenant=7&x=%20", document["authorization_endpoint"].as_str().unwrap());
            document["authorization_endpoint"] = json!(endpoint);
        }),
    ];
    for (what, bend) in rights {
        let (gateway, rogue, _app) = started(|rogue| rogue.bend_discovery(bend)).await;
        let page = Browser::new().visit(&gateway.url("/")).await;
        assert_eq!(page.status, 200, "{what}: {page:?}\n{}", gateway.log());
        if what.contains("query") {
            assert_eq!(rogue.asked("/authorize")[0].param("tenant").as_deref(), Some("7"));
        }
    }
}

#[tokio::test]
async fn a_key_set_that_cannot_be_read_is_told_and_asked_for_again() {
    let json = |text: &str| Answer::of(200, "application/json", text);
    for (what, answer) in [
        ("HTML", Answer::of(200, "text/html", "<h1>SECRET-HTML</h1>")),
        ("a redirect", Answer::redirect(302, "http://127.0.0.1:1/")),
        ("500", Answer::of(500, "text/html", "<h1>SECRET-HTML</h1>")),
        ("no keys", json("{\"keys\":[]}")),
        ("no key that verifies", json("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}")),
        ("50 MB", json(&format!("{{\"keys\":[],\"a\":\"{}\"}}", "x".repeat(50 << 20)))),
    ] {
        let (gateway, rogue, _app) = started(|rogue| rogue.replace(Endpoint::Keys, answer.clone())).await;
        is_told(&gateway, what).await;
        rogue.restore();
        let again = tokio::time::timeout(Duration::from_secs(20), async {
            while Browser::new().visit(&gateway.url("/")).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        again.await.unwrap_or_else(|_| panic!("{what}: never found again\n{}", gateway.log()));
    }
}
