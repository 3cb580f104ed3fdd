//! Sign-in and sign-out with two real providers that share no code with the one that most tests use.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::chromium::Chromium;
use crate::world::foreign::{Foreign, sign_in_at_canaille, sign_in_at_glewlwyd, sign_out_at_glewlwyd};
use crate::world::wire::PATIENCE;
use crate::world::{Ask, Browser, Gateway, Server, World};

const HEADERS: &str = r#"
[apps.lms.headers]
X-User = "sub"
X-User-Name = { claim = "name", encode = "percent" }
X-User-Email = "email"
"#;

const IVANOV: &str = "%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2";

/// Glewlwyd once answered 500 from its token endpoint while two tests used it; why is not known. They take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What the gateway answers who wants to leave.
async fn leave(browser: &Browser, gateway: &Gateway) -> crate::world::browser::Response {
    let url = gateway.url("/_sso/sign-out");
    browser.send(Ask::navigation(&url).instead("Sec-Fetch-Site", "same-origin")).await
}

#[tokio::test]
async fn glewlwyd_signs_people_in_and_out() {
    let _turn = TURN.lock().await;
    let (gateway, app) = Foreign::glewlwyd().gateway(json!({}), HEADERS).await;
    let browser = Browser::new();
    sign_in_at_glewlwyd(&browser, &gateway.url("/courses"), "ivanov").await.expect(200);
    let request = app.last();
    assert_eq!(request.target(), "/courses");
    assert_eq!(request.head.fields.get("x-user-email").as_deref(), Some("ivanov@school.example"));
    assert!(request.head.fields.get("x-user-name").unwrap().starts_with(IVANOV), "{request:?}");

    let leaving = leave(&browser, &gateway).await.expect(302);
    let end = sign_out_at_glewlwyd(&browser, leaving).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    let asked = browser.visit(&gateway.url("/")).await.expect(200);
    assert!(asked.url.path().ends_with("/login.html"), "{asked:?}");
}

#[tokio::test]
async fn canaille_signs_people_in_and_out() {
    let metadata = json!({
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "scope": ["openid", "profile", "email"], "token_endpoint_auth_method": "client_secret_basic",
    });
    let (gateway, app) = Foreign::canaille().gateway(metadata, HEADERS).await;
    let browser = Browser::new();
    sign_in_at_canaille(&browser, &gateway.url("/courses"), "ivanov").await.expect(200);
    let request = app.last();
    assert_eq!(request.target(), "/courses");
    assert_eq!(request.head.fields.get("x-user").as_deref(), Some("ivanov"));
    assert_eq!(request.head.fields.get("x-user-email").as_deref(), Some("ivanov@school.example"));
    assert!(request.head.fields.get("x-user-name").unwrap().ends_with(IVANOV), "{request:?}");

    let leaving = leave(&browser, &gateway).await.expect(302);
    let end = browser.follow(leaving).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    let asked = browser.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(asked.form("loginform").method, "post");
}

/// Two apps behind gateways of their own, whose clients are told of sign-outs by this channel.
async fn two_told_by(channel: &str) -> [(Gateway, Server); 2] {
    let mut pair = Vec::new();
    for _ in 0..2 {
        let (world, app) = (World::new(), Server::start().await);
        let mut client = json!({});
        client[format!("{channel}_logout_uri")] = json!(format!("{}/_sso/{channel}-logout", world.origin()));
        // It keeps all of a client as text.
        client[format!("{channel}_logout_session_required")] = json!("true");
        let config = Foreign::glewlwyd().table(&world, "school", client, "") + &world.app("lms", &app);
        pair.push((world.start(&config).await, app));
    }
    pair.try_into().unwrap_or_else(|_| unreachable!())
}

#[tokio::test]
async fn who_signs_out_of_one_app_at_glewlwyd_is_out_of_the_other_by_the_back_channel() {
    let _turn = TURN.lock().await;
    let [(one, _one_app), (other, _other_app)] = two_told_by("backchannel").await;
    let browser = Browser::new();
    for gateway in [&one, &other] {
        sign_in_at_glewlwyd(&browser, &gateway.url("/"), "ivanov").await.expect(200);
    }
    let session = other.url("/_sso/session");
    browser.fetch(&session).await.expect(200);
    sign_out_at_glewlwyd(&browser, leave(&browser, &one).await.expect(302)).await.expect(200);
    let over = async {
        while browser.fetch(&session).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, over).await;
    assert!(in_time.is_ok(), "still signed in:\n{}", other.log());
    other.logs("provider_sign_out").await;
}

/// Does in Chromium what a person does on Glewlwyd's sign-in pages.
const SIGN_IN: &str = r#"
const asked = new URLSearchParams(location.search);
const send = (method, path, content) => fetch(path, {
  method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
});
return send("POST", "/api/auth/", { username: "ivanov", password: "пароль" })
  .then(() => send("PUT", `/api/auth/grant/${asked.get("client_id")}`, { scope: asked.get("scope") }))
  .then(() => { location = `${asked.get("callback_url")}&g_continue`; });
"#;

#[tokio::test]
async fn who_signs_out_on_glewlwyds_page_in_chromium_is_out_of_the_other_app_by_the_front_channel() {
    let _turn = TURN.lock().await;
    let [(one, one_app), (other, other_app)] = two_told_by("frontchannel").await;
    for app in [&one_app, &other_app] {
        let page = "<!doctype html><title>app</title><p>signed in</p><a href=\"/_sso/sign-out\">leave</a>";
        app.answer(move |_| crate::world::Answer::of(200, "text/html", page));
    }
    let chromium = Chromium::open().await;
    for gateway in [&one, &other] {
        chromium.goto(&gateway.url("/")).await;
        if chromium.url().await.path().ends_with("login.html") {
            chromium.run(SIGN_IN).await;
        }
        chromium.is_at(&gateway.url("/")).await;
        chromium.reads("signed in").await;
    }
    chromium.goto(&one.url("/")).await;
    chromium.press("a").await;
    chromium.press("button.btn-danger").await;
    chromium.is_at(&one.url("/_sso/signed-out")).await;
    let log = other.logs("provider_sign_out").await;
    assert!(log.contains("by=\"sid\"") || log.contains("by=sid"), "{log}");
    chromium.goto(&other.url("/_sso/session")).await;
    let told: Value = serde_json::from_str(&chromium.text().await).unwrap_or_default();
    assert!(told.get("sub").is_none(), "{told}");
    chromium.close().await;
}
