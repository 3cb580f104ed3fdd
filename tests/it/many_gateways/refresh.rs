//! One refresh for two gateways, whatever becomes of the one that is at it.

use std::time::{Duration, Instant};

use super::{ORIGIN, Two, soon, url};
use crate::world::{Answer, Browser, Endpoint, Engine, Rogue, Shape, redis, twenty};

#[tokio::test]
async fn twenty_requests_over_both_at_expiry_make_one_refresh_and_none_fails() {
    let two = Two::start("").await;
    two.rogue.gives_refresh_tokens(Duration::from_secs(3));
    let person = two.person().await;
    for round in 1..=3 {
        tokio::time::sleep(Duration::from_millis(3100)).await;
        two.app.forget();
        two.rogue.slow_down(Endpoint::Token, Duration::from_millis(300));
        assert_eq!(twenty(&person.each_ref(), &url("/x")).await, [200; 20], "{round}");
        assert_eq!(two.rogue.refreshes(), round, "a token that is used twice ends the grant");
        let tokens: std::collections::HashSet<_> =
            two.app.received().iter().map(|request| request.header("x-token")).collect();
        assert_eq!(tokens.len(), 1, "{round}: one new token for all");
    }
}

#[tokio::test]
async fn a_real_provider_that_rotates_and_detects_reuse_is_asked_once_by_both() {
    let engine = Engine::own(Shape::V9, serde_json::json!({"ttl": {"AccessToken": 3}}));
    let scopes = "scopes = [\"openid\", \"email\", \"offline_access\"]";
    let table = engine.table_for(&[ORIGIN], "/_sso/callback", "school", scopes);
    let two = Two::with(redis::Server::start(&[]), "", Rogue::start().await, &table).await;
    let browser = two.at(0, &Browser::new());
    // Without its consent page the provider would drop `offline_access` without a word.
    let consent = browser.sign_in(&url("/"), "petrova").await.expect(200);
    browser.submit(&consent, consent.form("consent")).await.expect(200);
    let person = [browser.clone(), two.at(1, &browser)];
    person[1].fetch(&url("/")).await.expect(200);
    for round in 1..=3 {
        tokio::time::sleep(Duration::from_millis(3100)).await;
        assert_eq!(twenty(&person.each_ref(), &url("/x")).await, [200; 20], "{round}");
        assert_eq!(engine.count("refresh_token"), round, "one refresh for twenty requests at two gateways");
    }
    assert_eq!(engine.count("refresh_token refused"), 0);
}

#[tokio::test]
async fn a_gateway_that_stands_still_while_it_refreshes_and_goes_on_later_costs_nobody_their_session() {
    let two = Two::over(redis::Server::start(&[]), "", "timeout = \"20s\"").await;
    two.rogue.gives_refresh_tokens(Duration::from_secs(2));
    let person = two.person().await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    two.rogue.gives_refresh_tokens(Duration::from_secs(60));
    two.rogue.slow_down(Endpoint::Token, Duration::from_millis(1500));
    let ask = |browser: &Browser| {
        let browser = browser.copy();
        tokio::spawn(async move { browser.fetch(&url("/x")).await.status })
    };
    let first = ask(&person[0]);
    soon("the first asks", async || two.rogue.refreshes() == 1).await;
    two.gateways[0].signal("STOP");
    let second = ask(&person[1]);
    soon("the lock is lost, and the other asks", async || two.rogue.refreshes() == 2).await;
    // The provider has spent that token and refuses; meanwhile the first writes down what it was given for it.
    two.gateways[0].signal("CONT");
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (200, 200));
    tokio::time::sleep(Duration::from_secs(4)).await;
    for browser in &person {
        browser.fetch(&url("/x")).await.expect(200);
    }
    assert_eq!(two.rogue.refreshes(), 2);
    let tokens: std::collections::HashSet<_> =
        two.app.received().iter().rev().take(2).map(|request| request.header("x-token")).collect();
    assert_eq!(tokens.len(), 1, "the one of the first");
}

#[tokio::test]
async fn a_gateway_that_is_killed_while_it_refreshes_leaves_that_to_the_other() {
    let two = Two::over(redis::Server::start(&[]), "", "timeout = \"20s\"").await;
    two.rogue.gives_refresh_tokens(Duration::from_secs(2));
    let person = two.person().await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    two.rogue.replace(Endpoint::Token, Answer::Silence);
    let begun = two.rogue.refreshes();
    let first = person[0].copy();
    let lost = tokio::spawn(async move { first.fetch(&url("/x")).await.status });
    soon("the first asks", async || two.rogue.refreshes() > begun).await;
    let waiting = [(); 5].map(|()| {
        let browser = person[1].copy();
        tokio::spawn(async move { browser.fetch(&url("/x")).await.status })
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(two.rogue.refreshes(), begun + 1, "the other waits");
    two.rogue.restore();
    two.rogue.gives_refresh_tokens(Duration::from_secs(60));
    two.gateways[0].signal("KILL");
    let killed = Instant::now();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }
    assert!(killed.elapsed() < Duration::from_secs(12), "{:?}", killed.elapsed());
    // Where no lock could be had in time, they went on with the old tokens, and who comes next asks.
    soon("the other asks", async || {
        person[1].fetch(&url("/x")).await.expect(200);
        two.rogue.refreshes() > begun + 1
    })
    .await;
    assert_eq!(two.rogue.refreshes(), begun + 2);
    lost.abort();
}
