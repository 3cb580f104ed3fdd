//! How a form arrives that is to be kept: its size, its framing, its pace, and how much room there is.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use url::Url;

use super::{URLENCODED, form, gateway, press, signed_in};
use crate::world::browser::{Response, read_response};
use crate::world::chromium::Chromium;
use crate::world::wire::Reader;
use crate::world::{Answer, Browser, Gateway};

const LIMIT: &str = "[session]\nform_limit = 1000\n";

/// The head of a form of the app's own, with these further fields.
fn head(gateway: &Gateway, fields: &str) -> String {
    format!(
        "POST /quiz HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Site: same-origin\r\nContent-Type: {URLENCODED}\r\n{fields}\r\n",
        gateway.address()
    )
}

/// Sends these pieces with pauses between them, and reads the answer.
async fn sent(gateway: &Gateway, pieces: &[&[u8]], pause: Duration) -> Response {
    let (input, mut output) = TcpStream::connect(gateway.address()).await.unwrap().into_split();
    for piece in pieces {
        output.write_all(piece).await.ok();
        tokio::time::sleep(pause).await;
    }
    let url = Url::parse(&gateway.url("/quiz")).unwrap();
    let read = async { read_response(&mut Reader::new(input), &url, "POST").await };
    tokio::time::timeout(crate::world::wire::PATIENCE, read).await.expect("an answer in time")
}

#[tokio::test]
async fn a_form_of_the_limits_size_is_kept_and_one_byte_more_is_not() {
    let (gateway, _rogue, app) = gateway(LIMIT).await;
    for (length, kept) in [(1000, true), (1001, false)] {
        let content = "x".repeat(length);
        let browser = Browser::new();
        let answer = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, &content)).await;
        if kept {
            let page = signed_in(&browser, answer).await.expect(200);
            press(&browser, &page).await.expect(200);
            assert_eq!(app.last().body, content.as_bytes());
        } else {
            let answer = answer.expect(403);
            assert!(answer.text().contains("too large to be kept"), "{answer:?}");
        }
    }
    for (length, status) in [(1000, 200), (1001, 403)] {
        let head = head(&gateway, "Transfer-Encoding: chunked\r\n");
        let chunk = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
        sent(&gateway, &[head.as_bytes(), chunk.as_bytes()], Duration::ZERO).await.expect(status);
    }
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn a_form_without_a_length_arrives_with_one() {
    let (gateway, _rogue, app) = gateway("").await;
    let head = head(&gateway, "Transfer-Encoding: chunked\r\n");
    let pieces = [head.as_bytes(), b"3\r\na=1\r\n", b"5\r\n&b=22\r\n", b"0\r\n\r\n"];
    let kept = sent(&gateway, &pieces, Duration::from_millis(50)).await.expect(200);
    let browser = Browser::new();
    let cookie = kept.headers.all("set-cookie").pop().unwrap();
    let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    browser.plant(&gateway.address().ip().to_string(), name, value);
    let page = signed_in(&browser, kept).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!(app.last().body, b"a=1&b=22");
    assert_eq!(app.last().header("content-length").as_deref(), Some("8"));
    assert_eq!(app.last().header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on_or_is_answered() {
    let (gateway, _rogue, _app) = gateway(LIMIT).await;
    let ask = async |length: usize| {
        let fields = format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
        let (input, mut output) = TcpStream::connect(gateway.address()).await.unwrap().into_split();
        output.write_all(head(&gateway, &fields).as_bytes()).await.unwrap();
        let mut reader = Reader::new(input);
        let first = reader.head().await.unwrap();
        (first, reader, output)
    };
    let (first, mut reader, mut output) = ask(5).await;
    assert!(first.start.starts_with("HTTP/1.1 100 "), "{first:?}");
    output.write_all(b"a=123").await.unwrap();
    assert!(reader.head().await.unwrap().start.starts_with("HTTP/1.1 200 "));
    let (first, ..) = ask(5000).await;
    assert!(first.start.starts_with("HTTP/1.1 403 "), "{first:?}");
}

#[tokio::test]
async fn a_browser_that_aborts_leaves_nothing_and_the_gateway_serves_on() {
    let (gateway, _rogue, app) = gateway("").await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        let begun = head(&gateway, "Content-Length: 200000\r\n") + &"x".repeat(100_000);
        stream.write_all(begun.as_bytes()).await.unwrap();
        drop(stream);
    }
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn a_form_that_dribbles_costs_what_has_arrived_and_no_more() {
    let (gateway, _rogue, _app) = gateway("[session]\nform_limit = 8388608\n").await;
    // More than any address may keep, if what is announced counted.
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all((head(&gateway, "Content-Length: 8388608\r\n") + "x").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    signed_in(&browser, kept).await.expect(200);
}

#[tokio::test]
async fn a_stranger_with_many_forms_fills_a_share_and_gets_a_page_then() {
    let (gateway, _rogue, _app) = gateway("[session]\nform_limit = 8388608\n").await;
    let content = "x".repeat(5 << 20);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = Browser::new().send(form(&gateway.url("/quiz")).body(URLENCODED, &content)).await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 403]);
    let answer = Browser::new().send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    answer.expect(200);
    // What was sent on makes room.
    let log = gateway.log();
    assert!(log.contains("a form is kept") && !log.contains("xxxxxxxx"), "{log}");
}

#[tokio::test]
async fn a_form_whose_address_fits_into_no_cookie_takes_no_room_in_the_store() {
    let (gateway, _rogue, app) = gateway("[session]\nform_limit = 8388608\n").await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let quotes = format!("/{}", "\"".repeat(2000));
    let head = head(&gateway, "Content-Length: 8388608\r\n").replacen("/quiz", &quotes, 1);
    let content = vec![b'x'; 8 << 20];
    // More than the store has room for, which would push out what waits there.
    for _ in 0..9 {
        let pieces = [head.as_bytes(), content.as_slice()];
        sent(&gateway, &pieces, Duration::ZERO).await.expect(403);
    }
    let page = signed_in(&browser, kept).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!(app.last().body, b"a=1");
}

#[tokio::test]
async fn who_sends_far_too_much_is_not_cut_off_before_the_answer_is_read() {
    let (gateway, _rogue, _app) = gateway(LIMIT).await;
    let content = vec![b'x'; 32 << 20];
    let length = format!("Content-Length: {}\r\n", content.len());
    let chunk = format!("{:x}\r\n", content.len());
    let chunked = ("Transfer-Encoding: chunked\r\n", &*chunk, "\r\n0\r\n\r\n");
    for (mode, (fields, begin, end), status, says) in [
        ("navigate", (&*length, "", ""), 403, "too large to be kept"),
        ("navigate", chunked, 403, "too large to be kept"),
        // A script's upload.
        ("cors", (&*length, "", ""), 401, "sign_in"),
    ] {
        let (input, mut output) = TcpStream::connect(gateway.address()).await.unwrap().into_split();
        let head = head(&gateway, fields).replace("navigate", mode) + begin;
        let url = Url::parse(&gateway.url("/quiz")).unwrap();
        let mut reader = Reader::new(input);
        // The second comes by the same connection.
        for _ in 0..2 {
            for piece in [head.as_bytes(), &content, end.as_bytes()] {
                output.write_all(piece).await.unwrap();
            }
            let answer = read_response(&mut reader, &url, "POST").await.expect(status);
            assert!(answer.text().contains(says), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn chromium_shows_that_nothing_was_sent_of_a_file_that_is_far_too_large() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/quiz\"]\naccess = \"public\"\n";
    let (gateway, _rogue, app) = gateway(rules).await;
    app.answer(|_| {
        Answer::of(
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html><form method=post action=/send enctype=multipart/form-data><input type=file name=f><button>Сдать",
        )
    });
    let file = gateway.world.dir.path().join("film.bin");
    std::fs::write(&file, vec![b'x'; 24 << 20]).unwrap();
    let chromium = Chromium::open().await;
    chromium.goto(&gateway.url("/quiz")).await;
    chromium.attach("input[type=file]", &file).await;
    chromium.press("button").await;
    chromium.reads("Ничего не отправлено").await;
    chromium.close().await;
}
