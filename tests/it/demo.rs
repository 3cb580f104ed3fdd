//! The demo as a newcomer sees it, with Chromium; its pictures stand in the README.

use crate::world::World;
use crate::world::chromium::Chromium;
use crate::world::program::Program;
use crate::world::{ADMIN_PORT, PUBLIC_PORT};

/// A running demo and where it is.
async fn demo(world: &World) -> (Program, String) {
    let demo = Program::start(env!("CARGO_BIN_EXE_vestibule"), |command| {
        command.args(["demo", "--listen", &world.address().to_string()]).current_dir(world.dir.path());
    });
    demo.says("Ctrl-C").await;
    (demo, world.origin())
}

#[tokio::test]
async fn a_newcomer_signs_in_to_the_demo_looks_around_and_signs_out() {
    assert_ne!(PUBLIC_PORT, ADMIN_PORT);
    let world = World::new();
    let (_demo, url) = demo(&world).await;
    let browser = Chromium::open().await;
    browser.goto(&url).await;
    browser.picture("demo-1-sign-in").await;
    browser.press("form button").await;
    browser.is_at(&url).await;
    browser.picture("demo-2-student").await;
    // A student may not see the teachers' page.
    browser.goto(&format!("{url}/teachers")).await;
    browser.picture("demo-3-not-allowed").await;
    assert_eq!(browser.run("return document.documentElement.lang").await, "ru");
    browser.resize(390, 760).await;
    browser.picture("demo-4-not-allowed-on-a-phone").await;
    browser.resize(1000, 760).await;
    browser.goto(&format!("{url}/_sso/sign-out")).await;
    browser.picture("demo-5-leaving").await;
    if !browser.url().await.path().starts_with("/_sso/signed-out") {
        browser.press("button").await;
    }
    browser.is_at(&format!("{url}/_sso/signed-out")).await;
    browser.picture("demo-6-signed-out").await;
    browser.goto(&format!("{url}/_sso/callback?code=x&state=y")).await;
    browser.picture("demo-7-failed").await;
    browser.close().await;
}
