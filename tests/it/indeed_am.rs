//! Indeed AM as its documentation has it: an application with every permission of the list, PKCE required, sign-out
//! addresses compared letter by letter, and attributes of the directory that are in the ID token alone.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Ask, Browser, Engine, Gateway, Server, Shape, World};

/// What the permissions `gt:*`, `rst:*` and `scp:*` let an application do; `ept:*` are the endpoints themselves.
fn permissions() -> Value {
    json!({
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "scope": "email profile openid offline_access",
    })
}

/// The attributes under `CustomAttributes` that no scope of OpenID Connect knows.
const CUSTOM: [(&str, &str); 6] = [
    ("SamCompatibleName", "SCHOOL\\petrova"),
    ("PrincipalName", "petrova@school.example"),
    ("DistinguishedName", "CN=Петрова Мария Алексеевна,OU=Учителя,OU=Школа № 7,DC=school,DC=example"),
    ("CanonicalName", "school.example/Школа № 7/Учителя/Петрова Мария Алексеевна"),
    ("Sid", "S-1-5-21-3623811015-3361044348-30300820-1014"),
    ("ObjectGUID", "6f1a2b3c-4d5e-4f60-8a9b-000000001014"),
];

/// Each of them as it is and percent-encoded, and two of the standard ones.
fn headers() -> String {
    let mut table = "[apps.lms.headers]\nX-Name = \"name\"\nX-Middle-Name = \"middle_name\"\n\
        Authorization = { token = \"access\" }\n"
        .to_owned();
    for (name, _) in CUSTOM {
        table += &format!("X-{name} = {name:?}\nX-{name}-P = {{ claim = {name:?}, encode = \"percent\" }}\n");
    }
    table
}

/// A gateway whose application has these permissions; `lines` are of the provider's table.
async fn gateway_at(engine: &Engine, permissions: Value, lines: &str) -> (Gateway, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let table = engine.client(&world, "indeed", permissions, lines);
    (world.clone().start(&(table + &world.app("lms", &app) + &headers())).await.ready().await, app)
}

async fn gateway(permissions: Value, lines: &str) -> (Gateway, Server) {
    gateway_at(&Engine::indeed(), permissions, lines).await
}

fn percent(text: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = text
        .bytes()
        .map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    each.collect()
}

/// The app got the attributes of Петрова, letter by letter.
fn has_attributes(app: &Server) {
    let request = app.last();
    for (name, value) in CUSTOM {
        assert_eq!(request.header(&format!("x-{name}")).as_deref(), Some(value));
        assert_eq!(request.header(&format!("x-{name}-p")), Some(percent(value)), "{name}");
    }
    assert_eq!(request.header("x-middle-name").as_deref(), Some("Алексеевна"));
}

#[tokio::test]
async fn attributes_of_the_directory_arrive_intact_though_userinfo_has_none_of_them() {
    let (gateway, app) = gateway(permissions(), "").await;
    Browser::new().sign_in(&gateway.url("/"), "petrova").await.expect(200);
    has_attributes(&app);
    let request = app.last();
    for (header, value) in [("x-sid", CUSTOM[4].1), ("x-distinguishedname", CUSTOM[2].1)] {
        assert_eq!(request.head.fields.bytes(header).unwrap(), value.as_bytes(), "{header}");
    }
    let url = format!("{}/connect/me", Engine::indeed().issuer);
    let ask = Ask::new("GET", &url).header("Authorization", request.header("authorization").unwrap());
    let userinfo = Browser::new().send(ask).await.expect(200).json();
    assert_eq!(userinfo["middle_name"], "Алексеевна");
    for (name, _) in CUSTOM {
        assert!(userinfo[name].is_null(), "{name} in {userinfo}");
    }
}

#[tokio::test]
async fn what_explain_says_of_the_attributes_is_what_the_app_gets() {
    let (gateway, app) = gateway(permissions(), "").await;
    Browser::new().sign_in(&gateway.url("/"), "petrova").await.expect(200);
    let mut claims: Value = CUSTOM.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    claims["sub"] = json!("5f6d1c0e9b1e8a0017a1b002");
    claims["name"] = json!("Петрова Мария Алексеевна");
    claims["middle_name"] = json!("Алексеевна");
    let file = gateway.world.dir.path().join("petrova.json");
    std::fs::write(&file, claims.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(["explain", "--json", "--url", &gateway.url("/"), "--config"]).arg(gateway.config_path());
    let told: Value =
        serde_json::from_slice(&command.arg("--claims").arg(&file).output().unwrap().stdout).unwrap();
    let headers = told["headers"].as_array().unwrap();
    assert!(headers.len() >= 2 * CUSTOM.len() + 2, "{told}");
    for header in headers.iter().filter(|header| header["name"] != "authorization") {
        let name = header["name"].as_str().unwrap();
        assert_eq!(app.last().header(name).as_deref(), header["value"].as_str(), "{name}");
    }
}

#[tokio::test]
async fn a_refresh_keeps_the_attributes_though_userinfo_has_none() {
    let engine = Engine::own(Shape::Indeed, json!({"ttl": {"AccessToken": 3}}));
    let scopes = "scopes = [\"openid\", \"email\", \"profile\", \"offline_access\"]\n";
    let (gateway, app) = gateway_at(&engine, permissions(), scopes).await;
    let browser = Browser::new();
    let consent = browser.sign_in(&gateway.url("/"), "petrova").await.expect(200);
    browser.submit(&consent, consent.form("consent")).await.expect(200);
    let before = app.last().header("authorization").unwrap();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    browser.get(&gateway.url("/x")).await.expect(200);
    assert_ne!(app.last().header("authorization").unwrap(), before);
    has_attributes(&app);
    assert_eq!((engine.count("refresh_token"), engine.count("refresh_token refused")), (1, 0));
}

#[tokio::test]
async fn without_the_permission_for_a_scope_the_log_says_which_one_to_take_out() {
    for (missing, scopes) in [
        ("offline_access", "scopes = [\"openid\", \"email\", \"offline_access\"]\n"),
        ("email", "scopes = [\"openid\", \"email\"]\n"),
    ] {
        let mut given = permissions();
        let kept = given["scope"].as_str().unwrap().replace(missing, "").replace("  ", " ");
        given["scope"] = json!(kept.trim());
        let (gateway, app) = gateway(given, scopes).await;
        let page = Browser::new().visit(&gateway.url("/")).await;
        assert!(page.status >= 400 && page.url.as_str().starts_with(&gateway.url("/")), "{page:?}");
        let log = gateway.logs("provider_refused").await;
        assert!(log.contains("invalid_scope") && log.contains("scopes"), "{log}");
        assert!(app.received().is_empty());
    }
}

#[tokio::test]
async fn pkce_is_required_and_always_there() {
    let (gateway, app) = gateway(permissions(), "").await;
    let browser = Browser::new();
    let begun = browser.get(&gateway.url("/")).await.expect(302);
    assert_eq!(begun.location_param("code_challenge_method").as_deref(), Some("S256"));
    let mut url = begun.location();
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| !name.starts_with("code_challenge")).collect();
    url.query_pairs_mut().clear().extend_pairs(kept);
    let refused = browser.visit(url.as_str()).await;
    assert!(refused.status >= 400, "the provider requires none: {refused:?}");
    assert!(gateway.logs("provider_refused").await.contains("PKCE"));
    assert!(app.received().is_empty());
    browser.sign_in(&gateway.url("/"), "petrova").await.expect(200);
}

#[tokio::test]
async fn sign_out_comes_back_to_the_address_that_is_entered_and_to_no_other() {
    for (entered, comes_back) in [("/_sso/signed-out", true), ("/_sso/signed-out/", false), ("/_sso", false)]
    {
        let (world, app) = (World::new(), Server::start().await);
        let mut client = permissions();
        client["post_logout_redirect_uris"] = json!([format!("{}{entered}", world.origin())]);
        let table = Engine::indeed().client(&world, "indeed", client, "");
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        let browser = Browser::new();
        browser.sign_in(&gateway.url("/"), "petrova").await.expect(200);
        let page = browser.visit(&gateway.url("/_sso/sign-out")).await;
        let end = match comes_back {
            true => browser.submit(&page, page.form("op.logoutForm").fill("logout", "yes")).await,
            false => page,
        };
        assert_eq!(
            end.url.as_str().starts_with(&gateway.url("/_sso/signed-out")),
            comes_back,
            "{entered}: {end:?}"
        );
        assert_eq!(end.status, if comes_back { 200 } else { 400 }, "{entered}");
        // Whatever it says there, here nobody is signed in any more.
        browser.fetch(&gateway.url("/_sso/session")).await.expect(401);
    }
}
