//! Sign-in and sign-out with two real providers that share no code with the one that most tests use.

use serde_json::json;

use crate::world::foreign::{Foreign, sign_in_at_canaille, sign_in_at_glewlwyd, sign_out_at_glewlwyd};
use crate::world::{Ask, Browser, Gateway};

const HEADERS: &str = r#"
[apps.lms.headers]
X-User = "sub"
X-User-Name = { claim = "name", encode = "percent" }
X-User-Email = "email"
"#;

const IVANOV: &str = "%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2";

/// What the gateway answers who wants to leave.
async fn leave(browser: &Browser, gateway: &Gateway) -> crate::world::browser::Response {
    let url = gateway.url("/_sso/sign-out");
    browser.send(Ask::navigation(&url).instead("Sec-Fetch-Site", "same-origin")).await
}

#[tokio::test]
async fn glewlwyd_signs_people_in_and_out() {
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
