//! Somebody signs out there while a login of theirs is on its way back here.

use serde_json::json;

use super::is_in;
use crate::world::farewell::deliver;
use crate::world::rogue::now;
use crate::world::{Browser, Gateway, World};

/// A browser that was signed in there, and the address that it is to open here next.
async fn back_from_there(gateway: &Gateway) -> (Browser, String) {
    let browser = Browser::new();
    let sent = browser.get(&gateway.url("/courses")).await.expect(302);
    let back = browser.get(sent.location().as_str()).await.expect(302);
    (browser, back.location().to_string())
}

#[tokio::test]
async fn a_login_that_was_under_way_makes_no_session_of_one_that_is_over_there() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    rogue.session("one");
    let (browser, back) = back_from_there(&gateway).await;
    let token = rogue.logout_token(|draft| draft.claims["sid"] = json!("one"));
    deliver(&gateway.world.origin(), &token).await.expect(200);
    browser.get(&back).await.expect(400);
    assert!(!is_in(&browser, &gateway).await);
    gateway.logs("provider_session_over").await;
    rogue.session("two");
    browser.visit(&gateway.url("/courses")).await.expect(200);
}

#[tokio::test]
async fn nor_of_a_person_whose_sessions_there_are_over_since_the_provider_answered() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let (browser, back) = back_from_there(&gateway).await;
    let answered = |at: u64| rogue.bend_id_token(move |draft| draft.claims["iat"] = json!(at));
    deliver(&gateway.world.origin(), &rogue.logout_token_of_person()).await.expect(200);
    let over = now();
    answered(over - 5);
    browser.get(&back).await.expect(400);
    assert!(!is_in(&browser, &gateway).await);
    gateway.logs("provider_session_over").await;
    answered(over + 1);
    browser.visit(&gateway.url("/courses")).await.expect(200);
}
