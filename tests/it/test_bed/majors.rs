//! The provider's majors 7, 8 and 9 do what later tests rely on: each feature shows in the discovery document,
//! and works for a client that is not the gateway.

use serde_json::{Value, json};
use url::Url;

use super::direct::{Direct, claims, majors};
use crate::world::authority::Authority;
use crate::world::{Ask, Browser, Engine, Server, Shape, World, keys};

async fn discovery(engine: &Engine, browser: &Browser) -> Value {
    browser.get(&format!("{}/.well-known/openid-configuration", engine.issuer)).await.expect(200).json()
}

fn has(document: &Value, member: &str, value: &str) -> bool {
    document[member].as_array().is_some_and(|all| all.iter().any(|one| one == value))
}

#[tokio::test]
async fn each_major_publishes_what_a_client_may_choose() {
    for (major, engine) in majors() {
        let document = discovery(&engine, &Browser::new()).await;
        for endpoint in
            ["pushed_authorization_request", "device_authorization", "introspection", "revocation"]
        {
            assert!(
                document[format!("{endpoint}_endpoint")].is_string(),
                "{major}: {endpoint}: {document:#}"
            );
        }
        for (member, value) in [
            ("acr_values_supported", "gold"),
            ("response_modes_supported", "query.jwt"),
            ("response_modes_supported", "form_post.jwt"),
            ("response_modes_supported", "jwt"),
            ("response_modes_supported", "form_post"),
            ("request_object_signing_alg_values_supported", "ES256"),
            ("authorization_signing_alg_values_supported", "PS256"),
            ("dpop_signing_alg_values_supported", "ES256"),
            ("id_token_signing_alg_values_supported", "ES384"),
            ("id_token_encryption_alg_values_supported", "RSA-OAEP-256"),
            ("id_token_encryption_alg_values_supported", "ECDH-ES"),
            ("id_token_encryption_enc_values_supported", "A256GCM"),
            ("userinfo_encryption_alg_values_supported", "ECDH-ES"),
            ("userinfo_signing_alg_values_supported", "RS512"),
            ("token_endpoint_auth_methods_supported", "private_key_jwt"),
            ("token_endpoint_auth_methods_supported", "client_secret_jwt"),
            ("grant_types_supported", "urn:ietf:params:oauth:grant-type:device_code"),
            ("grant_types_supported", "client_credentials"),
        ] {
            assert!(has(&document, member, value), "{major}: {member} lacks {value}: {document:#}");
        }
        for flag in ["backchannel_logout_supported", "claims_parameter_supported"] {
            assert_eq!(document[flag], true, "{major}: {flag}");
        }
        assert_eq!(document["request_uri_parameter_supported"] == true, major < 9, "{document:#}");
        assert_eq!(document["introspection_endpoint_auth_methods_supported"].is_array(), major == 7);
    }
}

#[tokio::test]
async fn a_provider_of_ones_own_demands_what_its_options_say() {
    for shape in [Shape::V8, Shape::V9] {
        let options = json!({"par": "required", "jar": "required", "dpop": "nonce", "trailing_slash": false});
        let engine = Engine::own(shape, options);
        let document = discovery(&engine, &Browser::new()).await;
        assert_eq!(document["require_pushed_authorization_requests"], true, "{document:#}");
        assert_eq!(document["require_signed_request_object"], true, "{document:#}");
        let direct = Direct::with(&engine, json!({})).await;
        let refused = direct.browser.get(&direct.authorize(&[])).await;
        assert!(refused.location_param("error").is_some() || refused.status == 400, "{refused:?}");
    }
}

#[tokio::test]
async fn tokens_are_short_lived_rotated_counted_and_withdrawn() {
    for shape in [Shape::V7, Shape::V8, Shape::V9] {
        let engine = Engine::own(
            shape,
            json!({"ttl": {"AccessToken": 5}, "refresh_token": "always", "claims": "id_token"}),
        );
        let direct = Direct::with(&engine, json!({})).await;
        let first = direct.sign_in(&[]).await;
        assert_eq!(first["expires_in"], 5, "{shape:?}");
        assert_eq!(claims(first["id_token"].as_str().unwrap())["email"], "ivanov@school.example");
        let old = first["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", old)];

        engine.command("trouble", json!({"path": "/token", "status": 503, "times": 1}));
        direct.post("/token", &form).await.expect(503);
        let second = direct.post("/token", &form).await.expect(200).json();
        assert_ne!(first["refresh_token"], second["refresh_token"], "{shape:?}");
        assert_eq!((engine.count("refresh_token"), engine.count("/token")), (1, 3));
        direct.post("/token", &form).await.expect(400);
        assert_eq!(engine.count("refresh_token refused"), 1);

        let third = direct.sign_in(&[("prompt", "login")]).await;
        engine.command("revoke", json!({"login": "ivanov"}));
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", third["refresh_token"].as_str().unwrap())];
        assert_eq!(direct.post("/token", &form).await.expect(400).json()["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn requests_are_pushed_and_responses_signed() {
    for (major, engine) in majors() {
        let direct = Direct::with(&engine, json!({"require_pushed_authorization_requests": true})).await;
        let refused = direct.browser.get(&direct.authorize(&[])).await;
        assert!(refused.location_param("error").is_some() || refused.status == 400, "{major}: {refused:?}");
        let params = direct.params(&[("response_mode", "query.jwt")]);
        let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let pushed = direct.post("/request", &params).await.expect(201).json();
        let uri = pushed["request_uri"].as_str().unwrap();
        let url = Url::parse_with_params(
            &format!("{}/auth", engine.issuer),
            [("client_id", direct.id.as_str()), ("request_uri", uri)],
        );
        direct.browser.sign_in(url.unwrap().as_str(), "ivanov").await.expect(200);
        let response = direct.app.last().param("response").unwrap();
        assert_eq!(claims(&response)["iss"], engine.issuer, "{major}");
        assert!(claims(&response)["code"].is_string(), "{major}");
    }
}

#[tokio::test]
async fn id_tokens_are_encrypted_and_userinfo_is_signed_for_who_wants_it() {
    for (major, engine) in majors() {
        for algorithm in ["RSA-OAEP-256", "ECDH-ES"] {
            let key = match algorithm {
                "ECDH-ES" => keys::SigningKey::new("enc", "ES256").jwk(),
                _ => keys::SigningKey::new("enc", "RS256").jwk(),
            };
            let mut key = key.as_object().unwrap().clone();
            key.extend([("use".to_owned(), json!("enc")), ("alg".to_owned(), json!(algorithm))]);
            let mut metadata = json!({
                "jwks": {"keys": [key]}, "userinfo_signed_response_alg": "ES256",
                "id_token_encrypted_response_alg": algorithm, "id_token_encrypted_response_enc": "A256GCM",
            });
            if algorithm == "ECDH-ES" {
                metadata["userinfo_encrypted_response_alg"] = json!(algorithm);
                metadata["userinfo_encrypted_response_enc"] = json!("A256GCM");
            }
            let direct = Direct::with(&engine, metadata).await;
            let tokens = direct.sign_in(&[]).await;
            assert_eq!(tokens["id_token"].as_str().unwrap().split('.').count(), 5, "{major} {algorithm}");
            let ask = Ask::new("GET", &format!("{}/me", engine.issuer))
                .header("Authorization", format!("Bearer {}", tokens["access_token"].as_str().unwrap()));
            let userinfo = direct.browser.send(ask).await.expect(200);
            assert!(userinfo.header("content-type").unwrap().starts_with("application/jwt"));
            match algorithm {
                "ECDH-ES" => assert_eq!(userinfo.text().split('.').count(), 5, "{major}"),
                _ => assert_eq!(claims(&userinfo.text())["email"], "ivanov@school.example"),
            }
        }
    }
}

#[tokio::test]
async fn access_tokens_for_a_resource_are_jwts_or_opaque_and_can_be_asked_about() {
    for (major, engine) in majors() {
        let direct = Direct::with(&engine, json!({})).await;
        for (resource, parts) in [("https://api.school.example", 3), ("https://opaque.school.example", 1)] {
            let form = [("grant_type", "client_credentials"), ("resource", resource), ("scope", "read")];
            let tokens = direct.post("/token", &form).await.expect(200).json();
            let token = tokens["access_token"].as_str().unwrap();
            assert_eq!(token.split('.').count(), parts, "{major} {resource}");
            if parts == 3 {
                assert_eq!(claims(token)["aud"], resource);
            } else {
                let about = direct.post("/token/introspection", &[("token", token)]).await.expect(200).json();
                assert_eq!((&about["active"], &about["scope"]), (&json!(true), &json!("read")), "{major}");
                direct.post("/token/revocation", &[("token", token)]).await.expect(200);
                let about = direct.post("/token/introspection", &[("token", token)]).await.json();
                assert_eq!(about["active"], false, "{major}");
            }
        }
    }
}

#[tokio::test]
async fn a_stronger_sign_in_is_asked_for_and_a_weaker_one_can_be_given() {
    for (major, engine) in majors() {
        let direct = Direct::with(&engine, json!({})).await;
        let weak = direct.sign_in(&[("acr_values", "bronze")]).await;
        assert_eq!(claims(weak["id_token"].as_str().unwrap())["acr"], "bronze", "{major}");
        let strong = direct.sign_in(&[("acr_values", "gold")]).await;
        assert_eq!(claims(strong["id_token"].as_str().unwrap())["acr"], "gold", "{major}");
        let page = direct.browser.visit(&direct.authorize(&[("acr_values", "silver")])).await.expect(200);
        let form = page.form("login").fill("login", "ivanov").fill("password", "x").fill("acr", "bronze");
        direct.browser.submit(&page, form).await.expect(200);
        let tokens = direct.tokens(&[]).await;
        assert_eq!(claims(tokens["id_token"].as_str().unwrap())["acr"], "bronze", "{major}");
    }
}

#[tokio::test]
async fn a_device_signs_in_by_a_code_that_a_person_confirms() {
    for (major, engine) in majors() {
        let direct = Direct::with(&engine, json!({})).await;
        let device = direct.post("/device/auth", &[("scope", "openid")]).await.expect(200).json();
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device["device_code"].as_str().unwrap()),
        ];
        let early = direct.post("/token", &form).await.expect(400).json();
        assert_eq!(early["error"], "authorization_pending", "{major}");
        let page = direct.browser.visit(device["verification_uri"].as_str().unwrap()).await.expect(200);
        let form_ = page.form("op.deviceInputForm").fill("user_code", device["user_code"].as_str().unwrap());
        let page = direct.browser.submit(&page, form_).await.expect(200);
        let page = direct.browser.submit(&page, page.form("op.deviceConfirmForm")).await.expect(200);
        let page = direct.browser.log_in(&page, "petrova").await.expect(200);
        assert!(page.text().contains("Готово"), "{major}: {page:?}");
        let tokens = direct.post("/token", &form).await.expect(200).json();
        assert!(tokens["id_token"].is_string(), "{major}: {tokens}");
    }
}

#[tokio::test]
async fn a_client_registers_itself_with_the_initial_access_token() {
    for (major, engine) in majors() {
        let metadata = json!({"redirect_uris": ["https://lms.school.example/_sso/callback"]}).to_string();
        let ask = Ask::new("POST", &format!("{}/reg", engine.issuer)).body("application/json", metadata);
        let wrong = ask.clone().header("Authorization", "Bearer something-else");
        Browser::new().send(wrong).await.expect(401);
        let ask = ask.header("Authorization", "Bearer initial-access-token");
        let client = Browser::new().send(ask).await.expect(201).json();
        assert!(client["registration_client_uri"].is_string(), "{major}: {client}");
    }
}

#[tokio::test]
async fn a_sign_out_at_the_provider_is_told_to_the_app_behind_its_back() {
    for (major, engine) in majors() {
        let told = Server::start().await;
        let direct = Direct::with(
            &engine,
            json!({"backchannel_logout_uri": told.origin(), "backchannel_logout_session_required": true}),
        )
        .await;
        let tokens = direct.sign_in(&[]).await;
        let sid = claims(tokens["id_token"].as_str().unwrap())["sid"].clone();
        let page = direct.browser.visit(&format!("{}/session/end", engine.issuer)).await.expect(200);
        direct.browser.submit(&page, page.form("op.logoutForm").fill("logout", "yes")).await.expect(200);
        let token = told.last().param("logout_token").unwrap();
        assert_eq!(claims(&token)["sid"], sid, "{major}");
    }
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate() {
    for shape in [Shape::V7, Shape::V8, Shape::V9] {
        let authority = Authority::new();
        let engine = Engine::own(shape, json!({"tls": authority.provider()}));
        let metadata = json!({
            "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=lms",
            "client_secret": null, "tls_client_certificate_bound_access_tokens": true,
        });
        let mut direct = Direct::with(&engine, metadata).await;
        for (client, status) in [("lms", 200), ("other", 401)] {
            let shown = authority.client(client);
            direct.browser = Browser::new().trusting(authority.trusted(Some(&shown)));
            let document = discovery(&engine, &direct.browser).await;
            assert!(has(&document, "token_endpoint_auth_methods_supported", "tls_client_auth"));
            let form = format!("grant_type=client_credentials&client_id={}", direct.id);
            let ask = Ask::new("POST", document["token_endpoint"].as_str().unwrap())
                .body("application/x-www-form-urlencoded", form);
            direct.browser.send(ask).await.expect(status);
        }
    }
}

#[tokio::test]
async fn the_gateway_signs_people_in_with_each_major() {
    for (major, engine) in majors() {
        let (world, app) = (World::new(), Server::start().await);
        let table = engine.client(&world, "school", json!({"id_token_signed_response_alg": "ES256"}), "");
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        let page = Browser::new().sign_in(&gateway.url("/"), "ivanov").await;
        assert_eq!(page.status, 200, "{major}: {page:?}");
    }
}

#[tokio::test]
async fn the_gateway_signs_people_in_with_a_provider_that_speaks_tls() {
    let (authority, world, app) = (Authority::new(), World::new(), Server::start().await);
    let engine = Engine::own(Shape::V9, json!({"tls": authority.provider()}));
    let table = engine.client(&world, "school", json!({}), "ca = \"provider-ca.pem\"");
    std::fs::write(world.dir.path().join("provider-ca.pem"), authority.pem()).unwrap();
    let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
    let browser = Browser::new().trusting(authority.trusted(None));
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
}
