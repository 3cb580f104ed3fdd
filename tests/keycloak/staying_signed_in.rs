//! What happens after a sign-in at a real Keycloak: tokens are renewed, an account is closed, a page asks for more.

use std::time::Duration;

use serde_json::json;

use crate::realm::{Keycloak, log_in, sign_in};
use crate::world::{Browser, Server};

const BEARER: &str = "[apps.lms.headers]\nAuthorization = { token = \"access\" }\n";
/// Seconds that an access token is good for.
const LIFE: u64 = 4;

fn bearer(app: &Server) -> String {
    app.last().header("authorization").expect("an access token")
}

#[tokio::test]
async fn tokens_are_renewed_again_and_again_by_refresh_tokens_that_serve_once() {
    let more = json!({"attributes": {"access.token.lifespan": LIFE.to_string()}});
    let (gateway, app) = Keycloak::running().await.gateway(more, BEARER).await;
    let browser = Browser::new();
    sign_in(&browser, &gateway.url("/"), "petrova").await.expect(200);
    for _ in 0..3 {
        let before = bearer(&app);
        tokio::time::sleep(Duration::from_millis(LIFE * 1000 + 100)).await;
        let (one, other) = (browser.copy(), browser.copy());
        let url = gateway.url("/x");
        let (one, other) = tokio::join!(one.fetch(&url), other.fetch(&url));
        assert_eq!((one.status, other.status), (200, 200), "{}", gateway.log());
        browser.fetch(&url).await.expect(200);
        assert_ne!(bearer(&app), before);
    }
}

#[tokio::test]
async fn who_was_disabled_at_keycloak_is_out_when_the_token_ends() {
    let keycloak = Keycloak::running().await;
    let id = keycloak.enrol("uvolen", "Пётр", "Уволенный").await;
    let more = json!({"attributes": {"access.token.lifespan": LIFE.to_string()}});
    let (gateway, _app) = keycloak.gateway(more, BEARER).await;
    let browser = Browser::new();
    sign_in(&browser, &gateway.url("/"), "uvolen").await.expect(200);
    keycloak.administer("PUT", &format!("/users/{id}"), json!({"enabled": false})).await.expect(204);
    tokio::time::sleep(Duration::from_millis(LIFE * 1000 + 100)).await;
    browser.fetch(&gateway.url("/x")).await.expect(401);
}

#[tokio::test]
async fn a_page_that_asks_for_more_gets_one_more_step_and_the_person_comes_back_to_it() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/marks/*\"]\nacr = \"gold\"\n";
    let (gateway, app) = Keycloak::running().await.gateway(json!({}), rules).await;
    let browser = Browser::new();
    sign_in(&browser, &gateway.url("/"), "petrova").await.expect(200);
    let page = browser.visit(&gateway.url("/marks/7?class=10")).await.expect(200);
    let fields = page.form("kc-form-login").fields;
    assert!(!fields.iter().any(|(name, _)| name == "username"), "known already: {fields:?}");
    let page = log_in(&browser, &page, "petrova").await.expect(200);
    assert_eq!(page.url.as_str(), gateway.url("/marks/7?class=10"));
    assert_eq!(app.last().target(), "/marks/7?class=10");
    browser.get(&gateway.url("/marks/8")).await.expect(200);
}
