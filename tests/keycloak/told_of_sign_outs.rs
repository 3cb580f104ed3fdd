//! Sign-outs that a real Keycloak tells of: by its administrator, and from another app.

use std::time::Duration;

use serde_json::json;

use crate::realm::{Keycloak, sign_in};
use crate::world::wire::PATIENCE;
use crate::world::{Ask, Browser, Gateway, Server, World};

/// A gateway in front of an app, whose client is told at its back-channel address.
async fn told(keycloak: &Keycloak, session_required: bool) -> (Gateway, Server) {
    let world = World::new();
    let address = format!("{}/_sso/backchannel-logout", world.origin());
    let attributes = json!({
        "backchannel.logout.url": address, "backchannel.logout.session.required": session_required.to_string(),
    });
    keycloak.gateway_in(world, json!({"frontchannelLogout": false, "attributes": attributes}), "", "").await
}

async fn is_in(browser: &Browser, gateway: &Gateway) -> bool {
    browser.fetch(&gateway.url("/_sso/session")).await.status == 200
}

async fn is_over(browser: &Browser, gateway: &Gateway) {
    let over = async {
        while is_in(browser, gateway).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, over).await;
    assert!(in_time.is_ok(), "still signed in:\n{}", gateway.log());
}

/// Of a person's sessions Keycloak 26 tells a client of the first only, so that two are ended by `sub` alone.
#[tokio::test]
async fn whom_keycloaks_administrator_signs_out_is_out_here() {
    let keycloak = Keycloak::running().await;
    let id = keycloak.enrol("vyshedshaya", "Ольга", "Вышедшая").await;
    for (session_required, sessions) in [(true, 1), (false, 2)] {
        let (gateway, _app) = told(&keycloak, session_required).await;
        let browsers: Vec<Browser> = (0..sessions).map(|_| Browser::new()).collect();
        for browser in &browsers {
            sign_in(browser, &gateway.url("/"), "vyshedshaya").await.expect(200);
        }
        keycloak.administer("POST", &format!("/users/{id}/logout"), json!({})).await.expect(204);
        for browser in &browsers {
            is_over(browser, &gateway).await;
        }
    }
}

#[tokio::test]
async fn who_signs_out_of_one_app_is_out_of_the_other_and_only_in_that_browser() {
    let keycloak = Keycloak::running().await;
    let (one, _one_app) = told(&keycloak, true).await;
    let (other, _other_app) = told(&keycloak, true).await;
    let (browser, elsewhere) = (Browser::new(), Browser::new());
    for browser in [&browser, &elsewhere] {
        sign_in(browser, &one.url("/"), "ivanov").await.expect(200);
        browser.visit(&other.url("/")).await.expect(200);
    }
    let out = Ask::navigation(&one.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    let leaving = browser.send(out).await.expect(302);
    browser.follow(leaving).await.expect(200);
    is_over(&browser, &other).await;
    assert!(is_in(&elsewhere, &other).await && is_in(&elsewhere, &one).await);
}
