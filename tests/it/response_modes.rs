//! Every way in which the answer of a sign-in can come back, and what is taken from no other.

use std::sync::Arc;

use cookie::SameSite;
use serde_json::{Value, json};

use crate::process::certificate;
use crate::world::browser::Response;
use crate::world::chromium::Chromium;
use crate::world::keys::SigningKey;
use crate::world::rogue::{Draft, Signed, now};
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
    rogue.person(json!({"sub": "u-2"}));
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

type Wrong = (&'static str, u16, &'static str, Box<dyn Fn(&mut Draft) + Send + Sync>);

fn claim(what: &'static str, status: u16, code: &'static str, name: &'static str, value: Value) -> Wrong {
    (what, status, code, Box::new(move |draft| draft.claims[name] = value.clone()))
}

/// What a page of ours calls its line in the log.
fn reference(page: &Response) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("<code>").unwrap();
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_signed_answer_is_believed_for_its_signature_and_each_way_to_be_wrong_is_refused() {
    let (gateway, rogue, app) = with_rogue("response_mode = \"query.jwt\"").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/wanted")).await.expect(200);
    assert_eq!(app.last().target(), "/wanted");
    assert_eq!(rogue.asked("/authorize")[0].param("response_mode").as_deref(), Some("query.jwt"));
    app.forget();
    let redeemed = rogue.asked("/token").len();
    let stranger = Arc::new(SigningKey::new("first", "ES256"));
    let unknown = Arc::new(SigningKey::new("never seen", "ES256"));
    let public = rogue.key().public_der();
    let now = now();
    let unsigned = |alg: &'static str| {
        move |draft: &mut Draft| {
            draft.header["alg"] = json!(alg);
            draft.signed = Signed::NotAtAll;
        }
    };
    let wrongs: Vec<Wrong> = vec![
        claim("another issuer", 400, "callback_issuer", "iss", json!("https://evil.example")),
        claim("no issuer", 400, "callback_issuer", "iss", json!(null)),
        claim("another client's", 502, "callback_audience", "aud", json!("other")),
        claim("ours and another's", 502, "callback_audience", "aud", json!(["lms", "other"])),
        claim("nobody's", 502, "callback_audience", "aud", json!(null)),
        claim("expired", 502, "callback_expired", "exp", json!(now - 120)),
        claim("good for an hour", 502, "callback_expired", "exp", json!(now + 3600)),
        claim("good for ever", 502, "callback_expired", "exp", json!(null)),
        claim("without state", 400, "bad-response", "state", json!(null)),
        claim("with another state", 400, "login-unknown", "state", json!("other")),
        claim("with a state that is no text", 400, "bad-response", "state", json!(["s"])),
        claim("without a code", 400, "callback_malformed", "code", json!(null)),
        claim("with an error as well", 400, "callback_malformed", "error", json!("access_denied")),
        ("not signed", 502, "callback_signature", Box::new(unsigned("none"))),
        ("not signed, in another spelling", 502, "callback_signature", Box::new(unsigned("nOnE"))),
        ("an empty signature", 502, "callback_signature", Box::new(unsigned("ES256"))),
        (
            "another key under our key's name",
            502,
            "callback_signature",
            Box::new(move |draft| draft.signed = Signed::With(Arc::clone(&stranger))),
        ),
        (
            "a key that is not in the set",
            502,
            "callback_signature",
            Box::new(move |draft| {
                draft.header["kid"] = json!("never seen");
                draft.signed = Signed::With(Arc::clone(&unknown));
            }),
        ),
        (
            "hashed with the public key",
            502,
            "callback_signature",
            Box::new(move |draft| {
                draft.header["alg"] = json!("HS256");
                draft.signed = Signed::Hash(public.clone());
            }),
        ),
        (
            "a token of another kind",
            502,
            "callback_malformed",
            Box::new(|draft| drop(draft.header.insert("typ".into(), json!("logout+jwt")))),
        ),
    ];
    for (what, status, code, bend) in wrongs {
        rogue.bend_signed_response(bend);
        let page = Browser::new().visit(&gateway.url("/")).await;
        assert_eq!(page.status, status, "{what}: {page:?}\n{}", gateway.log());
        // The page's reference tells which line is this one's.
        let log = gateway.logs(&reference(&page)).await;
        let line = log.lines().find(|line| line.contains(&reference(&page))).unwrap();
        assert!(line.contains(&format!("code=\"{code}\"")), "{what}: {line}");
        assert_eq!(rogue.asked("/token").len(), redeemed, "{what}: nothing is redeemed");
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_not_signed_or_says_something_beside_its_signature_is_refused() {
    let (gateway, rogue, app) = with_rogue("response_mode = \"jwt\"").await;
    for (what, plain) in [
        ("plain", "code=x&state=STATE&iss=ISS"),
        ("beside", "response=JWT&code=x"),
        ("beside", "response=JWT&state=STATE"),
        ("beside", "response=JWT&iss=ISS"),
        ("twice", "response=JWT&response=JWT"),
        ("encrypted", "response=a.b.c.d.e"),
        ("no JWT", "response=x"),
    ] {
        let browser = Browser::new();
        let state = browser.get(&gateway.url("/")).await.location_param("state").unwrap();
        let jwt = "e30.e30.AA";
        let query = plain.replace("STATE", &state).replace("ISS", rogue.issuer()).replace("JWT", jwt);
        let page = browser.get(&gateway.url(&format!("/_sso/callback?{query}"))).await.expect(400);
        assert!(!page.text().contains("e30."), "{what}");
    }
    gateway.logs("signed responses without encryption").await;
    assert!(rogue.asked("/token").is_empty() && app.received().is_empty());
}

#[tokio::test]
async fn a_signed_answer_that_nobody_asked_for_is_refused() {
    let (gateway, rogue, _app) = with_rogue("").await;
    let browser = Browser::new();
    let state = browser.get(&gateway.url("/")).await.location_param("state").unwrap();
    let claims = json!({"iss": rogue.issuer(), "aud": "lms", "exp": now() + 60, "state": state, "code": "c"});
    let header = json!({"alg": "ES256", "kid": "first"}).as_object().unwrap().clone();
    let jwt = rogue.key().token(&header, &claims);
    browser.get(&gateway.url(&format!("/_sso/callback?response={jwt}"))).await.expect(400);
    gateway.logs("callback_malformed").await;
    assert!(rogue.asked("/token").is_empty());
}

#[tokio::test]
async fn a_signed_answer_can_be_posted_and_its_keys_may_be_new() {
    let (gateway, rogue, app) = with_rogue("response_mode = \"form_post.jwt\"").await;
    for kid in ["first", "second"] {
        if kid == "second" {
            rogue.rotate(SigningKey::new(kid, "ES256"));
        }
        let browser = Browser::new();
        let page = browser.visit(&gateway.url("/wanted")).await.expect(200);
        assert_eq!(page.form("").fields.len(), 1);
        browser.submit(&page, page.form("")).await.expect(200);
        assert_eq!(app.last().target(), "/wanted", "{kid}");
        // The same in an address.
        let page = browser.visit(&gateway.url("/_sso/sign-in")).await.expect(200);
        browser.get(&gateway.url(&format!("/_sso/callback?{}", fields(&page)))).await.expect(400);
    }
}

#[tokio::test]
async fn a_refusal_that_is_signed_says_so() {
    let (gateway, rogue, _app) = with_rogue("response_mode = \"jwt\"").await;
    rogue.bend_signed_response(|draft| {
        draft.claims.as_object_mut().unwrap().remove("code");
        draft.claims["error"] = json!("access_denied");
    });
    Browser::new().visit(&gateway.url("/")).await.expect(403);
}

#[tokio::test]
async fn the_real_providers_sign_their_answers() {
    for (engine, mode) in [
        (Engine::v8(), "jwt"),
        (Engine::v8(), "form_post.jwt"),
        (Engine::v9(), "query.jwt"),
        (Engine::v9(), "form_post.jwt"),
    ] {
        let (world, app) = (World::new(), Server::start().await);
        let metadata = json!({"authorization_signed_response_alg": "PS256"});
        let table = engine.client(&world, "school", metadata, &format!("response_mode = {mode:?}"));
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        let browser = Browser::new();
        let mut page = browser.sign_in(&gateway.url("/wanted"), "petrova").await.expect(200);
        if mode.starts_with("form_post") {
            page = browser.submit(&page, page.form("")).await.expect(200);
        }
        assert_eq!(app.last().target(), "/wanted", "{mode}: {page:?}\n{}", gateway.log());
    }
}
