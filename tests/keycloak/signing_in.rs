//! People sign in and out at a real Keycloak.

use serde_json::json;

use crate::realm::{Keycloak, log_in, sign_in};
use crate::world::{Ask, Browser, Server, World};

const HEADERS: &str = r#"
[apps.lms.headers]
X-User = "preferred_username"
X-User-Name = { claim = "name", encode = "percent" }
X-User-Email = "email"
X-User-Groups = { claim = "groups", encode = "percent" }
X-User-Roles = { claim = "realm_access.roles", join = ",", encode = "percent" }

[[apps.lms.rules]]
paths = ["/marks/*"]
allow = 'has(claims.realm_access) && "учитель" in claims.realm_access.roles'
"#;

fn percent(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[tokio::test]
async fn claims_arrive_as_keycloak_has_them_cyrillic_and_nested_ones_too() {
    let (gateway, app) = Keycloak::running().await.gateway(json!({}), HEADERS).await;
    let browser = Browser::new();
    sign_in(&browser, &gateway.url("/courses?page=2"), "ivanov").await.expect(200);
    let request = app.last();
    assert_eq!(request.target(), "/courses?page=2");
    let header =
        |name: &str| request.head.fields.get(name).unwrap_or_else(|| panic!("no {name}: {request:?}"));
    assert_eq!(header("x-user"), "ivanov");
    assert_eq!(header("x-user-name"), percent("Иван Иванов"));
    assert_eq!(header("x-user-email"), "ivanov@school.example");
    assert!(header("x-user-groups").contains(&percent("10 «А»")), "{request:?}");
    assert!(header("x-user-roles").contains(&percent("ученик")), "{request:?}");
}

#[tokio::test]
async fn people_sign_in_by_the_configuration_of_the_guide() {
    for guide in ["docs/keycloak.md", "docs/ru/keycloak.md"] {
        let (world, app) = (World::new(), Server::start().await);
        let client: toml::Table =
            Keycloak::running().await.table(&world, "client", json!({}), "").await.parse().unwrap();
        let client = &client["providers"]["client"];
        let text = std::fs::read_to_string(format!("{}/{guide}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let (_, config) = text.split_once("```toml config.toml\n").unwrap();
        let mut config = config.split("```").next().unwrap().to_owned();
        for (stands, takes_its_place) in [
            ("\"https://sso.example.org/realms/school\"", client["issuer"].to_string()),
            ("\"lms\"", client["client_id"].to_string()),
            ("{ env = \"LMS_CLIENT_SECRET\" }", client["client_secret"].to_string()),
            ("\"https://lms.example.org\"", format!("{:?}", world.origin())),
            ("\"http://127.0.0.1:3000\"", format!("{:?}", app.origin())),
        ] {
            assert_eq!(config.matches(stands).count(), 1, "{stands} in {guide}");
            config = config.replace(stands, &takes_its_place);
        }
        let gateway = world.start(&config).await;
        let browser = Browser::new();
        sign_in(&browser, &gateway.url("/courses"), "petrova").await.expect(200);
        assert_eq!(app.last().header("x-user-login").as_deref(), Some("petrova"), "{guide}");
        assert!(app.last().header("x-user-groups").unwrap().contains(&percent("Учителя")), "{guide}");
        browser.get(&gateway.url("/admin/users")).await.expect(403);
    }
}

#[tokio::test]
async fn roles_within_realm_access_decide_who_may_enter() {
    let (gateway, app) = Keycloak::running().await.gateway(json!({}), HEADERS).await;
    let (teacher, student) = (Browser::new(), Browser::new());
    sign_in(&teacher, &gateway.url("/marks/7"), "petrova").await.expect(200);
    assert_eq!(app.last().target(), "/marks/7");
    sign_in(&student, &gateway.url("/marks/8"), "ivanov").await.expect(403);
    assert_eq!(app.received().len(), 1, "the student's request reached nobody");
}

#[tokio::test]
async fn a_wrong_password_is_keycloaks_affair_and_the_right_one_still_leads_to_the_app() {
    let (gateway, app) = Keycloak::running().await.gateway(json!({}), "").await;
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/courses")).await.expect(200);
    let wrong = page.form("kc-form-login").fill("username", "ivanov").fill("password", "не тот");
    let page = browser.submit(&page, wrong).await.expect(200);
    assert!(app.received().is_empty());
    log_in(&browser, &page, "ivanov").await.expect(200);
    assert_eq!(app.last().target(), "/courses");
}

#[tokio::test]
async fn sign_out_ends_the_session_at_keycloak_too_and_comes_back() {
    let (gateway, _app) = Keycloak::running().await.gateway(json!({}), "").await;
    let browser = Browser::new();
    sign_in(&browser, &gateway.url("/"), "ivanov").await.expect(200);
    let out = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    let leaving = browser.send(out).await.expect(302);
    let end = browser.follow(leaving).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    let asked = browser.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(asked.form("kc-form-login").method, "post", "the password is asked for again");
}

#[tokio::test]
async fn sign_out_revokes_the_tokens_also_of_who_never_goes_back_to_keycloak() {
    let keycloak = Keycloak::running().await;
    let lines = "[apps.lms.headers]\nAuthorization = { token = \"access\" }\n";
    let (gateway, app) = keycloak.gateway(json!({}), lines).await;
    let browser = Browser::new();
    sign_in(&browser, &gateway.url("/"), "ivanov").await.expect(200);
    let token = app.last().header("authorization").unwrap().replace("Bearer ", "");
    let active = async || {
        let fields = [("token", &*token)];
        keycloak.post(&gateway.world, "/token/introspect", &fields).await.expect(200).json()["active"].clone()
    };
    assert_eq!(active().await, true);
    let out = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    browser.send(out).await.expect(302);
    keycloak.counts(&gateway.world, "REVOKE_GRANT", 1).await;
    assert_eq!(active().await, false, "with the refresh token ends what came of it");
}
