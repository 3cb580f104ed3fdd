//! `E/session.js` and what it asks: a session is watched over without being kept alive by that.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::chromium::Chromium;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

async fn session(browser: &Browser, gateway: &Gateway, query: &str) -> Value {
    browser.fetch(&gateway.url(&format!("/_sso/session{query}"))).await.expect(200).json()
}

#[tokio::test]
async fn to_look_at_a_session_is_no_use_of_it_and_to_say_so_is() {
    let (gateway, _rogue, _app) = World::with_rogue("[session]\nidle_timeout = \"3s\"\n").await;
    let (idle, busy) = (Browser::new(), Browser::new());
    for browser in [&idle, &busy] {
        browser.visit(&gateway.url("/")).await.expect(200);
        let told = session(browser, &gateway, "").await;
        let number = |name: &str| told[name].as_u64().unwrap();
        assert!(number("idle_expires_at") <= number("now") + 3 && number("now") <= number("idle_expires_at"));
        assert!(number("expires_at") > number("now") + 80_000);
    }
    for _ in 0..5 {
        session(&busy, &gateway, "?active").await;
        let looked = idle.fetch(&gateway.url("/_sso/session")).await;
        if looked.status == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1000)).await;
    }
    idle.fetch(&gateway.url("/_sso/session")).await.expect(401);
    session(&busy, &gateway, "").await;
}

#[tokio::test]
async fn the_script_is_there_for_everybody_and_nothing_else_is_by_it() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let script = Browser::new().fetch(&gateway.url("/_sso/session.js")).await.expect(200);
    assert_eq!(script.header("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(script.header("x-content-type-options").as_deref(), Some("nosniff"));
    Browser::new().send(Ask::new("POST", &gateway.url("/_sso/session.js"))).await.expect(405);
    assert!(app.received().is_empty());
}

/// An app's page with a policy as strict as an app can have that includes the script.
fn page(options: &str, prefix: &str) -> Answer {
    let html = format!(
        "<!DOCTYPE html><html lang=\"ru\"><meta charset=\"utf-8\"><title>app</title><body><textarea></textarea>\
         <script src=\"{prefix}/said.js\"></script>\
         <script src=\"{prefix}/_sso/session.js\" {options}></script>"
    );
    let policy = "default-src 'none'; script-src 'self'; connect-src 'self'; frame-src http:";
    Answer::of(200, "text/html; charset=utf-8", html).with("Content-Security-Policy", policy)
}

const SAID: &str = "window.said = []; for (const name of ['ending', 'ended', 'renewed']) \
    addEventListener('vestibule:' + name, (event) => said.push({ name, seconds: event.detail.seconds }));";

async fn open(lines: &str, options: &str) -> (Gateway, Rogue, Server, Chromium) {
    let (gateway, rogue, app) = World::with_rogue(lines).await;
    let options = options.to_owned();
    app.answer(move |request| match request.path() {
        "/said.js" => Answer::of(200, "text/javascript", SAID),
        _ => page(&options, ""),
    });
    let chromium = Chromium::open().await;
    chromium.goto(&gateway.url("/")).await;
    (gateway, rogue, app, chromium)
}

/// Waits until an event of this name was dispatched.
async fn hears(chromium: &Chromium, name: &str) {
    for _ in 0..1000 {
        let said = chromium.run("return said;").await;
        if said.as_array().is_some_and(|said| said.iter().any(|event| event["name"] == name)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {name}: {} {}", chromium.run("return said;").await, chromium.text().await);
}

#[tokio::test]
async fn who_does_nothing_is_warned_can_stay_and_is_told_of_the_end() {
    let idle = "[session]\nidle_timeout = \"8s\"\n";
    let (_gateway, _rogue, _app, chromium) = open(idle, "data-warn=\"4\"").await;
    hears(&chromium, "ending").await;
    chromium.reads("Ваш сеанс скоро закончится.").await;
    chromium.picture("session-ending").await;
    chromium.press(".vestibule-session button").await;
    hears(&chromium, "renewed").await;
    assert!(!chromium.text().await.contains("закончится"), "the warning is gone");
    hears(&chromium, "ended").await;
    chromium.reads("Ваш сеанс закончился.").await;
    chromium.picture("session-ended").await;
    // Signed in again in another tab, which has no hold on this one, the page goes on.
    chromium.press(".vestibule-session a").await;
    chromium.enter_new_window().await;
    chromium.reads("").await;
    assert_eq!(chromium.run("return window.opener === null;").await, true);
    chromium.enter_new_window().await;
    // As browsers say it of a tab that is looked at again.
    chromium.run("return document.dispatchEvent(new Event('visibilitychange'));").await;
    let still = "return document.querySelector('.vestibule-session') !== null;";
    for _ in 0..200 {
        if chromium.run(still).await == false {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(chromium.run(still).await, false, "{}", chromium.text().await);
    chromium.close().await;
}

#[tokio::test]
async fn who_writes_stays_signed_in_without_a_request_to_the_app() {
    let idle = "[session]\nidle_timeout = \"6s\"\n";
    let (gateway, rogue, app, chromium) = open(idle, "data-warn=\"1\"").await;
    app.forget();
    for _ in 0..16 {
        chromium.write("textarea", "Ответ").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(app.received().iter().all(|request| request.path() == "/favicon.ico"), "{:?}", app.received());
    assert_eq!(chromium.run("return said;").await, json!([]));
    assert_eq!(rogue.asked("/authorize").len(), 1, "nor to the provider");
    chromium.goto(&gateway.url("/x")).await;
    assert_eq!(rogue.asked("/authorize").len(), 1);
    chromium.close().await;
}

#[tokio::test]
async fn an_idle_time_that_is_shorter_than_the_warning_is_not_all_warning() {
    let idle = "[session]\nidle_timeout = \"8s\"\n";
    let (_gateway, _rogue, _app, chromium) = open(idle, "").await;
    for _ in 0..8 {
        chromium.write("textarea", "Ответ").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(chromium.run("return said;").await, json!([]));
    hears(&chromium, "ending").await;
    chromium.close().await;
}

#[tokio::test]
async fn a_session_that_ends_by_its_lifetime_is_renewed_silently_while_somebody_works() {
    let short = "[session]\nlifetime = \"8s\"\nidle_timeout = \"8s\"\n";
    let (_gateway, rogue, _app, chromium) = open(short, "data-warn=\"5\"").await;
    for _ in 0..24 {
        chromium.write("textarea", "Ответ").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let said = chromium.run("return said;").await;
    assert!(said.as_array().unwrap().iter().all(|event| event["name"] != "ended"), "{said}");
    assert!(rogue.asked("/authorize").len() >= 2);
    let status = "const ask = new XMLHttpRequest(); ask.open('GET', '/_sso/session', false); ask.send(); return ask.status;";
    assert_eq!(chromium.run(status).await, 200);
    chromium.close().await;
}

#[tokio::test]
async fn an_app_can_speak_for_itself() {
    let idle = "[session]\nidle_timeout = \"8s\"\n";
    let (_gateway, _rogue, _app, chromium) = open(idle, "data-warn=\"4\" data-dialog=\"off\"").await;
    hears(&chromium, "ending").await;
    hears(&chromium, "ended").await;
    assert_eq!(chromium.run("return document.querySelector('.vestibule-session')").await, Value::Null);
    chromium.close().await;
}

#[tokio::test]
async fn it_works_on_an_app_with_a_prefix() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let url = format!("{}/lms", world.origin());
    let config = rogue.table("rogue", "")
        + &world.app_at("lms", &url, &app.origin())
        + "[session]\nidle_timeout = \"8s\"\n";
    let gateway = world.start(&config).await;
    app.answer(|request| match request.path() {
        "/lms/said.js" => Answer::of(200, "text/javascript", SAID),
        _ => page("data-warn=\"4\" data-lang=\"en\"", "/lms"),
    });
    let chromium = Chromium::open().await;
    chromium.goto(&gateway.url("/lms/")).await;
    hears(&chromium, "ending").await;
    chromium.reads("Your session ends soon.").await;
    chromium.close().await;
}
