//! Who may enter: rules, and paths that could be read in more than one way.

use serde_json::json;

use crate::websockets::Socket;
use crate::world::{Ask, Browser, Gateway, Rogue, Server, World};

const RULES: &str = r#"
[[apps.lms.rules]]
paths = ["/static/*", "/favicon.ico", "/api/*/public"]
access = "public"

[[apps.lms.rules]]
paths = ["/admin/*", "/admin"]
methods = ["GET", "POST"]
allow = '"admins" in claims.groups && claims.email_verified'

[[apps.lms.rules]]
paths = ["/admin/*"]
allow = 'false'

[[apps.lms.rules]]
paths = ["/strange/*"]
allow = 'claims.no_such_claim == "x"'

[[apps.lms.rules]]
paths = ["/number/*"]
allow = 'claims.age + 1'
"#;

async fn signed_in(claims: serde_json::Value) -> (Gateway, Rogue, Server, Browser) {
    let (gateway, rogue, app) = World::with_rogue(RULES).await;
    rogue.person(claims);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    app.forget();
    (gateway, rogue, app, browser)
}

#[tokio::test]
async fn the_first_rule_that_fits_path_and_method_decides() {
    let person = json!({"sub": "u-1", "groups": ["admins"], "email_verified": "true", "age": 17});
    let (gateway, _rogue, _app, browser) = signed_in(person).await;
    for (method, path, status) in [
        ("GET", "/admin/users", 200),
        ("POST", "/admin/users", 200),
        ("DELETE", "/admin/users", 403),
        ("PUT", "/admin/", 403),
        ("GET", "/admin", 200),
        ("DELETE", "/admin", 200),
        ("GET", "/Admin", 400),
        ("GET", "/strange/x", 403),
        ("GET", "/number/x", 403),
        ("GET", "/other", 200),
        ("GET", "/admin/a/b/c?x=/static/y", 200),
    ] {
        let ask = Ask::script(method, &gateway.url(path)).header("Origin", gateway.world.origin());
        let response = browser.send(ask).await;
        assert_eq!(response.status, status, "{method} {path}: {response:?}\n{}", gateway.log());
    }
}

#[tokio::test]
async fn who_is_not_in_the_group_is_refused_with_a_reason_in_the_log() {
    let (gateway, _rogue, app, browser) = signed_in(json!({"sub": "u-1", "groups": ["students"]})).await;
    let page = browser.get(&gateway.url("/admin/users")).await.expect(403);
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    let problem = browser.fetch(&gateway.url("/strange/x")).await.expect(403);
    assert_eq!(problem.header("content-type").as_deref(), Some("application/problem+json"));
    gateway.logs("no_such_claim").await;
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_star_inside_a_pattern_stays_in_its_segment() {
    let (gateway, _rogue, _app, _browser) = signed_in(json!({"sub": "u-1"})).await;
    let stranger = Browser::new();
    for (path, status) in [
        ("/api/v1/public", 200),
        ("/api//public", 401),
        ("/api/v1/x/public", 401),
        ("/api/public", 401),
        ("/static/", 200),
        ("/static/a/b.css", 200),
        ("/static", 401),
        ("/staticx/a", 401),
        ("/favicon.ico", 200),
        ("/favicon.ico/", 401),
    ] {
        let response = stranger.fetch(&gateway.url(path)).await;
        // A doubled slash could also be read as one: refused where that would meet another rule.
        let ambiguous = path.contains("//") && response.status == 400;
        assert!(response.status == status || ambiguous, "{path}: {response:?}");
    }
}

/// Paths that some app would read as one under another rule.
const TWO_READINGS: [&str; 21] = [
    "/static/../admin/users",
    "/static/%2e%2e/admin/users",
    "/static/.%2E/admin/users",
    "/static/%252e%252e/admin/users",
    "/static/..%2fadmin/users",
    "/static/..%5cadmin/users",
    "/static/x/..;/../admin/users",
    "/static/..;/admin/users",
    "/static/..;a=b/admin/users",
    "/static%2f..%2fadmin/users",
    "/static/%2e%2e%2fadmin%2fusers",
    "//admin/users/../../static/x",
    "/STATIC/x",
    "/Static/x",
    "/static;x/y",
    "/favicon.ico;a",
    "/Favicon.ico",
    "//static/x",
    "/%73tatic/..%2f",
    "/./admin/../static/x",
    "/static/.%2e/.%2e/admin/",
];

#[tokio::test]
async fn a_path_whose_readings_would_meet_different_rules_gets_400() {
    let (gateway, _rogue, app, browser) = signed_in(json!({"sub": "u-1", "groups": []})).await;
    for path in TWO_READINGS {
        for browser in [&Browser::new(), &browser] {
            let response = browser.send(Ask::script("GET", &gateway.url("/")).target(path)).await;
            assert_eq!(response.status, 400, "{path}: {response:?}");
        }
    }
    assert!(
        app.received().is_empty(),
        "{:?}",
        app.received().iter().map(|r| r.head.start.clone()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_path_whose_readings_all_meet_one_rule_is_sent_on_byte_for_byte() {
    let (gateway, _rogue, app, browser) = signed_in(json!({"sub": "u-1"})).await;
    for path in [
        "/files/%D0%BA%D1%83%D1%80%D1%81%20%231.pdf",
        "/mod/forum//view.php?id=7&x=%2e%2e%2f",
        "/a;jsessionid=1/b",
        "/a/./b/../c",
        "/Docs/README.md",
        "/a%2Fb%2fc",
        "/pluginfile.php/12/mod/%5Bx%5D",
        "/static/a%2eb.css",
        "/static/x//y",
        "/q?a=/../admin&b=\\",
        "/a+b~c!$&'()*,=:@",
    ] {
        let response = browser.send(Ask::script("GET", &gateway.url("/")).target(path)).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(app.last().target(), path);
    }
}

#[tokio::test]
async fn forwarded_addresses_are_never_an_input_while_proxying_nor_do_they_reach_the_app() {
    const INSTEAD: [&str; 7] = [
        "X-Forwarded-Uri",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-URI",
        "X_Original_URL",
        "X-Forwarded-Method",
        "X-HTTP-Method-Override",
    ];
    for proxies in ["", "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n"] {
        let (gateway, rogue, app) = World::with_rogue(&format!("{RULES}{proxies}")).await;
        rogue.person(json!({"sub": "u-1"}));
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        app.forget();
        for header in INSTEAD {
            let to_public = |path| Ask::script("GET", &gateway.url(path)).header(header, "/static/x");
            Browser::new().send(to_public("/admin/users")).await.expect(401);
            browser.send(to_public("/admin/users")).await.expect(403);
            let to_private = Ask::script("GET", &gateway.url("/static/x")).header(header, "/admin/users");
            Browser::new().send(to_private).await.expect(200);
            assert_eq!(
                (app.last().target(), app.last().header(header)),
                ("/static/x", None),
                "{header} {proxies}"
            );
        }
        app.forget();
        let ask = Ask::script("DELETE", &gateway.url("/private")).header("X-HTTP-Method-Override", "GET");
        Browser::new().send(ask).await.expect(401);
        assert!(app.received().is_empty());
    }
}

#[tokio::test]
async fn what_is_refused_for_its_origin_or_its_readings_stands_in_the_audit() {
    let (gateway, _rogue, _app) = World::with_rogue(&format!("{RULES}[log]\nformat = \"json\"\n")).await;
    let stranger = Browser::new();
    stranger.send(Ask::script("GET", &gateway.url("/")).target("/static/../admin/users")).await.expect(400);
    let live = gateway.url("/static/live");
    let socket = Socket::at(&stranger, &live, Some("https://evil.example")).await;
    assert_eq!(socket.status(), "403");
    for code in ["ambiguous-path", "foreign-origin"] {
        gateway.logs(code).await;
        let refused = |event: &serde_json::Value| event["event"] == "refused" && event["code"] == code;
        let events = gateway.events();
        let event = events
            .iter()
            .find(|event| refused(event))
            .unwrap_or_else(|| panic!("{code}:\n{}", gateway.log()));
        assert_eq!(event["target"], "audit");
    }
}

#[tokio::test]
async fn nobody_is_let_in_for_the_name_of_their_browser() {
    let (gateway, _rogue, app, _browser) = signed_in(json!({"sub": "u-1"})).await;
    for agent in ["kube-probe/1.30", "GoogleHC/1.0", "Googlebot/2.1", "curl/8"] {
        let ask = Ask::script("GET", &gateway.url("/ping")).header("User-Agent", agent);
        Browser::new().send(ask).await.expect(401);
    }
    assert!(app.received().is_empty());
}
