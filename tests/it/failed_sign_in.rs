//! What a failed sign-in gets.

use std::time::Duration;

use serde_json::json;

use crate::world::browser::Response;
use crate::world::html;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, World};

/// A page for a person: says what happened, carries a reference that stands in the log, offers to try again.
async fn is_a_failure_page(response: &Response, status: u16, gateway: &Gateway) -> String {
    assert_eq!(
        response.status,
        status,
        "{} {:?}\n{}\n{}",
        response.url,
        response.headers,
        response.text(),
        gateway.log()
    );
    assert_eq!(response.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    let policy = response.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = response.text();
    assert!(!text.contains("<script"), "{text}");
    let again = html::links(&text).pop().unwrap_or_else(|| panic!("no way to try again: {text}"));
    assert_eq!(response.url.join(&again).unwrap().origin(), response.url.origin());
    let reference = reference(&text);
    gateway.logs(&reference).await;
    text
}

/// The reference that stands on a page: the longest word in `<code>`.
fn reference(page: &str) -> String {
    let codes = page.split("<code").skip(1).filter_map(|rest| rest.split('>').nth(1)?.split('<').next());
    let longest = codes.map(str::trim).max_by_key(|code| code.len());
    longest.filter(|code| code.len() >= 6).unwrap_or_else(|| panic!("no reference: {page}")).to_owned()
}

/// Begins a login and comes back with the callback's address, not visited yet.
async fn callback(browser: &Browser, gateway: &Gateway) -> String {
    let login = browser.get(&gateway.url("/wanted")).await.expect(302);
    browser.get(login.location().as_str()).await.expect(302).location().to_string()
}

#[tokio::test]
async fn a_state_that_nobody_knows_gets_400() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    let url = callback(&browser, &gateway).await;
    let state = browser_param(&url, "state");
    for (what, url) in [
        ("unknown", url.replace(&state, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("empty", url.replace(&state, "")),
        ("missing", url.replace(&format!("state={state}"), "x=y")),
    ] {
        let page = browser.get(&url).await;
        is_a_failure_page(&page, 400, &gateway).await;
        assert!(rogue.asked("/token").is_empty(), "{what}: nothing is sent before the state was compared");
    }
    assert!(app.received().is_empty());
}

fn browser_param(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned()
}

#[tokio::test]
async fn a_callback_from_another_browser_gets_400() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let url = callback(&Browser::new(), &gateway).await;
    is_a_failure_page(&Browser::new().get(&url).await, 400, &gateway).await;
    let busy = Browser::new();
    callback(&busy, &gateway).await;
    is_a_failure_page(&busy.get(&url).await, 400, &gateway).await;
    assert!(rogue.asked("/token").is_empty());
}

#[tokio::test]
async fn a_callback_used_twice_gets_400_without_a_session_and_goes_on_to_the_app_with_one() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    let before = browser.copy();
    let url = callback(&browser, &gateway).await;
    let thief = browser.copy();
    browser.get(&url).await.expect(302);
    let again = browser.get(&url).await;
    assert!(again.is_redirect() && again.location().origin() == again.url.origin(), "{again:?}");
    browser.follow(again).await.expect(200);
    is_a_failure_page(&before.get(&url).await, 400, &gateway).await;
    // The login's cookie was copied before it was used: the code is known no more at the provider.
    is_a_failure_page(&thief.get(&url).await, 400, &gateway).await;
}

#[tokio::test]
async fn a_response_whose_issuer_is_wrong_or_missing_gets_400_before_any_token_request() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    for wrong in [None, Some("https://evil.example".to_owned()), Some(format!("{}/", rogue.issuer()))] {
        let value = wrong.clone();
        rogue.bend_response(move |response| {
            response.retain(|(name, _)| name != "iss");
            response.extend(value.clone().map(|value| ("iss".to_owned(), value)));
        });
        let page = Browser::new().visit(&gateway.url("/")).await;
        is_a_failure_page(&page, 400, &gateway).await;
        assert!(rogue.asked("/token").is_empty(), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_issuer_need_not_stand_in_the_response_when_the_provider_never_announced_it() {
    let (gateway, rogue, _app) = {
        let (world, rogue, app) = (World::new(), Rogue::start().await, crate::world::Server::start().await);
        rogue.is_silent_about_itself();
        let config = rogue.table("rogue", "") + &world.app("lms", &app);
        (world.start(&config).await, rogue, app)
    };
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    rogue.bend_response(|response| {
        response.retain(|(name, _)| name != "iss");
        response.push(("iss".into(), "https://evil.example".into()));
    });
    is_a_failure_page(&Browser::new().visit(&gateway.url("/")).await, 400, &gateway).await;
}

#[tokio::test]
async fn a_response_that_breaks_the_protocol_gets_400() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    for name in ["code", "state", "iss"] {
        rogue.bend_response(move |response| {
            let twice = response.iter().find(|(known, _)| known == name).unwrap().clone();
            response.push(twice);
        });
        is_a_failure_page(&Browser::new().visit(&gateway.url("/")).await, 400, &gateway).await;
    }
    rogue.bend_response(|response| response.retain(|(name, _)| name != "code"));
    is_a_failure_page(&Browser::new().visit(&gateway.url("/")).await, 400, &gateway).await;
    rogue.bend_response(|response| response.push(("error".into(), "server_error".into())));
    is_a_failure_page(&Browser::new().visit(&gateway.url("/")).await, 400, &gateway).await;
    assert!(rogue.asked("/token").is_empty());
}

#[tokio::test]
async fn a_code_that_the_provider_does_not_know_gets_400() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    rogue.bend_response(|response| {
        response.iter_mut().filter(|(name, _)| name == "code").for_each(|code| code.1 = "x".into())
    });
    is_a_failure_page(&Browser::new().visit(&gateway.url("/")).await, 400, &gateway).await;
}

#[tokio::test]
async fn a_person_who_refuses_at_the_real_provider_gets_403_and_may_try_again() {
    let (gateway, _app) = World::behind(&Engine::trusted(), "").await;
    let browser = Browser::new().reading("ru");
    let login = browser.visit(&gateway.url("/курс")).await;
    let abort = html::links(&login.text()).remove(0);
    let page = browser.visit(login.url.join(&abort).unwrap().as_str()).await;
    let text = is_a_failure_page(&page, 403, &gateway).await;
    assert!(text.contains("lang=\"ru\""), "{text}");
    let again = html::links(&text).pop().unwrap();
    browser.sign_in(page.url.join(&again).unwrap().as_str(), "ivanov").await.expect(200);
}

#[tokio::test]
async fn an_error_of_the_provider_is_told_apart_by_its_code_and_its_words_are_never_shown_as_html() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    for (error, status) in [
        ("access_denied", 403),
        ("login_required", 400),
        ("server_error", 503),
        ("temporarily_unavailable", 503),
        ("unauthorized_client", 502),
    ] {
        rogue.bend_response(move |response| {
            response.retain(|(name, _)| name != "code");
            response.push(("error".into(), error.into()));
            response.push(("error_description".into(), "<script>alert(1)</script> Плохо".into()));
        });
        let page = Browser::new().visit(&gateway.url("/")).await;
        let text = is_a_failure_page(&page, status, &gateway).await;
        assert!(!text.contains("<script"), "{text}");
    }
}

#[tokio::test]
async fn signed_in_but_let_in_by_no_rule_gets_403() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/*\"]\nallow = '\"staff\" in claims.groups'\n";
    let (gateway, rogue, app) = World::with_rogue(rules).await;
    rogue.person(json!({"sub": "u-1", "groups": ["students"]}));
    let page = Browser::new().visit(&gateway.url("/")).await.expect(403);
    gateway.logs(&reference(&page.text())).await;
    assert!(app.received().is_empty());
    rogue.person(json!({"sub": "u-1", "groups": ["staff"]}));
    Browser::new().visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn a_required_claim_that_is_absent_gets_403_and_a_page_that_names_it() {
    let headers = "[apps.lms.headers]\nX-User-Snils = { claim = \"custom_fields.snils\", required = true }\n";
    let (gateway, rogue, app) = World::with_rogue(headers).await;
    let page = Browser::new().visit(&gateway.url("/")).await.expect(403);
    assert!(page.text().contains("custom_fields.snils"), "{}", page.text());
    assert!(app.received().is_empty());
    rogue.person(json!({"sub": "u-1", "custom_fields": {"snils": "112-233-445 95"}}));
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-user-snils").as_deref(), Some("112-233-445 95"));
}

#[tokio::test]
async fn a_provider_that_is_unreachable_slow_or_ill_gets_503_with_retry_after() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    for (endpoint, answer) in [
        (Endpoint::Token, Answer::of(500, "text/html", "<h1>SECRET-HTML</h1>")),
        (Endpoint::Token, Answer::of(503, "application/json", "{}")),
        (Endpoint::Token, Answer::Close),
        (Endpoint::Token, Answer::Silence),
        (
            Endpoint::Token,
            Answer::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"acc".to_vec()),
        ),
        (Endpoint::Userinfo, Answer::of(502, "text/html", "<h1>SECRET-HTML</h1>")),
        (Endpoint::Userinfo, Answer::Close),
        (Endpoint::Userinfo, Answer::Silence),
    ] {
        rogue.restore();
        rogue.replace(endpoint, answer.clone());
        let page = Browser::new().visit(&gateway.url("/")).await;
        let text = is_a_failure_page(&page, 503, &gateway).await;
        assert!(page.header("retry-after").is_some(), "{endpoint:?} {answer:?}");
        assert!(!text.contains("SECRET-HTML"), "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_drips_forever_is_given_up_in_time() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let mut drip = vec![(Duration::ZERO, b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{".to_vec())];
    drip.extend((0..200).map(|_| (Duration::from_millis(100), b" ".to_vec())));
    rogue.replace(Endpoint::Token, Answer::Bytes(drip));
    let page = Browser::new().visit(&gateway.url("/")).await;
    is_a_failure_page(&page, 503, &gateway).await;
}

#[tokio::test]
async fn a_script_at_the_callback_gets_a_problem_instead_of_a_page() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let ask = Ask::script("GET", &gateway.url("/_sso/callback?code=x&state=y"))
        .instead("Accept", "application/json");
    let response = Browser::new().send(ask).await.expect(400);
    assert_eq!(response.header("content-type").as_deref(), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!(problem["status"], 400);
    assert!(problem["title"].is_string() && problem["reference"].is_string(), "{problem}");
    gateway.logs(problem["reference"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_failure_speaks_the_persons_language() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let url = gateway.url("/_sso/callback?code=x&state=y");
    for (wanted, lang) in
        [("ru-RU,ru;q=0.9,en;q=0.8", "ru"), ("en-US", "en"), ("de", "en"), ("en;q=0.3, ru;q=0.5", "ru")]
    {
        let page = Browser::new().reading(wanted).get(&url).await;
        let text = is_a_failure_page(&page, 400, &gateway).await;
        assert!(text.contains(&format!("lang=\"{lang}\"")), "{wanted}: {text}");
    }
}

#[tokio::test]
async fn no_token_code_or_cookie_ever_stands_in_the_log_or_on_a_page() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    let url = callback(&browser, &gateway).await;
    browser.get(&url).await.expect(302);
    rogue.bend_id_token(|draft| draft.claims["aud"] = json!("somebody else"));
    let failed = Browser::new().visit(&gateway.url("/")).await;
    is_a_failure_page(&failed, 502, &gateway).await;
    let secrets = browser.cookies().into_iter().map(|cookie| cookie.value);
    let secrets = secrets.chain([
        browser_param(&url, "code"),
        browser_param(&url, "state"),
        "s3cret".into(),
        "eyJ".into(),
    ]);
    let log = gateway.log();
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} stands in the log:\n{log}");
        assert!(!failed.text().contains(&secret), "{secret} stands on the page");
    }
}
