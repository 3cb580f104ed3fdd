//! The demo as a newcomer sees it, with Chromium; its pictures stand in the README.

use std::time::Duration;

use crate::world::World;
use crate::world::chromium::Chromium;
use crate::world::program::Program;

/// A running demo and where it is.
async fn demo() -> (Program, String) {
    let world = World::new();
    let demo = Program::start(env!("CARGO_BIN_EXE_vestibule"), |command| {
        command.args(["demo", "--listen", &world.address().to_string()]).current_dir(world.dir.path());
    });
    let said = demo.says("Ctrl-C").await;
    assert!(said.contains(&world.origin()) && said.contains("trying out"), "{said}");
    (demo, world.origin())
}

/// Presses the button of the person whose description holds this.
async fn sign_in_as(browser: &Chromium, who: &str) {
    browser.reads("Кем войти?").await;
    let script =
        format!("[...document.querySelectorAll('button')].find(b => b.innerText.includes('{who}')).click()");
    browser.run(&script).await;
}

#[tokio::test]
async fn a_newcomer_signs_in_looks_around_is_kept_out_of_the_teachers_page_and_signs_out() {
    let (_demo, url) = demo().await;
    let browser = Chromium::open().await;
    browser.goto(&url).await;
    browser.picture("demo-1-sign-in").await;
    sign_in_as(&browser, "student").await;
    browser.reads("Здравствуйте, Анна Сергеевна Королёва").await;
    browser.reads("x-user-full-name").await;
    browser.resize(1000, 1250).await;
    browser.picture("demo-2-student").await;
    browser.resize(1000, 760).await;

    browser.goto(&format!("{url}/live")).await;
    browser.reads("события приходят").await;
    browser.reads("соединение открыто").await;
    browser.write("#text", "Привет!").await;
    browser.press("#send").await;
    browser.reads("Сервер: Привет!").await;
    browser.picture("demo-3-live").await;

    browser.goto(&format!("{url}/teachers")).await;
    browser.reads("Нет доступа").await;
    assert_eq!(browser.run("return document.documentElement.lang").await, "ru");
    browser.picture("demo-4-not-allowed").await;
    browser.resize(390, 760).await;
    let too_wide = browser.run("return document.documentElement.scrollWidth > window.innerWidth").await;
    assert_eq!(too_wide, false, "a page fits a phone");
    browser.picture("demo-5-not-allowed-on-a-phone").await;
    browser.resize(1000, 760).await;

    browser.goto(&url).await;
    browser.press("a[href='/_sso/sign-out']").await;
    browser.is_at(&format!("{url}/_sso/signed-out")).await;
    browser.reads("Вы вышли").await;
    browser.picture("demo-6-signed-out").await;
    // The page at the end signs nobody in again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    browser.is_at(&format!("{url}/_sso/signed-out")).await;
    browser.goto(&url).await;
    sign_in_as(&browser, "teacher").await;
    browser.reads("Здравствуйте").await;
    browser.goto(&format!("{url}/teachers")).await;
    assert!(!browser.text().await.contains("Нет доступа"));
    browser.picture("demo-7-teachers").await;
    browser.close().await;
}

#[tokio::test]
async fn a_live_page_loses_its_websocket_when_the_person_signs_out_in_another_window() {
    let (_demo, url) = demo().await;
    let browser = Chromium::open().await;
    browser.goto(&format!("{url}/live")).await;
    sign_in_as(&browser, "administrator").await;
    browser.reads("соединение открыто").await;
    // The sign-out happens beside the page, with the same cookies.
    let leave = "return fetch('/_sso/sign-out', {redirect: 'manual'}).then(() => 'left')";
    assert_eq!(browser.run(leave).await, "left");
    browser.reads("соединение закрыто").await;
    browser.close().await;
}

#[tokio::test]
async fn who_refuses_at_the_provider_reads_a_page_they_understand_in_the_dark_and_in_english() {
    let (_demo, url) = demo().await;
    let browser =
        Chromium::reading("en-US", &["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]).await;
    browser.goto(&url).await;
    browser.press("[name=cancel]").await;
    browser.reads("Sign-in did not work").await;
    assert_eq!(browser.run("return document.documentElement.lang").await, "en");
    let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
    let ground = browser.run("return getComputedStyle(document.body).backgroundColor").await;
    if dark == true {
        let ground = ground.as_str().unwrap().to_owned();
        let digits = ground.trim_start_matches(|c: char| !c.is_ascii_digit());
        let red: u32 = digits.split(',').next().unwrap().parse().unwrap();
        assert!(red < 100, "the page is dark in the dark: {ground}");
    }
    browser.picture("demo-8-refused").await;
    browser.close().await;
}
