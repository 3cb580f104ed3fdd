//! Every way in which the answer of a sign-in can come back, and what is taken from no other.

use cookie::SameSite;

use crate::process::certificate;
use crate::world::browser::Response;
use crate::world::chromium::Chromium;
use crate::world::{Ask, Browser, Engine, Gateway, Rogue, Server, World};

const FORM_POST: &str = "response_mode = \"form_post\"";

/// A gateway over plain http whose provider misbehaves on demand, with these lines in the provider's table.
async fn with_rogue(lines: &str) -> (Gateway, Rogue, Server) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("rogue", lines) + &world.app("lms", &app);
    (world.start(&config).await, rogue, app)
}

/// The same over TLS, with a browser that trusts it.
async fn over_tls(lines: &str) -> (Gateway, Rogue, Server, Browser, String) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let (issued, roots) = certificate(&[&world.address().ip().to_string()]);
    let (cert, key) = (world.dir.path().join("gateway.pem"), world.dir.path().join("gateway.key"));
    std::fs::write(&cert, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let origin = format!("https://{}", world.address());
    let config = format!("[server]\ntls = {{ cert = {cert:?}, key = {key:?} }}\n")
        + &rogue.table("rogue", lines)
        + &world.app_at("lms", &origin, &app.origin());
    (world.start(&config).await, rogue, app, Browser::new().trusting(roots), origin)
}

/// Posts what the provider's page holds.
async fn post(browser: &Browser, page: &Response) -> Response {
    browser.submit_once(page, page.form("")).await
}

fn fields(page: &Response) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(page.form("").fields).finish()
}

/// The form that another site's page posts.
fn cross_site_form(url: &str, body: &str) -> Ask {
    Ask::new("POST", url)
        .header("Accept", "text/html")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Origin", "http://127.0.0.1:1")
        .body("application/x-www-form-urlencoded", body)
}

#[tokio::test]
async fn a_posted_answer_signs_in_by_a_cookie_that_crosses_sites_over_tls_only() {
    let (_gateway, rogue, app, browser, origin) = over_tls(FORM_POST).await;
    let page = browser.visit(&format!("{origin}/wanted?x=1")).await.expect(200);
    let logins: Vec<_> =
        browser.cookies().into_iter().filter(|cookie| cookie.name.contains("-login-")).collect();
    assert_eq!(logins.len(), 1);
    assert!(logins[0].secure && logins[0].same_site == SameSite::None, "{logins:?}");
    let asked = &rogue.asked("/authorize")[0];
    assert_eq!(asked.param("response_mode").as_deref(), Some("form_post"));

    let answer = post(&browser, &page).await.expect(303);
    assert_eq!(answer.location().as_str(), format!("{origin}/wanted?x=1"));
    let deleted = answer.headers.all("set-cookie").into_iter().find(|line| line.contains("-login-")).unwrap();
    assert!(deleted.contains("SameSite=None; Secure") && deleted.contains("Max-Age=0"), "{deleted}");
    browser.follow(answer).await.expect(200);
    assert_eq!(app.last().target(), "/wanted?x=1");
    assert!(app.last().header("x-auth-sub").is_some());
    assert!(browser.cookies().iter().all(|cookie| cookie.same_site == SameSite::Lax), "the session's is not");
}

#[tokio::test]
async fn a_posted_answer_signs_in_where_browsers_withhold_every_cookie_from_it() {
    let (gateway, rogue, app) = with_rogue(FORM_POST).await;
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/wanted")).await.expect(200);
    assert!(browser.cookies().iter().all(|cookie| !cookie.secure && cookie.same_site == SameSite::Lax));
    let again = post(&browser, &page).await.expect(303);
    assert!(again.location().as_str().starts_with(&gateway.url("/_sso/callback?posted=")), "{again:?}");
    assert!(rogue.asked("/token").is_empty(), "nothing is redeemed before the login is known");
    let code = page.form("").fields.into_iter().find(|(name, _)| name == "code").unwrap().1;
    assert!(!again.location().as_str().contains(&code), "the code stands in no address");
    browser.follow(again).await.expect(200);
    assert_eq!(app.last().target(), "/wanted");
    assert!(!gateway.log().contains(&code));
}

#[tokio::test]
async fn what_was_posted_for_one_browser_signs_no_other_in() {
    let (gateway, rogue, app) = with_rogue(FORM_POST).await;
    let (person, thief) = (Browser::new(), Browser::new());
    let page = person.visit(&gateway.url("/")).await.expect(200);
    thief.visit(&gateway.url("/")).await.expect(200);
    let again = post(&thief, &page).await.expect(303);
    let sealed = again.location().to_string();
    thief.follow(again).await.expect(400);
    assert!(rogue.asked("/token").is_empty());
    // Sealed for this origin, and whole.
    for wrong in [sealed[..sealed.len() - 1].to_owned(), gateway.url("/_sso/callback?posted=AAAA")] {
        person.get(&wrong).await.expect(400);
    }
    let cross = Ask::navigation(&sealed).instead("Sec-Fetch-Site", "cross-site");
    person.send(cross).await.expect(302);
    person.get(&sealed).await.expect(302);
    assert_eq!(rogue.asked("/token").len(), 1, "a login is good for one use");
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn an_answer_in_an_address_is_refused_when_a_form_was_asked_for() {
    let (gateway, rogue, app) = with_rogue(FORM_POST).await;
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await.expect(200);
    let page = browser.get(&gateway.url(&format!("/_sso/callback?{}", fields(&page)))).await.expect(400);
    assert!(page.text().contains("<html"), "{page:?}");
    gateway.logs("callback_malformed").await;
    assert!(rogue.asked("/token").is_empty() && app.received().is_empty());
}

#[tokio::test]
async fn a_form_that_is_none_is_too_long_or_has_parameters_twice_is_refused() {
    let (gateway, rogue, _app, browser, origin) = over_tls(FORM_POST).await;
    let url = format!("{origin}/_sso/callback");
    let long = "x".repeat(17 * 1024);
    for (what, url, kind, extra) in [
        ("twice", url.clone(), "application/x-www-form-urlencoded", "&code=b"),
        ("mixed", format!("{url}?code=b"), "application/x-www-form-urlencoded", ""),
        ("mixed with anything", format!("{url}?x=1"), "application/x-www-form-urlencoded", ""),
        ("JSON", url.clone(), "application/json", ""),
        ("multipart", url.clone(), "multipart/form-data; boundary=x", ""),
        ("text", url.clone(), "text/plain", ""),
        ("long", url.clone(), "application/x-www-form-urlencoded", &*format!("&x={long}")),
        ("a token", url.clone(), "application/x-www-form-urlencoded", "&id_token=x"),
    ] {
        let page = browser.visit(&format!("{origin}/")).await.expect(200);
        let mut ask = cross_site_form(&url, &(fields(&page) + extra));
        ask = ask.instead("Content-Type", kind);
        let answer = browser.send(ask).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(rogue.asked("/token").is_empty(), "{what}");
    }
    for method in ["PUT", "DELETE", "HEAD", "PATCH"] {
        let answer = browser.send(Ask::new(method, &url)).await.expect(405);
        assert_eq!(answer.header("allow").as_deref(), Some("GET, POST"), "{method}");
    }
    let none = Ask::new("POST", &url).body("application/x-www-form-urlencoded", "code=a&state=b");
    browser.send(none).await.expect(400);
    drop(gateway);
}

#[tokio::test]
async fn a_posted_answer_ends_the_session_that_the_browser_had_though_its_cookie_does_not_come() {
    let (_gateway, rogue, _app, browser, origin) = over_tls(FORM_POST).await;
    let page = browser.visit(&format!("{origin}/")).await.expect(200);
    let landed = post(&browser, &page).await;
    browser.follow(landed).await.expect(200);
    let old = browser.copy();
    old.fetch(&format!("{origin}/_sso/session")).await.expect(200);
    rogue.person(serde_json::json!({"sub": "u-2"}));
    let page = browser.visit(&format!("{origin}/_sso/sign-in")).await.expect(200);
    let landed = post(&browser, &page).await;
    browser.follow(landed).await.expect(200);
    assert_eq!(browser.fetch(&format!("{origin}/_sso/session")).await.json()["sub"], "u-2");
    assert_eq!(old.fetch(&format!("{origin}/_sso/session")).await.status, 401);
    // The form sent again, as by the back button: on to the app.
    let again = post(&browser, &page).await.expect(303);
    let there = browser.follow(again).await.expect(200);
    assert_eq!(there.url.as_str(), format!("{origin}/"));
}

#[tokio::test]
async fn a_refusal_that_is_posted_says_so() {
    let (_gateway, rogue, _app, browser, origin) = over_tls(FORM_POST).await;
    rogue.bend_response(|response| {
        response.retain(|(name, _)| name != "code");
        response.push(("error".into(), "access_denied".into()));
    });
    let page = browser.visit(&format!("{origin}/")).await.expect(200);
    post(&browser, &page).await.expect(403);
}

#[tokio::test]
async fn the_real_provider_posts_its_answer() {
    let engine = Engine::trusted();
    let (world, app) = (World::new(), Server::start().await);
    let config = engine.table(&world, "school", FORM_POST) + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    let page = browser.sign_in(&gateway.url("/wanted"), "petrova").await.expect(200);
    assert_eq!(page.form("").action, gateway.url("/_sso/callback"));
    browser.submit(&page, page.form("")).await.expect(200);
    assert_eq!(app.last().target(), "/wanted");
}

#[tokio::test]
async fn a_real_browser_brings_the_login_back_with_a_form_over_tls_and_over_plain_http() {
    let chromium = Chromium::reading("ru-RU", &["--ignore-certificate-errors"]).await;
    let (gateway, rogue, app) = with_rogue(FORM_POST).await;
    chromium.goto(&gateway.url("/wanted")).await;
    chromium.is_at(&gateway.url("/wanted")).await;
    assert_eq!(app.last().header("x-auth-sub").as_deref(), Some("u-1"));
    assert_eq!(rogue.asked("/token").len(), 1);

    let (_gateway, _rogue, app, _, origin) = over_tls(FORM_POST).await;
    chromium.goto(&format!("{origin}/wanted")).await;
    chromium.is_at(&format!("{origin}/wanted")).await;
    assert_eq!(app.last().header("x-auth-sub").as_deref(), Some("u-1"));
    chromium.close().await;
}
