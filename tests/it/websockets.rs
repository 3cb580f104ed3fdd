//! WebSockets through the gateway.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use url::Url;

use crate::world::browser::authority;
use crate::world::wire::{Head, PATIENCE, Reader};
use crate::world::{Answer, Ask, Browser, Gateway, Inside, Rogue, Server, World};

/// An open WebSocket, spoken by hand.
pub struct Socket {
    head: Head,
    reader: Reader<tokio::io::ReadHalf<Box<dyn crate::world::server::Stream>>>,
    writer: tokio::io::WriteHalf<Box<dyn crate::world::server::Stream>>,
}

impl Socket {
    /// Shakes hands with what is at this origin, as a page of `origin`; the answer is in `head`.
    pub async fn open(browser: &Browser, at: &str, origin: Option<&str>) -> Self {
        Self::at(browser, &format!("{at}/live?room=7"), origin).await
    }

    /// The same at this address.
    pub async fn at(browser: &Browser, url: &str, origin: Option<&str>) -> Self {
        Self::with(browser, url, origin, "").await
    }

    /// The same with these header lines.
    pub async fn with(browser: &Browser, url: &str, origin: Option<&str>, lines: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let target = &url[url::Position::BeforePath..];
        let (reader, mut writer) = tokio::io::split(browser.connect(&url).await);
        let mut request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Fetch-Mode: websocket\r\n",
            authority(&url)
        );
        if let Some(origin) = origin {
            request.push_str(&format!("Origin: {origin}\r\n"));
        }
        if let Some(cookies) = browser.cookie_header(&url) {
            request.push_str(&format!("Cookie: {cookies}\r\n"));
        }
        writer.write_all(format!("{request}{lines}\r\n").as_bytes()).await.unwrap();
        let mut reader = Reader::new(reader);
        let head =
            tokio::time::timeout(PATIENCE, reader.head()).await.expect("an answer").expect("an answer");
        Self { head, reader, writer }
    }

    /// The status of the answer.
    pub fn status(&self) -> &str {
        self.head.start.split(' ').nth(1).unwrap()
    }

    /// Sends a text and waits for its echo.
    pub async fn echo(&mut self, text: &str) {
        let mask = [7, 1, 9, 3];
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
        frame.extend_from_slice(&mask);
        frame.extend(text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        self.writer.write_all(&frame).await.unwrap();
        let echoed =
            tokio::time::timeout(PATIENCE, self.reader.exactly(text.len() + 2)).await.expect("an echo");
        assert_eq!(echoed[0], 0x81);
        assert_eq!(&echoed[2..], text.as_bytes());
    }

    /// Waits for its end; what came before it.
    pub async fn end(&mut self) -> Vec<u8> {
        tokio::time::timeout(PATIENCE, self.reader.rest()).await.expect("it was closed")
    }
}

async fn signed_in(lines: &str) -> (Gateway, Rogue, Server, Browser) {
    let (gateway, rogue, app) = World::with_rogue(lines).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    app.answer(|request| match request.header("upgrade") {
        Some(_) => Answer::WebSocketEcho,
        None => Answer::text("page"),
    });
    (gateway, rogue, app, browser)
}

#[tokio::test]
async fn a_websocket_of_the_apps_own_page_opens_and_carries_messages_both_ways() {
    let (gateway, _rogue, app, browser) = signed_in("").await;
    let mut socket = Socket::open(&browser, &gateway.world.origin(), Some(&gateway.world.origin())).await;
    assert_eq!(socket.status(), "101", "{:?}", socket.head);
    assert_eq!(
        socket.head.fields.get("sec-websocket-accept").as_deref(),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    for text in ["hello", "Привет", ""] {
        socket.echo(text).await;
    }
    let request = app.last();
    assert_eq!(request.target(), "/live?room=7");
    assert_eq!(request.header("x-auth-sub").as_deref(), Some("u-1"));
    assert_eq!(request.header("sec-websocket-key").as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(request.header("upgrade").unwrap().to_lowercase(), "websocket");
    assert_eq!(request.header("cookie"), None);
}

#[tokio::test]
async fn another_origin_is_refused_unless_the_app_lists_it() {
    let (gateway, _rogue, app, browser) =
        signed_in("websocket_origins = [\"https://talk.school.example\"]\n").await;
    app.forget();
    for origin in [
        "https://evil.example",
        "null",
        "http://talk.school.example",
        "https://talk.school.example.evil.example",
        "",
    ] {
        let socket = Socket::open(&browser, &gateway.world.origin(), Some(origin)).await;
        assert_eq!(socket.status(), "403", "{origin}");
    }
    assert!(app.received().is_empty());
    let socket = Socket::open(&browser, &gateway.world.origin(), Some("https://talk.school.example")).await;
    assert_eq!(socket.status(), "101");
}

#[tokio::test]
async fn a_websocket_is_closed_when_its_session_ends_anywhere() {
    let (gateway, _rogue, _app, browser) = signed_in("").await;
    let origin = gateway.world.origin();
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let mut socket = Socket::open(&browser, &gateway.world.origin(), Some(&origin)).await;
        socket.echo("before").await;
        sockets.push(socket);
    }
    let leave = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    browser.send(leave).await;
    for socket in &mut sockets {
        socket.end().await;
    }
}

#[tokio::test]
async fn a_websocket_is_closed_when_its_sessions_time_is_over() {
    let (gateway, _rogue, app) =
        Inside::with_rogue("[session]\nidle_timeout = \"1m\"\nlifetime = \"1h\"\n").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    app.answer(|_| Answer::WebSocketEcho);
    let mut socket = Socket::open(&browser, &gateway.world.origin(), Some(&gateway.world.origin())).await;
    socket.echo("before").await;
    gateway.later(Duration::from_secs(3600));
    socket.end().await;
    browser.fetch(&gateway.url("/")).await.expect(401);
}

#[tokio::test]
async fn an_app_that_refuses_the_handshake_is_heard() {
    let (gateway, _rogue, app, browser) = signed_in("").await;
    app.answer(|_| Answer::of(426, "text/plain", "version 8 only").with("Sec-WebSocket-Version", "8"));
    let mut socket = Socket::open(&browser, &gateway.world.origin(), Some(&gateway.world.origin())).await;
    assert_eq!(socket.status(), "426");
    assert_eq!(socket.reader.exactly(14).await, b"version 8 only");
}

#[tokio::test]
async fn an_app_that_closes_ends_the_websocket() {
    let (gateway, _rogue, app, browser) = signed_in("").await;
    app.answer(|_| {
        let head = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        Answer::BytesThenClose([&head[..], &[0x81, 3, b'b', b'y', b'e']].concat())
    });
    let mut socket = Socket::open(&browser, &gateway.world.origin(), Some(&gateway.world.origin())).await;
    assert_eq!(socket.status(), "101");
    assert!(socket.end().await.ends_with(b"bye"), "the last frame came before the end");
}

#[tokio::test]
async fn a_websocket_outlives_the_time_limit_for_answers() {
    let (gateway, _rogue, _app, browser) =
        signed_in("timeouts = { connect = \"1s\", response = \"1s\" }\n").await;
    let mut socket = Socket::open(&browser, &gateway.world.origin(), Some(&gateway.world.origin())).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    socket.echo("still here").await;
}

/// An app that answers every head at once and keeps the connection, and reads whatever follows as the next
/// request: what a server does that takes a GET with `Upgrade` for a GET without a body.
async fn hasty_app() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let heads = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let heads = Arc::clone(&heads);
            tokio::spawn(async move {
                let (reader, mut writer) = tokio::io::split(stream);
                let mut reader = Reader::new(reader);
                while let Some(head) = reader.head().await {
                    heads.lock().unwrap().push(head.start.clone());
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    writer.write_all(answer).await.unwrap();
                    let length = head.fields.get("content-length");
                    reader.exactly(length.map_or(0, |length| length.parse().unwrap())).await;
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_handshake_with_a_length_hides_no_request_in_the_next_ones_body() {
    let (world, rogue, (app, seen)) = (World::new(), Rogue::start().await, hasty_app().await);
    let rules = "[[apps.lms.rules]]\npaths = [\"/pub/*\"]\naccess = \"public\"\n";
    let origin = world.origin();
    let config = rogue.table("rogue", "") + &world.app_at("lms", &origin, &format!("http://{app}")) + rules;
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    let hidden =
        "GET /admin/secret HTTP/1.1\r\nHost: x\r\nX-Auth-Sub: boss\r\nContent-Length: 0\r\n\r\n".to_owned();
    // The app takes so much of what comes next for the handshake's body: the next request's own head.
    for length in (0..600).step_by(20) {
        seen.lock().unwrap().clear();
        let handshake = Ask::new("GET", &gateway.url("/pub/live"))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Origin", &origin)
            .header("Content-Length", length.to_string());
        let answer = browser.send(handshake).await;
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
        let padded = format!("{}{hidden}", "x".repeat(200));
        let ask = Ask::script("POST", &gateway.url("/pub/x")).body("text/plain", padded);
        browser.send(ask).await.expect(200);
        let heads = seen.lock().unwrap().clone();
        let expected = ["GET /pub/live HTTP/1.1", "POST /pub/x HTTP/1.1"];
        assert!(heads == expected || heads == expected[1..], "length {length}: {heads:?}");
    }
}

#[tokio::test]
async fn another_protocol_than_websocket_is_not_switched_to() {
    let (gateway, _rogue, app, browser) = signed_in("").await;
    for protocol in ["h2c", "TLS/1.0", "websocket, h2c"] {
        let ask = Ask::script("GET", &gateway.url("/x"))
            .header("Connection", "Upgrade")
            .header("Upgrade", protocol);
        let response = browser.send(ask).await;
        assert_ne!(response.status, 101, "{protocol}");
    }
    let _ = app;
}
