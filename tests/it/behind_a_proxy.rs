//! Behind another proxy: `verify` row by row, and the configurations in `deploy/` as they are.

use std::time::Duration;

use serde_json::json;

use crate::world::{Ask, Browser, Gateway, Inside, Rogue, Server, World};

pub(crate) const DEFAULTS: [&str; 6] = [
    "x-auth-sub",
    "x-auth-email",
    "x-auth-name",
    "x-auth-given-name",
    "x-auth-family-name",
    "x-auth-phone-number",
];

pub(crate) const RULES: &str = r#"
[[apps.lms.rules]]
paths = ["/static/*"]
access = "public"

[[apps.lms.rules]]
paths = ["/admin/*"]
methods = ["GET"]
allow = '"admins" in claims.groups'

[[apps.lms.rules]]
paths = ["/upload"]
methods = ["POST"]
access = "public"
"#;

async fn trusting() -> (Gateway, Rogue, Browser) {
    let (gateway, rogue, app) =
        World::with_rogue(&format!("{RULES}\n[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n")).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    std::mem::forget(app);
    (gateway, rogue, browser)
}

/// The question as nginx asks it.
fn nginx(gateway: &Gateway, method: &str, target: &str) -> Ask {
    Ask::new("GET", &gateway.url("/_sso/verify"))
        .header("X-Original-Method", method)
        .header("X-Original-URL", gateway.url(target))
}

/// The question as Caddy and Traefik ask it.
fn caddy(gateway: &Gateway, method: &str, target: &str) -> Ask {
    Ask::new("GET", &gateway.url("/_sso/verify"))
        .header("X-Forwarded-Method", method)
        .header("X-Forwarded-Proto", "http")
        .header("X-Forwarded-Host", gateway.address().to_string())
        .header("X-Forwarded-Uri", target)
}

#[tokio::test]
async fn a_person_who_may_enter_gets_2xx_with_every_header_and_empty_ones_for_absent_claims() {
    let (gateway, _rogue, browser) = trusting().await;
    for ask in [nginx, caddy] {
        let response = browser.send(ask(&gateway, "GET", "/courses?a=b")).await;
        assert!((200..300).contains(&response.status), "{response:?}");
        assert_eq!(response.header("x-auth-sub").as_deref(), Some("u-1"));
        assert_eq!(response.headers.bytes("x-auth-name").unwrap(), "Анна Каренина".as_bytes());
        for name in DEFAULTS {
            assert!(response.header(name).is_some(), "{name} must be there, if empty");
        }
        assert_eq!(response.header("x-auth-phone-number").as_deref(), Some(""));
        assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
        assert!(response.body.is_empty());
    }
}

#[tokio::test]
async fn a_stranger_gets_2xx_for_a_public_path_with_empty_headers() {
    let (gateway, _rogue, _browser) = trusting().await;
    for ask in [nginx(&gateway, "GET", "/static/a.css"), caddy(&gateway, "POST", "/upload")] {
        let response = Browser::new().send(ask).await;
        assert!((200..300).contains(&response.status), "{response:?}");
        for name in DEFAULTS {
            assert_eq!(response.header(name).as_deref(), Some(""), "{name}");
        }
    }
}

#[tokio::test]
async fn a_stranger_gets_401_and_behind_caddy_a_navigation_gets_302() {
    let (gateway, rogue, _browser) = trusting().await;
    let page = |ask: Ask| ask.header("Accept", "text/html").header("Sec-Fetch-Mode", "navigate");
    let script = |ask: Ask| ask.header("Accept", "application/json").header("Sec-Fetch-Mode", "cors");
    for (ask, status) in [
        (page(nginx(&gateway, "GET", "/x?y=z")), 401),
        (script(nginx(&gateway, "GET", "/x")), 401),
        (page(nginx(&gateway, "POST", "/x")), 401),
        (page(caddy(&gateway, "GET", "/x?y=z")), 302),
        (script(caddy(&gateway, "GET", "/x")), 401),
        (page(caddy(&gateway, "POST", "/x")), 401),
        (nginx(&gateway, "GET", "/upload"), 401),
    ] {
        let response = Browser::new().send(ask).await.expect(status);
        assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
        if status == 302 {
            assert!(response.location().as_str().starts_with(&format!("{}/authorize", rogue.issuer())));
        }
    }
}

#[tokio::test]
async fn a_person_whom_no_rule_lets_in_gets_403() {
    let (gateway, rogue, browser) = trusting().await;
    for ask in [nginx(&gateway, "GET", "/admin/x"), caddy(&gateway, "GET", "/admin/x")] {
        browser.send(ask).await.expect(403);
    }
    rogue.person(json!({"sub": "u-1", "groups": ["admins"]}));
    browser.visit(&gateway.url("/_sso/sign-in")).await.expect(200);
    browser.send(nginx(&gateway, "GET", "/admin/x")).await.expect(200);
}

#[tokio::test]
async fn descriptions_that_disagree_or_could_be_read_in_two_ways_get_400() {
    let (gateway, _rogue, browser) = trusting().await;
    let both = |ask: Ask, target: &str| ask.header("X-Original-URL", gateway.url(target));
    browser.send(both(caddy(&gateway, "GET", "/static/a"), "/static/a")).await.expect(200);
    for ask in [
        both(caddy(&gateway, "GET", "/static/a"), "/other"),
        caddy(&gateway, "GET", "/static/a").header("X-Original-Method", "POST"),
        nginx(&gateway, "GET", "/static/a").header("X-Forwarded-Uri", "/b"),
        nginx(&gateway, "GET", "/static/%2e%2e/admin/x"),
        caddy(&gateway, "GET", "/static/../admin/x"),
        caddy(&gateway, "GET", "/static/a").header("X-Forwarded-Uri", "/static/a"),
        caddy(&gateway, "GET", "/static/a%00"),
        caddy(&gateway, "GET", "no slash"),
        nginx(&gateway, "G ET", "/static/a"),
        // What stands behind a `#` is sent on by proxies and judged by nobody.
        caddy(&gateway, "GET", "/static/#/../../admin/x"),
        nginx(&gateway, "GET", "/x").instead("X-Original-URL", &gateway.url("/static/a#b")),
        nginx(&gateway, "GET", "/x").instead("X-Original-URL", &format!("{}?/static/a", gateway.url(""))),
        nginx(&gateway, "GET", "/x").instead("X-Original-URL", &format!("{}#/static/a", gateway.url(""))),
        nginx(&gateway, "GET", "/x").instead("X-Original-URL", &gateway.url("")),
        // A host that is named twice is named by nobody.
        caddy(&gateway, "GET", "/static/a").header("X-Forwarded-Host", gateway.address().to_string()),
        nginx(&gateway, "GET", "/static/a").header("X-Forwarded-Host", "other.example"),
        // The app is at an http address.
        caddy(&gateway, "GET", "/static/a").instead("X-Forwarded-Proto", "https"),
        caddy(&gateway, "GET", "/static/a").instead("X-Forwarded-Proto", "gopher"),
        nginx(&gateway, "GET", "/x")
            .instead("X-Original-URL", &gateway.url("/static/a").replace("http", "https")),
    ] {
        let response = browser.send(ask.clone()).await;
        assert_eq!(response.status, 400, "{ask:?}: {response:?}");
    }
    let elsewhere = nginx(&gateway, "GET", "/x").instead("X-Original-URL", "http://other.example/x");
    let response = browser.send(elsewhere).await;
    assert!(matches!(response.status, 400 | 421), "{response:?}");
}

#[tokio::test]
async fn a_question_that_names_no_method_is_never_answered_by_a_rule_for_one_method() {
    let (gateway, _rogue, browser) = trusting().await;
    let ask = || Ask::new("GET", &gateway.url("/_sso/verify"));
    for target in ["/upload", "/admin/x"] {
        for ask in [
            ask().header("X-Original-URL", gateway.url(target)),
            ask().header("X-Forwarded-Uri", target).header("X-Forwarded-Host", gateway.address().to_string()),
        ] {
            assert!(Browser::new().send(ask.clone()).await.status >= 400, "{target}");
            // Nobody is an admin here; who is signed in may open whatever no rule names.
            let response = browser.send(ask).await;
            assert!(response.status >= 400 || target == "/upload", "{target}: {response:?}");
        }
    }
    let public = ask().header("X-Original-URL", gateway.url("/static/a"));
    Browser::new().send(public).await.expect(200);
}

#[tokio::test]
async fn what_a_peer_says_that_is_not_trusted_is_never_believed() {
    let (gateway, _rogue, _app) = World::with_rogue(RULES).await;
    for ask in [nginx, caddy] {
        let response = Browser::new().send(ask(&gateway, "GET", "/static/a.css")).await;
        assert!(response.status >= 400, "a stranger would name a public path: {response:?}");
        for name in DEFAULTS {
            assert_eq!(response.header(name).unwrap_or_default(), "", "{name}");
        }
    }
    // Most often it is the operator's own proxy, and nobody would find out.
    let log = gateway.logs("server.trusted_proxies").await;
    assert!(log.contains("peer=127.0.0.1"), "{log}");
}

#[tokio::test]
async fn a_path_without_a_host_is_judged_by_the_app_that_it_reaches() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let public = "[[apps.root.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n";
    let wiki = format!("{}/wiki", world.origin());
    let config = String::from("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n")
        + &rogue.table("rogue", "")
        + &world.app("root", &app)
        + public
        + &world.app_at("wiki", &wiki, &app.origin());
    let gateway = world.start(&config).await;
    for (target, status) in [("/a", 200), ("/wiki/admin/x", 401), ("/wiki", 401), ("/Wiki/admin", 400)] {
        for header in ["X-Original-URL", "X-Forwarded-Uri"] {
            let ask = Ask::new("GET", &gateway.url("/_sso/verify")).header(header, target);
            let response = Browser::new().send(ask).await;
            assert_eq!(response.status, status, "{header}: {target}: {response:?}");
        }
    }
}

#[tokio::test]
async fn the_same_target_meets_the_same_decision_asked_about_or_sent() {
    let (gateway, _rogue, browser) = trusting().await;
    for (target, status) in [
        ("/\u{44b}", 200),
        ("/admin/\u{44b}", 403),
        ("/a;b/../c", 200),
        ("/static/..;/admin/x", 400),
        ("/a%00", 400),
        ("/a#b", 400),
    ] {
        let sent = browser.send(Ask::script("GET", &gateway.url("/")).target(target)).await;
        assert_eq!(sent.status, status, "{target}: {sent:?}");
        for ask in [nginx(&gateway, "GET", "/x"), caddy(&gateway, "GET", "/x")] {
            let ask = match format!("{ask:?}").contains("X-Original-URL") {
                true => ask.instead("X-Original-URL", &format!("{}{target}", gateway.url(""))),
                false => ask.instead("X-Forwarded-Uri", target),
            };
            assert_eq!(browser.send(ask.clone()).await.status, status, "{ask:?}");
        }
    }
    browser.send(nginx(&gateway, "TRACE", "/x")).await.expect(405);
    browser.send(caddy(&gateway, "GET", "/x").instead("X-Forwarded-Proto", "ws")).await.expect(200);
}

#[tokio::test]
async fn the_log_says_what_was_judged_and_why_a_question_could_not_be() {
    let lines = format!("{RULES}[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[log]\nformat = \"json\"\n");
    let (gateway, _rogue, _app) = World::with_rogue(&lines).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    browser.send(nginx(&gateway, "POST", "/judged/1?secret=x")).await.expect(200);
    Browser::new().send(caddy(&gateway, "DELETE", "/static/judged")).await.expect(200);
    Browser::new().send(nginx(&gateway, "GET", "/judged/3")).await.expect(401);
    browser.send(nginx(&gateway, "GET", "/admin/judged")).await.expect(403);
    browser.send(nginx(&gateway, "GET", "/x").instead("X-Original-URL", "/judged#5")).await.expect(400);
    browser.send(Ask::new("GET", &gateway.url("/_sso/verify"))).await.expect(400);
    gateway.logs("holds a fragment").await;
    gateway.logs("verify was asked without").await;
    for (method, path, decision) in [
        ("POST", "/judged/1", "admitted"),
        ("DELETE", "/static/judged", "public"),
        ("GET", "/judged/3", "sign_in"),
        ("GET", "/admin/judged", "denied"),
    ] {
        // Each worker writes its lines in its own time.
        gateway.logs(&format!("\"path\":\"{path}\",\"app\"")).await;
        let events = gateway.events();
        let told = |event: &&serde_json::Value| event["target"] == "access" && event["path"] == path;
        let event = events.iter().find(told).unwrap_or_else(|| panic!("{path}:\n{}", gateway.log()));
        assert_eq!((&event["method"], &event["decision"]), (&json!(method), &json!(decision)), "{path}");
    }
}

#[tokio::test]
async fn a_session_is_renewed_by_one_cookie_or_not_at_all() {
    let lines = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[session]\nstore = \"cookie\"\n";
    let (gateway, rogue, _app) = Inside::with_rogue(lines).await;
    let large: Vec<String> = (0..400).map(|_| crate::world::keys::random()).collect();
    let mut people = Vec::new();
    for (groups, renewed) in [(json!([]), 1), (json!(large), 0)] {
        rogue.person(json!({"sub": "u-1", "groups": groups}));
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        people.push((browser, renewed));
    }
    gateway.later(Duration::from_secs(3600));
    for (browser, renewed) in people {
        let ask = Ask::new("GET", &gateway.url("/_sso/verify")).header("X-Original-URL", "/x");
        let response = browser.send(ask).await.expect(200);
        assert_eq!(response.headers.all("set-cookie").len(), renewed, "{} cookies", browser.cookies().len());
    }
}

#[tokio::test]
async fn a_websocket_of_another_origin_is_refused_by_whatever_tells_that_it_is_one() {
    let (gateway, _rogue, browser) = trusting().await;
    let own = gateway.world.origin();
    for (name, value) in [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-Fetch-Mode", "websocket")]
    {
        // A page of a neighbour: browsers send it the cookies.
        let ask = nginx(&gateway, "GET", "/live").header(name, value).header("Sec-Fetch-Site", "same-site");
        browser.send(ask.clone()).await.expect(403);
        browser.send(ask.clone().header("Origin", "https://evil.example")).await.expect(403);
        browser.send(ask.clone().header("Origin", &own)).await.expect(200);
        Browser::new().send(ask.header("Origin", "https://evil.example")).await.expect(401);
    }
}

// ── The real ones ───────────────────────────────────────────────────────────────────────────────────
