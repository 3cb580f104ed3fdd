//! Plain OAuth 2.0: no ID token, no keys; the userinfo endpoint says who signed in.

use serde_json::{Value, json};

use crate::world::toolkit::Toolkit;
use crate::world::{Answer, Ask, Browser, Endpoint, Gateway, Rogue, Server, World};

/// The table of django-oauth-toolkit's server, with its userinfo and these lines.
fn table(toolkit: &Toolkit, world: &World, lines: &str) -> String {
    let (client_id, secret) = toolkit.client(world, json!({}));
    format!(
        "[providers.base]\nprotocol = \"oauth2\"\nclient_id = {client_id:?}\nclient_secret = {secret:?}\n\
         userinfo_endpoint = \"{}/api/v1/me\"\n{lines}\n",
        toolkit.issuer
    )
}

const HEADERS: &str = "[apps.lms.headers]\nX-Id = \"id\"\nX-Sub = \"sub\"\nX-Email = \"email\"\nX-Name = \"name\"\n\
                       X-Login = \"login\"\nX-Acr = \"acr\"\n";

async fn behind(toolkit: &Toolkit, lines: &str) -> (Gateway, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let config = table(toolkit, &world, lines) + &world.app("lms", &app) + HEADERS;
    (world.start(&config).await, app)
}

#[tokio::test]
async fn a_person_of_a_django_server_signs_in_by_its_metadata() {
    let toolkit = Toolkit::shared();
    let (gateway, app) = behind(&toolkit, &format!("issuer = {:?}", toolkit.issuer)).await;
    let gateway = gateway.ready().await;
    let browser = Browser::new();
    let begun = browser.get(&gateway.url("/course?id=7")).await.expect(302);
    for (name, sent) in [("nonce", false), ("scope", false), ("state", true), ("code_challenge", true)] {
        assert_eq!(begun.location_param(name).is_some(), sent, "{name}: {}", begun.location());
    }
    assert_eq!(begun.location_param("code_challenge_method").as_deref(), Some("S256"));
    browser.sign_in(&gateway.url("/course?id=7"), "ivanov").await.expect(200);
    let request = app.last();
    assert_eq!(request.target(), "/course?id=7");
    assert_eq!(request.header("x-id").as_deref(), Some("123"));
    assert_eq!(request.header("x-sub").as_deref(), Some("123"));
    assert_eq!(request.header("x-email").as_deref(), Some("ivanov@school.example"));
    assert_eq!(request.header("x-name").as_deref(), Some("Иван Иванов"));
    let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
    assert_eq!((&session["sub"], &session["provider"]), (&json!("123"), &json!("base")));
}

#[tokio::test]
async fn endpoints_by_hand_need_neither_issuer_nor_metadata() {
    let toolkit = Toolkit::own(json!({"metadata": false}));
    let at = &toolkit.issuer;
    let lines = format!(
        "authorization_endpoint = \"{at}/o/authorize/\"\ntoken_endpoint = \"{at}/o/token/\"\n\
         scopes = [\"public\", \"phone\"]\nsubject = \"login\""
    );
    let (gateway, app) = behind(&toolkit, &lines).await;
    let gateway = gateway.ready().await;
    let browser = Browser::new();
    let begun = browser.get(&gateway.url("/")).await.expect(302);
    assert_eq!(begun.location_param("scope").as_deref(), Some("public phone"));
    browser.sign_in(&gateway.url("/"), "petrova").await.expect(200);
    assert_eq!(app.last().header("x-sub").as_deref(), Some("petrova"));
    assert_eq!(app.last().header("x-id").as_deref(), Some("124"));
    assert_eq!(toolkit.count("/.well-known/oauth-authorization-server"), 0);
}

#[tokio::test]
async fn a_person_without_the_chosen_claim_is_not_let_in_and_another_one_is() {
    let toolkit = Toolkit::shared();
    let lines = format!("issuer = {:?}\nsubject = \"email\"", toolkit.issuer);
    let (gateway, app) = behind(&toolkit, &lines).await;
    let browser = Browser::new();
    let refused = browser.sign_in(&gateway.url("/"), "sidorova").await;
    assert_eq!(refused.status, 502, "{refused:?}");
    browser.fetch(&gateway.url("/_sso/session")).await.expect(401);
    let log = gateway.logs("userinfo_subject").await;
    assert!(log.contains("has no `email`") && log.contains("`subject`"), "{log}");
    assert!(app.received().is_empty());
    Browser::new().sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    assert_eq!(app.last().header("x-sub").as_deref(), Some("ivanov@school.example"));
}

/// The misbehaving provider's table for OAuth 2.0 alone.
fn rogue_table(rogue: &Rogue, lines: &str) -> String {
    rogue.table("rogue", &format!("timeout = \"2s\"\nprotocol = \"oauth2\"\n{lines}"))
}

async fn with_rogue(lines: &str) -> (Gateway, Rogue, Server) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.person(json!({"id": 123, "email": "example@example.ru"}));
    let config = rogue_table(&rogue, lines) + &world.app("lms", &app) + HEADERS;
    (world.start(&config).await, rogue, app)
}

async fn is_refused(gateway: &Gateway, status: u16, what: &str) {
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await;
    assert_eq!(page.status, status, "{what}: {}\n{}", page.text(), gateway.log());
    assert!(!page.text().contains("SECRET-HTML"), "{what}");
    assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401, "{what}: no session");
}

#[tokio::test]
async fn an_answer_that_names_nobody_or_cannot_be_read_gets_502() {
    let (gateway, rogue, app) = with_rogue("").await;
    let said = |value: Value| Answer::json(&value);
    let huge = format!("{{\"id\":1,\"a\":\"{}\"}}", "x".repeat(50 << 20));
    for (what, answer) in [
        ("HTML", Answer::of(200, "text/html", "<h1>SECRET-HTML</h1>")),
        ("nothing", Answer::of(200, "application/json", "")),
        ("50 MB", Answer::of(200, "application/json", huge)),
        ("a list", said(json!([{"id": 1}]))),
        ("a redirect", Answer::redirect(302, "http://127.0.0.1:1/login")),
        ("a refusal", Answer::of(401, "application/json", "{\"error\":\"invalid_token\"}")),
        ("nobody", said(json!({"email": "a@school.example"}))),
        ("null", said(json!({"id": null}))),
        ("a fraction", said(json!({"id": 1.5}))),
        ("a number beyond JSON's", Answer::of(200, "application/json", "{\"id\": 12345678901234567890123}")),
        ("a flag", said(json!({"id": true}))),
        ("an object", said(json!({"id": {"value": 1}}))),
        ("empty text", said(json!({"id": ""}))),
        ("a line break", said(json!({"id": "a\nb"}))),
        ("256 characters", said(json!({"id": "a".repeat(256)}))),
        ("a signed answer without known keys' issuer", Answer::of(200, "application/jwt", "e30.e30.AAAA")),
    ] {
        rogue.replace(Endpoint::Userinfo, answer);
        is_refused(&gateway, 502, what).await;
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_odd_but_fine_signs_in() {
    let (gateway, rogue, app) = with_rogue("").await;
    for (what, answer, subject) in [
        ("a number", Answer::json(&json!({"id": 123})), "123"),
        ("all digits", Answer::json(&json!({"id": 12_345_678_901_234_567_890_u64})), "12345678901234567890"),
        ("as text/html", Answer::of(200, "text/html", "{\"id\": \"7\"}"), "7"),
        ("with a byte order mark", Answer::of(200, "application/json", "\u{feff}{\"id\": 8}"), "8"),
        ("sub before id", Answer::json(&json!({"id": 1, "sub": "anna"})), "anna"),
        ("255 characters", Answer::json(&json!({"id": "7".repeat(255)})), &"7".repeat(255)),
    ] {
        rogue.replace(Endpoint::Userinfo, answer);
        let page = Browser::new().visit(&gateway.url("/")).await;
        assert_eq!(page.status, 200, "{what}: {}\n{}", page.text(), gateway.log());
        assert_eq!(app.last().header("x-sub").as_deref(), Some(subject), "{what}");
    }
    let asked = rogue.asked("/userinfo");
    assert!(asked.iter().all(|request| request.method() == "GET"));
    assert!(asked.iter().all(|request| request.header("authorization").unwrap().starts_with("Bearer ")));
    assert!(rogue.asked("/jwks").is_empty(), "no key is needed");
}

#[tokio::test]
async fn a_claim_inside_others_can_name_the_person() {
    let (gateway, rogue, app) = with_rogue("subject = \"response.0.user.id\"").await;
    rogue.person(json!({"response": [{"user": {"id": 42}}], "id": 1}));
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-sub").as_deref(), Some("42"));
}

#[tokio::test]
async fn an_id_token_that_comes_along_is_neither_believed_nor_kept() {
    let headers = "Authorization = { token = \"id\" }\n";
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.person(json!({"id": 123, "acr": "gold", "auth_time": 5, "iss": "https://evil.example"}));
    rogue.bend_id_token(|draft| {
        draft.claims["sub"] = json!("root");
        draft.claims["acr"] = json!("gold");
    });
    let config = rogue_table(&rogue, "") + &world.app("lms", &app) + HEADERS + headers;
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let request = app.last();
    assert_eq!(request.header("x-sub").as_deref(), Some("123"));
    assert_eq!((request.header("authorization"), request.header("x-acr")), (None, None));
    let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
    assert_eq!(session["claims"], json!({"id": 123, "sub": "123"}));
    let leaving = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    let leaving = browser.send(leaving).await.expect(302);
    assert_eq!(leaving.location_param("id_token_hint"), None);
    assert_eq!(leaving.location_param("client_id").as_deref(), Some("lms"));
    assert_eq!(
        leaving.location_param("post_logout_redirect_uri"),
        Some(gateway.url("/_sso/signed-out")),
        "sign-out at the provider needs no hint"
    );
}

#[tokio::test]
async fn state_iss_and_pkce_hold_as_with_openid_connect() {
    let (gateway, rogue, app) = with_rogue("").await;
    rogue.bend_response(|response| response.retain(|(name, _)| name != "iss"));
    is_refused(&gateway, 400, "iss was announced and is missing").await;
    rogue.bend_response(|response| {
        response.retain(|(name, _)| name != "iss");
        response.push(("iss".into(), "https://evil.example".into()));
    });
    is_refused(&gateway, 400, "another issuer").await;
    rogue.bend_response(|response| {
        response.retain(|(name, _)| name != "state");
        response.push(("state".into(), "somebody-elses".into()));
    });
    is_refused(&gateway, 400, "another state").await;
    assert!(rogue.asked("/token").is_empty(), "no code was redeemed");
    rogue.restore();
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    assert!(rogue.asked("/token")[0].param("code_verifier").is_some());
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn a_response_with_an_issuer_that_nobody_configured_is_refused_and_the_log_says_how_to_mend_it() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.person(json!({"id": 123}));
    let at = rogue.issuer().to_owned();
    let lines = format!(
        "protocol = \"oauth2\"\nauthorization_endpoint = \"{at}/authorize\"\ntoken_endpoint = \"{at}/token\"\n\
         userinfo_endpoint = \"{at}/userinfo\"\n"
    );
    let issuer = format!("issuer = {at:?}\n");
    let table = rogue.table("rogue", &lines);
    let gateway = world.clone().start(&(table.replace(&issuer, "") + &world.app("lms", &app))).await;
    is_refused(&gateway, 400, "an unknown issuer").await;
    let log = gateway.logs("callback_issuer").await;
    assert!(log.contains(&at) && log.contains("name it in `issuer`"), "{log}");
    // By hand, and with that issuer: compared, and good.
    let world = gateway.kill().await;
    let named = table.replace(&issuer, &format!("{issuer}discovery = false\n"));
    let gateway = world.clone().start(&(named + &world.app("lms", &app))).await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    assert!(rogue.asked("/.well-known/openid-configuration").is_empty());
}
