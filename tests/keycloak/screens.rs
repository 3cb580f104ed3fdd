//! Sign-in by QR code at a real Keycloak: the phone goes through its verification page.

use std::time::Duration;

use serde_json::json;

use crate::realm::{Keycloak, log_in};
use crate::world::browser::Response;
use crate::world::{Ask, Browser, World, html};

/// The screen as it stands there, until it shows something else than the code.
async fn wait(screen: &Browser, mut page: Response) -> Response {
    for _ in 0..4 {
        let Some(refresh) = page.header("refresh") else { return screen.follow(page).await };
        let (pause, url) = refresh.split_once(";url=").unwrap();
        tokio::time::sleep(Duration::from_secs(pause.parse().unwrap())).await;
        page = screen.send(Ask::navigation(url).instead("Sec-Fetch-Site", "same-origin")).await;
    }
    panic!("the screen waits without end: {page:?}");
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).unwrap_or_else(|| panic!("{start} in {text}")).1.split(end).next().unwrap()
}

/// The phone opens the address, enters the code where it is asked to, signs in, and agrees or does not.
async fn decide(phone: &Browser, address: &str, code: &str, button: &str) -> Response {
    let mut page = phone.visit(address).await.expect(200);
    for _ in 0..4 {
        let forms = html::forms(&page.text());
        let Some(form) = forms.into_iter().find(|form| form.method == "post") else { return page };
        page = match &*form.id {
            "kc-form-login" => log_in(phone, &page, "ivanov").await,
            "kc-user-verify-device-user-code-form" => {
                phone.submit(&page, form.fill("device_user_code", code)).await
            }
            _ => {
                let mut form = form;
                form.fields.retain(|(name, _)| !matches!(&**name, "accept" | "cancel"));
                form.fields.push((button.into(), "x".into()));
                phone.submit(&page, form).await
            }
        };
    }
    page
}

#[tokio::test]
async fn what_a_screen_gets_is_bound_to_a_key_where_that_is_asked_for() {
    let more = json!({"attributes": {"oauth2.device.authorization.grant.enabled": "true",
        "oauth2.device.polling.interval": "1", "dpop.bound.access.tokens": "true"}});
    let keycloak = Keycloak::running().await;
    let (gateway, app) = keycloak.gateway_in(World::new(), more, "dpop = true", "").await;
    let screen = Browser::new();
    let page = screen.get(&gateway.url("/_sso/device")).await.expect(200);
    let text = page.text();
    let (code, address) = (between(&text, "user-code\">", "<"), between(&text, "<bdi>", "<"));
    decide(&Browser::new(), address, code, "accept").await;
    let there = wait(&screen, page).await;
    assert_eq!(there.status, 200, "{there:?}\n{}", gateway.log());
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"), "of userinfo");
}

#[tokio::test]
async fn a_screen_is_in_when_the_phone_has_agreed_and_is_told_when_it_has_not() {
    let more = json!({"attributes": {"oauth2.device.authorization.grant.enabled": "true",
        "oauth2.device.polling.interval": "1"}});
    let (gateway, app) = Keycloak::running().await.gateway(more, "").await;
    for (button, status) in [("accept", 200), ("cancel", 403)] {
        let (screen, phone) = (Browser::new(), Browser::new());
        let page = screen.get(&gateway.url("/_sso/device?return_to=/board%3Fa=1")).await;
        assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
        let text = page.text();
        let (code, address) = (between(&text, "user-code\">", "<"), between(&text, "<bdi>", "<"));
        let done = decide(&phone, address, code, button).await;
        assert!(html::forms(&done.text()).iter().all(|form| form.method != "post"), "{done:?}");
        let there = wait(&screen, page).await;
        assert_eq!(there.status, status, "{there:?}\n{done:?}\n{}", gateway.log());
        if button == "accept" {
            assert_eq!(there.url.as_str(), gateway.url("/board?a=1"));
            assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
        } else {
            screen.fetch(&gateway.url("/")).await.expect(401);
        }
    }
    assert_eq!(app.received().len(), 1, "only who agreed got in");
}
