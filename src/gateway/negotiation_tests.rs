//! Tables for what a request wants and who had it sent.

use url::Url;

use super::*;

/// Header lines.
type Lines<'a> = &'a [(&'static str, &'a [u8])];

fn headers(lines: Lines<'_>) -> HeaderMap {
    lines.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        headers
    })
}

fn app(text: &str) -> Origin {
    Origin::of(&Url::parse(text).unwrap()).unwrap()
}

const CHROME: &[u8] = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";

#[test]
fn navigations_scripts_and_websockets_are_told_apart() {
    use Intent::{Navigation, Script, WebSocket};
    let upgrade: Lines<'_> = &[("upgrade", b"WebSocket"), ("connection", b"keep-alive, Upgrade")];
    let table: &[(Lines<'_>, Intent)] = &[
        (&[("sec-fetch-mode", b"navigate"), ("accept", CHROME)], Navigation),
        (&[("sec-fetch-mode", b"navigate"), ("accept", b"*/*")], Navigation),
        (&[("sec-fetch-mode", b"navigate"), ("sec-fetch-dest", b"iframe")], Navigation),
        (&[("sec-fetch-mode", b"cors"), ("accept", CHROME)], Script),
        (&[("sec-fetch-mode", b"no-cors")], Script),
        (&[("sec-fetch-mode", b"websocket"), ("accept", CHROME)], Script),
        (&[("sec-fetch-mode", b""), ("accept", CHROME)], Script),
        (&[("sec-fetch-mode", b"Navigate"), ("accept", CHROME)], Script),
        (&[("sec-fetch-mode", b"navigate"), ("sec-fetch-mode", b"cors")], Script),
        (&[("sec-fetch-mode", b"navigate"), ("x-requested-with", b"XMLHttpRequest")], Script),
        (&[("accept", CHROME)], Navigation),
        (&[("accept", CHROME), ("x-requested-with", b"xmlhttprequest")], Script),
        (&[("accept", CHROME), ("x-requested-with", b"org.example.app")], Navigation),
        (&[("accept", b"application/json"), ("accept", b"TEXT/HTML")], Navigation),
        (&[("accept", b"text/html;q=0")], Script),
        (&[("accept", b"text/html;q=7")], Script),
        (&[("accept", b"text/*")], Script),
        (&[("accept", b"application/json, */*")], Script),
        (&[("accept", b"\xff text/html")], Script),
        (&[("accept", b"")], Script),
        (&[], Script),
        (upgrade, WebSocket),
        (&[("upgrade", b"websocket"), ("accept", CHROME)], Navigation),
        (&[("connection", b"upgrade"), ("upgrade", b"h2c"), ("accept", CHROME)], Navigation),
    ];
    for (lines, expected) in table {
        assert_eq!(Intent::of(&Method::GET, &headers(lines)), *expected, "{lines:?}");
    }
    assert_eq!(Intent::of(&Method::POST, &headers(upgrade)), Script, "a handshake is a GET");
}

#[test]
fn what_a_request_without_a_session_gets() {
    use Unsigned::{Keep, Refuse, SignIn};
    for (method, intent, expected) in [
        (Method::GET, Intent::Navigation, SignIn),
        (Method::HEAD, Intent::Navigation, SignIn),
        (Method::POST, Intent::Navigation, Keep),
        (Method::PUT, Intent::Navigation, Keep),
        (Method::GET, Intent::Script, Refuse),
        (Method::POST, Intent::Script, Refuse),
        (Method::GET, Intent::WebSocket, Refuse),
    ] {
        assert_eq!(Unsigned::of(&method, intent), expected, "{method} {intent:?}");
    }
}

#[test]
fn the_sender_is_read_from_fetch_metadata_then_origin_then_referer() {
    use Sender::{App, Neighbour, Person, Stranger, Unknown};
    let table: &[(Lines<'_>, Sender)] = &[
        (&[("sec-fetch-site", b"same-origin"), ("origin", b"https://evil.example")], App),
        (&[("sec-fetch-site", b"same-origin"), ("origin", b"null")], App),
        (&[("sec-fetch-site", b"none")], Person),
        (&[("sec-fetch-site", b"same-site")], Neighbour),
        (&[("sec-fetch-site", b"cross-site"), ("origin", b"https://lms.example.org")], Stranger),
        (&[("sec-fetch-site", b""), ("origin", b"https://lms.example.org")], Stranger),
        (&[("sec-fetch-site", b"same-origin"), ("sec-fetch-site", b"same-origin")], Stranger),
        (&[("sec-fetch-site", b"\xff")], Stranger),
        (&[("origin", b"https://lms.example.org")], App),
        (&[("origin", b"https://lms.example.org:443")], App),
        (&[("origin", b"https://lms.example.org"), ("origin", b"https://lms.example.org")], Stranger),
        (&[("origin", b"null"), ("referer", b"https://lms.example.org/")], Stranger),
        (&[("referer", b"https://lms.example.org/course?id=1")], App),
        (&[("referer", b"https://evil.example/?https://lms.example.org/")], Stranger),
        (&[], Unknown),
    ];
    for (lines, expected) in table {
        let sender = Sender::of(&headers(lines), &app("https://lms.example.org"));
        assert_eq!(sender, *expected, "{lines:?}");
    }
}

#[test]
fn only_strangers_are_asked_about() {
    for (sender, asked) in [
        (Sender::App, false),
        (Sender::Person, false),
        (Sender::Neighbour, false),
        (Sender::Stranger, true),
        (Sender::Unknown, false),
    ] {
        assert_eq!(sender.must_be_asked_about(), asked, "{sender:?}");
    }
}

#[test]
fn an_address_is_at_an_origin_only_when_all_three_parts_are_equal() {
    for (address, origin, expected) in [
        (&b"HTTPS://LMS.example.ORG./x"[..], "https://lms.example.org", true),
        (b"https://lms.example.org:8443", "https://lms.example.org:8443", true),
        (b"https://lms.example.org:08443", "https://lms.example.org:8443", true),
        (b"https://[::1]:8443/x", "https://[::1]:8443", true),
        (b"http://[::1]", "http://[::1]", true),
        (b"https://lms.example.org:", "https://lms.example.org", false),
        (b"https://lms.example.org:+443", "https://lms.example.org", false),
        (b"https://lms.example.org:99999", "https://lms.example.org", false),
        (b"http://lms.example.org", "https://lms.example.org", false),
        (b"https://lms.example.org:8443", "https://lms.example.org", false),
        (b"https://lms.example.org.evil.example", "https://lms.example.org", false),
        (b"https://lms.example.org@evil.example", "https://lms.example.org", false),
        (b"https://evil.example\\@lms.example.org", "https://lms.example.org", false),
        (b"https://evil.example?.lms.example.org", "https://lms.example.org", false),
        (b"//lms.example.org", "https://lms.example.org", false),
        (b"lms.example.org", "https://lms.example.org", false),
        (b"null", "https://lms.example.org", false),
        (b"\xff\xfe://", "https://lms.example.org", false),
        (b"://", "https://lms.example.org", false),
        (b"", "https://lms.example.org", false),
    ] {
        assert_eq!(is_at(address, &app(origin)), expected, "{}", address.escape_ascii());
    }
}

#[test]
fn people_get_pages_and_scripts_get_problems() {
    use Form::{Page, Problem};
    for (intent, accept, expected) in [
        (Intent::Navigation, CHROME, Page),
        (Intent::Navigation, b"*/*", Page),
        (Intent::Navigation, b"", Page),
        (Intent::Navigation, b"application/json", Problem),
        (Intent::Script, b"*/*", Problem),
        (Intent::Script, b"", Problem),
        (Intent::Script, b"text/html, */*; q=0.01", Page),
        (Intent::Script, b"text/html;q=0.5, application/json", Problem),
        (Intent::Script, b"application/json, text/html", Page),
        (Intent::Script, b"application/problem+json;q=0.4, text/html;q=0.5", Page),
        (Intent::WebSocket, b"", Problem),
    ] {
        let headers = headers(&[("accept", accept)]);
        assert_eq!(Form::of(intent, &headers), expected, "{intent:?} {}", accept.escape_ascii());
    }
}

#[test]
fn a_weight_is_read_exactly_and_nonsense_is_not_acceptable() {
    for (text, expected) in [
        ("1", 1000),
        ("1.000", 1000),
        ("0.8", 800),
        ("0.05", 50),
        ("0.001", 1),
        ("0", 0),
        ("0.", 0),
        ("1.001", 0),
        ("0.1234", 0),
        ("2", 0),
        ("-1", 0),
        (".5", 0),
        ("", 0),
        ("0.x", 0),
        ("0.5.5", 0),
    ] {
        assert_eq!(Quality::parse(text), Quality(expected), "{text}");
    }
}
