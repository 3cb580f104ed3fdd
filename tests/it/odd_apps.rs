//! Apps and clients that break HTTP, and that nobody else suffers from it.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::world::browser::{Response, read_response};
use crate::world::server::Stream;
use crate::world::wire::{PATIENCE, Reader};
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

/// A gateway whose app is public.
async fn open() -> (Gateway, Server) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let rules = "timeouts = { connect = \"2s\", response = \"2s\" }\n[[apps.lms.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n";
    let config = rogue.table("rogue", "") + &world.app("lms", &app) + rules;
    (world.start(&config).await, app)
}

/// Asks a few times, on fresh and on kept connections: every answer is the app's own to that very request.
async fn nobody_is_confused(gateway: &Gateway, app: &Server, what: &str) {
    app.answer(|request| Answer::text(&format!("answer to {}", request.target())));
    for number in 0..6 {
        let path = format!("/after/{number}");
        let response = Browser::new().get(&gateway.url(&path)).await;
        assert_eq!((response.status, response.text()), (200, format!("answer to {path}")), "{what}");
    }
}

/// A connection to the gateway.
async fn wire(
    gateway: &Gateway,
) -> (Reader<tokio::io::ReadHalf<Box<dyn Stream>>>, tokio::io::WriteHalf<Box<dyn Stream>>) {
    let url = Url::parse(&gateway.url("/")).unwrap();
    let (reader, writer) = tokio::io::split(Browser::new().connect(&url).await);
    (Reader::new(reader), writer)
}

async fn answer(
    gateway: &Gateway,
    reader: &mut Reader<tokio::io::ReadHalf<Box<dyn Stream>>>,
    method: &str,
) -> Response {
    let url = Url::parse(&gateway.url("/")).unwrap();
    timeout(PATIENCE, read_response(reader, &url, method)).await.unwrap()
}

const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

#[tokio::test]
async fn bytes_after_an_answer_never_become_the_answer_to_somebody_else() {
    let (gateway, app) = open().await;
    for (what, method, first) in [
        ("after a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("after chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("after HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("after 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("after 304", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ] {
        for pause in [0, 30] {
            app.answer(move |_| {
                // In one piece, or the rest could arrive behind the next request, where nobody can tell it.
                if pause == 0 {
                    return Answer::bytes(format!("{first}{EVIL}"));
                }
                let late = (Duration::from_millis(pause), EVIL.as_bytes().to_vec());
                Answer::Bytes(vec![(Duration::ZERO, first.as_bytes().to_vec()), late])
            });
            Browser::new().send(Ask::new(method, &gateway.url("/first"))).await;
            sleep(Duration::from_millis(pause * 2)).await;
            nobody_is_confused(&gateway, &app, what).await;
        }
    }
}

#[tokio::test]
async fn answers_that_two_parsers_would_read_differently_are_not_passed_on_as_they_are() {
    let (gateway, app) = open().await;
    for (what, head) in [
        ("both framings", "Content-Length: 100\r\nTransfer-Encoding: chunked"),
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3"),
        ("an unknown coding", "Transfer-Encoding: gzip"),
        ("a length with a sign", "Content-Length: +2"),
    ] {
        app.answer(move |_| Answer::bytes(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\nok\r\n0\r\n\r\n")));
        let response =
            Browser::new().send(Ask::new("GET", &gateway.url("/")).header("Connection", "close")).await;
        let framings =
            response.headers.all("content-length").len() + response.headers.all("transfer-encoding").len();
        assert!(response.status == 502 || framings == 1, "{what}: {response:?}");
        nobody_is_confused(&gateway, &app, what).await;
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_the_apps_connection() {
    let (gateway, app) = open().await;
    app.answer(|_| {
        Answer::BytesThenClose(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end".to_vec())
    });
    let (mut reader, mut writer) = wire(&gateway).await;
    for _ in 0..3 {
        writer
            .write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address()).as_bytes())
            .await
            .unwrap();
        let response = answer(&gateway, &mut reader, "GET").await;
        assert_eq!((response.status, response.text().as_str()), (200, "until the end"));
        assert!(!response.cut_short, "it is framed anew, so that the browser's connection is kept");
    }
    nobody_is_confused(&gateway, &app, "without a length").await;
}

#[tokio::test]
async fn informational_answers_before_the_real_one_do_no_harm() {
    let (gateway, app) = open().await;
    app.answer(|_| {
        Answer::bytes("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")
    });
    assert_eq!(Browser::new().get(&gateway.url("/")).await.expect(200).text(), "real");
    nobody_is_confused(&gateway, &app, "103").await;
}

#[tokio::test]
async fn headers_that_no_answer_may_have_get_502_and_large_ones_do_no_harm() {
    let (gateway, app) = open().await;
    for (what, head) in [
        ("a space in a name", "X Y: 1"),
        ("a NUL", "X: a\0b"),
        ("no colon", "nonsense"),
        ("no end of it", &"X: y\r\n".repeat(20_000)),
        ("a megabyte", &format!("X: {}", "a".repeat(1 << 20))),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: 2\r\n\r\nok");
        app.answer(move |_| Answer::bytes(bytes.clone()));
        let response = Browser::new().get(&gateway.url("/")).await;
        assert_eq!(response.status, 502, "{what}");
        nobody_is_confused(&gateway, &app, what).await;
    }
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 2\r\n\r\nok", "a".repeat(12_000));
    app.answer(move |_| Answer::bytes(long.clone()));
    assert_eq!(
        Browser::new().get(&gateway.url("/")).await.expect(200).header("x-long").unwrap().len(),
        12_000
    );
}

#[tokio::test]
async fn an_app_that_answers_before_it_has_read_everything_is_heard() {
    let (gateway, app) = open().await;
    // It answers at once and closes, with most of the body unread.
    let early = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = early.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = early.accept().await.unwrap();
        let (input, mut output) = tokio::io::split(stream);
        let mut reader = Reader::new(input);
        reader.head().await.unwrap();
        reader.exactly(1000).await;
        output
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
            .await
            .unwrap();
        sleep(Duration::from_millis(500)).await;
    });
    let (world, rogue) = (World::new(), Rogue::start().await);
    let config = rogue.table("rogue", "")
        + &world.app_at("early", &world.origin(), &format!("http://{address}"))
        + "[[apps.early.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n";
    let other = world.start(&config).await;
    let ask = Ask::new("POST", &other.url("/")).body("text/plain", "x".repeat(4 << 20));
    let response = Browser::new().send(ask).await;
    assert_eq!((response.status, response.text().as_str()), (413, "too large"));
    serving.await.unwrap();
    nobody_is_confused(&gateway, &app, "another gateway").await;
}

#[tokio::test]
async fn a_body_that_the_client_cuts_off_never_looks_complete_to_the_app() {
    let (gateway, app) = open().await;
    let host = gateway.address();
    for (head, body) in
        [("Content-Length: 100", "only this"), ("Transfer-Encoding: chunked", "9\r\nonly this\r\n")]
    {
        app.forget();
        let (_, mut writer) = wire(&gateway).await;
        writer
            .write_all(format!("POST /cut HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n{body}").as_bytes())
            .await
            .unwrap();
        sleep(Duration::from_millis(100)).await;
        drop(writer);
        // The app's side of it ends too; its recorder notes what came.
        for _ in 0..100 {
            if !app.received().is_empty() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        for request in app.received() {
            let length: Option<usize> =
                request.header("content-length").map(|length| length.parse().unwrap());
            let complete = length.map_or_else(
                || request.raw_body.ends_with(b"0\r\n\r\n"),
                |length| request.body.len() == length,
            );
            assert!(!complete, "{head}: {request:?}");
        }
        nobody_is_confused(&gateway, &app, head).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_amid_an_answer_leaves_nothing_behind_for_the_next() {
    let (gateway, app) = open().await;
    let host = gateway.address();
    app.answer(|_| Answer::of(200, "text/plain", "x".repeat(8 << 20)));
    for _ in 0..4 {
        let (mut reader, mut writer) = wire(&gateway).await;
        writer.write_all(format!("GET /big HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        reader.exactly(100_000).await;
    }
    nobody_is_confused(&gateway, &app, "left").await;
}

#[tokio::test]
async fn an_old_client_gets_an_answer_it_understands() {
    let (gateway, app) = open().await;
    app.answer(|_| Answer::chunked("text/plain", Duration::ZERO, &["old", " news"]));
    let request = format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", gateway.address());
    let response = Browser::new().raw(&gateway.url("/"), request.as_bytes()).await;
    assert_eq!((response.status, response.text().as_str()), (200, "old news"));
    assert_eq!(response.header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_slow_reader_does_not_make_the_gateway_hold_the_whole_answer() {
    let (gateway, app) = open().await;
    app.answer(|_| Answer::of(200, "application/octet-stream", vec![7; 256 << 20]));
    let before = resident(gateway.id());
    let (mut reader, mut writer) = wire(&gateway).await;
    writer
        .write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address()).as_bytes())
        .await
        .unwrap();
    reader.exactly(1000).await;
    sleep(Duration::from_millis(700)).await;
    let grown = resident(gateway.id()).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more for one slow reader");
}

#[tokio::test]
async fn a_slow_app_does_not_make_the_gateway_hold_the_whole_upload() {
    let (gateway, _app) = open().await;
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (world, rogue) = (World::new(), Rogue::start().await);
    let config = rogue.table("rogue", "")
        + &world.app_at("deaf", &world.origin(), &format!("http://{}", deaf.local_addr().unwrap()))
        + "[[apps.deaf.rules]]\npaths = [\"/*\"]\naccess = \"public\"\n";
    let other = world.start(&config).await;
    let before = resident(other.id());
    let (_reader, mut writer) = wire(&other).await;
    let host = other.address();
    writer
        .write_all(format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 268435456\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let piece = vec![7; 1 << 20];
    let sending = async {
        for _ in 0..256 {
            writer.write_all(&piece).await.unwrap();
        }
    };
    assert!(timeout(Duration::from_secs(1), sending).await.is_err(), "the gateway took all of it");
    let grown = resident(other.id()).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more for one deaf app");
    drop(gateway);
}

/// The memory that a process holds, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
