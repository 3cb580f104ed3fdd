//! What a Keycloak of a careful school demands of its clients: assertions instead of secrets, requests that are
//! pushed and signed, tokens that are bound to a key (DPoP).

use std::process::Command;
use std::time::Duration;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm};
use serde_json::{Value, json};

use crate::realm::{Keycloak, sign_in};
use crate::world::{Browser, Gateway, Server, World};

/// The line of the provider's table that names the key of [`with_key`].
pub const KEY: &str = "private_key = { file = \"client.key\" }\n";

/// A world with a private key of this kind.
pub fn with_key(kind: &'static SignatureAlgorithm) -> World {
    let world = World::new();
    let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
    std::fs::write(world.dir.path().join("client.key"), pem).unwrap();
    world
}

/// What `vestibule urls --json` says of the key, before there is any gateway.
fn public_keys(world: &World) -> Value {
    let provider = format!("[providers.school]\nissuer = \"https://id.example\"\nclient_id = \"lms\"\n{KEY}");
    world.write_config(&(provider + &world.app_at("lms", &world.origin(), "http://127.0.0.1:3000")));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    let output = command.args(["urls", "--json", "--config"]).arg(world.config_path()).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    told[0]["jwks"].clone()
}

/// A client whose public keys are entered by hand.
fn entered(world: &World, client: Value) -> Value {
    let mut client = client;
    client["attributes"]["use.jwks.string"] = json!("true");
    client["attributes"]["jwks.string"] = json!(public_keys(world).to_string());
    client
}

/// A client whose public keys are fetched from the gateway.
pub fn fetched(world: &World, client: Value) -> Value {
    let mut client = client;
    client["attributes"]["use.jwks.url"] = json!("true");
    client["attributes"]["jwks.url"] = json!(format!("{}/_sso/client-jwks.json", world.origin()));
    client
}

async fn signs_in(gateway: &Gateway, app: &Server) -> Browser {
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/a?b=c")).await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    let page = crate::realm::log_in(&browser, &page, "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    assert_eq!(page.url.as_str(), gateway.url("/a?b=c"));
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
    browser
}

/// The names of the parameters in the address that a browser is sent to.
async fn sent(gateway: &Gateway) -> Vec<String> {
    let begun = Browser::new().get(&gateway.url("/")).await.expect(302);
    begun.location().query_pairs().map(|(name, _)| name.into_owned()).collect()
}

#[tokio::test]
async fn an_assertion_by_our_key_proves_who_we_are_with_keys_entered_or_fetched() {
    let keycloak = Keycloak::running().await;
    let by_key = || json!({"clientAuthenticatorType": "client-jwt"});
    for (kind, register) in [
        (&PKCS_ECDSA_P256_SHA256, entered as fn(&World, Value) -> Value),
        (&PKCS_RSA_SHA256, fetched),
        (&PKCS_ED25519, fetched),
    ] {
        let world = with_key(kind);
        let client = register(&world, by_key());
        let (gateway, app) = keycloak.gateway_in(world, client, KEY, "").await;
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn an_assertion_by_the_secret_proves_who_we_are_where_it_is_chosen() {
    let client = json!({"clientAuthenticatorType": "client-secret-jwt",
        "secret": "a secret that is long enough for a keyed hash"});
    let lines = "client_auth = \"client_secret_jwt\"";
    let (gateway, app) = Keycloak::running().await.gateway_in(World::new(), client, lines, "").await;
    signs_in(&gateway, &app).await;
}

#[tokio::test]
async fn another_key_than_the_registered_one_is_refused_and_the_log_says_what_to_compare() {
    let (world, other) = (with_key(&PKCS_ECDSA_P256_SHA256), with_key(&PKCS_ECDSA_P256_SHA256));
    let client = entered(&other, json!({"clientAuthenticatorType": "client-jwt"}));
    let (gateway, app) = Keycloak::running().await.gateway_in(world, client, KEY, "").await;
    sign_in(&Browser::new(), &gateway.url("/"), "ivanov").await.expect(502);
    let log = gateway.logs("provider_refused").await;
    assert!(log.contains("invalid_client") && log.contains("private_key"), "{log}");
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_client_that_must_push_its_requests_pushes_them() {
    let keycloak = Keycloak::running().await;
    let client = json!({"attributes": {"require.pushed.authorization.requests": "true"}});
    let (gateway, app) = keycloak.gateway_in(World::new(), client, "request = \"par\"", "").await;
    assert_eq!(sent(&gateway).await, ["client_id", "request_uri"]);
    signs_in(&gateway, &app).await;
}

#[tokio::test]
async fn signed_requests_are_taken_plain_and_pushed_where_no_others_are() {
    let keycloak = Keycloak::running().await;
    for (kind, alg, request, pushed) in [
        (&PKCS_ECDSA_P256_SHA256, "ES256", "jar", "false"),
        (&PKCS_ECDSA_P256_SHA256, "ES256", "par+jar", "true"),
        (&PKCS_RSA_SHA256, "PS256", "request_uri", "false"),
    ] {
        let world = with_key(kind);
        let client = json!({"clientAuthenticatorType": "client-jwt", "attributes": {
            "request.object.required": "request or request_uri", "request.object.signature.alg": alg,
            "require.pushed.authorization.requests": pushed,
            "request.uris": format!("{}/_sso/request/*", world.origin()),
        }});
        let client = fetched(&world, client);
        let lines = format!("request = {request:?}\n{KEY}");
        let (gateway, app) = keycloak.gateway_in(world, client, &lines, "").await;
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn tokens_are_bound_to_our_key_at_sign_in_at_userinfo_and_when_they_are_renewed() {
    let keycloak = Keycloak::running().await;
    for public in [false, true] {
        let client = json!({"publicClient": public, "attributes": {
            "dpop.bound.access.tokens": "true", "access.token.lifespan": "4",
        }});
        let (gateway, app) = keycloak.gateway_in(World::new(), client, "dpop = true", "").await;
        let browser = signs_in(&gateway, &app).await;
        for renewed in 1..=2 {
            tokio::time::sleep(Duration::from_millis(4100)).await;
            browser.fetch(&gateway.url("/x")).await.expect(200);
            assert_eq!(keycloak.count(&gateway.world, "REFRESH_TOKEN").await, renewed, "{}", gateway.log());
            // Beside the request.
            keycloak.counts(&gateway.world, "USER_INFO_REQUEST", 1 + renewed).await;
        }
        assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
    }
}

#[tokio::test]
async fn a_client_without_a_proof_of_its_key_is_told_so_by_keycloak_and_the_log_repeats_it() {
    let client = json!({"attributes": {"dpop.bound.access.tokens": "true"}});
    let (gateway, app) = Keycloak::running().await.gateway(client, "").await;
    sign_in(&Browser::new(), &gateway.url("/"), "ivanov").await.expect(502);
    gateway.logs("DPoP").await;
    assert!(app.received().is_empty());
}
