//! A hidden frame of the app's renews the session without asking anybody, and tells the page around it.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::world::chromium::Chromium;
use crate::world::{Answer, Ask, Browser, Engine, Gateway, Rogue, Server, Shape, World, redis};

/// A page of the app's that listens, and can open the frame.
const PAGE: &str = r#"<!DOCTYPE html><title>app</title><body><script>
window.said = [];
addEventListener("message", (event) => said.push({ origin: event.origin, data: event.data }));
function renew() {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.src = "/_sso/silent";
  document.body.append(frame);
}
</script>"#;

fn in_frame(url: &str, site: &str) -> Ask {
    Ask::navigation(url).instead("Sec-Fetch-Dest", "iframe").instead("Sec-Fetch-Site", site)
}

/// What the frame says after going to the provider and back, as a browser goes whose provider is another site.
async fn renew(browser: &Browser, gateway: &Gateway) -> Value {
    let sent = browser.send(in_frame(&gateway.url("/_sso/silent"), "same-origin")).await.expect(302);
    assert_eq!(sent.location_param("prompt").as_deref(), Some("none"));
    let back = browser.send(in_frame(sent.location().as_str(), "cross-site")).await.expect(302);
    let first = browser.send(in_frame(back.location().as_str(), "cross-site")).await.expect(200);
    assert!(first.header("content-security-policy").unwrap().ends_with("frame-ancestors 'self'"));
    let refresh = first.header("refresh").unwrap();
    let again = refresh.strip_prefix("0;url=").unwrap();
    said(&browser.send(in_frame(again, "same-origin")).await.expect(200).text())
}

fn said(page: &str) -> Value {
    let message = page.split("data-message=\"").nth(1).unwrap_or_else(|| panic!("{page}"));
    let message = message.split('"').next().unwrap().replace("&#34;", "\"").replace("&quot;", "\"");
    serde_json::from_str(&message).unwrap()
}

fn session(browser: &Browser) -> Option<String> {
    browser.cookies().into_iter().find(|cookie| !cookie.name.contains("login")).map(|cookie| cookie.value)
}

#[tokio::test]
async fn a_store_that_is_away_is_told_to_the_page_and_ends_nothing() {
    let store = redis::Server::start(&[]);
    let (key, port) = ("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", store.port);
    let lines = format!(
        "[session]\nstore = \"redis://127.0.0.1:{port}\"\nkeys = [{key:?}]\noutage_grace = \"0s\"\n\
         [session.redis]\ntimeout = \"1s\"\n"
    );
    let (gateway, _rogue, _app) = World::with_rogue(&lines).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let sent = browser.send(in_frame(&gateway.url("/_sso/silent"), "same-origin")).await.expect(302);
    let back = browser.send(in_frame(sent.location().as_str(), "cross-site")).await.expect(302);
    let before = session(&browser);
    store.signal("-STOP");
    // Once at the callback, which could not write, and once at the beginning, as soon as nothing is trusted any more.
    let callback = browser.send(in_frame(back.location().as_str(), "same-origin")).await.expect(200);
    assert_eq!(said(&callback.text())["ok"], false);
    let waited = std::time::Instant::now();
    loop {
        let frame = browser.send(in_frame(&gateway.url("/_sso/silent"), "same-origin")).await;
        if frame.status == 200 {
            assert_eq!(said(&frame.text())["error"], "sessions-unreachable");
            break;
        }
        assert!(waited.elapsed() < Duration::from_secs(20), "{frame:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    store.signal("-CONT");
    assert_eq!(session(&browser), before);
    while browser.fetch(&gateway.url("/")).await.status != 200 {
        assert!(waited.elapsed() < Duration::from_secs(40), "the session is back with its store");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_session_is_a_new_one_for_the_same_person_and_the_old_one_is_over() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let (before, old) = (session(&browser), browser.copy());
    let told = renew(&browser, &gateway).await;
    assert_eq!((&told["type"], &told["ok"]), (&json!("vestibule:silent"), &json!(true)));
    assert_ne!(session(&browser), before);
    let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
    assert_eq!(session["expires_at"], told["expires_at"]);
    old.fetch(&gateway.url("/")).await.expect(401);
}

#[tokio::test]
async fn who_would_have_to_be_asked_keeps_the_session_that_they_have() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let before = session(&browser);
    for (error, told) in [
        ("login_required", "login_required"),
        ("interaction_required", "interaction_required"),
        ("consent_required", "consent_required"),
        ("access_denied", "access_denied"),
        ("\"></script>", "provider_refused"),
    ] {
        rogue.bend_response(move |response| {
            response.retain(|(name, _)| name != "code");
            response.push(("error".into(), error.into()));
        });
        assert_eq!(
            renew(&browser, &gateway).await,
            json!({"type": "vestibule:silent", "ok": false, "error": told})
        );
        assert_eq!(session(&browser), before);
        browser.fetch(&gateway.url("/")).await.expect(200);
    }
    rogue.restore();
    rogue.bend_id_token(|draft| draft.claims["nonce"] = json!("another"));
    assert_eq!(renew(&browser, &gateway).await["error"], "id_token_nonce");
    assert_eq!(session(&browser), before);
}

#[tokio::test]
async fn another_person_never_takes_the_place_of_the_one_who_is_there() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    rogue.person(json!({"sub": "u-2"}));
    assert_eq!(renew(&browser, &gateway).await["error"], "another_user");
    browser.fetch(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-auth-sub").as_deref(), Some("u-1"));
}

#[tokio::test]
async fn who_signed_out_meanwhile_is_not_signed_in_again() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let sent = browser.send(in_frame(&gateway.url("/_sso/silent"), "same-origin")).await.expect(302);
    browser.get(&gateway.url("/_sso/sign-out")).await.expect(302);
    let back = browser.send(in_frame(sent.location().as_str(), "cross-site")).await.expect(302);
    let page = browser.send(in_frame(back.location().as_str(), "same-origin")).await.expect(200);
    assert_eq!(said(&page.text())["error"], "login_required");
    browser.fetch(&gateway.url("/")).await.expect(401);
}

#[tokio::test]
async fn who_has_not_chosen_a_provider_or_has_left_it_is_signed_in_with_none() {
    let (world, app) = (World::new(), Server::start().await);
    let rogues = [Rogue::start().await, Rogue::start().await];
    let config = rogues[0].table("first", "") + &rogues[1].table("second", "") + &world.app("lms", &app);
    let gateway = world.start(&config).await.ready().await;
    let frame = in_frame(&gateway.url("/_sso/silent"), "same-origin");
    let told = said(&Browser::new().send(frame.clone()).await.expect(200).text());
    assert_eq!((&told["ok"], &told["error"]), (&json!(false), &json!("login_required")));

    let browser = Browser::new();
    browser.visit(&gateway.url("/_sso/sign-in?provider=second")).await.expect(200);
    let sent = browser.send(frame.clone()).await.expect(302);
    assert!(sent.location().as_str().starts_with(rogues[1].issuer()), "{sent:?}");
    let leaves = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    browser.send(leaves).await.expect(302);
    let told = said(&browser.send(frame).await.expect(200).text());
    assert_eq!(told["error"], json!("login_required"));
}

#[tokio::test]
async fn only_a_page_of_the_apps_own_may_start_it() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let silent = gateway.url("/_sso/silent");
    for site in ["cross-site", "same-site"] {
        browser.send(in_frame(&silent, site)).await.expect(400);
    }
    browser.fetch(&silent).await.expect(400);
    browser.send(Ask::new("POST", &silent).header("Sec-Fetch-Mode", "navigate")).await.expect(405);
    assert_eq!(rogue.asked("/authorize").len(), 1);
}

#[tokio::test]
async fn a_provider_that_answers_by_a_form_is_met_in_the_same_way() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("rogue", "response_mode = \"form_post\"") + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    let begin = async |ask: Ask| {
        let sent = browser.send(ask).await.expect(302);
        let back = browser.send(in_frame(sent.location().as_str(), "cross-site")).await;
        let (action, fields) = if back.is_redirect() {
            let url = back.location();
            (url.clone(), url.query().unwrap_or_default().to_owned())
        } else {
            let form = back.form("");
            let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
            (Url::parse(&form.action).unwrap(), fields)
        };
        let mut action = action;
        action.set_query(None);
        (action.to_string(), fields)
    };
    let (action, fields) = begin(in_frame(&gateway.url("/_sso/silent"), "same-origin")).await;
    let post = Ask::new("POST", &action)
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "iframe")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Origin", "null")
        .body("application/x-www-form-urlencoded", fields);
    let carried = browser.send(post).await.expect(303);
    let first = browser.send(in_frame(carried.location().as_str(), "cross-site")).await.expect(200);
    let refresh = first.header("refresh").unwrap();
    let page =
        browser.send(in_frame(refresh.strip_prefix("0;url=").unwrap(), "same-origin")).await.expect(200);
    assert_eq!(said(&page.text())["ok"], true, "{page:?}");
    browser.fetch(&gateway.url("/")).await.expect(200);
}

/// Opens the frame and waits for what it says.
async fn renewed_in(chromium: &Chromium) -> Value {
    chromium.run("said.length = 0; renew();").await;
    for _ in 0..500 {
        let said = chromium.run("return said;").await;
        if let Some(first) = said.as_array().and_then(|said| said.first()) {
            return first.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the frame said nothing: {}", chromium.url().await);
}

#[tokio::test]
async fn chromium_renews_with_a_provider_of_another_site() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    app.answer(|_| Answer::of(200, "text/html", PAGE));
    let chromium = Chromium::open().await;
    chromium.goto(&gateway.url("/")).await;
    let signed_in_at = "const ask = new XMLHttpRequest(); ask.open('GET', '/_sso/session', false); ask.send(); \
                        return JSON.parse(ask.responseText).signed_in_at;";
    let before = chromium.run(signed_in_at).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let said = renewed_in(&chromium).await;
    assert_eq!(said["data"]["ok"], true, "{said}");
    assert_eq!(said["origin"], gateway.world.origin());
    assert!(chromium.run(signed_in_at).await.as_u64() > before.as_u64(), "the browser has the new session");

    rogue.bend_response(|response| {
        response.retain(|(name, _)| name != "code");
        response.push(("error".into(), "login_required".into()));
    });
    let said = renewed_in(&chromium).await;
    assert_eq!(said["data"], json!({"type": "vestibule:silent", "ok": false, "error": "login_required"}));
    chromium.close().await;
}

#[tokio::test]
async fn chromium_renews_with_the_real_provider_until_the_person_has_left_it() {
    let (world, app) = (World::new(), Server::start().await);
    app.answer(|_| Answer::of(200, "text/html", PAGE));
    // The provider is of the same site, where browsers withhold nothing.
    let engine = Engine::own(Shape::V9, json!({"host": world.address().ip().to_string()}));
    let config = engine.table(&world, "school", "") + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let chromium = Chromium::open().await;
    chromium.goto(&gateway.url("/")).await;
    chromium.log_in("ivanov").await;
    chromium.is_at(&gateway.url("/")).await;
    let said = renewed_in(&chromium).await;
    assert_eq!(said["data"]["ok"], true, "{said}");
    engine.command("revoke", json!({"login": "ivanov", "sessions": true}));
    let said = renewed_in(&chromium).await;
    assert_eq!(said["data"]["error"], "login_required", "{said}");
    chromium.close().await;
}
