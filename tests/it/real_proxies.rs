//! Behind nginx and Caddy themselves: real programs, by the very files in `deploy/`.

use crate::behind_a_proxy::{DEFAULTS, RULES};
use crate::websockets::Socket;
use crate::world::browser::{Cookie, Response, authority};
use crate::world::program::Program;
use crate::world::wire::Reader;
use crate::world::{Answer, Ask, Browser, Engine, Gateway, Server, World};
use serde_json::json;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

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
        std::fs::create_dir_all(&dir).unwrap();
        let (issued, roots) = crate::process::certificate(&[host]);
        std::fs::write(dir.join("lms.pem"), issued.cert.pem()).unwrap();
        std::fs::write(dir.join("lms.key"), issued.signing_key.serialize_pem()).unwrap();
        let site = deployed("nginx.conf", &gateway, &app)
            .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
            .replace("lms.example.org", host)
            .replace("/etc/ssl/certs/lms.pem", "lms.pem")
            .replace("/etc/ssl/private/lms.key", "lms.key");
        let proxy = nginx(&dir, &site);
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

/// nginx that serves this site, with everything else in this directory.
pub fn nginx(dir: &Path, site: &str) -> Program {
    std::fs::create_dir_all(dir.join("tmp")).unwrap();
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
    let nginx = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    Program::start(nginx, |command| {
        command.arg("-p").arg(dir).arg("-e").arg("stderr").arg("-c").arg(dir.join("nginx.conf"));
    })
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
        for name in DEFAULTS.into_iter().chain(["Forwarded", "X-Forwarded-Port", "X-Real-IP"]) {
            for spelling in [name.to_owned(), name.replace('-', "_"), name.replace('-', ".")] {
                ask = ask.header(&spelling, "forged");
            }
        }
        // Nor can they be dropped on the way by a client that names them in Connection.
        let ask = ask.header("Connection", "X-Auth-Sub, close");
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
    // Besides the mark of the sign-in, which ends by itself within a minute.
    let of_session = |cookie: &&Cookie| cookie.host.starts_with("lms.") && !cookie.name.contains("-login-");
    let cookies = front.browser.cookies().iter().filter(of_session).count();
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
