//! How an authorization request travels (plain, pushed, signed, by reference), and what else it can ask for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::world::rogue::CLIENT_SECRET;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, Shape, World};

const KEY: &str = "private_key = { file = \"client.key\" }\nclient_auth = \"client_secret_basic\"\n";
const SECRET: &str = "a secret that is long enough for a keyed hash";

/// A gateway whose client at this provider has this metadata and our public key; `lines` are of the provider's
/// table.
async fn gateway(engine: &Engine, mut metadata: Value, lines: &str, more: &str) -> (Gateway, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let kind = if lines.contains("RS") { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
    let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
    std::fs::write(world.dir.path().join("client.key"), pem).unwrap();
    if lines.contains("client.key") {
        metadata["jwks_uri"] = json!(format!("{}/_sso/client-jwks.json", world.origin()));
    }
    metadata["client_secret"] = json!(SECRET);
    let config = engine.client(&world, "school", metadata, lines) + &world.app("lms", &app) + more;
    (world.start(&config).await, app)
}

/// The names of the parameters in the address that a browser is sent to.
async fn sent(gateway: &Gateway) -> Vec<String> {
    let begun = Browser::new().get(&gateway.url("/")).await.expect(302);
    begun.location().query_pairs().map(|(name, _)| name.into_owned()).collect()
}

async fn signs_in(gateway: &Gateway, app: &Server) {
    let page = Browser::new().sign_in(&gateway.url("/a?b=c"), "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    assert_eq!(page.url.as_str(), gateway.url("/a?b=c"));
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
}

/// Options under which a provider fetches requests from addresses that nobody entered.
fn any_reference() -> Value {
    json!({"features": {"requestObjects": {"request": true, "requestUri": true, "requireUriRegistration": false}}})
}

#[tokio::test]
async fn a_pushed_request_leaves_only_its_name_in_the_browsers_address() {
    for (engine, lines) in [
        (Engine::v8(), "request = \"par\""),
        (Engine::v9(), "request = \"par\""),
        // The provider demands it, whatever the setting says.
        (Engine::own(Shape::V8, json!({"par": "required"})), ""),
        (Engine::own(Shape::V9, json!({"par": "required"})), "request = \"query\""),
    ] {
        let (gateway, app) = gateway(&engine, json!({}), lines, "").await;
        assert_eq!(sent(&gateway).await, ["client_id", "request_uri"]);
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn a_signed_request_is_taken_by_providers_that_demand_one() {
    let outside = ["response_type", "client_id", "scope", "request"];
    for (engine, lines) in [
        (Engine::v7(), format!("request = \"jar\"\n{KEY}")),
        (Engine::v9(), format!("request = \"jar\"\n{KEY}# RS\n")),
        (Engine::own(Shape::V8, json!({"jar": "required"})), KEY.to_owned()),
        // With a secret alone, where the provider announces it.
        (Engine::v8(), "request = \"jar\"".to_owned()),
    ] {
        let (gateway, app) = gateway(&engine, json!({}), &lines, "").await;
        assert_eq!(sent(&gateway).await, outside, "{lines}");
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn a_request_can_be_signed_and_pushed() {
    for engine in [Engine::v8(), Engine::own(Shape::V9, json!({"par": "required", "jar": "required"}))] {
        let client = json!({"require_pushed_authorization_requests": true});
        let (gateway, app) = gateway(&engine, client, &format!("request = \"par+jar\"\n{KEY}"), "").await;
        assert_eq!(sent(&gateway).await, ["client_id", "request_uri"]);
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn a_request_by_reference_is_fetched_from_us() {
    for shape in [Shape::V7, Shape::V8] {
        let engine = Engine::own(shape, any_reference());
        let lines = format!("request = \"request_uri\"\n{KEY}");
        let (gateway, app) = gateway(&engine, json!({}), &lines, "").await;
        assert_eq!(sent(&gateway).await, ["response_type", "client_id", "scope", "request_uri"]);
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn a_request_waits_for_the_provider_under_a_name_that_nobody_guesses_and_not_for_long() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let pem = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    std::fs::write(world.dir.path().join("client.key"), pem).unwrap();
    let lines = format!("request = \"request_uri\"\n{KEY}");
    let config = rogue.table("rogue", &lines) + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let begun = Browser::new().get(&gateway.url("/")).await.expect(302);
    let address = begun.location_param("request_uri").unwrap();
    assert!(address.starts_with(&gateway.url("/_sso/request/")) && address.len() < 512, "{address}");
    assert!(address.rsplit('/').next().unwrap().len() >= 43, "{address}");

    // The provider has no cookie, and is no browser.
    let provider = || Browser::new();
    let object = provider().send(Ask::new("GET", &address)).await.expect(200);
    assert_eq!(object.header("content-type").as_deref(), Some("application/oauth-authz-req+jwt"));
    assert_eq!(object.header("cache-control").as_deref(), Some("no-store"));
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(object.text().split('.').nth(1).unwrap()).unwrap())
            .unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("lms"), &json!(rogue.issuer())));
    assert_eq!(claims["redirect_uri"], gateway.url("/_sso/callback"));
    assert!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap() <= 3600, "{claims}");

    for (what, ask, status) in [
        ("another name", Ask::new("GET", &gateway.url("/_sso/request/AAAA")), 404),
        ("no name", Ask::new("GET", &gateway.url("/_sso/request")), 404),
        ("an empty name", Ask::new("GET", &gateway.url("/_sso/request/")), 404),
        ("POST", Ask::new("POST", &address), 405),
    ] {
        assert_eq!(provider().send(ask).await.status, status, "{what}");
    }
    let mut readings = 1;
    while provider().send(Ask::new("GET", &address)).await.status == 200 {
        readings += 1;
        assert!(readings < 10, "it can be read for ever");
    }
}

#[tokio::test]
async fn a_push_that_fails_gets_a_page_and_a_log_line_that_says_what_to_do() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let lines = "timeout = \"2s\"\nrequest = \"par\"";
    let config = rogue.table("rogue", lines) + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let before = Browser::new();
    before.visit(&gateway.url("/")).await.expect(200);
    let json = |status: u16, body: &str| Answer::of(status, "application/json", body);
    for (what, answer, status, logged) in [
        (
            "a refusal of the request",
            json(400, r#"{"error":"invalid_request","error_description":"redirect_uri is unknown"}"#),
            502,
            "redirect_uri is unknown",
        ),
        ("a refusal of the client", json(401, r#"{"error":"invalid_client"}"#), 502, "client_auth"),
        (
            "a refusal of the object",
            json(400, r#"{"error":"invalid_request_object"}"#),
            502,
            "vestibule urls",
        ),
        ("HTML", Answer::of(200, "text/html", "<h1>SECRET-HTML</h1>"), 502, "provider_not_json"),
        ("nothing", json(201, ""), 502, "provider_not_json"),
        ("no name", json(201, r#"{"expires_in":60}"#), 502, "request_uri"),
        ("a name that ended", json(201, r#"{"request_uri":"urn:x","expires_in":0}"#), 502, "expires_in"),
        (
            "a name that is none",
            json(201, r#"{"request_uri":"urn:x\r\nSet-Cookie: a=b","expires_in":60}"#),
            502,
            "provider_member",
        ),
        ("50 MB", json(201, &format!("{{\"a\":\"{}\"}}", "x".repeat(50 << 20))), 502, "provider_too_large"),
        ("a redirect", Answer::redirect(307, "http://127.0.0.1:1/"), 502, "provider_redirected"),
        ("a failure", json(503, "{}"), 503, "provider_status"),
        ("silence", Answer::Silence, 503, "provider_too_slow"),
    ] {
        rogue.replace(Endpoint::Pushed, answer);
        let page = Browser::new().visit(&gateway.url("/")).await;
        assert_eq!(page.status, status, "{what}: {page:?}\n{}", gateway.log());
        assert!(!page.text().contains("SECRET-HTML"), "{what}");
        assert_eq!(page.headers.get("retry-after").is_some(), status == 503, "{what}");
        gateway.logs(logged).await;
        before.get(&gateway.url("/")).await.expect(200);
    }
    assert!(!gateway.log().contains(CLIENT_SECRET));
    rogue.restore();
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let pushed = rogue.asked("/par");
    let first = pushed.first().unwrap();
    assert_eq!(first.param("client_id").as_deref(), Some("lms"));
    assert_eq!(first.params().iter().filter(|(name, _)| name == "client_id").count(), 1);
    assert!(first.header("authorization").unwrap().starts_with("Basic "));
    assert!(pushed.iter().all(|request| request.param("request_uri").is_none()));
}

#[tokio::test]
async fn without_an_endpoint_for_pushing_the_log_names_it_and_nobody_is_sent_away() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.bend_discovery(|document| {
        document.as_object_mut().unwrap().remove("pushed_authorization_request_endpoint");
    });
    let gateway =
        world.clone().start(&(rogue.table("rogue", "request = \"par\"") + &world.app("lms", &app))).await;
    Browser::new().get(&gateway.url("/")).await.expect(502);
    let log = gateway.logs("pushed_authorization_request_endpoint").await;
    assert!(log.contains("set `request`"), "{log}");
}

#[tokio::test]
async fn claims_resource_and_hint_reach_the_provider_however_the_request_travels() {
    for request in ["query", "par", "jar", "par+jar"] {
        let lines = format!(
            "{KEY}request = {request:?}\nscopes = [\"openid\", \"read\"]\nlogin_hint = \"ivanov\"\n\
             resource = [\"https://api.school.example\"]\nmax_age = \"1h\"\n\
             userinfo = \"never\"\nclaims = '{{\"id_token\": {{\"email\": {{\"essential\": true}}}}}}'\n"
        );
        let headers =
            "[apps.lms.headers]\nX-Auth-Email = \"email\"\nAuthorization = { token = \"access\" }\n";
        let (gateway, app) = gateway(&Engine::v8(), json!({}), &lines, headers).await;
        let browser = Browser::new();
        let page = browser.visit(&gateway.url("/")).await;
        assert!(page.text().contains("value=\"ivanov\""), "{request}: {page:?}\n{}", gateway.log());
        browser.log_in(&page, "ivanov").await.expect(200);
        assert!(app.last().header("x-auth-email").is_some(), "{request}: a claim asked for by name");
        let token = app.last().header("authorization").unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap())
                .unwrap();
        assert_eq!(claims["aud"], "https://api.school.example", "{request}");
    }
}
