//! The signed statement of who is signed in, for apps that check signatures.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::world::{Ask, Browser, Inside, World};

const PROVIDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers");

/// What a statement says, if an app's own library believes it.
async fn verified(origin: &str, audience: &str, statement: &str) -> Result<Value, String> {
    let keys = format!("{origin}/_sso/jwks.json");
    let arguments = ["statement.cjs", &keys, origin, audience, statement];
    let told = Command::new("node").args(arguments).current_dir(PROVIDERS).output().await.unwrap();
    if told.status.success() {
        return Ok(serde_json::from_slice(&told.stdout).unwrap());
    }
    Err(String::from_utf8(told.stderr).unwrap().trim().to_owned())
}

#[tokio::test]
async fn an_app_verifies_who_is_signed_in_with_the_published_keys() {
    let lines = r#"
        identity_jwt = { audience = "school" }
        [apps.lms.headers]
        X-User-Id = "sub"
        X-City = "address.locality"
        X-Groups = { claim = "groups", join = "," }
        X-Label = { template = "{name} <{email}>" }
        X-Adult = { expr = 'claims.age >= 18' }
        X-Absent = "nothing"
        Authorization = { token = "access" }
    "#;
    let (gateway, rogue, app) = World::with_rogue(lines).await;
    rogue.person(json!({
        "sub": "u-1", "name": "Анна", "email": "a@school.example", "age": 17, "address": {"locality": "Пермь"},
        "groups": ["10А", "хор"], "secret": "not mapped",
    }));
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let statement = app.last().header("x-auth-jwt").unwrap();
    let origin = gateway.world.origin();
    let told = verified(&origin, "school", &statement).await.unwrap();
    let (issued, ends) = (told["iat"].as_u64().unwrap(), told["exp"].as_u64().unwrap());
    assert_eq!((ends - issued, told["jti"].is_string()), (120, true));
    let mut said = told.as_object().unwrap().clone();
    said.retain(|name, _| !["iat", "nbf", "exp", "jti"].contains(&name.as_str()));
    assert_eq!(
        Value::Object(said),
        json!({
            "iss": origin, "aud": "school", "sub": "u-1", "address.locality": "Пермь", "groups": ["10А", "хор"],
            "x-label": "Анна <a@school.example>", "x-adult": false,
        })
    );

    // For another app, with another key, or changed, it is worth nothing.
    assert!(verified(&origin, "wiki", &statement).await.is_err());
    let (other, ..) = World::with_rogue("").await;
    let keys = other.world.origin();
    assert!(verified(&keys, "school", &statement).await.is_err());
    let mut parts: Vec<&str> = statement.split('.').collect();
    parts[1] = "eyJzdWIiOiJhZG1pbiJ9";
    assert!(verified(&origin, "school", &parts.join(".")).await.is_err());
}

#[tokio::test]
async fn a_statement_is_sent_for_a_minute_and_then_made_anew() {
    let (gateway, _rogue, app) = Inside::with_rogue("identity_jwt = {}\n[server]\nworkers = 1\n").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let mut sent = Vec::new();
    for pause in [0, 0, 61, 0, 61] {
        gateway.later(Duration::from_secs(pause));
        browser.get(&gateway.url("/")).await.expect(200);
        sent.push(app.last().header("x-auth-jwt").unwrap());
    }
    assert_eq!(sent[0], sent[1]);
    assert_ne!(sent[1], sent[2]);
    assert_eq!(sent[2], sent[3]);
    assert_ne!(sent[3], sent[4]);
    // The clock of the app stands two minutes behind.
    let told = verified(&gateway.world.origin(), "lms", &sent[4]).await;
    assert_eq!(told, Err("ERR_JWT_CLAIM_VALIDATION_FAILED".to_owned()));
}

#[tokio::test]
async fn a_forged_statement_never_reaches_the_app_and_nobody_gets_one_without_a_person() {
    let lines = "identity_jwt = { header = \"X-Who\" }\n[[apps.lms.rules]]\naccess = \"public\"\n";
    let (gateway, _rogue, app) = World::with_rogue(lines).await;
    for forged in ["X-Who", "x_who", "X.WHO"] {
        let ask = Ask::navigation(&gateway.url("/")).header(forged, "eyJhbGciOiJub25lIn0.e30.");
        Browser::new().send(ask).await.expect(200);
        assert_eq!(app.last().header(forged), None, "{forged}");
    }
}

#[tokio::test]
async fn the_key_set_is_public_and_holds_nothing_private() {
    let (gateway, ..) = World::with_rogue("").await;
    let answer = Browser::new().fetch(&gateway.url("/_sso/jwks.json")).await.expect(200);
    assert_eq!(answer.header("content-type").as_deref(), Some("application/jwk-set+json"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    for key in answer.json()["keys"].as_array().unwrap() {
        let names: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(names, ["kty", "crv", "x", "y", "alg", "use", "kid"]);
    }
    Browser::new().send(Ask::script("POST", &gateway.url("/_sso/jwks.json"))).await.expect(405);
}
