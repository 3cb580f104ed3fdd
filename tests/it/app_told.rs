//! The app told by a request of ours that a session of its person's ended.

use std::time::Duration;

use serde_json::json;

use crate::app_logout::{answers, by_link, is_out, leave, signed_in};
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

const ON_END: &str =
    "[apps.lms.logout]\npaths = [\"/logout\"]\non_end = { url = \"/internal/end?user={sub}\" }\n";

async fn sign_out(browser: &Browser, gateway: &Gateway) {
    browser.send(by_link(gateway, "GET", "/_sso/sign-out")).await.expect(302);
}

/// What the app is told from now on, for a while.
async fn told(app: &Server) -> Vec<String> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.received().iter().map(|request| request.target().to_owned()).collect()
}

#[tokio::test]
async fn the_app_is_told_when_a_session_ends_at_our_own_address_and_not_at_its_own() {
    let (gateway, rogue, app) = World::with_rogue(ON_END).await;
    rogue.person(json!({"sub": "a&b/c", "name": "x"}));
    let browser = signed_in(&gateway).await;
    app.forget();
    sign_out(&browser, &gateway).await;
    app.has_received(1).await;
    let told = app.last();
    assert_eq!((told.method(), told.target()), ("POST", "/internal/end?user=a%26b%2Fc"));
    assert_eq!(told.header("host").unwrap(), gateway.world.address().to_string());
    assert_eq!(told.header("content-length").as_deref(), Some("0"));
    assert!(told.header("cookie").is_none());

    // As a browser's request would come, or the app might send us to https.
    for (name, value) in [("x-forwarded-proto", "http"), ("x-forwarded-host", &told.header("host").unwrap())]
    {
        assert_eq!(told.header(name).as_deref(), Some(value), "{told:?}");
    }

    answers(&app, || Answer::redirect(302, "/login"));
    let browser = signed_in(&gateway).await;
    app.forget();
    leave(&browser, &gateway, "GET").await.expect(302);
    is_out(&browser, &gateway).await;
    assert_eq!(self::told(&app).await, ["/logout"]);
}

#[tokio::test]
async fn the_app_is_told_again_when_it_could_not_hear_and_the_log_says_when_it_refuses() {
    let (gateway, _rogue, app) = World::with_rogue(ON_END).await;
    let browser = signed_in(&gateway).await;
    app.forget();
    app.answer(|_| Answer::of(503, "text/plain", "later"));
    sign_out(&browser, &gateway).await;
    app.has_received(1).await;
    app.answer(|_| Answer::of(204, "text/plain", ""));
    app.has_received(2).await;

    app.answer(|_| Answer::text("hello"));
    let browser = signed_in(&gateway).await;
    app.answer(|_| Answer::of(403, "text/plain", "no"));
    sign_out(&browser, &gateway).await;
    gateway.logs("status=403").await;

    // A redirect that only tidies the address has ended nothing.
    app.answer(|_| Answer::text("hello"));
    let browser = signed_in(&gateway).await;
    app.answer(|_| Answer::redirect(301, "/internal/end/?user=u-1"));
    sign_out(&browser, &gateway).await;
    gateway.logs("status=301").await;
}

#[tokio::test]
async fn no_browser_calls_what_ends_sessions_in_the_app() {
    let (gateway, _rogue, app) = World::with_rogue(ON_END).await;
    let browser = signed_in(&gateway).await;
    app.forget();
    for (method, target, status) in [
        ("POST", "/internal/end?user=x", 403),
        ("GET", "/internal/end", 403),
        ("GET", "/internal/END", 400),
        ("GET", "/x/../internal/end", 400),
        ("GET", "/internal/%65nd", 400),
    ] {
        let ask = by_link(&gateway, method, "/").target(target);
        browser.send(ask).await.expect(status);
    }
    assert!(app.received().is_empty(), "{:?}", app.received());

    // Nor by the address of another app that runs at the same place.
    let (world, rogue) = (World::new(), Rogue::start().await);
    let at = |path: &str| format!("{}{path}", world.origin());
    let config = rogue.table("rogue", "")
        + &world.app_at("other", &at("/other"), &app.origin())
        + "strip_prefix = true\n"
        + &world.app_at("lms", &at("/lms"), &app.origin())
        + "strip_prefix = true\n"
        + ON_END;
    let gateway = world.start(&config).await;
    for path in ["/lms/internal/end?user=x", "/other/internal/end?user=x"] {
        browser.send(by_link(&gateway, "POST", path)).await.expect(403);
    }
}

#[tokio::test]
async fn a_person_who_signs_out_in_one_browser_keeps_the_app_in_another_where_cookies_see_to_this_one() {
    let cookies = format!("{ON_END}clear_cookies = [\"sid\"]\n");
    for (lines, expected) in [(&*cookies, &[][..]), (ON_END, &["/internal/end?user=u-1"])] {
        let (gateway, _rogue, app) = World::with_rogue(lines).await;
        let (here, elsewhere) = (signed_in(&gateway).await, signed_in(&gateway).await);
        app.forget();
        sign_out(&here, &gateway).await;
        assert_eq!(told(&app).await, expected, "{lines}");
        app.forget();
        sign_out(&elsewhere, &gateway).await;
        assert_eq!(told(&app).await, ["/internal/end?user=u-1"], "nobody is in any more");
    }
}

#[tokio::test]
async fn apps_that_share_a_session_are_told_wherever_it_ends_but_for_the_one_that_ended_it() {
    let (world, rogue) = (World::new(), Rogue::start().await);
    let (lms, talk) = (Server::start().await, Server::start().await);
    let port = world.address().port();
    let url = |host: &str| format!("http://{host}.school.localhost:{port}");
    let told_at =
        |app: &str| format!("[apps.{app}.logout]\npaths = [\"/logout\"]\non_end = {{ url = \"/end\" }}\n");
    let config = rogue.table("rogue", "")
        + "[session.cookie]\ndomain = \"school.localhost\"\n"
        + &world.app_at("lms", &url("lms"), &lms.origin())
        + &told_at("lms")
        + &world.app_at("talk", &url("talk"), &talk.origin())
        + &told_at("talk");
    let gateway = world.start(&config).await;
    for (path, at_lms) in [("/_sso/sign-out", ["/end"]), ("/logout", ["/logout"])] {
        let browser = Browser::new();
        for app in ["lms", "talk"] {
            browser.knows(&format!("{app}.school.localhost"), gateway.address().ip());
        }
        answers(&lms, || Answer::redirect(302, "/bye"));
        browser.visit(&format!("{}/", url("lms"))).await.expect(200);
        lms.forget();
        talk.forget();
        let ask = Ask::navigation(&format!("{}{path}", url("lms")));
        browser.send(ask.instead("Sec-Fetch-Site", "same-origin")).await.expect(302);
        assert_eq!(
            (&*told(&lms).await, &*told(&talk).await),
            (&at_lms.map(str::to_owned)[..], &["/end".to_owned()][..]),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_app_that_hangs_holds_up_no_other_and_what_waits_is_told_before_the_process_ends() {
    let (world, rogue) = (World::new(), Rogue::start().await);
    let (lms, talk) = (Server::start().await, Server::start().await);
    let told_at = |app: &str| format!("[apps.{app}.logout]\non_end = {{ url = \"/end\" }}\n");
    let origin = world.origin();
    let config = "[server]\ndrain_timeout = \"3s\"\n".to_owned()
        + &rogue.table("rogue", "")
        + &world.app_at("lms", &format!("{origin}/lms"), &lms.origin())
        + &told_at("lms")
        + &world.app_at("talk", &format!("{origin}/talk"), &talk.origin())
        + &told_at("talk");
    let mut gateway = world.start(&config).await;
    lms.answer(|request| match request.path() {
        "/end" => Answer::Silence,
        _ => Answer::text("hello"),
    });
    // More than are on their way at once.
    for _ in 0..10 {
        let browser = Browser::new();
        browser.visit(&gateway.url("/lms/")).await.expect(200);
        talk.forget();
        browser.send(by_link(&gateway, "GET", "/lms/_sso/sign-out")).await.expect(302);
        talk.has_received(1).await;
    }
    // One that is told a moment before the end.
    talk.answer(|request| match request.path() {
        "/end" => Answer::of(503, "text/plain", "later"),
        _ => Answer::text("hello"),
    });
    let browser = Browser::new();
    browser.visit(&gateway.url("/talk/")).await.expect(200);
    talk.forget();
    browser.send(by_link(&gateway, "GET", "/talk/_sso/sign-out")).await.expect(302);
    talk.has_received(1).await;
    talk.answer(|_| Answer::of(204, "text/plain", ""));
    gateway.signal("TERM");
    talk.has_received(2).await;
    assert!(gateway.ended().await.success());
    let left = gateway.logs("before the app was told").await;
    let left: Vec<&str> = left.lines().filter(|line| line.contains("before the app was told")).collect();
    assert!(left.len() == 1 && left[0].contains("app=lms") && left[0].contains("ends=11"), "{left:?}");
}
