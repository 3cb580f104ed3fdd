//! Behind another proxy: `verify` row by row, and the configurations in `deploy/` as they are.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::websockets::Socket;
use crate::world::browser::{Response, authority};
use crate::world::program::Program;
use crate::world::wire::Reader;
use crate::world::{Answer, Ask, Browser, Engine, Gateway, Inside, Rogue, Server, World};

const DEFAULTS: [&str; 6] = [
    "x-auth-sub",
    "x-auth-email",
    "x-auth-name",
    "x-auth-given-name",
    "x-auth-family-name",
    "x-auth-phone-number",
];

const RULES: &str = r#"
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
    gateway.logs("\"path\":\"/_sso/verify\"").await;
    let events = gateway.events();
    for (method, path, decision) in [
        ("POST", "/judged/1", "admitted"),
        ("DELETE", "/static/judged", "public"),
        ("GET", "/judged/3", "sign_in"),
        ("GET", "/admin/judged", "denied"),
    ] {
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

/// Another proxy in front of a gateway, and what they protect.
struct Front {
    _proxy: Program,
    gateway: Gateway,
    app: Server,
    browser: Browser,
    url: String,
}

/// A free port of 127.0.0.1. Somebody else could take it before it is used; nobody here does.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Front {
    /// A gateway and an app, for a proxy that listens at `url`.
    async fn surroundings(url: &str, lines: &str) -> (Gateway, Server) {
        let (world, app, engine) = (World::new(), Server::start().await, Engine::trusted());
        let config = String::from("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n")
            + &engine.table_for(&[url], "/_sso/callback", "school", "")
            + &world.app_at("lms", url, &app.origin())
            + &RULES.replace("claims.groups", "claims.custom_fields.groups")
            + lines;
        (world.start(&config).await, app)
    }

    async fn nginx(lines: &str) -> Self {
        let port = free_port();
        let host = "lms.school.localhost";
        let url = format!("https://{host}:{port}");
        let (gateway, app) = Self::surroundings(&url, lines).await;
        let dir = gateway.world.dir.path().join("nginx");
        std::fs::create_dir_all(dir.join("tmp")).unwrap();
        let (issued, roots) = crate::process::certificate(&[host]);
        std::fs::write(dir.join("lms.pem"), issued.cert.pem()).unwrap();
        std::fs::write(dir.join("lms.key"), issued.signing_key.serialize_pem()).unwrap();
        let site = deployed("nginx.conf", &gateway, &app)
            .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
            .replace("lms.example.org", host)
            .replace("/etc/ssl/certs/lms.pem", "lms.pem")
            .replace("/etc/ssl/private/lms.key", "lms.key");
        std::fs::write(dir.join("site.conf"), site).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {}/tmp/{kind};\n", dir.display()))
            .collect();
        let main = format!(
            "daemon off;\nworker_processes 1;\npid {0}/nginx.pid;\nerror_log stderr;\n{1}events {{}}\n\
             http {{\n{temporary}access_log off;\nproxy_headers_hash_max_size 1024;\ninclude {0}/site.conf;\n}}\n",
            dir.display(),
            user(),
        );
        std::fs::write(dir.join("nginx.conf"), main).unwrap();
        let nginx =
            if std::path::Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let proxy = Program::start(nginx, |command| {
            command.arg("-p").arg(&dir).arg("-e").arg("stderr").arg("-c").arg(dir.join("nginx.conf"));
        });
        proxy.listens_on(port).await;
        Self { _proxy: proxy, gateway, app, browser: Browser::new().trusting(roots), url }
    }

    async fn caddy(lines: &str) -> Self {
        let port = free_port();
        let url = format!("http://lms.school.localhost:{port}");
        let (gateway, app) = Self::surroundings(&url, lines).await;
        let dir = gateway.world.dir.path().join("caddy");
        std::fs::create_dir_all(&dir).unwrap();
        let site =
            deployed("Caddyfile", &gateway, &app).replace("\nlms.example.org {", &format!("\n{url} {{"));
        std::fs::write(dir.join("Caddyfile"), format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}"))
            .unwrap();
        let proxy = Program::start("caddy", |command| {
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(dir.join("Caddyfile"));
            command
                .env("HOME", &dir)
                .env("XDG_DATA_HOME", &dir)
                .env("XDG_CONFIG_HOME", &dir)
                .stdin(Stdio::null());
        });
        proxy.listens_on(port).await;
        Self { _proxy: proxy, gateway, app, browser: Browser::new(), url }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn get(&self, path: &str) -> Response {
        self.browser.get(&self.url(path)).await
    }
}

/// A file of `deploy/`, with the addresses of these.
fn deployed(name: &str, gateway: &Gateway, app: &Server) -> String {
    let path = format!("{}/deploy/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.replace("127.0.0.1:4180", &gateway.address().to_string())
        .replace("127.0.0.1:3000", &app.address().to_string())
}

/// nginx started by root gives its worker to this user, who must reach the test's directory.
fn user() -> &'static str {
    let root = std::process::Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    if root { "user root;\n" } else { "" }
}

/// What both must do.
async fn is_a_good_front(front: Front) {
    let page = front.browser.sign_in(&front.url("/courses/7?a=b&c=%D0%B4"), "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", front.gateway.log());
    assert_eq!(page.url.as_str(), front.url("/courses/7?a=b&c=%D0%B4"));
    let request = front.app.last();
    assert_eq!(request.target(), "/courses/7?a=b&c=%D0%B4");
    assert_eq!(request.header("x-auth-sub").as_deref(), Some("5f6d1c0e9b1e8a0017a1b001"));
    assert_eq!(request.header("x-auth-name").as_deref(), Some("Иванов Иван Сергеевич"));

    // Forged headers are overwritten, also by what is absent.
    let stranger = front.browser.fresh();
    for (browser, path, sub) in
        [(&front.browser, "/private", "5f6d1c0e9b1e8a0017a1b001"), (&stranger, "/static/a.css", "")]
    {
        let mut ask = Ask::script("GET", &front.url(path));
        for name in DEFAULTS {
            for spelling in [name.to_owned(), name.replace('-', "_"), name.replace('-', ".")] {
                ask = ask.header(&spelling, "forged");
            }
        }
        browser.send(ask).await.expect(200);
        let request = front.app.last();
        assert_eq!(request.header("x-auth-sub").unwrap_or_default(), sub, "{path}");
        assert!(!String::from_utf8_lossy(&request.head.raw).contains("forged"), "{:?}", request.head);
    }

    // What the question is asked with is for the proxy alone: nobody learns a person's headers by it.
    for path in ["/_sso/verify", "/_sso/verify?x", "/_sso/Verify", "/_sso/%76erify", "/_sso//verify"] {
        let ask = Ask::script("GET", &front.url("/")).target(path).header("X-Forwarded-Uri", "/private");
        let refused = front.browser.send(ask).await;
        assert!(matches!(refused.status, 400 | 404), "{path}: {refused:?}");
        assert_eq!(refused.header("x-auth-sub"), None);
    }

    // A target that the rules would see another part of.
    front.app.forget();
    for path in ["/static/#/../../admin/x", "/static/..;/admin/x", "/static/%2e%2e/admin/x"] {
        let response = stranger.send(Ask::script("GET", &front.url("/")).target(path)).await;
        assert!(response.status >= 400, "{path}: {response:?}");
    }
    assert!(front.app.received().is_empty());

    // Bodies pass; rules hold; scripts get a problem they can read.
    let body = "x".repeat(100_000);
    let ask = Ask::script("POST", &front.url("/form")).header("Origin", &front.url).body("text/plain", &body);
    front.browser.send(ask).await.expect(200);
    assert_eq!(front.app.last().body.len(), body.len());
    front.get("/admin/x").await.expect(403);
    let problem = stranger.fetch(&front.url("/api")).await.expect(401);
    assert!(problem.json()["sign_in"].is_string(), "{problem:?}");

    // A WebSocket opens for the app's own page alone; events come one by one.
    front.app.answer(|request| match request.path() {
        "/live" => Answer::WebSocketEcho,
        "/events" => {
            Answer::chunked("text/event-stream", Duration::from_millis(800), &["data: 1\n\n", "data: 2\n\n"])
        }
        _ => Answer::text("page"),
    });
    let mut socket = Socket::open(&front.browser, &front.url, Some(&front.url)).await;
    assert_eq!(socket.status(), "101");
    socket.echo("Привет").await;
    for (browser, origin) in [(&front.browser, "https://evil.example"), (&stranger, front.url.as_str())] {
        let refused = Socket::open(browser, &front.url, Some(origin)).await;
        assert!(matches!(refused.status(), "401" | "403"), "{origin}: {}", refused.status());
    }
    let begun = std::time::Instant::now();
    let url = url::Url::parse(&front.url("/events")).unwrap();
    let (reader, mut writer) = tokio::io::split(front.browser.connect(&url).await);
    let cookies = front.browser.cookie_header(&url).unwrap();
    let ask = format!("GET /events HTTP/1.1\r\nHost: {}\r\nCookie: {cookies}\r\n\r\n", authority(&url));
    writer.write_all(ask.as_bytes()).await.unwrap();
    let mut reader = Reader::new(reader);
    reader.head().await.unwrap();
    reader.chunk(&mut Vec::new()).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "the first event waits for no other: {:?}",
        begun.elapsed()
    );

    // And out again.
    front.app.forget();
    let leave = Ask::navigation(&front.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    let leaving = front.browser.send(leave).await;
    let asked = front.browser.follow(leaving).await.expect(200);
    let form = asked.form("op.logoutForm").fill("logout", "yes");
    let end = front.browser.submit(&asked, form).await.expect(200);
    assert_eq!(end.url.as_str().split('?').next().unwrap(), front.url("/_sso/signed-out"));
    front.browser.fetch(&front.url("/api")).await.expect(401);
    assert!(front.app.received().is_empty());
}

#[tokio::test]
async fn nginx_with_auth_request_signs_in_protects_and_signs_out() {
    is_a_good_front(Front::nginx("").await).await;
}

#[tokio::test]
async fn nginx_hands_on_what_could_be_read_in_two_ways() {
    let front = Front::nginx("").await;
    for path in ["/static/../admin/x", "/static/%2e%2e/admin/x", "/static/..%2fadmin/x"] {
        let response = front.browser.send(Ask::script("GET", &front.url("/")).target(path)).await;
        assert!(response.status >= 400, "{path}: {response:?}");
    }
    assert!(front.app.received().is_empty());
}

#[tokio::test]
async fn caddy_with_forward_auth_signs_in_protects_and_signs_out() {
    is_a_good_front(Front::caddy("").await).await;
}

/// Uses a session for longer than its idle time, with never more than a part of it between two requests.
async fn lives_on(front: &Front, login: &str, pieces: std::ops::Range<usize>) {
    front.browser.sign_in(&front.url("/"), login).await.expect(200);
    let cookies =
        front.browser.cookies().into_iter().filter(|cookie| cookie.host.starts_with("lms.")).count();
    assert!(pieces.contains(&cookies), "{cookies}");
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let response = front.browser.fetch(&front.url("/x")).await;
        assert_eq!(response.status, 200, "{}: {response:?}", front.url);
        assert!(front.app.last().header("x-auth-sub").is_some());
    }
}

const SHORT: &str = "\n[session]\nstore = \"cookie\"\nidle_timeout = \"8s\"\n";

#[tokio::test]
async fn a_session_in_a_cookie_is_renewed_through_nginx_and_lives_on() {
    lives_on(&Front::nginx(SHORT).await, "ivanov", 1..2).await;
}

#[tokio::test]
async fn a_session_in_several_cookies_is_renewed_through_caddy_and_lives_on() {
    let groups: Vec<String> = (0..250).map(|_| crate::world::keys::random()).collect();
    let person = json!({"login": "groups", "sub": "groups", "custom_fields": {"groups": groups}});
    Engine::trusted().command("person", json!({"person": person}));
    lives_on(&Front::caddy(SHORT).await, "groups", 3..9).await;
}

#[tokio::test]
async fn a_large_identity_signs_in_through_nginx() {
    let groups: Vec<String> = (0..250).map(|_| crate::world::keys::random()).collect();
    let person = json!({"login": "nginx-groups", "sub": "nginx-groups", "custom_fields": {"groups": groups}});
    Engine::trusted().command("person", json!({"person": person}));
    let front = Front::nginx("\n[session]\nstore = \"cookie\"\n").await;
    front.browser.sign_in(&front.url("/"), "nginx-groups").await.expect(200);
    front.browser.fetch(&front.url("/x")).await.expect(200);
}
