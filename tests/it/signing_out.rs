//! Sign-out, here and at the provider.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::browser::Response;
use crate::world::{Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, Shape, World};

/// Follows a link of the app's own page to sign out, one step.
async fn leave(browser: &Browser, gateway: &Gateway, query: &str) -> Response {
    let ask = Ask::navigation(&gateway.url(&format!("/_sso/sign-out{query}")))
        .instead("Sec-Fetch-Site", "same-origin")
        .header("Referer", gateway.url("/"));
    browser.send(ask).await
}

async fn is_signed_out(browser: &Browser, gateway: &Gateway) {
    browser.fetch(&gateway.url("/_sso/session")).await.expect(401);
}

#[tokio::test]
async fn sign_out_ends_the_session_here_and_at_trusted_id_and_ends_on_a_page_that_does_not_sign_in_again() {
    let (gateway, app) = World::behind(&Engine::trusted(), "").await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    let thief = browser.copy();
    let leaving = leave(&browser, &gateway, "").await;
    assert!(leaving.location().path().ends_with("/session/end"), "{leaving:?}");
    assert_eq!(leaving.location_param("post_logout_redirect_uri"), Some(gateway.url("/_sso/signed-out")));
    assert!(leaving.location_param("id_token_hint").is_some());
    assert!(leaving.location_param("client_id").is_some());
    assert!(leaving.location_param("state").is_some());
    is_signed_out(&thief, &gateway).await;
    let asked = browser.follow(leaving).await.expect(200);
    let form = asked.form("op.logoutForm").fill("logout", "yes");
    let end = browser.submit(&asked, form).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    assert_eq!(end.header("cache-control").as_deref(), Some("no-store"));
    is_signed_out(&browser, &gateway).await;
    // Signed out at the provider too: it asks for the password again.
    app.forget();
    let login = browser.visit(&gateway.url("/")).await;
    login.form("login");
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn sign_out_at_indeed_am_comes_back_to_the_exact_address_that_was_registered() {
    let (gateway, _app) = World::behind(&Engine::indeed(), "").await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/"), "petrova").await.expect(200);
    let asked = browser.follow(leave(&browser, &gateway, "").await).await.expect(200);
    let end = browser.submit(&asked, asked.form("op.logoutForm").fill("logout", "yes")).await.expect(200);
    assert!(end.url.as_str().starts_with(&gateway.url("/_sso/signed-out")), "{end:?}");
    is_signed_out(&browser, &gateway).await;
}

#[tokio::test]
async fn a_provider_without_an_end_session_endpoint_is_fine() {
    let engine = Engine::own(Shape::Trusted, json!({}));
    engine.command("end_session", json!({"enabled": false}));
    let (gateway, _app) = World::behind(&engine, "").await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    let left = leave(&browser, &gateway, "").await;
    let end = browser.follow(left).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    is_signed_out(&browser, &gateway).await;
}

#[tokio::test]
async fn a_post_of_the_apps_own_form_signs_out_too() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let ask = Ask::new("POST", &gateway.url("/_sso/sign-out"))
        .header("Accept", "text/html")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "same-origin")
        .header("Origin", gateway.world.origin())
        .body("application/x-www-form-urlencoded", "");
    let response = browser.send(ask).await;
    assert_eq!(response.status, 303, "a redirect after a POST is 303: {response:?}");
    browser.follow(response).await.expect(200);
    is_signed_out(&browser, &gateway).await;
}

#[tokio::test]
async fn a_sign_out_that_another_site_started_is_asked_first() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let url = gateway.url("/_sso/sign-out");
    let forms = [
        Ask::navigation(&url)
            .instead("Sec-Fetch-Site", "cross-site")
            .header("Referer", "https://evil.example/"),
        Ask::new("GET", &url).header("Accept", "text/html").header("Referer", "https://evil.example/"),
        Ask::new("POST", &url)
            .header("Accept", "text/html")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Site", "cross-site")
            .header("Origin", "https://evil.example")
            .body("application/x-www-form-urlencoded", ""),
        Ask::new("POST", &url).header("Origin", "null").body("application/x-www-form-urlencoded", ""),
        Ask::new("GET", &url).header("Sec-Fetch-Mode", "no-cors").header("Sec-Fetch-Site", "cross-site"),
    ];
    for ask in forms {
        let response = browser.send(ask.clone()).await;
        assert!(!response.is_redirect(), "{ask:?}: {response:?}");
        browser.fetch(&gateway.url("/_sso/session")).await.expect(200);
    }
    let page = browser.send(Ask::navigation(&url).instead("Sec-Fetch-Site", "cross-site")).await.expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "nobody may frame the question: {policy}");
    let end = browser.submit(&page, page.form("")).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    is_signed_out(&browser, &gateway).await;
}

#[tokio::test]
async fn a_form_of_another_site_that_comes_without_the_cookie_is_asked_about_without_being_read() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let posted = Ask::new("POST", &gateway.url("/_sso/sign-out"))
        .header("Accept", "text/html")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Content-Length", "9000");
    let begun = Instant::now();
    let page = browser.send(posted).await.expect(200);
    assert!(begun.elapsed() < Duration::from_secs(5), "a form that never comes is not waited for");
    browser.fetch(&gateway.url("/_sso/session")).await.expect(200);
    let end = browser.submit(&page, page.form("")).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    is_signed_out(&browser, &gateway).await;
}

#[tokio::test]
async fn a_form_that_never_arrives_is_given_up() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let posted = Ask::new("POST", &gateway.url("/_sso/sign-out"))
        .header("Origin", gateway.world.origin())
        .header("Content-Length", "9000");
    Browser::new().send(posted).await.expect(400);
    gateway.logs("did not arrive in time").await;
}

#[tokio::test]
async fn what_a_browser_asks_for_in_advance_signs_nobody_out_and_begins_no_login() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    for (name, value) in [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Moz", "Prefetch"),
    ] {
        for (browser, path, status) in [
            (&browser, "/_sso/sign-out", 403),
            (&browser, "/_sso/sign-in", 401),
            (&Browser::new(), "/courses", 401),
        ] {
            let ask = Ask::navigation(&gateway.url(path)).instead("Sec-Fetch-Site", "same-origin");
            let response = browser.send(ask.header(name, value)).await.expect(status);
            assert!(response.headers.all("set-cookie").is_empty(), "{path}: {response:?}");
        }
        browser.fetch(&gateway.url("/_sso/session")).await.expect(200);
    }
}

#[tokio::test]
async fn who_is_not_signed_in_lands_on_the_page_at_the_end() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    let end = browser.follow(leave(&browser, &gateway, "").await).await.expect(200);
    assert_eq!(end.url.path(), "/_sso/signed-out");
    browser.get(&gateway.url("/_sso/signed-out")).await.expect(200);
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn the_person_ends_where_the_app_said_on_its_own_origin_alone() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    for (parameter, wanted) in [("return_to", "/bye?a=b"), ("return", "/login/index.php")] {
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let encoded: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
        let mut at = leave(&browser, &gateway, &format!("?{parameter}={encoded}")).await;
        while at.is_redirect() && at.location().as_str() != gateway.url(wanted) {
            at = browser.get(at.location().as_str()).await;
        }
        assert!(at.is_redirect(), "{parameter}: {at:?}");
    }
    for evil in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let encoded: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
        let end = browser.follow(leave(&browser, &gateway, &format!("?return_to={encoded}")).await).await;
        assert_eq!(end.url.path(), "/_sso/signed-out", "{evil}: {end:?}");
        assert!(!end.text().contains("evil.example"), "{evil}");
    }
    let _ = app;
}

#[tokio::test]
async fn the_person_ends_where_the_operator_said() {
    let lines = "[apps.lms.logout]\nredirect = \"https://www.school.example/\"\n";
    let (gateway, _rogue, _app) = World::with_rogue(lines).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let mut at = leave(&browser, &gateway, "").await;
    while at.is_redirect() && at.location().host_str() != Some("www.school.example") {
        at = browser.get(at.location().as_str()).await;
    }
    assert_eq!(at.location().as_str(), "https://www.school.example/");
    is_signed_out(&browser, &gateway).await;
}

#[tokio::test]
async fn a_return_from_the_provider_with_a_state_that_is_not_ours_shows_the_page() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let leaving = leave(&browser, &gateway, "?return_to=/bye").await.expect(302);
    let state = leaving.location_param("state").unwrap();
    assert!(state.bytes().all(|byte| byte.is_ascii_graphic()), "{state}");
    for forged in ["forged", "", "%D0%B9", &state[1..], &format!("{state}A"), "https://evil.example/"] {
        let page = browser.get(&gateway.url(&format!("/_sso/signed-out?state={forged}"))).await.expect(200);
        assert!(page.text().contains("<h1") && !page.text().contains("evil.example"), "{forged}");
    }
    let own = browser.get(&gateway.url(&format!("/_sso/signed-out?state={state}"))).await.expect(302);
    assert_eq!(own.location().as_str(), gateway.url("/bye"));
}

#[tokio::test]
async fn a_long_hint_goes_by_post() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    rogue.bend_id_token(|draft| draft.claims["roles"] = json!("р".repeat(6000)));
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let page = leave(&browser, &gateway, "").await.expect(200);
    is_signed_out(&browser, &gateway).await;
    let form = page.form("");
    assert_eq!(
        (form.method.as_str(), form.action.as_str()),
        ("post", format!("{}/logout", rogue.issuer()).as_str())
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("form-action 'none'") && !policy.contains("form-action 'self';"), "{policy}");
    browser.submit_once(&page, form).await.expect(302);
    let request = rogue.asked("/logout").remove(0);
    assert!(request.param("id_token_hint").unwrap().len() > 6000);
    assert_eq!(request.param("post_logout_redirect_uri"), Some(gateway.url("/_sso/signed-out")));
}

#[tokio::test]
async fn the_hint_can_be_left_out_and_the_providers_session_named() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let lines = "logout = { id_token_hint = false, session_param = \"session_id\" }";
    let gateway = world.clone().start(&(rogue.table("rogue", lines) + &world.app("lms", &app))).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let leaving = leave(&browser, &gateway, "").await.expect(302);
    assert_eq!(leaving.location_param("id_token_hint"), None);
    assert_eq!(leaving.location_param("session_id").as_deref(), Some("provider-session-1"));
    assert_eq!(leaving.location_param("client_id").as_deref(), Some("lms"));
}

#[tokio::test]
async fn a_provider_that_is_down_does_not_keep_anybody_signed_in() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    for endpoint in [Endpoint::Discovery, Endpoint::EndSession, Endpoint::Token] {
        rogue.replace(endpoint, crate::world::Answer::Close);
    }
    let leaving = leave(&browser, &gateway, "").await;
    assert!(leaving.status < 400, "{leaving:?}");
    is_signed_out(&browser, &gateway).await;
}

#[tokio::test]
async fn cookies_are_taken_back_with_the_attributes_they_were_set_with() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    assert!(!browser.cookies().is_empty());
    let end = browser.follow(leave(&browser, &gateway, "").await).await.expect(200);
    let left: Vec<_> = browser.cookies().into_iter().map(|cookie| cookie.name).collect();
    assert!(left.is_empty(), "{left:?} after {end:?}");
}
