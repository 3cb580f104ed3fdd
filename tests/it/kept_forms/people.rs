//! Whose form it is: sent at once for the person who wrote it, by a button where that is not known, and never in the
//! name of another.

use std::time::Duration;

use serde_json::json;

use super::{URLENCODED, form, gateway, press, signed_in};
use crate::world::chromium::Chromium;
use crate::world::html::links;
use crate::world::{Answer, Browser, Engine, Gateway, Rogue, Server, World};

/// A browser whose session has ended by standing idle.
async fn left_alone(lines: &str) -> (Gateway, Rogue, Server, Browser) {
    let (gateway, rogue, app) = gateway(&format!("{lines}[session]\nidle_timeout = \"1s\"\n")).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/quiz")).await.expect(200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    app.forget();
    (gateway, rogue, app, browser)
}

#[tokio::test]
async fn the_one_who_wrote_it_sends_it_without_a_question() {
    let (gateway, _rogue, app, browser) = left_alone("").await;
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    assert!(page.text().contains("<script data-when=\"now\">"), "{page:?}");
    press(&browser, &page).await.expect(200);
    assert_eq!(app.last().body, b"a=1");
}

#[tokio::test]
async fn where_nobody_knows_who_wrote_it_the_person_is_asked() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    assert!(
        page.text().contains("<script data-when=\"\">") && page.text().contains("Анна Каренина"),
        "{page:?}"
    );
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn what_one_person_wrote_is_never_sent_in_anothers_name_and_waits_for_its_sender() {
    let (gateway, rogue, app, browser) = left_alone("").await;
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    rogue.person(json!({"sub": "u-2", "name": "Левин"}));
    let page = signed_in(&browser, kept).await.expect(403);
    assert!(page.text().contains("somebody else"), "{page:?}");
    // By hand, as the page would have done it.
    let id = browser.cookies().into_iter().find(|cookie| cookie.name.contains("-form-")).unwrap().name;
    let id = id.rsplit_once("-form-").unwrap().1.to_owned();
    let marker = form(&gateway.url("/quiz")).body("text/plain", format!("vestibule-form={id}\r\n"));
    browser.send(marker.clone()).await.expect(403);
    assert!(app.received().is_empty());
    // The sender comes, by the link on the page.
    rogue.person(json!({"sub": "u-1"}));
    let again = links(&page.text());
    let again = again.iter().find(|link| link.contains("prompt=login")).unwrap();
    let page = browser.visit(page.url.join(again).unwrap().as_str()).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!(
        (app.last().header("x-auth-sub").as_deref(), app.last().body.as_slice()),
        (Some("u-1"), &b"a=1"[..])
    );
}

#[tokio::test]
async fn a_form_that_needs_a_newer_sign_in_is_sent_after_it() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/grades/*\"]\nmax_age = \"15m\"\n";
    let (gateway, rogue, app) = gateway(rules).await;
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let old = now() - 2000;
    rogue.bend_id_token(move |draft| draft.claims["auth_time"] = json!(old));
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let new = now();
    rogue.bend_id_token(move |draft| draft.claims["auth_time"] = json!(new));
    let kept = browser.send(form(&gateway.url("/grades/7")).body(URLENCODED, "a=5")).await;
    assert!(kept.text().contains("confirm who you are"), "{kept:?}");
    let page = signed_in(&browser, kept).await.expect(200);
    assert_eq!(rogue.asked("/authorize").last().unwrap().param("max_age").as_deref(), Some("900"));
    assert!(page.text().contains("<script data-when=\"now\">"), "{page:?}");
    press(&browser, &page).await.expect(200);
    assert_eq!((app.last().target(), app.last().body.as_slice()), ("/grades/7", &b"a=5"[..]));
}

#[tokio::test]
async fn a_session_that_ends_before_the_marker_arrives_costs_one_more_sign_in_and_no_form() {
    let (gateway, _rogue, app, browser) = left_alone("").await;
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let kept = press(&browser, &page).await;
    let page = signed_in(&browser, kept).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!(app.received().len(), 1);
    assert_eq!(app.last().body, b"a=1");
}

#[tokio::test]
async fn the_real_provider_and_the_cookie_store_bring_it_through_as_well() {
    let (gateway, app) =
        World::behind(&Engine::v9(), "[session]\nstore = \"cookie\"\nidle_timeout = \"1s\"\n").await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/quiz"), "ivanov").await.expect(200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let kept = browser.send(form(&gateway.url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&browser, kept).await.expect(200);
    press(&browser, &page).await.expect(200);
    assert_eq!(app.last().body, b"a=1");
}

/// A page with a form, as an app has it: its policy lets forms go nowhere but home.
const QUIZ: &str = r#"<!DOCTYPE html><html lang="ru"><meta charset="utf-8"><title>quiz</title><body>
<form id="quiz" method="post" action="/quiz/send?attempt=3" enctype="multipart/form-data">
<textarea name="ответ"></textarea><input type="file" name="file"><button>Сдать</button></form>"#;

#[tokio::test]
async fn chromium_loses_no_word_and_no_file_when_the_session_has_ended() {
    let (world, app) = (World::new(), Server::start().await);
    app.answer(|request| match request.method() {
        "POST" => Answer::redirect(303, "/done"),
        _ if request.path() == "/done" => Answer::of(200, "text/html; charset=utf-8", "<p>Принято"),
        _ => Answer::of(200, "text/html; charset=utf-8", QUIZ)
            .with("Content-Security-Policy", "form-action 'self'"),
    });
    // The provider is another site, as most are.
    let engine = Engine::own(crate::world::Shape::V9, json!({}));
    let config =
        engine.table(&world, "school", "") + &world.app("lms", &app) + "[session]\nidle_timeout = \"2s\"\n";
    let gateway = world.start(&config).await;
    let chromium = Chromium::open().await;
    chromium.goto(&gateway.url("/quiz")).await;
    chromium.log_in("ivanov").await;
    chromium.is_at(&gateway.url("/quiz")).await;
    let file = world_file(&gateway, "сочинение.bin", &(0..=255).collect::<Vec<u8>>());
    chromium.write("textarea", "Ответ на вопрос: «да» & 100 % + ёлка").await;
    chromium.attach("input[type=file]", &file).await;
    tokio::time::sleep(Duration::from_millis(3100)).await;
    engine.command("revoke", json!({"login": "ivanov", "sessions": true}));
    app.forget();
    chromium.press("#quiz button").await;
    chromium.log_in("ivanov").await;
    chromium.reads("Принято").await;
    assert_eq!(chromium.url().await.as_str(), gateway.url("/done"));
    let all = app.received();
    let posted: Vec<_> = all.iter().filter(|request| request.method() == "POST").collect();
    let [request] = posted.as_slice() else { panic!("{all:?}") };
    assert_eq!(request.target(), "/quiz/send?attempt=3");
    assert_eq!(request.header("referer"), Some(gateway.url("/quiz")));
    assert_eq!(request.header("origin"), Some(gateway.world.origin()));
    let kind = request.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let mut expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"ответ\"\r\n\r\nОтвет на вопрос: «да» & 100 % + ёлка\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"сочинение.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    expected.extend(0..=255_u8);
    expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    assert_eq!(request.body, expected, "{}", String::from_utf8_lossy(&request.body));
    chromium.close().await;
}

#[tokio::test]
async fn chromium_asks_who_may_not_have_written_it_and_sends_by_the_button() {
    let (gateway, _rogue, app) = gateway("").await;
    app.answer(|request| match request.method() {
        "POST" => Answer::of(200, "text/html; charset=utf-8", "<p>Принято"),
        _ => Answer::of(200, "text/html; charset=utf-8", QUIZ),
    });
    let chromium = Chromium::open().await;
    chromium.goto(&gateway.url("/quiz")).await;
    chromium.write("textarea", "Да").await;
    chromium.forget_cookies().await;
    chromium.press("#quiz button").await;
    chromium.reads("Отправить написанное?").await;
    chromium.picture("form-to-send").await;
    chromium.resize(390, 844).await;
    chromium.picture("form-to-send-phone").await;
    chromium.press("main button").await;
    chromium.reads("Принято").await;
    assert_eq!(chromium.url().await.as_str(), gateway.url("/quiz/send?attempt=3"));
    assert_eq!(app.received().iter().filter(|request| request.method() == "POST").count(), 1);
    chromium.close().await;
}

/// A file in the gateway's world.
fn world_file(gateway: &Gateway, name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = gateway.world.dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}
