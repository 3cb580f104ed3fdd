//! The LMS over real sockets, as the gateway and a browser behind it see it.
//!
//! Its clock stands still, so that what it tells is known beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::Lms;
use crate::demo::asking::{self, Answer, ask};
use crate::foundation::clock::{Clock, Timestamp};

async fn lms() -> SocketAddr {
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    asking::serve(Arc::new(Lms::new(clock)), Lms::answer).await
}

async fn get(target: &str, headers: &[(HeaderName, &str)]) -> Answer {
    ask(lms().await, Method::GET, target, headers, "").await
}

fn header(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

#[tokio::test]
async fn the_home_page_shows_who_is_there_and_the_headers_that_said_so() {
    let headers = [
        (header("x-user-id"), "person-1"),
        (header("x-user-full-name"), "%D0%90%D0%BD%D0%BD%D0%B0"),
        (header("x-user-role"), "student"),
        (header("x-user-city"), "Казань"),
        (header("x-forwarded-proto"), "http"),
    ];
    let page = get("/", &headers).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in
        ["Здравствуйте, Анна", "ученик", "Казань", "%D0%90%D0%BD", "x-forwarded-proto", "/_sso/sign-out"]
    {
        assert!(page.text.contains(text), "{text}");
    }
    assert!(page.header(CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"));
}

#[tokio::test]
async fn a_hostile_name_is_escaped_in_every_place() {
    let hostile = "<script>alert(1)</script>\" onload=\"";
    let headers = [
        (header("x-user-id"), hostile),
        (header("x-user-full-name"), hostile),
        (header("x-user-role"), hostile),
        (header("x-user-groups"), hostile),
        (header("x-other"), hostile),
    ];
    for target in ["/", "/about", "/teachers", "/live", "/nowhere"] {
        let page = get(target, &headers).await;
        assert!(!page.text.contains("<script>alert"), "{target}");
        assert!(!page.text.contains("\" onload"), "{target}");
    }
}

#[tokio::test]
async fn the_about_page_needs_nobody() {
    let page = get("/about", &[]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Вы не вошли") && page.text.contains("/_sso/sign-in"));
}

#[tokio::test]
async fn pages_and_files_have_their_status_and_type() {
    for (target, status, content_type) in [
        ("/static/style.css", StatusCode::OK, "text/css; charset=utf-8"),
        ("/static/live.js", StatusCode::OK, "text/javascript; charset=utf-8"),
        ("/static/icon.svg", StatusCode::OK, "image/svg+xml"),
        ("/static/none", StatusCode::NOT_FOUND, ""),
        ("/teachers", StatusCode::OK, "text/html; charset=utf-8"),
        ("/nowhere", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
    ] {
        let answer = get(target, &[]).await;
        assert_eq!((answer.status, answer.header(CONTENT_TYPE)), (status, content_type), "{target}");
    }
    let posted = ask(lms().await, Method::POST, "/", &[], "x").await;
    assert_eq!((posted.status, posted.header(ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
}

#[tokio::test]
async fn a_websocket_gives_back_what_it_is_told_with_the_time() {
    let address = lms().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/live/socket");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let greeting = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(greeting.as_str(), r#"{"seconds":1800000000,"echo":null}"#);
    socket.send(Message::text("Привет \"мир\"")).await.unwrap();
    let echo = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(echo.as_str(), r#"{"seconds":1800000000,"echo":"Привет \"мир\""}"#);
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_the_websocket() {
    let address = lms().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) =
        tokio_tungstenite::client_async(format!("ws://{address}/live/socket"), stream).await.unwrap();
    socket.send(Message::text("x".repeat(5000))).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        assert!(!message.to_string().contains("xxx"));
    }
}

#[tokio::test]
async fn a_plain_request_to_the_websocket_is_refused() {
    assert_eq!(get("/live/socket", &[]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_clock_ticks_while_somebody_listens() {
    let mut stream = TcpStream::connect(lms().await).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: lms\r\n\r\n").await.unwrap();
    let mut text = String::new();
    let two_ticks = async {
        while text.matches("event: tick\ndata: {\"seconds\":1800000000,\"utc\":\"08:00:00\"}\n\n").count() < 2
        {
            let mut piece = [0; 1024];
            let read = stream.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "{text}");
            text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
    };
    timeout(Duration::from_secs(30), two_ticks).await.unwrap();
    assert!(text.contains("content-type: text/event-stream"), "{text}");
}
