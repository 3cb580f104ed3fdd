//! The test bed itself: the real provider is the one we mean, the misbehaving one behaves when asked to, and
//! the recording app records.

/// A client that is not the gateway.
pub mod direct;

/// The provider's majors with everything switched on.
mod majors;

/// Assertions, request objects and proofs, as the majors take them.
mod signed_messages;

/// The provider that knows OAuth 2.0 alone.
mod plain_oauth;

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::world::wire::Reader;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Rogue, Server, Shape, keys};

/// Trusted.ID's discovery document as its documentation shows it, with our issuer in place of its own.
fn documented(issuer: &str) -> Value {
    let methods =
        ["client_secret_basic", "client_secret_jwt", "client_secret_post", "private_key_jwt", "none"];
    json!({
        "authorization_endpoint": format!("{issuer}/api/oidc/auth"),
        "device_authorization_endpoint": format!("{issuer}/api/oidc/device/auth"),
        "claims_parameter_supported": false,
        "claims_supported": ["sub", "email", "email_public", "email_verified", "name", "nickname", "given_name",
            "family_name", "login", "profile", "birthdate", "password_updated_at", "password_change_required",
            "deleted", "picture", "custom_fields", "publicExternalAccounts", "phone_number",
            "phone_number_verified", "sid", "auth_time", "iss"],
        "code_challenge_methods_supported": ["S256"],
        "end_session_endpoint": format!("{issuer}/api/oidc/session/end"),
        "grant_types_supported": ["implicit", "authorization_code", "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/api/oidc/jwks"),
        "registration_endpoint": format!("{issuer}/api/oidc/reg"),
        "authorization_response_iss_parameter_supported": true,
        "response_modes_supported": ["form_post", "fragment", "query"],
        "response_types_supported": ["code token", "code id_token token", "code id_token", "code", "id_token", "none"],
        "scopes_supported": ["openid", "offline_access", "email", "profile", "accounts", "phone"],
        "subject_types_supported": ["public", "pairwise"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint": format!("{issuer}/api/oidc/token"),
        "userinfo_endpoint": format!("{issuer}/api/oidc/me"),
        "introspection_endpoint": format!("{issuer}/api/oidc/token/introspection"),
        "revocation_endpoint": format!("{issuer}/api/oidc/token/revocation"),
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "claim_types_supported": ["normal"],
    })
}

#[tokio::test]
async fn the_provider_publishes_trusted_ids_document_member_for_member_and_in_its_order() {
    let engine = Engine::trusted();
    let document = Browser::new().get(&format!("{}/.well-known/openid-configuration", engine.issuer)).await;
    assert_eq!(document.expect(200).json().to_string(), documented(&engine.issuer).to_string());
}

#[tokio::test]
async fn the_second_provider_looks_like_indeed_am() {
    let engine = Engine::indeed();
    assert!(engine.issuer.ends_with("/am/idp"));
    let document = Browser::new().get(&format!("{}/.well-known/openid-configuration", engine.issuer)).await;
    let document = document.expect(200).json();
    assert_eq!(document["issuer"], engine.issuer);
    assert_eq!(document["authorization_endpoint"], format!("{}/connect/authorize", engine.issuer));
    for claim in ["SamCompatibleName", "DistinguishedName", "Sid"] {
        assert!(document["claims_supported"].as_array().unwrap().contains(&json!(claim)), "{claim}");
    }
}

#[tokio::test]
async fn a_browser_signs_in_through_the_real_provider_by_its_own_forms() {
    let engine = Engine::own(Shape::Trusted, json!({}));
    let app = Server::start().await;
    let redirect_uri = format!("{}/cb", app.origin());
    engine.command(
        "client",
        json!({"client": {"client_id": "direct", "client_secret": "x", "redirect_uris": [redirect_uri]}}),
    );
    let url = Url::parse_with_params(
        &format!("{}/api/oidc/auth", engine.issuer),
        [
            ("client_id", "direct"),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", &redirect_uri),
        ],
    );
    Browser::new().sign_in(url.unwrap().as_str(), "ivanov").await.expect(200);
    assert!(app.last().param("code").is_some());
    assert_eq!(app.last().param("iss"), Some(engine.issuer.clone()));
    assert_eq!(engine.command("counts", json!({}))["/api/oidc/auth"], 1);
}

#[tokio::test]
async fn the_misbehaving_provider_is_right_until_it_is_told_otherwise() {
    let rogue = Rogue::start().await;
    let browser = Browser::new();
    let document = browser.get(&format!("{}/.well-known/openid-configuration", rogue.issuer())).await.json();
    assert_eq!(document["issuer"], rogue.issuer());
    let authorize = format!(
        "{}?redirect_uri=http://127.0.0.1:1/cb&state=s&nonce=n&code_challenge={}",
        document["authorization_endpoint"].as_str().unwrap(),
        keys::hash("verifier")
    );
    let code = browser.get(&authorize).await.expect(302).location_param("code").unwrap();
    let form = format!("code={code}&code_verifier=verifier&redirect_uri=http://127.0.0.1:1/cb");
    let ask = Ask::new("POST", document["token_endpoint"].as_str().unwrap())
        .body("application/x-www-form-urlencoded", &form);
    let tokens = browser.send(ask.clone()).await.expect(200).json();
    assert_eq!(tokens["id_token"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(browser.send(ask).await.expect(400).json()["error"], "invalid_grant");

    rogue.replace(Endpoint::Keys, Answer::of(500, "text/html", "<h1>oops"));
    browser.get(document["jwks_uri"].as_str().unwrap()).await.expect(500);
}

#[tokio::test]
async fn the_recording_app_keeps_the_bytes_that_reached_it() {
    let app = Server::start().await;
    let browser = Browser::new();
    let request = b"POST /a%20b?c HTTP/1.1\r\nhOsT: x\r\nX: \xd0\x98\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: t\r\n\r\n";
    browser.raw(&app.origin(), request).await.expect(200);
    let received = app.last();
    assert_eq!([received.head.raw.as_slice(), received.raw_body.as_slice()].concat(), request);
    assert_eq!(
        (received.method(), received.target(), received.body.as_slice()),
        ("POST", "/a%20b?c", &b"abc"[..])
    );
    assert_eq!(received.head.fields.bytes("x").unwrap(), "И".as_bytes());

    app.answer(|_| {
        Answer::chunked("text/event-stream", Duration::from_millis(1), &["data: 1\n\n", "data: 2\n\n"])
    });
    assert_eq!(browser.get(&app.origin()).await.text(), "data: 1\n\ndata: 2\n\n");
    app.answer(|_| Answer::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec()));
    assert!(browser.get(&app.origin()).await.cut_short);
}

#[tokio::test]
async fn a_reader_loses_nothing_between_messages() {
    let mut reader =
        Reader::new(&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\n\r\nrest"[..]);
    let head = reader.head().await.unwrap();
    let (body, _) = reader.body(&head, crate::world::wire::BodyEnds::WithConnection).await;
    assert_eq!(body, b"ok");
    assert_eq!(reader.head().await.unwrap().start, "GET / HTTP/1.1");
    assert_eq!(reader.rest().await, b"rest");
}
