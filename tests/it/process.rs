//! The process: start, drain, limits, the admin listener, TLS for browsers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::world::wire::{PATIENCE, Reader};
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

/// A connection to the gateway, with these bytes sent.
async fn connection(
    gateway: &Gateway,
    bytes: &str,
) -> (Reader<impl tokio::io::AsyncRead + Unpin + use<>>, impl tokio::io::AsyncWrite + Unpin + use<>) {
    let url = Url::parse(&gateway.url("/")).unwrap();
    let (reader, mut writer) = tokio::io::split(Browser::new().connect(&url).await);
    writer.write_all(bytes.as_bytes()).await.unwrap();
    (Reader::new(reader), writer)
}

#[tokio::test]
async fn no_request_in_flight_is_cut_when_the_process_is_asked_to_end() {
    let (mut gateway, _rogue, app) =
        World::with_rogue("[[apps.lms.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n").await;
    app.answer(|_| Answer::chunked("text/plain", Duration::from_millis(400), &["a", "b", "c", "d"]));
    let url = gateway.url("/slow");
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Browser::new().get(&url).await })
        })
        .collect();
    app.has_received(8).await;
    // An idle connection must not hold the process up.
    let _idle = connection(&gateway, "").await;
    gateway.signal("TERM");
    sleep(Duration::from_millis(200)).await;
    let refused = tokio::net::TcpStream::connect(gateway.address()).await;
    assert!(refused.is_err(), "no new connection is taken");
    for request in slow {
        let response = request.await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "abcd"));
        assert!(!response.cut_short);
    }
    let begun = Instant::now();
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn ctrl_c_ends_it_too() {
    let (mut gateway, _rogue, _app) = World::with_rogue("").await;
    gateway.signal("INT");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_drain_at_once() {
    let (mut gateway, _rogue, app) =
        World::with_rogue("[[apps.lms.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n").await;
    app.answer(|_| Answer::Silence);
    let url = Url::parse(&gateway.url("/")).unwrap();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
        &url[url::Position::BeforeHost..url::Position::AfterPort]
    );
    let _open = connection(&gateway, &head).await;
    app.has_received(1).await;
    gateway.signal("TERM");
    gateway.logs("draining").await;
    sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    gateway.signal("INT");
    assert_eq!(gateway.ended().await.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_hang_up_is_told_and_ends_nothing() {
    let (mut gateway, _rogue, _app) = World::with_rogue("").await;
    gateway.signal("HUP");
    gateway.logs("SIGHUP: there is no reload yet").await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    gateway.signal("TERM");
    gateway.signal("HUP");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_reader_that_stands_still_loses_access_lines_and_no_audit_event() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let rules = "[[apps.lms.rules]]\npaths = [\"/public/*\"]\naccess = \"public\"\n\
                 [[apps.lms.rules]]\npaths = [\"/closed/*\"]\nallow = \"false\"\n\
                 [log]\nformat = \"json\"\n";
    world.write_config(&(rogue.table("rogue", "") + &world.app("lms", &app) + rules));
    let mut child = world.command().stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let origin = world.origin();
    let up = timeout(PATIENCE, async {
        while tokio::net::TcpStream::connect(world.address()).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    up.await.unwrap();
    let browser = Browser::new();
    browser.visit(&format!("{origin}/")).await.expect(200);
    let long = "a".repeat(8000);
    for _ in 0..700 {
        browser.get(&format!("{origin}/public/{long}")).await.expect(200);
    }
    for number in 0..20 {
        browser.get(&format!("{origin}/closed/{number}")).await.expect(403);
    }
    let reading = tokio::task::spawn_blocking(move || {
        let mut log = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut log).unwrap();
        log
    });
    // The reader goes on, and hears what it has missed.
    sleep(Duration::from_secs(2)).await;
    std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let log = timeout(PATIENCE, reading).await.unwrap().unwrap();
    child.wait().unwrap();
    let events: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let count = |is: &dyn Fn(&serde_json::Value) -> bool| events.iter().filter(|event| is(event)).count();
    assert_eq!(count(&|event| event["event"] == "refused"), 20);
    assert_eq!(count(&|event| event["event"] == "sign_in"), 1);
    let lines = count(&|event| event["target"] == "access" && event["path"].as_str().unwrap().len() > 8000);
    let told =
        events.iter().filter(|event| event["message"] == "log lines were dropped: their reader is too slow");
    let dropped: u64 = told.map(|event| event["lines"].as_u64().unwrap()).sum();
    assert!(
        lines < 700 && dropped >= 700 - u64::try_from(lines).unwrap(),
        "{lines} written, {dropped} dropped"
    );
}

#[tokio::test]
async fn nobody_fakes_a_field_of_the_log_and_a_script_without_a_session_has_no_reference_there() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    Browser::new().fetch(&gateway.url("/script")).await.expect(401);
    let line = gateway.logs("\"/script\"").await;
    let line = line.lines().find(|line| line.contains("\"/script\"")).unwrap().to_owned();
    assert!(line.contains("status=401") && !line.contains("reference"), "{line}");

    let words = "x\" event=\"sign_in\" subject=\"boss\"\nsecond line";
    rogue.replace(
        crate::world::Endpoint::Token,
        Answer::of(
            400,
            "application/json",
            serde_json::json!({"error": "invalid_client", "error_description": words}).to_string(),
        ),
    );
    Browser::new().visit(&gateway.url("/")).await.expect(502);
    let log = gateway.logs("event=\"sign_in_failed\"").await;
    let line = log.lines().find(|line| line.contains("event=\"sign_in_failed\"")).unwrap();
    assert!(line.contains("audit: sign-in failed event=") && line.contains("client=127."), "{line}");
    assert!(line.contains("mend=\"check client_id"), "{line}");
    assert!(!line.contains(" event=\"sign_in\"") && !line.contains(" subject=\"boss"), "{line}");
    assert!(!log.lines().any(|line| line.starts_with("second line")), "{log}");
}

#[tokio::test]
async fn readyz_says_no_while_draining_and_healthz_says_yes() {
    let (gateway, _rogue, app) =
        World::with_rogue("[[apps.lms.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n").await;
    gateway.ask_admin("/healthz").await.expect(200);
    let gateway = gateway.ready().await;
    app.answer(|_| Answer::After(Duration::from_secs(2), Box::new(Answer::text("late"))));
    let url = gateway.url("/");
    let slow = tokio::spawn(async move { Browser::new().get(&url).await.status });
    app.has_received(1).await;
    gateway.signal("TERM");
    sleep(Duration::from_millis(300)).await;
    gateway.ask_admin("/readyz").await.expect(503);
    gateway.ask_admin("/healthz").await.expect(200);
    assert_eq!(slow.await.unwrap(), 200);
}

#[tokio::test]
async fn the_admin_listener_serves_metrics_and_the_public_one_never_does() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let metrics = gateway.ask_admin("/metrics").await.expect(200);
    assert!(metrics.text().contains("# TYPE"), "{}", metrics.text());
    assert!(metrics.text().contains("vestibule_"), "{}", metrics.text());
    app.forget();
    for path in ["/metrics", "/readyz", "/healthz"] {
        Browser::new().get(&gateway.url(path)).await.expect(302);
    }
    gateway.ask_admin("/other").await.expect(404);
    Browser::new().send(Ask::new("POST", &format!("http://{}/metrics", gateway.admin()))).await.expect(405);
}

#[tokio::test]
async fn every_request_has_one_access_line_without_its_query() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    browser.get(&gateway.url("/marked-path?secret=hidden")).await.expect(200);
    let log = gateway.logs("/marked-path").await;
    assert_eq!(log.matches("/marked-path").count(), 1, "{log}");
    let line = log.lines().find(|line| line.contains("/marked-path")).unwrap();
    assert!(line.contains("200") && line.contains("lms") && !line.contains("hidden"), "{line}");
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_fields_gets_431() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let url = gateway.url("/");
    Browser::new().send(Ask::script("GET", &url).header("X-Big", "a".repeat(1 << 20))).await.expect(431);
    let mut many = Ask::script("GET", &url);
    for number in 0..2000 {
        many = many.header(&format!("X-{number}"), "1");
    }
    Browser::new().send(many).await.expect(431);
    let long = format!("/{}", "a".repeat(1 << 20));
    let response = Browser::new().send(Ask::script("GET", &url).target(long)).await;
    assert!(matches!(response.status, 414 | 431), "{response:?}");
    assert!(app.received().is_empty());
    Browser::new().fetch(&url).await.expect(401);
}

#[tokio::test]
async fn a_head_that_drips_and_an_idle_connection_are_given_up() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let slow = async {
        let (mut reader, mut writer) = connection(&gateway, "GET / HTTP/1.1\r\nHost: x\r\n").await;
        let dripping = async {
            while writer.write_all(b"X: y\r\n").await.is_ok() {
                sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! { _ = reader.rest() => {}, () = dripping => {} }
    };
    timeout(Duration::from_secs(75), slow).await.expect("a dripping head is given up");
}

#[tokio::test]
async fn garbage_never_ends_the_process() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    for bytes in [
        "\0\0\0\0",
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}",
        "GET /\u{1f600} HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
    ] {
        let (mut reader, writer) = connection(&gateway, bytes).await;
        drop(writer);
        timeout(Duration::from_millis(300), reader.rest()).await.ok();
    }
    Browser::new().fetch(&gateway.url("/")).await.expect(401);
}

#[tokio::test]
async fn a_cookie_and_a_query_of_any_bytes_never_end_the_process() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let names: Vec<_> = browser.cookies().into_iter().map(|cookie| cookie.name).collect();
    for name in &names {
        for value in [&b""[..], b"\xff\xfe", b"=====", b"\"", b"a;b;c=;=;", &[b'A'; 8000]] {
            let cookie = [name.as_bytes(), b"=", value].concat();
            let ask = Ask::script("GET", &gateway.url("/")).header("Cookie", &cookie);
            let status = Browser::new().send(ask).await.status;
            assert!(matches!(status, 400 | 401 | 431), "{status}");
        }
    }
    for query in ["%", "code=%ff&state=%00", "code&state&iss", "&&&===", "code=a;state=b", "state=%C0%AF"] {
        let ask = Ask::navigation(&gateway.url("/")).target(format!("/_sso/callback?{query}"));
        assert_eq!(Browser::new().send(ask).await.status, 400, "{query}");
    }
}

/// A certificate for these names, with its roots for a browser.
pub fn certificate(names: &[&str]) -> (rcgen::CertifiedKey<rcgen::KeyPair>, Arc<rustls::ClientConfig>) {
    let issued =
        rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (issued, Arc::new(client.with_root_certificates(roots).with_no_client_auth()))
}

#[tokio::test]
async fn browsers_are_served_with_the_certificate_of_the_name_they_ask_for_and_cookies_are_bound_to_it() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let hosts = ["lms.school.localhost", "talk.school.localhost"];
    let mut tables = String::from("[server]\ntls = [");
    let mut roots = Vec::new();
    for host in hosts {
        let (issued, root) = certificate(&[host]);
        let (cert, key) =
            (world.dir.path().join(format!("{host}.pem")), world.dir.path().join(format!("{host}.key")));
        std::fs::write(&cert, issued.cert.pem()).unwrap();
        std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        tables.push_str(&format!("{{ cert = {cert:?}, key = {key:?} }}, "));
        roots.push(root);
    }
    tables.push_str("]\n");
    tables.push_str(&rogue.table("rogue", ""));
    for (name, host) in ["lms", "talk"].iter().zip(hosts) {
        tables.push_str(&world.app_at(name, &format!("https://{host}:4180"), &app.origin()));
    }
    let gateway = world.start(&tables).await;
    for (host, root) in hosts.iter().zip(roots) {
        let browser = Browser::new().trusting(root);
        browser.knows(host, gateway.address().ip());
        browser.visit(&format!("https://{host}:4180/x")).await.expect(200);
        let cookies = browser.cookies();
        assert!(!cookies.is_empty());
        assert!(
            cookies.iter().all(|cookie| cookie.secure && cookie.name.starts_with("__Host-")),
            "{cookies:?}"
        );
        assert_eq!(app.last().header("x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(app.last().header("cookie"), None);
    }
}

#[tokio::test]
async fn an_app_behind_tls_is_reached_with_its_own_ca_and_refused_without() {
    let (world, rogue) = (World::new(), Rogue::start().await);
    let (issued, _) = certificate(&["lms.internal"]);
    let ca = world.dir.path().join("ca.pem");
    std::fs::write(&ca, issued.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let app = Server::start_tls(Arc::new(tls)).await;
    let upstream = format!("https://{}", app.address());
    let trusting = format!("upstream_tls = {{ ca = {ca:?}, server_name = \"lms.internal\" }}\n");
    for (lines, status) in [(trusting.as_str(), 200), ("", 502)] {
        let world = World::new();
        let config = rogue.table("rogue", "") + &world.app_at("lms", &world.origin(), &upstream) + lines;
        let gateway = world.start(&config).await;
        Browser::new().visit(&gateway.url("/")).await.expect(status);
    }
    assert_eq!(app.received().len(), 1);
    drop(world);
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_so_and_ends_the_start() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let world = World::new();
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    std::fs::write(world.config_path(), config).unwrap();
    let out = tokio::task::spawn_blocking(move || world.command().output().unwrap());
    let out = timeout(PATIENCE, out).await.expect("it ends by itself").unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = [out.stdout, out.stderr].concat();
    assert!(
        String::from_utf8_lossy(&said).contains("4180") || String::from_utf8_lossy(&said).contains("9180")
    );
}

#[tokio::test]
async fn audit_events_tell_of_sign_in_refusal_and_sign_out() {
    let lines = "[[apps.lms.rules]]\npaths = [\"/admin/*\"]\nallow = 'false'\n";
    let (gateway, _rogue, _app) = World::with_rogue(lines).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    browser.get(&gateway.url("/admin/x")).await.expect(403);
    let leave = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    browser.send(leave).await.expect(302);
    for (event, facts) in [
        ("sign_in", &[][..]),
        ("refused", &["method=\"GET\"", "path=\"/admin/x\"", "rule=\"rule 1 (/admin/*)\""]),
        ("sign_out", &[]),
    ] {
        let log = gateway.logs(&format!("event=\"{event}\"")).await;
        let line = log.lines().find(|line| line.contains(&format!("event=\"{event}\""))).unwrap();
        for fact in ["client=127."].iter().chain(facts) {
            assert!(line.contains(fact), "{fact}: {line}");
        }
    }
    let metrics = gateway.ask_admin("/metrics").await.text();
    for word in ["sign_in", "sign_out", "request"] {
        assert!(metrics.contains(word), "{word}: {metrics}");
    }
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_had_ends_the_start_and_says_so() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config =
        rogue.table("rogue", "") + &world.app("lms", &app) + "[server]\nstate_dir = \"config.toml/state\"\n";
    world.write_config(&config);
    let out = tokio::task::spawn_blocking(move || world.command().output().unwrap()).await.unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("config.toml/state") && said.contains("mend: let the gateway's user"), "{said}");
}

#[tokio::test]
async fn a_damaged_session_file_ends_the_start_and_says_what_to_do() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    world.write_config(&(rogue.table("rogue", "") + &world.app("lms", &app)));
    std::fs::create_dir(world.dir.path().join("state")).unwrap();
    std::fs::write(world.dir.path().join("state/sessions.redb"), "no session file").unwrap();
    let out = tokio::task::spawn_blocking(move || world.command().output().unwrap()).await.unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("sessions.redb") && said.contains("mend: put the file back"), "{said}");
}

#[tokio::test]
async fn an_app_that_is_reached_without_tls_needs_no_trust_roots_of_the_system() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let rules = "[[apps.lms.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n";
    world.write_config(&(rogue.table("rogue", "") + &world.app("lms", &app) + rules));
    let mut command = world.command();
    command.env("SSL_CERT_FILE", "/no/such/file").env("SSL_CERT_DIR", "/no/such/directory");
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let up = timeout(PATIENCE, async {
        while tokio::net::TcpStream::connect(world.address()).await.is_err() {
            assert_eq!(child.try_wait().unwrap(), None);
            sleep(Duration::from_millis(10)).await;
        }
    });
    up.await.unwrap();
    Browser::new().get(&format!("{}/", world.origin())).await.expect(200);
    child.kill().unwrap();
    child.wait().unwrap();
}
