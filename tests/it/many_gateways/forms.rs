//! Forms that are kept at one gateway and sent by the other.

use std::time::Duration;

use serde_json::json;

use super::between::Weather;
use super::{Two, sign_out, soon, url};
use crate::kept_forms::{URLENCODED, form, press, signed_in};
use crate::world::Browser;
use crate::world::html::links;

/// One session for all below the domain, as it is for two gateways with several apps.
const SHARED: &str = "cookie = { domain = \"lms.localhost\" }\n";

/// The browser of a person whose session has ended, and the cookie is still there.
async fn left(two: &Two) -> [Browser; 2] {
    let person = two.person().await;
    assert!(matches!(sign_out(&person[1].copy()).await, 302 | 303));
    for browser in &person {
        soon("the session is over", async || browser.fetch(&url("/x")).await.status == 401).await;
    }
    two.app.forget();
    person
}

#[tokio::test]
async fn a_form_that_one_gateway_kept_is_sent_by_the_other_and_once_only() {
    for session in ["", SHARED] {
        let two = Two::start(session).await;
        let [here, there] = left(&two).await;
        let kept = here.send(form(&url("/quiz?n=1")).body(URLENCODED, "a=1")).await;
        let page = signed_in(&there, kept).await.expect(200);
        assert!(page.text().contains("<script data-when=\"now\">"), "its sender is known: {page:?}");
        let twice = here.copy();
        press(&there, &page).await.expect(200);
        assert_eq!((two.app.last().target(), two.app.last().body.as_slice()), ("/quiz?n=1", &b"a=1"[..]));
        for again in [&twice, &here, &there] {
            press(again, &page).await.expect(403);
        }
        assert_eq!(two.app.received().iter().filter(|request| request.method() == "POST").count(), 1);
    }
}

#[tokio::test]
async fn another_person_does_not_send_it_at_the_other_gateway_either() {
    for session in ["", SHARED] {
        let two = Two::start(session).await;
        let [here, there] = left(&two).await;
        let kept = here.send(form(&url("/quiz")).body(URLENCODED, "a=1")).await;
        two.rogue.person(json!({"sub": "u-2"}));
        let page = signed_in(&there, kept).await.expect(403);
        assert!(page.text().contains("somebody else"), "{session}: {page:?}");
        assert!(two.app.received().iter().all(|request| request.method() == "GET"));
    }
}

#[tokio::test]
async fn a_store_that_is_away_when_a_form_is_to_be_sent_costs_no_form() {
    let two = Two::start("").await;
    let [here, there] = left(&two).await;
    let kept = here.send(form(&url("/quiz")).body(URLENCODED, "a=1")).await;
    let page = signed_in(&there, kept).await.expect(200);
    two.ways[1].weather(Weather::Gone);
    let failed = press(&there, &page).await.expect(503);
    let again = links(&failed.text()).pop().unwrap();
    assert!(again.contains("/_sso/resend?form="), "{failed:?}");
    let set = failed.headers.all("set-cookie");
    assert!(set.iter().all(|cookie| !cookie.contains("-form-")), "the slip stays: {set:?}");
    // What was said into the void is never answered: those connections end.
    two.ways[1].weather(Weather::CutAfter(0));
    for _ in 0..20 {
        there.fetch(&url("/x")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    two.ways[1].weather(Weather::Fair);
    soon("it is sent in the end", async || {
        let page = there.visit(&again).await;
        page.status == 200 && press(&there, &page).await.status == 200
    })
    .await;
    assert_eq!(two.app.last().body, b"a=1");
}
