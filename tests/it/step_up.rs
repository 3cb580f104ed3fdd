//! A rule may ask for a stronger or a newer sign-in: who is signed in otherwise is sent to the provider again,
//! once, and back to the page that they wanted, or to a page that says what is missing.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::world::server::Received;
use crate::world::{Ask, Browser, Engine, Gateway, Rogue, Server, World};

const PASSWORD: &str = "urn:example:password";
const MFA: &str = "urn:example:mfa";

const RULES: &str = r#"
[[apps.lms.rules]]
paths = ["/admin/*"]
acr = "urn:example:mfa urn:example:card"

[[apps.lms.rules]]
paths = ["/grades/*"]
max_age = "15m"

[[apps.lms.rules]]
paths = ["/secret/*"]
allow = 'claims.sub == "nobody"'
acr = "urn:example:mfa"

[[apps.lms.rules]]
paths = ["/public/*"]
access = "public"
"#;

/// What the provider says of how a person signed in.
#[derive(Clone)]
struct SignsIn(Arc<Mutex<Value>>);

impl SignsIn {
    /// A provider that says this whatever it is asked.
    fn at(rogue: &Rogue, acr: &str, ago: u64) -> Self {
        let how = Self(Arc::new(Mutex::new(Value::Null)));
        how.now(acr, ago);
        let told = how.clone();
        rogue.bend_id_token(move |draft| {
            let told = told.0.lock().unwrap();
            for (name, value) in told.as_object().unwrap() {
                draft.claims[name] = value.clone();
            }
        });
        how
    }

    /// From now on it says this.
    fn now(&self, acr: &str, ago: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        *self.0.lock().unwrap() = json!({"acr": acr, "auth_time": now - ago});
    }
}

fn asked(rogue: &Rogue) -> Vec<Received> {
    rogue.asked("/authorize")
}

async fn world() -> (Gateway, Rogue, Server) {
    World::with_rogue(RULES).await
}

#[tokio::test]
async fn a_signed_in_person_is_sent_to_the_provider_once_and_back_to_the_page_they_wanted() {
    let (gateway, rogue, app) = world().await;
    let how = SignsIn::at(&rogue, PASSWORD, 0);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(asked(&rogue)[0].param("acr_values"), None);
    let before = browser.cookies();

    how.now(MFA, 0);
    let page = browser.visit(&gateway.url("/admin/users?page=2")).await.expect(200);
    assert_eq!(page.url.as_str(), gateway.url("/admin/users?page=2"));
    assert_eq!(app.last().target(), "/admin/users?page=2");
    let asked = asked(&rogue);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].param("acr_values").as_deref(), Some("urn:example:mfa urn:example:card"));
    assert_eq!((asked[1].param("max_age"), asked[1].param("prompt")), (None, None));

    // It is a sign-in like any other: the session is a new one, and the old one is over.
    assert_ne!(browser.cookies(), before);
    let thief = Browser::new();
    thief.plant(&before[0].host, &before[0].name, &before[0].value);
    thief.get(&gateway.url("/")).await.expect(302);
    browser.get(&gateway.url("/admin/users")).await.expect(200);
    browser.get(&gateway.url("/grades/1")).await.expect(200);
}

#[tokio::test]
async fn a_provider_that_ignores_what_it_is_asked_ends_in_a_page_and_in_no_loop() {
    let (gateway, rogue, app) = world().await;
    let how = SignsIn::at(&rogue, PASSWORD, 0);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let page = browser.visit(&gateway.url("/admin/users")).await.expect(403);
    assert!(page.text().contains("stronger sign-in"), "{page:?}");
    assert!(page.text().contains("Анна Каренина"));
    assert_eq!(asked(&rogue).len(), 2, "asked once more, and not again");
    let reference = page.text().split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let log = gateway.logs("sign-in-too-weak").await;
    let line = log.lines().find(|line| line.contains("sign-in-too-weak")).unwrap();
    assert!(line.contains(&reference) && line.contains(PASSWORD), "{line}");

    // Trying again asks the provider once more, and this time to ask the person.
    let links = crate::world::html::links(&page.text());
    let again = links.iter().find(|link| link.contains("/sign-in?")).unwrap();
    let page = browser.visit(&gateway.url(again)).await.expect(403);
    assert_eq!(asked(&rogue).len(), 3);
    assert_eq!(asked(&rogue)[2].param("prompt").as_deref(), Some("login"));
    assert_eq!(asked(&rogue)[2].param("acr_values").as_deref(), Some("urn:example:mfa urn:example:card"));
    assert!(links.iter().any(|link| link.ends_with("/sign-out")), "{links:?}");

    // What is open to the sign-in that they have still is, and a stronger one lets them in.
    browser.get(&gateway.url("/")).await.expect(200);
    assert!(app.received().iter().all(|request| !request.path().starts_with("/admin")));
    how.now("urn:example:card", 0);
    let links = crate::world::html::links(&page.text());
    let again = links.iter().find(|link| link.contains("/sign-in?")).unwrap();
    let page = browser.visit(&gateway.url(again)).await.expect(200);
    assert_eq!(page.url.as_str(), gateway.url("/admin/users"));
}

#[tokio::test]
async fn who_is_not_signed_in_yet_is_asked_for_enough_at_once() {
    let (gateway, rogue, _app) = world().await;
    SignsIn::at(&rogue, MFA, 0);
    Browser::new().visit(&gateway.url("/admin/users")).await.expect(200);
    Browser::new().visit(&gateway.url("/grades/1")).await.expect(200);
    let asked = asked(&rogue);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].param("acr_values").as_deref(), Some("urn:example:mfa urn:example:card"));
    assert_eq!(asked[1].param("max_age").as_deref(), Some("900"));
}

#[tokio::test]
async fn a_sign_in_that_is_too_old_or_of_unknown_age_is_made_anew() {
    let (gateway, rogue, _app) = world().await;
    let how = SignsIn::at(&rogue, PASSWORD, 901);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let page = browser.visit(&gateway.url("/grades/1")).await.expect(403);
    assert!(page.text().contains("sign-in from just now"), "{page:?}");
    how.now(PASSWORD, 0);
    browser.visit(&gateway.url("/grades/1")).await.expect(200);
    // One that was long ago and is still within the time.
    how.now(PASSWORD, 895);
    let other = Browser::new();
    other.visit(&gateway.url("/grades/1")).await.expect(200);
    while other.get(&gateway.url("/grades/1")).await.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    other.get(&gateway.url("/grades/1")).await.expect(302);
    browser.get(&gateway.url("/grades/1")).await.expect(200);

    rogue.bend_id_token(|_| ());
    Browser::new().visit(&gateway.url("/grades/1")).await.expect(403);
}

#[tokio::test]
async fn an_acr_that_userinfo_claims_raises_nobody() {
    let (gateway, rogue, _app) = world().await;
    rogue.person(json!({"sub": "u-1", "acr": MFA, "auth_time": 4_000_000_000_u64}));
    for path in ["/admin/users", "/grades/1"] {
        Browser::new().visit(&gateway.url(path)).await.expect(403);
    }
}

#[tokio::test]
async fn scripts_forms_and_websockets_are_told_instead_of_sent() {
    let (gateway, rogue, app) = World::with_rogue(&format!("{RULES}[session]\nform_limit = 0\n")).await;
    let how = SignsIn::at(&rogue, PASSWORD, 0);
    let browser = Browser::new();
    browser.visit(&gateway.url("/courses/7")).await.expect(200);
    how.now(MFA, 0);

    let script =
        Ask::script("POST", &gateway.url("/admin/api?x=1")).header("Referer", gateway.url("/courses/7"));
    let told = browser.send(script).await.expect(401);
    assert_eq!(told.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(told.json()["type"], "urn:vestibule:problem:step-up-needed");
    let sign_in = told.json()["sign_in"].as_str().unwrap().to_owned();

    let upgrade = Ask::new("GET", &gateway.url("/admin/ws"))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Origin", gateway.world.origin());
    browser.send(upgrade).await.expect(401);

    let form = Ask::new("POST", &gateway.url("/admin/users"))
        .header("Accept", "text/html")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "same-origin")
        .header("Referer", gateway.url("/courses/7"))
        .body("application/x-www-form-urlencoded", "a=1");
    let page = browser.send(form).await.expect(403);
    assert!(page.text().contains("did not arrive"), "{page:?}");
    assert!(app.received().iter().all(|request| !request.path().starts_with("/admin")));

    // The address that a script was told leads to a sign-in that is enough for what it asked for.
    let back = browser.visit(&sign_in).await.expect(200);
    assert_eq!(back.url.as_str(), gateway.url("/courses/7"));
    assert_eq!(asked(&rogue)[1].param("acr_values").as_deref(), Some("urn:example:mfa urn:example:card"));
    browser.send(Ask::script("POST", &gateway.url("/admin/api"))).await.expect(200);
}

#[tokio::test]
async fn who_would_be_refused_anyway_is_refused_and_a_public_path_asks_nothing() {
    let (gateway, rogue, _app) = world().await;
    SignsIn::at(&rogue, PASSWORD, 0);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    browser.get(&gateway.url("/public/a")).await.expect(200);
    browser.get(&gateway.url("/secret/a")).await.expect(403);
    assert_eq!(asked(&rogue).len(), 1);
}

#[tokio::test]
async fn another_person_who_comes_back_is_signed_in_as_they_are() {
    let (gateway, rogue, app) = world().await;
    SignsIn::at(&rogue, PASSWORD, 0);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    rogue.person(json!({"sub": "u-2", "name": "Левин"}));
    let page = browser.visit(&gateway.url("/admin/users")).await.expect(403);
    assert!(page.text().contains("Левин"), "{page:?}");
    browser.get(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-auth-sub").as_deref(), Some("u-2"));
}

#[tokio::test]
async fn the_real_provider_asks_for_more_and_what_the_person_gives_decides() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/admin/*\"]\nacr = \"gold\"\n";
    let (gateway, _app) = World::behind(&Engine::v9(), rules).await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    let page = browser.visit(&gateway.url("/admin/users")).await.expect(200);
    let form = page.form("login").fill("login", "ivanov").fill("password", "пароль").fill("acr", "bronze");
    let weak = browser.submit(&page, form).await.expect(403);
    let links = crate::world::html::links(&weak.text());
    let again = links.iter().find(|link| link.contains("/sign-in?")).unwrap();
    let page = browser.visit(&gateway.url(again)).await.expect(200);
    let page = browser.log_in(&page, "ivanov").await.expect(200);
    assert_eq!(page.url.as_str(), gateway.url("/admin/users"));
}

#[tokio::test]
async fn a_proxy_that_asks_is_told_the_same_and_explain_says_it() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n".to_owned()
        + &rogue.table("rogue", "")
        + &world.app("lms", &app)
        + RULES;
    let gateway = world.clone().start(&config).await;
    let how = SignsIn::at(&rogue, PASSWORD, 0);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let verify = |navigates: bool| {
        let url = gateway.url("/_sso/verify");
        let ask = if navigates { Ask::navigation(&url) } else { Ask::script("GET", &url) };
        let host = gateway.address().to_string();
        ask.header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "http")
            .header("X-Forwarded-Host", host)
            .header("X-Forwarded-Uri", "/admin/users")
    };
    browser.send(verify(false)).await.expect(401);
    let sent = browser.send(verify(true)).await.expect(302);
    assert_eq!(sent.location_param("acr_values").as_deref(), Some("urn:example:mfa urn:example:card"));
    how.now(MFA, 0);
    browser.follow(sent).await.expect(200);
    browser.send(verify(false)).await.expect(200);

    let explain = |url: &str, claims: Value| -> Value {
        let path = world.dir.path().join("claims.json");
        std::fs::write(&path, claims.to_string()).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.arg("explain").arg("--config").arg(world.config_path());
        command.args(["--json", "--url", &gateway.url(url), "--claims"]).arg(path);
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (url, claims, decision) in [
        ("/admin/x", json!({"sub": "u", "acr": MFA}), "admit"),
        ("/admin/x", json!({"sub": "u", "acr": PASSWORD}), "step_up"),
        ("/grades/x", json!({"sub": "u", "auth_time": now - 60}), "admit"),
        ("/grades/x", json!({"sub": "u", "auth_time": now - 1000}), "step_up"),
        ("/grades/x", json!({"sub": "u"}), "step_up"),
    ] {
        let told = explain(url, claims.clone());
        assert_eq!(told["decision"], decision, "{url} {claims} {told}");
    }
}
