//! Trusted.ID, member by member: whatever its discovery document announces is used by a test here, or it is said
//! why not.
//!
//! The provider is the software that Trusted.ID's document is the document of (`Engine::trusted`). Tests take what
//! they try from the document itself, so that a value that comes to it is tried, or fails the first test.

/// What the document announces, and who shows it.
mod members;

use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use self::members::{SHOWN, Shown};
use crate::device;
use crate::world::browser::Response;
use crate::world::{Ask, Browser, Engine, Gateway, Server, Shape, World};

#[tokio::test]
async fn nothing_that_the_document_announces_is_left_untried() {
    let document = document().await;
    let mut announced = Vec::new();
    for (member, value) in document.as_object().unwrap() {
        match value {
            Value::Array(values) => {
                announced.extend(values.iter().map(|value| (member.as_str(), value.as_str().unwrap())));
            }
            _ => announced.push((member.as_str(), "")),
        }
    }
    let named: Vec<(&str, &str)> =
        SHOWN.iter().flat_map(|(member, values, _)| values.iter().map(|value| (*member, *value))).collect();
    for one in &announced {
        assert_eq!(named.iter().filter(|named| *named == one).count(), 1, "{one:?}");
    }
    for one in &named {
        assert!(announced.contains(one), "{one:?} is no longer announced");
    }
    let source = include_str!("trusted_id.rs");
    for (member, _, shown) in SHOWN {
        match shown {
            // Right below its attribute, so that none between them keeps it from running.
            Shown::By(test) => {
                let found = source.contains(&format!("\n\n#[tokio::test]\nasync fn {test}() {{\n"));
                assert!(found, "{member}: there is no test {test}");
            }
            Shown::Not(reason) => assert!(reason.split(' ').count() > 5, "{member}: {reason}"),
        }
    }
}

async fn document() -> Value {
    let url = format!("{}/.well-known/openid-configuration", Engine::trusted().issuer);
    Browser::new().get(&url).await.expect(200).json()
}

/// The values of one member of the document.
async fn announced(member: &str) -> Vec<String> {
    let values = document().await[member].as_array().unwrap().clone();
    assert!(!values.is_empty(), "{member}");
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// A secret that is long enough for a keyed hash.
const SECRET: &str = "p+ss word: 100%&=/?~ and so on, of 32 and more";
const KEY: &str = "private_key = { file = \"client.key\" }\n";
/// The app gets the access token.
const TOKEN: &str = "[apps.lms.headers]\nX-Auth-Sub = \"sub\"\nX-Auth-Email = \"email\"\nAuthorization = { token = \"access\" }\n";

/// A gateway whose application at the provider has this metadata and, where it can have them, our secret and our
/// public key; `lines` are of the provider's table, `more` follows the app's.
async fn gateway_at(engine: &Engine, mut metadata: Value, lines: &str, more: &str) -> (Gateway, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let pem = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    std::fs::write(world.dir.path().join("client.key"), pem).unwrap();
    metadata["jwks_uri"] = json!(format!("{}/_sso/client-jwks.json", world.origin()));
    if !matches!(metadata["token_endpoint_auth_method"].as_str(), Some("none" | "private_key_jwt")) {
        metadata["client_secret"] = json!(SECRET);
    }
    let config = engine.client(&world, "trusted", metadata, lines) + &world.app("lms", &app) + more;
    (world.start(&config).await.ready().await, app)
}

async fn gateway(metadata: Value, lines: &str, more: &str) -> (Gateway, Server) {
    gateway_at(&Engine::trusted(), metadata, lines, more).await
}

async fn signs_in(gateway: &Gateway, app: &Server) -> Browser {
    let browser = Browser::new();
    let page = browser.sign_in(&gateway.url("/a?b=c"), "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    assert_eq!(page.url.as_str(), gateway.url("/a?b=c"));
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
    browser
}

/// Signs in up to the address at which the provider's answer comes.
async fn answer(browser: &Browser, gateway: &Gateway) -> Response {
    let page = browser.visit(&gateway.url("/")).await;
    let form = page.form("login").fill("login", "ivanov").fill("password", "пароль");
    let mut at = browser.submit_once(&page, form).await;
    while !at.location().as_str().starts_with(&gateway.url("/")) {
        at = browser.get(at.location().as_str()).await;
    }
    at
}

/// What userinfo answers to who brings this token.
async fn userinfo(engine: &Engine, bearer: &str) -> Response {
    let ask = Ask::new("GET", &format!("{}/api/oidc/me", engine.issuer)).header("Authorization", bearer);
    Browser::new().send(ask).await
}

#[tokio::test]
async fn the_endpoints_of_the_document_are_asked() {
    let engine = Engine::own(Shape::Trusted, json!({}));
    let (gateway, app) = gateway_at(&engine, json!({}), "", "").await;
    signs_in(&gateway, &app).await;
    for member in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        let endpoint = document().await[member].as_str().unwrap().to_owned();
        let path = &endpoint[Engine::trusted().issuer.len()..];
        assert!(engine.count(path) > 0, "{member}");
    }
}

#[tokio::test]
async fn codes_are_redeemed_by_every_method() {
    for method in announced("token_endpoint_auth_methods_supported").await {
        let client = json!({"token_endpoint_auth_method": method});
        let lines = format!("client_auth = {method:?}\n{KEY}");
        let (gateway, app) = gateway(client, &lines, "").await;
        signs_in(&gateway, &app).await;
    }
}

#[tokio::test]
async fn tokens_are_revoked_by_every_method() {
    let engine = Engine::trusted();
    for method in announced("revocation_endpoint_auth_methods_supported").await {
        let client = json!({"revocation_endpoint_auth_method": method});
        let lines = format!("client_auth = \"client_secret_basic\"\nrevocation_auth = {method:?}\n{KEY}");
        let (gateway, app) = gateway(client, &lines, TOKEN).await;
        let browser = signs_in(&gateway, &app).await;
        let bearer = app.last().header("authorization").unwrap();
        userinfo(&engine, &bearer).await.expect(200);
        // Not followed: what ends the token is the revocation, not the end of the session there.
        let leave = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
        browser.send(leave).await.expect(302);
        let waited = Instant::now();
        while userinfo(&engine, &bearer).await.status != 401 {
            assert!(waited.elapsed() < Duration::from_secs(20), "{method}:\n{}", gateway.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn tokens_of_api_clients_are_asked_about_by_every_method() {
    let rule = format!("{TOKEN}[[apps.lms.rules]]\npaths = [\"/api/*\"]\naccess = \"bearer\"\n");
    for method in announced("introspection_endpoint_auth_methods_supported").await {
        let client = json!({"introspection_endpoint_auth_method": method});
        let lines = format!("client_auth = \"client_secret_basic\"\nintrospection_auth = {method:?}\n{KEY}");
        let (gateway, app) = gateway(client, &lines, &rule).await;
        signs_in(&gateway, &app).await;
        let bearer = app.last().header("authorization").unwrap();
        let person = app.last().header("x-auth-sub").unwrap();
        let call = |bearer: &str| Ask::new("GET", &gateway.url("/api/x")).header("Authorization", bearer);
        app.forget();
        Browser::new().send(call(&format!("{bearer}x"))).await.expect(401);
        assert!(app.received().is_empty(), "{method}");
        let answer = Browser::new().send(call(&bearer)).await;
        assert_eq!(answer.status, 200, "{method}: {answer:?}\n{}", gateway.log());
        assert_eq!(app.last().header("x-auth-sub"), Some(person), "{method}");
    }
}

#[tokio::test]
async fn an_application_registers_from_the_command_line() {
    let (world, app) = (World::new(), Server::start().await);
    let endpoint = document().await["registration_endpoint"].as_str().unwrap().to_owned();
    assert!(endpoint.starts_with(&Engine::trusted().issuer), "{endpoint}");
    let rest = format!("issuer = {:?}\n{}", Engine::trusted().issuer, world.app("lms", &app));
    world.write_config(&format!("[providers.trusted]\n{rest}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(["register", "--provider", "trusted", "--secret-file", "trusted.secret", "--config"]);
    let output = command.arg(world.config_path()).current_dir(world.dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let gateway = world.start(&format!("{lines}{rest}")).await;
    signs_in(&gateway, &app).await;
}

#[tokio::test]
async fn a_sign_out_ends_the_session_there_too() {
    let (gateway, app) = gateway(json!({}), "", "").await;
    let browser = signs_in(&gateway, &app).await;
    let asked = browser.visit(&gateway.url("/_sso/sign-out")).await.expect(200);
    let end = browser.submit(&asked, asked.form("op.logoutForm").fill("logout", "yes")).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    browser.visit(&gateway.url("/")).await.form("login");
}

#[tokio::test]
async fn offline_access_keeps_a_person_signed_in_by_refreshes() {
    let engine = Engine::own(Shape::Trusted, json!({"ttl": {"AccessToken": 3}}));
    let scopes = "scopes = [\"openid\", \"email\", \"offline_access\"]\n";
    let (gateway, app) = gateway_at(&engine, json!({}), scopes, TOKEN).await;
    let browser = Browser::new();
    let consent = browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    browser.submit(&consent, consent.form("consent")).await.expect(200);
    let before = app.last().header("authorization").unwrap();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    browser.get(&gateway.url("/x")).await.expect(200);
    assert_ne!(app.last().header("authorization").unwrap(), before);
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
    assert_eq!((engine.count("authorization_code"), engine.count("refresh_token")), (1, 1));
}

#[tokio::test]
async fn a_screen_without_a_keyboard_signs_in_by_a_code() {
    let grants = announced("grant_types_supported").await;
    assert!(grants.contains(&device::GRANTS[2].to_owned()), "{grants:?}");
    let (gateway, app) = gateway(json!({"grant_types": device::GRANTS}), "", "").await;
    device::a_phone_lets_a_screen_in(&gateway, &app).await;
}

#[tokio::test]
async fn an_answer_comes_in_the_address_or_in_a_form() {
    for mode in ["query", "form_post"] {
        assert!(announced("response_modes_supported").await.contains(&mode.to_owned()));
        let (gateway, app) = gateway(json!({}), &format!("response_mode = {mode:?}\n"), "").await;
        let browser = Browser::new();
        let begun = browser.get(&gateway.url("/a")).await.expect(302);
        assert_eq!(begun.location_param("response_type").as_deref(), Some("code"));
        let page = browser.log_in(&browser.follow(begun).await, "ivanov").await.expect(200);
        let page = if mode == "query" {
            page
        } else {
            assert_eq!(page.form("").action, gateway.url("/_sso/callback"));
            assert!(app.received().is_empty());
            browser.submit(&page, page.form("")).await.expect(200)
        };
        assert_eq!(page.url.as_str(), gateway.url("/a"), "{mode}");
        assert!(app.last().header("x-auth-sub").is_some(), "{mode}");
    }
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_the_verifier() {
    let (gateway, app) = gateway(json!({}), "", "").await;
    let begun = Browser::new().get(&gateway.url("/")).await.expect(302);
    assert_eq!(begun.location_param("code_challenge_method").as_deref(), Some("S256"));
    let (one, other) = (Browser::new(), Browser::new());
    let (stolen, own) = (answer(&one, &gateway).await, answer(&other, &gateway).await);
    // The code of one login in the answer of another, which has another verifier.
    let code = |answer: &Response| answer.location_param("code").unwrap();
    let mixed = own.location().as_str().replace(&code(&own), &code(&stolen));
    other.get(&mixed).await.expect(400);
    gateway.logs("invalid_grant").await;
    assert!(app.received().is_empty());
    signs_in(&gateway, &app).await;
}

#[tokio::test]
async fn id_tokens_are_signed_with_rs256_and_no_other_way() {
    assert_eq!(announced("id_token_signing_alg_values_supported").await, ["RS256"]);
    let client = json!({"id_token_signed_response_alg": "RS256"});
    let (gateway, app) = gateway(client.clone(), "id_token_algs = [\"RS256\"]\n", "").await;
    signs_in(&gateway, &app).await;
    let (strict, app) = self::gateway(client, "id_token_algs = [\"ES256\"]\n", "").await;
    Browser::new().sign_in(&strict.url("/"), "ivanov").await.expect(502);
    strict.logs("id_token_algorithm").await;
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn the_answer_names_its_issuer_and_one_that_does_not_is_refused() {
    let (gateway, app) = gateway(json!({}), "", "").await;
    let issuer = Engine::trusted().issuer;
    for other in [None, Some("https://id.example.org"), Some(issuer.as_str())] {
        let browser = Browser::new();
        let mut url = answer(&browser, &gateway).await.location();
        let params: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        assert!(params.contains(&("iss".into(), issuer.clone())), "{params:?}");
        let kept = params.into_iter().filter(|(name, _)| name != "iss");
        let named = other.map(|other| ("iss".to_owned(), other.to_owned()));
        url.query_pairs_mut().clear().extend_pairs(kept.chain(named));
        let is_own = other == Some(issuer.as_str());
        browser.visit(url.as_str()).await.expect(if is_own { 200 } else { 400 });
        assert_eq!(app.received().is_empty(), !is_own);
    }
}

#[tokio::test]
async fn what_it_does_not_take_is_not_sent_and_harms_nobody_when_it_is() {
    assert_eq!(document().await["claims_parameter_supported"], false);
    let (gateway, app) = gateway(json!({}), "", "").await;
    let begun = Browser::new().get(&gateway.url("/")).await.expect(302);
    let mut sent: Vec<String> = begun.location().query_pairs().map(|(name, _)| name.into_owned()).collect();
    sent.sort();
    let usual = "client_id code_challenge code_challenge_method nonce redirect_uri response_type scope state";
    assert_eq!(sent.join(" "), usual);
    signs_in(&gateway, &app).await;
    let claims = "claims = '{\"id_token\": {\"phone_number\": {\"essential\": true}}}'\n";
    let headers = "[apps.lms.headers]\nX-Auth-Email = \"email\"\nX-Phone = \"phone_number\"\n";
    let lines = format!("{claims}scopes = [\"openid\", \"email\"]\n");
    let (gateway, app) = self::gateway(json!({}), &lines, headers).await;
    signs_in(&gateway, &app).await;
    assert_eq!(app.last().header("x-phone"), None, "only a scope brings it");
}

/// A person who has each of the claims; none is null.
fn orlova() -> Value {
    json!({
        "login": "orlova", "sub": "5f6d1c0e9b1e8a0017a1b099", "name": "Орлова Ёлка", "nickname": "Ёлка",
        "given_name": "Ёлка", "family_name": "Орлова", "email": "orlova@school.example", "email_public": true,
        "email_verified": false, "phone_number": "+79005550199", "phone_number_verified": true,
        "profile": "https://id.school.example/profile/orlova", "birthdate": "1999-12-31",
        "picture": "https://id.school.example/avatar/orlova.png",
        "password_updated_at": "2026-02-03T04:05:06.000Z", "password_change_required": true,
        "deleted": "2026-05-06T07:08:09.000Z",
        "custom_fields": {"snils": "112-233-445 95", "должность": "Учитель, 1-я категория", "class": [10, "А"]},
        "publicExternalAccounts": [{"type": "vk", "sub": 7, "label": "Ёлка «О»"}],
    })
}

#[tokio::test]
async fn every_claim_arrives_in_a_header() {
    let engine = Engine::trusted();
    engine.command("person", json!({"person": orlova()}));
    let claims = announced("claims_supported").await;
    let headers: String = (0..).zip(&claims).fold("[apps.lms.headers]\n".into(), |table, (number, claim)| {
        format!("{table}X-Claim-{number} = {{ claim = {claim:?}, encode = \"json\" }}\n")
    });
    // The application's settings: the time of the sign-in, and being told of logouts, which takes a `sid`.
    let client = json!({
        "require_auth_time": true, "subject_type": "public", "backchannel_logout_session_required": true,
        "backchannel_logout_uri": "http://127.0.0.1:9/",
    });
    let (gateway, app) = gateway(client, "", &headers).await;
    Browser::new().sign_in(&gateway.url("/"), "orlova").await.expect(200);
    let (request, person) = (app.last(), orlova());
    for (number, claim) in (0..).zip(&claims) {
        let sent = request.header(&format!("x-claim-{number}")).unwrap_or_else(|| panic!("no {claim}"));
        let sent: Value = serde_json::from_str(&sent).unwrap();
        match claim.as_str() {
            "iss" => assert_eq!(sent, engine.issuer),
            "sid" => assert!(sent.as_str().is_some_and(|sid| !sid.is_empty()), "{sent}"),
            "auth_time" => assert!(sent.as_u64().is_some_and(|time| time > 1_700_000_000), "{sent}"),
            _ => assert_eq!(sent, person[claim], "{claim}"),
        }
    }
}

#[tokio::test]
async fn every_scope_brings_its_claims_and_no_others() {
    let headers = "[apps.lms.headers]\nX-Openid = \"sub\"\nX-Email = \"email\"\nX-Phone = \"phone_number\"\n\
        X-Profile = { claim = \"custom_fields\", encode = \"json\" }\n\
        X-Accounts = { claim = \"publicExternalAccounts\", encode = \"json\" }\n";
    // What `offline_access` brings is no claim.
    let scopes: Vec<_> =
        announced("scopes_supported").await.into_iter().filter(|scope| scope != "offline_access").collect();
    for scope in &scopes {
        let mut asked = vec!["openid", scope.as_str()];
        asked.dedup();
        let (gateway, app) = gateway(json!({}), &format!("scopes = {asked:?}\n"), headers).await;
        Browser::new().sign_in(&gateway.url("/"), "ivanov").await.expect(200);
        for other in &scopes {
            let came = app.last().header(&format!("x-{other}")).is_some();
            assert_eq!(came, asked.contains(&other.as_str()), "{other} with {asked:?}");
        }
    }
}

#[tokio::test]
async fn a_person_may_have_another_subject_for_each_application() {
    let subject = async |kind: &str| {
        let (gateway, app) = gateway(json!({"subject_type": kind}), "", "").await;
        signs_in(&gateway, &app).await;
        app.last().header("x-auth-sub").unwrap()
    };
    assert_eq!(subject("public").await, subject("public").await);
    let (one, other) = (subject("pairwise").await, subject("pairwise").await);
    assert!(one != other && one != subject("public").await, "{one} {other}");
}

#[tokio::test]
async fn an_application_that_demands_signed_requests_gets_them_by_value_and_by_reference() {
    for request in ["jar", "request_uri"] {
        let client = json!({"require_signed_request_object": true});
        let lines = format!("client_auth = \"client_secret_basic\"\nrequest = {request:?}\n{KEY}");
        let (gateway, app) = gateway(client.clone(), &lines, "").await;
        let begun = Browser::new().get(&gateway.url("/")).await.expect(302);
        let name = if request == "jar" { "request" } else { "request_uri" };
        assert!(begun.location_param(name).is_some() && begun.location_param("state").is_none());
        signs_in(&gateway, &app).await;
    }
    let (plain, app) = gateway(json!({"require_signed_request_object": true}), "", "").await;
    let refused = Browser::new().visit(&plain.url("/")).await;
    assert!(refused.status >= 400 && app.received().is_empty(), "it was not demanded: {refused:?}");
}
