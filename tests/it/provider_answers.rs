//! Answers of the provider that can't be read or trusted, answers that are odd but fine, and how we ask.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::world::engine::SECRET;
use crate::world::rogue::CLIENT_ID;
use crate::world::{Answer, Browser, Endpoint, Gateway, Rogue, Server, World};

async fn signs_in(gateway: &Gateway, what: &str) -> Browser {
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await;
    assert_eq!(page.status, 200, "{what}: {}\n{}", page.text(), gateway.log());
    browser
}

async fn is_refused(gateway: &Gateway, what: &str) {
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await;
    assert_eq!(page.status, 502, "{what}: {}\n{}", page.text(), gateway.log());
    assert!(!page.text().contains("SECRET-HTML"), "{what}: a provider's raw HTML is never shown");
    assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401, "{what}: no session");
}

/// 50 MB that begin like JSON.
fn huge() -> Answer {
    Answer::of(200, "application/json", format!("{{\"a\":\"{}\"}}", "x".repeat(50 << 20)))
}

#[tokio::test]
async fn a_token_response_that_cannot_be_read_gets_502() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let json = |text: &str| Answer::of(200, "application/json", text);
    for (what, answer) in [
        ("HTML", Answer::of(200, "text/html", "<h1>SECRET-HTML</h1>")),
        ("a redirect", Answer::redirect(302, "http://127.0.0.1:1/login")),
        ("a redirect that keeps the method", Answer::redirect(307, "http://127.0.0.1:1/token")),
        ("nothing", json("")),
        ("half of it", json("{\"access_token\": \"x\"")),
        ("a list", json("[]")),
        ("null", json("null")),
        ("too deep", json(&"[".repeat(100_000))),
        ("50 MB", huge()),
        ("404", Answer::of(404, "text/html", "<h1>SECRET-HTML</h1>")),
        ("a refusal of our client", Answer::of(401, "application/json", "{\"error\":\"invalid_client\"}")),
        ("204", Answer::Plain(204, Vec::new(), Vec::new())),
    ] {
        rogue.replace(Endpoint::Token, answer);
        is_refused(&gateway, what).await;
    }
}

#[tokio::test]
async fn a_token_response_without_what_we_need_gets_502() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    type Bend = fn(&mut Value);
    let wrongs: [(&str, Bend); 8] = [
        ("no ID token", |tokens| drop(tokens.as_object_mut().unwrap().remove("id_token"))),
        ("an empty ID token", |tokens| tokens["id_token"] = json!("")),
        ("an ID token of two parts", |tokens| tokens["id_token"] = json!("e30.e30")),
        ("an ID token of five parts", |tokens| tokens["id_token"] = json!("e30.e30.e30.e30.e30")),
        ("an ID token that is no JSON", |tokens| tokens["id_token"] = json!("AAAA.AAAA.AAAA")),
        ("a number as ID token", |tokens| tokens["id_token"] = json!(7)),
        ("no access token", |tokens| drop(tokens.as_object_mut().unwrap().remove("access_token"))),
        ("another token type", |tokens| tokens["token_type"] = json!("mac")),
    ];
    for (what, bend) in wrongs {
        rogue.bend_tokens(bend);
        is_refused(&gateway, what).await;
    }
}

#[tokio::test]
async fn a_token_response_that_is_odd_but_fine_signs_in() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    type Bend = fn(&mut Value);
    let rights: [(&str, Bend); 6] = [
        ("the type in lower case", |tokens| tokens["token_type"] = json!("bearer")),
        ("a lifetime as text", |tokens| tokens["expires_in"] = json!("3600")),
        ("a lifetime with a fraction", |tokens| tokens["expires_in"] = json!(3600.0)),
        ("a list of scopes", |tokens| tokens["scope"] = json!(["openid", "email"])),
        ("an unknown member", |tokens| tokens["session_state"] = json!({"a": [1]})),
        ("null as refresh token", |tokens| tokens["refresh_token"] = Value::Null),
    ];
    for (what, bend) in rights {
        rogue.bend_tokens(bend);
        signs_in(&gateway, what).await;
    }
}

#[tokio::test]
async fn a_userinfo_response_that_cannot_be_read_or_is_about_somebody_else_gets_502() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    for (what, answer) in [
        ("HTML", Answer::of(200, "text/html", "<h1>SECRET-HTML</h1>")),
        ("a redirect", Answer::redirect(302, "http://127.0.0.1:1/login")),
        ("a list", Answer::of(200, "application/json", "[]")),
        ("nothing", Answer::of(200, "application/json", "")),
        ("50 MB", huge()),
        ("401", Answer::of(401, "application/json", "{\"error\":\"invalid_token\"}")),
        ("another person", Answer::json(&json!({"sub": "u-2", "email": "root@school.example"}))),
        ("nobody", Answer::json(&json!({"email": "root@school.example"}))),
        ("the subject in another case", Answer::json(&json!({"sub": "U-1"}))),
    ] {
        rogue.replace(Endpoint::Userinfo, answer);
        is_refused(&gateway, what).await;
    }
}

#[tokio::test]
async fn userinfo_never_overrules_what_the_id_token_says_of_the_sign_in_itself() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    rogue.bend_userinfo(|person| {
        person["iss"] = json!("https://evil.example");
        person["aud"] = json!("other");
        person["exp"] = json!(1);
        person["sid"] = json!("somebody else's");
        person["nonce"] = json!("x");
    });
    let browser = signs_in(&gateway, "protocol claims in userinfo").await;
    let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
    assert_eq!(session["sub"], "u-1");
    assert_ne!(session["claims"]["iss"], "https://evil.example");
    let leave = crate::world::Ask::navigation(&gateway.url("/_sso/sign-out"))
        .instead("Sec-Fetch-Site", "same-origin");
    browser.send(leave).await.expect(302);
    browser.fetch(&gateway.url("/")).await.expect(401);
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_never_used() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.bend_discovery(|document| document["issuer"] = json!("https://evil.example"));
    let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app))).await;
    let page = Browser::new().get(&gateway.url("/")).await;
    assert!(matches!(page.status, 502 | 503), "{page:?}");
    let log = gateway.logs("evil.example").await;
    assert!(log.contains(rogue.issuer()), "the log names both: {log}");
}

#[tokio::test]
async fn an_issuer_with_a_path_and_one_with_a_trailing_slash_are_found() {
    for path in ["/realms/school", "/", "/am/idp/"] {
        let (world, app) = (World::new(), Server::start().await);
        let rogue = Rogue::with_key(crate::world::keys::SigningKey::new("k", "ES256"), path).await;
        let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app))).await;
        signs_in(&gateway, path).await;
    }
}

#[tokio::test]
async fn endpoints_set_by_hand_need_no_discovery() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.replace(Endpoint::Discovery, Answer::of(404, "text/html", "no"));
    let at = rogue.issuer();
    let lines = format!(
        "discovery = false\nauthorization_endpoint = \"{at}/authorize\"\ntoken_endpoint = \"{at}/token\"\n\
         userinfo_endpoint = \"{at}/userinfo\"\njwks_uri = \"{at}/jwks\"\nid_token_algs = [\"ES256\"]\n"
    );
    let gateway = world.clone().start(&(rogue.table("rogue", &lines) + &world.app("lms", &app))).await;
    signs_in(&gateway, "by hand").await;
    assert!(rogue.asked("/.well-known/openid-configuration").is_empty());
}

#[tokio::test]
async fn odd_claims_never_fail_a_login() {
    let (gateway, rogue, app) = World::with_rogue(
        "[apps.lms.headers]\nX-Id = \"id\"\nX-Email = \"email\"\nX-Verified = \"email_verified\"\nX-Phone = \"phone_number\"\n",
    )
    .await;
    rogue.person(json!({
        "sub": "u-1", "id": 12_345_678_901_234_567_890_u64, "email": {"value": "a@b"}, "email_verified": "true",
        "phone_number": 79_001_234_567_u64, "address": "Москва", "name": null, "groups": "one", "updated_at": "вчера",
    }));
    signs_in(&gateway, "odd claims").await;
    let request = app.last();
    assert_eq!(request.header("x-id").as_deref(), Some("12345678901234567890"));
    assert_eq!(request.header("x-phone").as_deref(), Some("79001234567"));
    assert_eq!(request.header("x-verified").as_deref(), Some("true"));
}

#[tokio::test]
async fn userinfo_is_asked_as_configured_and_its_claims_join_the_id_tokens() {
    for (setting, asked) in [("auto", true), ("always", true), ("never", false)] {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        let headers = "[apps.lms.headers]\nX-Department = \"department\"\nX-Email = \"email\"\n";
        let lines = format!("userinfo = \"{setting}\"");
        let config = rogue.table("rogue", &lines) + &world.app("lms", &app) + headers;
        let gateway = world.start(&config).await;
        rogue.bend_id_token(|draft| draft.claims["department"] = json!("7 «Б»"));
        signs_in(&gateway, setting).await;
        assert_eq!(app.last().header("x-department").as_deref(), Some("7 «Б»"), "{setting}");
        assert_eq!(app.last().header("x-email").is_some(), asked, "{setting}");
        let requests = rogue.asked("/userinfo");
        assert_eq!(requests.len(), usize::from(asked), "{setting}");
        assert!(
            requests.iter().all(|request| request.header("authorization").unwrap().starts_with("Bearer "))
        );
    }
}

#[tokio::test]
async fn the_client_proves_itself_as_configured() {
    // RFC 6749 section 2.3.1: both are form-urlencoded before they are joined.
    let basic = base64::engine::general_purpose::STANDARD.encode(format!(
        "{CLIENT_ID}:{}",
        form_urlencoded::byte_serialize(SECRET.as_bytes()).collect::<String>()
    ));
    for (method, header, in_body) in [
        ("client_secret_basic", Some(format!("Basic {basic}")), false),
        ("client_secret_post", None, true),
        ("none", None, false),
    ] {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        let mut table = rogue
            .table("rogue", &format!("client_auth = \"{method}\""))
            .replace("\"s3cret\"", &format!("{SECRET:?}"));
        if method == "none" {
            table = table
                .lines()
                .filter(|line| !line.starts_with("client_secret"))
                .collect::<Vec<_>>()
                .join("\n")
                + "\n";
        }
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        signs_in(&gateway, method).await;
        let request = rogue.asked("/token").remove(0);
        assert_eq!(request.header("authorization"), header, "{method}");
        assert_eq!(request.param("client_secret").as_deref(), in_body.then_some(SECRET), "{method}");
        assert_eq!(request.param("grant_type").as_deref(), Some("authorization_code"));
        assert_eq!(request.param("client_id").is_some(), method != "client_secret_basic", "{method}");
    }
}

#[tokio::test]
async fn the_best_announced_method_is_chosen_when_none_is_configured() {
    for (announced, basic) in [
        (json!(["client_secret_post"]), false),
        (json!(["client_secret_post", "client_secret_basic", "private_key_jwt"]), true),
        // OpenID Connect Discovery 1.0 section 3: left out means client_secret_basic.
        (Value::Null, true),
    ] {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        let methods = announced.clone();
        rogue.bend_discovery(move |document| {
            document["token_endpoint_auth_methods_supported"] = methods.clone()
        });
        let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app))).await;
        signs_in(&gateway, "chosen").await;
        assert_eq!(rogue.asked("/token")[0].header("authorization").is_some(), basic, "{announced}");
    }
}
