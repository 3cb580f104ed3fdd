//! Keycloak itself: what it announces, and what its clients and its realm were given for later tests.

use serde_json::json;
use url::Url;

use crate::realm::{Keycloak, client_id};
use crate::world::browser::Response;
use crate::world::{Browser, World};

/// The address of a sign-in that goes back to this world.
fn authorize(keycloak: &Keycloak, world: &World, more: &[(&str, &str)]) -> String {
    let (client_id, redirect_uri) = (client_id(world), format!("{}/_sso/callback", world.origin()));
    let mut params = vec![
        ("client_id", client_id.as_str()),
        ("redirect_uri", redirect_uri.as_str()),
        ("response_type", "code"),
    ];
    params.extend([("scope", "openid"), ("state", "s"), ("nonce", "n")]);
    params.extend(more);
    let endpoint = format!("{}/protocol/openid-connect/auth", keycloak.issuer);
    Url::parse_with_params(&endpoint, params).unwrap().into()
}

/// Gives the password on this page, and does not go to the world, where nobody listens.
async fn submit(browser: &Browser, page: &Response) -> Response {
    let form = page.form("kc-form-login");
    let form = if form.fields.iter().any(|(name, _)| name == "username") {
        form.fill("username", "ivanov")
    } else {
        form
    };
    browser.submit_once(page, form.fill("password", "пароль")).await
}

#[tokio::test]
async fn keycloak_announces_what_later_tests_ask_of_it() {
    let document = Keycloak::running().await.discovery().await;
    for (member, value) in [
        ("response_modes_supported", "query.jwt"),
        ("response_modes_supported", "form_post.jwt"),
        ("token_endpoint_auth_methods_supported", "private_key_jwt"),
        ("token_endpoint_auth_methods_supported", "client_secret_jwt"),
        ("request_object_signing_alg_values_supported", "ES256"),
        ("id_token_encryption_alg_values_supported", "RSA-OAEP-256"),
        ("id_token_encryption_alg_values_supported", "ECDH-ES"),
        ("dpop_signing_alg_values_supported", "ES256"),
        ("acr_values_supported", "gold"),
        ("grant_types_supported", "urn:ietf:params:oauth:grant-type:device_code"),
    ] {
        assert!(
            document[member].as_array().is_some_and(|all| all.contains(&json!(value))),
            "{member}: {document:#}"
        );
    }
    for endpoint in
        ["pushed_authorization_request_endpoint", "device_authorization_endpoint", "revocation_endpoint"]
    {
        assert!(document[endpoint].is_string(), "{endpoint}: {document:#}");
    }
    for flag in
        ["backchannel_logout_supported", "frontchannel_logout_supported", "claims_parameter_supported"]
    {
        assert_eq!(document[flag], true, "{flag}");
    }
}

#[tokio::test]
async fn a_client_that_must_push_its_requests_gets_no_login_page_otherwise() {
    let (keycloak, world) = (Keycloak::running().await, World::new());
    let more = json!({"attributes": {"require.pushed.authorization.requests": "true"}});
    keycloak.table(&world, "school", more, "").await;
    let refused = Browser::new().get(&authorize(&keycloak, &world, &[])).await;
    assert!(refused.status == 400 || refused.location_param("error").is_some(), "{refused:?}");
}

#[tokio::test]
async fn a_stronger_sign_in_asks_a_signed_in_person_for_one_more_step() {
    let (keycloak, world, browser) = (Keycloak::running().await, World::new(), Browser::new());
    keycloak.table(&world, "school", json!({}), "").await;
    let page = browser.get(&authorize(&keycloak, &world, &[])).await.expect(200);
    let first = submit(&browser, &page).await.expect(302);
    assert!(first.location_param("code").is_some(), "{first:?}");
    let page = browser.get(&authorize(&keycloak, &world, &[("acr_values", "gold")])).await.expect(200);
    let fields = page.form("kc-form-login").fields;
    assert!(!fields.iter().any(|(name, _)| name == "username"), "known already: {fields:?}");
    let second = submit(&browser, &page).await.expect(302);
    assert!(second.location_param("code").is_some(), "{second:?}");
}
