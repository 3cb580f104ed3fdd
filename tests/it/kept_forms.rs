//! A form that comes without a session is kept, and sent once its sender has signed in: the very bytes, to the very
//! address, and never what another site made the browser send.

mod arriving;
mod people;

use crate::world::browser::Response;
use crate::world::html::{Form, links};
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

pub(super) const URLENCODED: &str = "application/x-www-form-urlencoded";

pub(super) async fn gateway(lines: &str) -> (Gateway, Rogue, Server) {
    World::with_rogue(lines).await
}

/// A form that a page of the app's own sends, without its content.
pub(super) fn form(url: &str) -> Ask {
    Ask::new("POST", url)
        .header("Accept", "text/html")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Fetch-Site", "same-origin")
}

/// The page that sends a kept form, after the sign-in that it needed.
pub(super) async fn signed_in(browser: &Browser, kept: Response) -> Response {
    let kept = kept.expect(200);
    assert!(kept.headers.all("location").is_empty(), "no redirect, which the app's form-action would forbid");
    let refresh = kept.header("refresh").unwrap_or_else(|| panic!("not kept: {kept:?}"));
    browser.visit(refresh.strip_prefix("0;url=").unwrap()).await
}

/// Presses the button on that page, as a browser does.
pub(super) async fn press(browser: &Browser, page: &Response) -> Response {
    browser.send(pressed(page)).await
}

pub(super) fn pressed(page: &Response) -> Ask {
    let Form { action, fields, .. } = page.form("");
    assert!(page.text().contains("enctype=\"text/plain\""), "{page:?}");
    let content: String = fields.iter().map(|(name, value)| format!("{name}={value}\r\n")).collect();
    form(&action)
        .header("Origin", page.url.origin().ascii_serialization())
        .header("Referer", page.url.as_str())
        .body("text/plain", content)
}

/// Posts a form without a session, signs in and sends it.
async fn posted(browser: &Browser, ask: Ask) -> Response {
    let page = signed_in(browser, browser.send(ask).await).await.expect(200);
    press(browser, &page).await
}

/// What every byte can be in a multipart body.
fn upload() -> (String, Vec<u8>) {
    let boundary = "----WebKitFormBoundaryй7MA4YWxkTrZu0gW".replace('й', "x");
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"ответ\"\r\n\r\nСочинение\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend(0..=255_u8);
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

#[tokio::test]
async fn a_form_arrives_after_the_sign_in_byte_for_byte_whatever_its_kind() {
    let (gateway, _rogue, app) = gateway("").await;
    app.answer(|_| Answer::redirect(303, "/done").with("Set-Cookie", "app=1"));
    let (multipart, upload) = upload();
    for (kind, content) in [
        (URLENCODED, "answer=%D0%B4%D0%B0&n=1&n=2&e=".as_bytes()),
        (multipart.as_str(), upload.as_slice()),
        ("text/plain; charset=utf-8", "ответ=да\r\n".as_bytes()),
        ("text/plain", b"vestibule-form=BwcHBwcHBwcH\r\n"),
        ("application/json", br#"{"a": [1, "x"]}"#),
        (URLENCODED, b""),
    ] {
        app.forget();
        let browser = Browser::new();
        let target = "/quiz/send?attempt=3&x=%2F%D0%98";
        let ask =
            form(&gateway.url(target)).header("Referer", gateway.url("/quiz?attempt=3")).body(kind, content);
        let answer = posted(&browser, ask).await;
        // The app's own answer, at the very address.
        assert_eq!((answer.status, answer.header("location").as_deref()), (303, Some("/done")), "{kind}");
        assert_eq!(answer.url.as_str(), gateway.url(target));
        assert!(answer.headers.all("set-cookie").contains(&"app=1".to_owned()), "{answer:?}");
        let [request] = app.received().try_into().unwrap_or_else(|all| panic!("{all:?}"));
        assert_eq!((request.method(), request.target()), ("POST", target));
        assert_eq!(request.body, content, "{kind}");
        assert_eq!(request.header("content-type").as_deref(), Some(kind));
        assert_eq!(request.header("content-length"), Some(content.len().to_string()));
        assert_eq!(request.header("x-auth-sub").as_deref(), Some("u-1"));
        assert_eq!(request.header("referer"), Some(gateway.url("/quiz?attempt=3")));
        assert_eq!(request.header("cookie"), None, "ours never reach an app");
        assert!(browser.cookies().iter().all(|cookie| !cookie.name.contains("-form-")), "the slip is gone");
    }
}

#[tokio::test]
async fn a_form_is_sent_once_and_what_comes_again_finds_nothing() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    // The slip again, as of a double click whose first answer has not come yet.
    let twice = browser.copy();
    press(&browser, &page).await.expect(200);
    let again = press(&twice, &page).await.expect(403);
    assert!(again.text().contains("sent once only"), "{again:?}");
    press(&browser, &page).await.expect(403);
    // The back button, or a reload of the page that sent it.
    browser.get(page.url.as_str()).await.expect(403);
    assert_eq!(app.received().iter().filter(|request| request.method() == "POST").count(), 1);
    browser.get(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn two_at_once_reach_the_app_once() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    let all = (0..8).map(|_| {
        let (browser, ask) = (browser.copy(), pressed(&page));
        tokio::spawn(async move { browser.send(ask).await.status })
    });
    let mut statuses = Vec::new();
    for one in all.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403, 403, 403, 403, 403, 403, 403]);
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn forms_in_two_tabs_do_not_disturb_each_other() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    let first = browser.send(form(&gateway.url("/one")).body(URLENCODED, "n=1")).await;
    let second = browser.send(form(&gateway.url("/two?x")).body(URLENCODED, "n=2")).await;
    let second = signed_in(&browser, second).await.expect(200);
    let first = signed_in(&browser, first).await.expect(200);
    press(&browser, &first).await.expect(200);
    assert_eq!((app.last().target(), app.last().body.as_slice()), ("/one", &b"n=1"[..]));
    press(&browser, &second).await.expect(200);
    assert_eq!((app.last().target(), app.last().body.as_slice()), ("/two?x", &b"n=2"[..]));
}

#[tokio::test]
async fn a_form_of_another_site_is_never_kept() {
    let (gateway, _rogue, app) = gateway("").await;
    let url = gateway.url("/quiz");
    let bare = || Ask::new("POST", &url).header("Accept", "text/html").header("Sec-Fetch-Mode", "navigate");
    let own = gateway.world.origin();
    for (name, ask) in [
        (
            "cross-site",
            bare().header("Sec-Fetch-Site", "cross-site").header("Origin", "https://evil.example"),
        ),
        (
            "a site beside",
            bare().header("Sec-Fetch-Site", "same-site").header("Origin", "https://evil.example"),
        ),
        (
            "a lie beside the browser's word",
            bare().header("Sec-Fetch-Site", "cross-site").header("Origin", &own),
        ),
        ("by hand", bare().header("Sec-Fetch-Site", "none")),
        ("an older browser", bare().header("Origin", "https://evil.example")),
        ("no origin", bare().header("Origin", "null")),
        ("nothing said", bare()),
        ("twice", bare().header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Site", "same-origin")),
    ] {
        let browser = Browser::new();
        let page = browser.send(ask.body(URLENCODED, "delete=all")).await.expect(403);
        assert!(page.text().contains("Nothing was sent"), "{name}: {page:?}");
        assert!(browser.cookies().is_empty(), "{name}");
    }
    // An older browser, on a page of the app's own.
    let old = bare().header("Origin", &own);
    posted(&Browser::new(), old.body(URLENCODED, "a=1")).await.expect(200);
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn what_is_no_form_is_not_kept() {
    let (gateway, _rogue, app) = gateway("[session]\nform_limit = 1000\n").await;
    let url = gateway.url("/quiz");
    for ask in [
        form(&url).body("application/octet-stream", "x"),
        form(&url).header("Content-Encoding", "gzip").body(URLENCODED, "x"),
        form(&url).header("Content-Type", URLENCODED).body(URLENCODED, "x"),
        form(&url),
        form(&gateway.url(&format!("/quiz?{}", "x".repeat(2100)))).body(URLENCODED, "x"),
        form(&url).body(&format!("multipart/form-data; boundary={}", "x".repeat(300)), "x"),
    ] {
        let page = Browser::new().send(ask.clone()).await.expect(403);
        assert!(page.text().contains("Nothing was sent"), "{ask:?}");
    }
    let put = Ask::new("PUT", &url).header("Accept", "text/html").header("Sec-Fetch-Mode", "navigate");
    Browser::new().send(put.header("Sec-Fetch-Site", "same-origin").body(URLENCODED, "x")).await.expect(403);
    Browser::new().send(Ask::script("POST", &url).body(URLENCODED, "x")).await.expect(401);
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn none_is_kept_where_the_operator_wants_none() {
    let (gateway, _rogue, app) = gateway("[session]\nform_limit = 0\n").await;
    let page = Browser::new().send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await.expect(403);
    assert!(links(&page.text()).iter().any(|link| link.contains("/_sso/sign-in")), "{page:?}");
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_marker_that_another_site_sends_or_that_goes_elsewhere_takes_nothing() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    let marker = pressed(&page);
    browser.send(marker.clone().at(&gateway.url("/delete"))).await.expect(403);
    browser.send(marker.clone().at(&gateway.url("/quiz?x"))).await.expect(403);
    let foreign =
        marker.clone().instead("Sec-Fetch-Site", "same-site").instead("Origin", "https://evil.example");
    browser.send(foreign).await.expect(403);
    // Somebody else's browser, that knows the identifier and has a session of its own.
    let other = Browser::new();
    other.visit(&gateway.url("/")).await.expect(200);
    other.send(marker.clone()).await.expect(403);
    assert!(app.received().iter().all(|request| request.method() == "GET"));
    browser.send(marker).await.expect(200);
    assert_eq!(app.last().body, b"a=1");
}

#[tokio::test]
async fn plain_text_of_an_apps_own_that_looks_like_a_marker_goes_on_as_it_came() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    for content in ["a".repeat(29), "vestibule_form=BwcHBwcHBwcH\r\n".to_owned(), "b".repeat(30)] {
        browser.send(form(&gateway.url("/note")).body("text/plain", &content)).await.expect(200);
        assert_eq!(app.last().body, content.as_bytes());
        assert_eq!(app.last().header("content-type").as_deref(), Some("text/plain"));
        assert_eq!(app.last().header("content-length"), Some(content.len().to_string()));
    }
}

#[tokio::test]
async fn rules_decide_about_the_form_as_about_any_other() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/grades/*\"]\nmethods = [\"POST\"]\nallow = 'claims.sub == \"nobody\"'\n";
    let (gateway, _rogue, app) = gateway(rules).await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/grades/7")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(403);
    assert!(page.text().contains("not open to you"), "{page:?}");
    assert!(app.received().is_empty());
    browser.get(&gateway.url("/grades/7")).await.expect(200);
}

#[tokio::test]
async fn an_app_with_a_prefix_of_its_own_gets_its_form() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let url = format!("{}/lms", world.origin());
    let config =
        rogue.table("rogue", "") + &world.app_at("lms", &url, &app.origin()) + "strip_prefix = true\n";
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    let answer = posted(&browser, form(&gateway.url("/lms/quiz")).body(URLENCODED, "a=1")).await.expect(200);
    assert_eq!(answer.url.as_str(), gateway.url("/lms/quiz"));
    assert_eq!((app.last().target(), app.last().body.as_slice()), ("/quiz", &b"a=1"[..]));
}

#[tokio::test]
async fn an_app_that_could_not_be_reached_costs_no_form() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    let address = app.address();
    drop(app);
    let failed = press(&browser, &page).await.expect(502);
    let again = links(&failed.text()).pop().unwrap();
    let app = Server::start_at(address).await;
    let page = browser.visit(&again).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!((app.last().target(), app.last().body.as_slice()), ("/quiz", &b"a=1"[..]));
    // One that may have seen it gets it once only.
    let other = browser.fresh();
    let kept = other.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=2")).await;
    let page = signed_in(&other, kept).await.expect(200);
    app.answer(|_| Answer::Close);
    press(&other, &page).await.expect(502);
    press(&other, &page).await.expect(403);
}

#[tokio::test]
async fn a_person_who_chooses_a_provider_first_comes_back_to_the_form() {
    let (world, app) = (World::new(), Server::start().await);
    let rogues = [Rogue::start().await, Rogue::start().await];
    let config = rogues[0].table("first", "") + &rogues[1].table("second", "") + &world.app("lms", &app);
    let gateway = world.start(&config).await.ready().await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let choice = signed_in(&browser, kept).await.expect(200);
    let offered = links(&choice.text());
    let second = offered.iter().find(|link| link.contains("provider=second")).unwrap();
    let page = browser.visit(choice.url.join(second).unwrap().as_str()).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!(app.last().body, b"a=1");
}
