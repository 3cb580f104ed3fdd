//! What a request without a session gets.

use serde_json::Value;

use crate::world::browser::Response;
use crate::world::{Ask, Browser, Gateway, Rogue, Server, World};

async fn gateway(lines: &str) -> (Gateway, Rogue, Server) {
    World::with_rogue(lines).await
}

/// A 302 to this provider, with everything that a login needs.
#[track_caller]
fn is_a_login(response: &Response, rogue: &Rogue) {
    assert_eq!(response.status, 302, "{response:?}");
    assert!(response.location().as_str().starts_with(&format!("{}/authorize?", rogue.issuer())));
}

/// A 401 that a script can read.
#[track_caller]
fn is_for_a_script(response: &Response, gateway: &Gateway) {
    assert_eq!(response.status, 401, "{response:?}");
    assert_eq!(response.header("content-type").as_deref(), Some("application/problem+json"));
    let problem = response.json();
    let sign_in = problem["sign_in"].as_str().expect("an address to open");
    assert!(sign_in.starts_with(&gateway.url("/_sso/sign-in")), "{sign_in}");
}

/// What every answer of the gateway's own has.
#[track_caller]
fn is_our_own(response: &Response) {
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"), "{response:?}");
    let policy = response.header("content-security-policy").expect("a Content-Security-Policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
}

#[tokio::test]
async fn a_navigation_is_sent_to_the_provider_by_get_and_by_head() {
    let (gateway, rogue, app) = gateway("").await;
    let browser = Browser::new();
    for ask in [
        Ask::navigation(&gateway.url("/")),
        Ask::new("HEAD", &gateway.url("/")).header("Sec-Fetch-Mode", "navigate"),
        Ask::new("GET", &gateway.url("/")).header("Accept", "text/html,*/*;q=0.8"),
        Ask::new("HEAD", &gateway.url("/")).header("Accept", "TEXT/HTML"),
    ] {
        let response = browser.send(ask).await;
        is_a_login(&response, &rogue);
        is_our_own(&response);
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn the_wanted_path_and_query_are_kept_byte_for_byte() {
    let (gateway, _rogue, app) = gateway("").await;
    for wanted in
        ["/", "/a?b=c&d=%20%D0%98&e", "/%D0%BA%D1%83%D1%80%D1%81/7?next=https://evil.example/", "/a//b?//c"]
    {
        let response = Browser::new().visit(&gateway.url(wanted)).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(app.last().target(), wanted);
    }
}

#[tokio::test]
async fn the_login_request_has_state_nonce_pkce_and_the_configured_redirect_address() {
    let (gateway, rogue, _app) = gateway("").await;
    let browser = Browser::new();
    let login = browser.get(&gateway.url("/")).await;
    assert_eq!(login.location_param("response_type").as_deref(), Some("code"));
    assert_eq!(login.location_param("client_id").as_deref(), Some("lms"));
    assert_eq!(login.location_param("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(login.location_param("code_challenge").unwrap().len(), 43);
    assert_eq!(login.location_param("redirect_uri"), Some(gateway.url("/_sso/callback")));
    assert!(login.location_param("scope").unwrap().split(' ').any(|scope| scope == "openid"));
    let second = browser.get(&gateway.url("/")).await;
    for parameter in ["state", "nonce", "code_challenge"] {
        let values = [&login, &second].map(|login| login.location_param(parameter).unwrap());
        assert!(values[0].len() >= 22, "{parameter} has less than 128 bits: {}", values[0]);
        assert_ne!(values[0], values[1], "{parameter} came twice");
    }
    is_a_login(&second, &rogue);
}

#[tokio::test]
async fn the_configured_parameters_are_sent() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let lines = r#"
        scopes = ["openid", "email", "courses"]
        prompt = "login"
        acr_values = "urn:mfa urn:pwd"
        max_age = "8h"
        ui_locales = "ru en"
        audience = "https://api.school.example"
        params = { kc_idp_hint = "corp & co" }
    "#;
    let gateway = world.clone().start(&(rogue.table("rogue", lines) + &world.app("lms", &app))).await;
    let login = Browser::new().get(&gateway.url("/")).await;
    for (parameter, value) in [
        ("scope", "openid email courses"),
        ("prompt", "login"),
        ("acr_values", "urn:mfa urn:pwd"),
        ("max_age", "28800"),
        ("ui_locales", "ru en"),
        ("audience", "https://api.school.example"),
        ("kc_idp_hint", "corp & co"),
    ] {
        assert_eq!(login.location_param(parameter).as_deref(), Some(value), "{parameter}");
    }
}

#[tokio::test]
async fn a_scripts_request_gets_a_problem_with_the_address_to_open() {
    let (gateway, _rogue, app) = gateway("").await;
    let url = gateway.url("/api/courses");
    for ask in [
        Ask::script("GET", &url),
        Ask::script("POST", &url).body("application/json", "{}"),
        Ask::navigation(&url).instead("Sec-Fetch-Mode", "no-cors"),
        Ask::new("GET", &url).header("Accept", "text/html").header("X-Requested-With", "XMLHttpRequest"),
        Ask::new("GET", &url).header("Accept", "application/json"),
        Ask::new("GET", &url).header("Accept", "*/*"),
        Ask::new("GET", &url),
        Ask::new("DELETE", &url),
        Ask::new("OPTIONS", &url),
    ] {
        let response = Browser::new().send(ask).await;
        is_for_a_script(&response, &gateway);
        is_our_own(&response);
        assert!(response.headers.all("set-cookie").is_empty(), "no login was begun: {response:?}");
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn the_address_that_a_script_is_given_signs_in_and_comes_back() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    let problem = browser.fetch(&gateway.url("/api/courses")).await.json();
    browser.visit(problem["sign_in"].as_str().unwrap()).await.expect(200);
    assert_eq!(browser.fetch(&gateway.url("/api/courses")).await.status, 200);
    assert!(app.last().header("x-auth-sub").is_some());
}

#[tokio::test]
async fn a_form_that_is_not_kept_gets_a_page_that_says_that_nothing_was_sent() {
    let (gateway, _rogue, app) = gateway("[session]\nform_limit = 0\n").await;
    let posted = Ask::new("POST", &gateway.url("/quiz?attempt=3"))
        .header("Accept", "text/html")
        .header("Accept-Language", "ru")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Origin", gateway.world.origin())
        .body("application/x-www-form-urlencoded", "answer=%D0%B4%D0%B0&n=1&n=2");
    let page = Browser::new().send(posted).await.expect(403);
    is_our_own(&page);
    assert!(
        page.text().contains("/_sso/sign-in") && page.text().contains("Ничего не отправлено"),
        "{page:?}"
    );
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_form_that_another_site_posts_is_not_sent_either() {
    let (gateway, _rogue, app) = gateway("").await;
    for origin in ["https://evil.example", "null"] {
        let browser = Browser::new();
        let posted = Ask::new("POST", &gateway.url("/quiz"))
            .header("Accept", "text/html")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Site", "cross-site")
            .header("Origin", origin)
            .body("application/x-www-form-urlencoded", "delete=all");
        let page = browser.send(posted).await;
        assert!(!page.is_redirect(), "{page:?}");
        assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
        is_our_own(&page);
        browser.visit(&gateway.url("/")).await.expect(200);
    }
    assert!(app.received().iter().all(|request| request.method() == "GET"));
}

#[tokio::test]
async fn the_page_leads_back_to_where_the_form_stood() {
    let (gateway, _rogue, app) = gateway("[session]\nform_limit = 0\n").await;
    for (referer, landing) in [
        (gateway.url("/quiz?attempt=3&n=%D0%B4"), "/quiz?attempt=3&n=%D0%B4"),
        ("https://evil.example/quiz".into(), "/"),
        (gateway.url("/_sso/signed-out"), "/"),
        ("/\\evil.example".into(), "/"),
    ] {
        let posted = Ask::new("POST", &gateway.url("/quiz/send"))
            .header("Accept", "text/html")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Site", "same-origin")
            .header("Referer", &referer)
            .body("application/x-www-form-urlencoded", "answer=1");
        let browser = Browser::new();
        let page = browser.send(posted).await.expect(403);
        let link = crate::world::html::links(&page.text()).pop().unwrap();
        let end = browser.visit(page.url.join(&link).unwrap().as_str()).await.expect(200);
        assert_eq!(end.url.as_str(), gateway.url(landing), "{referer}");
        assert_eq!(app.last().method(), "GET");
    }
}

#[tokio::test]
async fn a_form_of_any_size_is_answered_without_waiting_for_it() {
    let (gateway, _rogue, app) = gateway("").await;
    let posted = Ask::new("POST", &gateway.url("/quiz"))
        .header("Accept", "text/html")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Origin", gateway.world.origin())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Content-Length", (1_u64 << 40).to_string());
    let begun = std::time::Instant::now();
    let page = Browser::new().send(posted).await.expect(403);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(page.text().contains("Nothing was sent"), "{page:?}");
    is_our_own(&page);
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_websocket_handshake_gets_401() {
    let (gateway, _rogue, app) = gateway("").await;
    let handshake = Ask::new("GET", &gateway.url("/live"))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-Fetch-Mode", "websocket")
        .header("Origin", gateway.world.origin());
    let response = Browser::new().send(handshake).await.expect(401);
    is_our_own(&response);
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_public_path_goes_to_the_app() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/static/*\", \"/favicon.ico\"]\naccess = \"public\"\n";
    let (gateway, rogue, app) = gateway(rules).await;
    let browser = Browser::new();
    browser.get(&gateway.url("/static/app.css?v=1")).await.expect(200);
    assert_eq!(app.last().target(), "/static/app.css?v=1");
    assert_eq!(app.last().header("x-auth-sub"), None);
    browser.get(&gateway.url("/favicon.ico")).await.expect(200);
    is_a_login(&browser.get(&gateway.url("/static")).await, &rogue);
    is_a_login(&browser.get(&gateway.url("/favicon.ico/x")).await, &rogue);
}

#[tokio::test]
async fn a_host_that_no_app_has_gets_421_as_plain_text() {
    let (gateway, _rogue, app) = gateway("").await;
    for host in ["other.example", "127.0.0.1", "localhost:4180", ""] {
        let response = Browser::new().send(Ask::navigation(&gateway.url("/")).header("Host", host)).await;
        let status = response.status;
        // RFC 9112 section 3.2 wants 400 for no host at all; an empty one names no app.
        assert!(status == 421 || host.is_empty() && status == 400, "{host:?}: {response:?}");
        if status == 421 {
            assert!(response.header("content-type").unwrap().starts_with("text/plain"), "{host:?}");
            is_our_own(&response);
        }
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_host_is_known_without_case_and_final_dot() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("rogue", "") + &world.app_at("lms", "http://lms.localhost:4180", &app.origin());
    let gateway = world.start(&config).await;
    for host in ["lms.localhost:4180", "LMS.localhost:4180", "lms.localhost.:4180"] {
        let response = Browser::new().send(Ask::navigation(&gateway.url("/")).header("Host", host)).await;
        is_a_login(&response, &rogue);
        assert_eq!(
            response.location_param("redirect_uri").as_deref(),
            Some("http://lms.localhost:4180/_sso/callback"),
            "the address comes from the configuration, not from {host}"
        );
    }
}

#[tokio::test]
async fn two_hosts_or_an_address_that_contradicts_the_host_are_refused() {
    let (gateway, _rogue, app) = gateway("").await;
    let host = gateway.address();
    for request in [
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nAccept: text/html\r\n\r\n"),
        "GET / HTTP/1.1\r\nAccept: text/html\r\n\r\n".to_owned(),
        format!("GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n"),
    ] {
        let response = Browser::new().raw(&gateway.url("/"), request.as_bytes()).await;
        assert!(matches!(response.status, 400 | 421), "{request}: {response:?}");
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_malformed_target_gets_400_also_under_a_public_rule() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n";
    let (gateway, _rogue, app) = gateway(rules).await;
    let host = gateway.address();
    for target in ["/a%00b", "/a%", "/a%2", "/a%zz", "/a\\b", "/a%0", "/c#x", "*", "admin", "a/b", "/a\u{1}b"]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n");
        let response = Browser::new().raw(&gateway.url("/"), request.as_bytes()).await;
        assert_eq!(response.status, 400, "{target:?}: {response:?}");
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_script_at_sign_in_gets_the_problem_instead_of_a_login() {
    let (gateway, rogue, _app) = gateway("").await;
    let url = gateway.url("/_sso/sign-in?return_to=/a");
    let response = Browser::new().send(Ask::script("GET", &url)).await;
    is_for_a_script(&response, &gateway);
    assert!(response.headers.all("set-cookie").is_empty(), "{response:?}");
    is_a_login(&Browser::new().get(&url).await, &rogue);
}

#[tokio::test]
async fn trace_reaches_no_app() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n";
    let (gateway, _rogue, app) = gateway(rules).await;
    let response = Browser::new().send(Ask::new("TRACE", &gateway.url("/"))).await.expect(405);
    assert!(response.header("allow").is_some_and(|allow| !allow.contains("TRACE")), "{response:?}");
    is_our_own(&response);
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn the_callers_own_session_is_401_without_one() {
    let (gateway, _rogue, _app) = gateway("").await;
    let response = Browser::new().fetch(&gateway.url("/_sso/session")).await.expect(401);
    is_our_own(&response);
    assert_eq!(response.json()["sub"], Value::Null);
}

#[tokio::test]
async fn nothing_else_below_our_prefix_reaches_the_app_and_wrong_methods_get_405() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    browser.get(&gateway.url("/_sso/nothing")).await.expect(404);
    browser.get(&gateway.url("/_sso/")).await.expect(404);
    for (method, path) in
        [("DELETE", "sign-in"), ("PUT", "callback"), ("POST", "session"), ("DELETE", "sign-out")]
    {
        let response =
            browser.send(Ask::script(method, &gateway.url(&format!("/_sso/{path}")))).await.expect(405);
        assert!(response.header("allow").is_some(), "{method} {path}");
        is_our_own(&response);
    }
    assert!(app.received().is_empty());
}
