//! How the gateway proves to a provider who it is: by secret, by assertion, by certificate, and what an
//! operator sees when that fails.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::world::authority::Authority;
use crate::world::rogue::CLIENT_SECRET;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, Shape, World};

/// Writes a private key of this kind beside the configuration.
fn private_key(world: &World, kind: &'static rcgen::SignatureAlgorithm) {
    let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
    std::fs::write(world.dir.path().join("client.key"), pem).unwrap();
}

const KEY: &str = "private_key = { file = \"client.key\" }\n";

/// Where the gateway of this world serves its public key.
fn key_set(world: &World) -> String {
    format!("{}/_sso/client-jwks.json", world.origin())
}

async fn signs_in(gateway: &Gateway, app: &Server) {
    let page = Browser::new().sign_in(&gateway.url("/"), "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
}

#[tokio::test]
async fn every_kind_of_key_proves_who_we_are_to_a_provider_that_fetches_it_from_us() {
    for (kind, engine) in [
        (&PKCS_ECDSA_P256_SHA256, Engine::trusted()),
        (&PKCS_RSA_SHA256, Engine::v7()),
        (&PKCS_ECDSA_P384_SHA384, Engine::v8()),
        (&PKCS_ED25519, Engine::v9()),
    ] {
        let (world, app) = (World::new(), Server::start().await);
        private_key(&world, kind);
        let client = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": key_set(&world)});
        // Left out, `client_auth` is what a client with a key does.
        let config = engine.client(&world, "school", client, KEY) + &world.app("lms", &app);
        let gateway = world.start(&config).await;
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn an_assertion_by_the_secret_proves_who_we_are_where_it_is_chosen() {
    for engine in [Engine::trusted(), Engine::v7(), Engine::v8(), Engine::v9()] {
        let (world, app) = (World::new(), Server::start().await);
        let client = json!({"token_endpoint_auth_method": "client_secret_jwt",
            "client_secret": "a secret that is long enough for a keyed hash"});
        let table = engine.client(&world, "school", client, "client_auth = \"client_secret_jwt\"");
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        signs_in(&gateway, &app).await;
    }
}

/// Lays the authority's certificate, and one of ours with its key, beside the configuration.
fn certificates(authority: &Authority, world: &World) {
    let shown = authority.client("lms");
    for (name, text) in
        [("ca.pem", &authority.pem()), ("client.pem", &shown.cert), ("client.key", &shown.key)]
    {
        std::fs::write(world.dir.path().join(name), text).unwrap();
    }
}

#[tokio::test]
async fn a_certificate_proves_who_we_are_to_a_provider_that_asks_for_it() {
    let authority = Authority::new();
    for (shape, method) in [
        (
            Shape::V8,
            json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=lms",
            "tls_client_certificate_bound_access_tokens": true}),
        ),
        (
            Shape::V9,
            json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=lms"}),
        ),
    ] {
        let engine = Engine::own(shape, json!({"tls": authority.provider()}));
        let (world, app) = (World::new(), Server::start().await);
        certificates(&authority, &world);
        let lines = "ca = \"ca.pem\"\ntls_client = { cert = \"client.pem\", key = \"client.key\" }";
        let config = engine.client(&world, "school", method, lines) + &world.app("lms", &app);
        let gateway = world.start(&config).await;
        let browser = Browser::new().trusting(authority.trusted(None));
        let page = browser.sign_in(&gateway.url("/"), "ivanov").await;
        assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
        assert!(app.last().header("x-auth-email").is_some(), "userinfo was had with a bound token");
    }
}

#[tokio::test]
async fn a_client_that_is_registered_with_a_certificate_signs_in_with_it() {
    let authority = Authority::new();
    let engine = Engine::own(Shape::V9, json!({"tls": authority.provider()}));
    let (world, app) = (World::new(), Server::start().await);
    certificates(&authority, &world);
    let lines = "scopes = [\"openid\", \"email\"]\nca = \"ca.pem\"\n\
                 client_auth = \"tls_client_auth\"\ntls_client = { cert = \"client.pem\", key = \"client.key\" }\n";
    let config =
        format!("[providers.school]\nissuer = {:?}\n{lines}{}", engine.issuer, world.app("lms", &app));
    world.write_config(&config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(["register", "--provider", "school", "--token-env", "TOKEN"]);
    command.env("TOKEN", "initial-access-token").current_dir(world.dir.path());
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let printed = String::from_utf8(out.stdout).unwrap();
    let gateway = world.start(&config.replace("[providers.school]\n", &printed)).await;
    let browser = Browser::new().trusting(authority.trusted(None));
    let page = browser.sign_in(&gateway.url("/"), "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
}

#[tokio::test]
async fn a_fapi_client_can_prove_itself_and_bind_its_tokens_by_its_certificate_alone() {
    let authority = Authority::new();
    let engine = Engine::own(Shape::V9, json!({"tls": authority.provider()}));
    let (world, app) = (World::new(), Server::start().await);
    certificates(&authority, &world);
    let metadata = json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=lms",
        "tls_client_certificate_bound_access_tokens": true, "require_pushed_authorization_requests": true,
        "id_token_signed_response_alg": "PS256"});
    let lines = "profile = \"fapi2\"\nca = \"ca.pem\"\nclient_auth = \"tls_client_auth\"\ndpop = false\n\
                 tls_client = { cert = \"client.pem\", key = \"client.key\" }";
    let config = engine.client(&world, "school", metadata, lines) + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let browser = Browser::new().trusting(authority.trusted(None));
    let page = browser.sign_in(&gateway.url("/"), "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    assert!(app.last().header("x-auth-email").is_some(), "userinfo was had with a bound token");
    assert!(engine.count("/request") > 0, "the request was pushed");
}

#[tokio::test]
async fn another_certificate_and_another_key_are_refused_and_the_log_says_what_to_compare() {
    let (world, app) = (World::new(), Server::start().await);
    private_key(&world, &PKCS_ECDSA_P256_SHA256);
    let strange: Value = {
        let other = World::new();
        private_key(&other, &PKCS_ECDSA_P256_SHA256);
        urls(&other, &format!("{KEY}{}", table_without_provider()), &app)[0]["jwks"].clone()
    };
    let client = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": strange});
    let config = Engine::v8().client(&world, "school", client, KEY) + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let page = Browser::new().sign_in(&gateway.url("/"), "ivanov").await.expect(502);
    assert!(!page.text().contains("invalid_client"));
    let log = gateway.logs("provider_refused").await;
    assert!(log.contains("invalid_client") && log.contains("private_key"), "{log}");
}

fn table_without_provider() -> String {
    "issuer = \"https://id.example\"\nclient_id = \"lms\"\n".into()
}

/// What `vestibule urls --json` says of a provider with these lines.
fn urls(world: &World, lines: &str, app: &Server) -> Value {
    world.write_config(&format!("[providers.school]\n{lines}{}", world.app("lms", app)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    let output = command.args(["urls", "--json", "--config"]).arg(world.config_path()).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn the_public_key_is_printed_and_served_and_nothing_of_the_private_one() {
    let (world, app) = (World::new(), Server::start().await);
    private_key(&world, &PKCS_RSA_SHA256);
    let lines = format!("{KEY}{}request = \"request_uri\"\n", table_without_provider());
    let told = urls(&world, &lines, &app)[0].clone();
    assert_eq!(told["jwks_uri"], key_set(&world));
    assert_eq!(told["request_uri"], format!("{}/_sso/request/*", world.origin()));

    let gateway = world.clone().restart().await;
    let served = Browser::new().get(&key_set(&world)).await.expect(200);
    assert_eq!(served.json(), told["jwks"]);
    assert_eq!(served.header("content-type").as_deref(), Some("application/jwk-set+json"));
    assert_eq!(served.header("cache-control").as_deref(), Some("no-store"));
    let key = &served.json()["keys"][0];
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(key[member].is_null(), "{member}");
    }
    assert_eq!((&key["kty"], &key["use"]), (&json!("RSA"), &json!("sig")));
    Browser::new().send(Ask::new("POST", &key_set(&world))).await.expect(405);
    // The keys of identity statements are others.
    let statements = Browser::new().get(&gateway.url("/_sso/jwks.json")).await;
    assert!(statements.status != 200 || statements.json() != served.json());
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn each_call_has_an_assertion_of_its_own_for_a_minute_and_no_log_holds_one() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = "[log]\nlevel = \"trace\"\n".to_owned()
        + &rogue.table("rogue", "client_auth = \"client_secret_jwt\"\nrequest = \"par\"")
        + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let mut seen = Vec::new();
    for path in ["/token", "/par"] {
        let calls = rogue.asked(path);
        assert_eq!(calls.len(), 2, "{path}");
        for call in calls {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            assert_eq!(call.header("authorization"), None);
            assert!(!String::from_utf8_lossy(&call.body).contains(CLIENT_SECRET), "the secret stays here");
            let assertion = call.param("client_assertion").unwrap();
            let claims = claims(&assertion);
            assert_eq!(claims["aud"], rogue.issuer(), "the issuer, and nobody else");
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!("lms"), &json!("lms")));
            assert!(claims["exp"].as_u64().unwrap() <= now + 60, "{claims}");
            let name = claims["jti"].as_str().unwrap().to_owned();
            assert!(name.len() >= 22 && !seen.contains(&name), "{name}");
            seen.push(name);
            assert!(!gateway.log().contains(&assertion));
        }
    }
    let log = gateway.log();
    assert!(!log.contains(CLIENT_SECRET), "{log}");
    assert!(!log.contains("eyJ"), "a token or an assertion is in the log: {log}");
}

#[tokio::test]
async fn a_provider_that_refuses_our_proof_gets_502_and_disturbs_nobody_who_is_signed_in() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    private_key(&world, &PKCS_ED25519);
    let config =
        rogue.table("rogue", &format!("client_auth = \"private_key_jwt\"\n{KEY}")) + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let before = Browser::new();
    before.visit(&gateway.url("/")).await.expect(200);
    let answer = json!({"error": "invalid_client", "error_description": "assertion is not yours"});
    rogue.replace(Endpoint::Token, Answer::of(401, "application/json", answer.to_string()));
    Browser::new().visit(&gateway.url("/")).await.expect(502);
    gateway.logs("assertion is not yours").await;
    before.get(&gateway.url("/")).await.expect(200);
}

#[test]
fn what_the_key_files_hold_is_judged_before_the_start() {
    let world = World::new();
    private_key(&world, &PKCS_ECDSA_P256_SHA256);
    let authority = Authority::new();
    let (mine, other) = (authority.client("lms"), authority.client("talk"));
    for (name, text) in [("mine.pem", mine.cert), ("other.key", other.key)] {
        std::fs::write(world.dir.path().join(name), text).unwrap();
    }
    for (lines, key, said) in [
        ("private_key = { file = \"mine.pem\" }", "private_key] file", "a certificate, not a private key"),
        (
            "tls_client = { cert = \"mine.pem\", key = \"other.key\" }",
            "tls_client] key",
            "does not fit the certificate",
        ),
        (
            "tls_client = { cert = \"client.key\", key = \"client.key\" }",
            "tls_client] cert",
            "without a certificate",
        ),
        ("tls_client = { cert = \"mine.pem\" }", "tls_client] key", "write tls_client = {"),
        ("client_auth = \"private_key_jwt\"", "private_key", "is missing"),
        ("request = \"jar\"", "private_key", "is missing"),
    ] {
        let config = format!(
            "[providers.school]\nissuer = \"https://id.example\"\nclient_id = \"lms\"\n{lines}\n\
             [apps.lms]\nurl = \"https://lms.example\"\nupstream = \"http://127.0.0.1:3000\"\n"
        );
        world.write_config(&config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        let output = command.args(["check", "--config"]).arg(world.config_path()).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{lines}: {told}");
        assert!(told.contains(key) && told.contains(said), "{lines}: {told}");
        assert!(told.contains("config.toml:"), "{lines}: {told}");
        assert!(!told.contains("BEGIN PRIVATE KEY-----\\nM"), "{lines}: {told}");
    }
}
