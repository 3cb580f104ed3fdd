//! A sign-out that one of two gateways is told of ends sessions at both, which keep them in one Redis.

use std::time::Duration;

use crate::websockets::Socket;
use crate::world::farewell::deliver_by;
use crate::world::redis;
use crate::world::wire::PATIENCE;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

const HOST: &str = "lms.school.localhost";
const ORIGIN: &str = "http://lms.school.localhost:4180";

/// Two gateways in front of one app, as a balancer would have them.
async fn two_gateways(redis: &redis::Server) -> ([Gateway; 2], Rogue, Server) {
    two_gateways_with(redis, "").await
}

/// The same with these lines in each configuration.
async fn two_gateways_with(redis: &redis::Server, lines: &str) -> ([Gateway; 2], Rogue, Server) {
    let (rogue, app) = (Rogue::start().await, Server::start().await);
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let world = World::new();
        let session = format!(
            "[session]\nstore = \"redis://127.0.0.1:{}\"\nkeys = [\"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=\"]\n",
            redis.port
        );
        let config =
            rogue.table("rogue", "") + &world.app_at("lms", ORIGIN, &app.origin()) + lines + &session;
        gateways.push(world.start(&config).await);
    }
    (gateways.try_into().unwrap_or_else(|_| unreachable!()), rogue, app)
}

/// The same browser, whom the balancer brings to this gateway.
fn brought_to(gateway: &Gateway, browser: &Browser) -> Browser {
    let brought = Browser::new();
    brought.knows(HOST, gateway.address().ip());
    for cookie in browser.cookies() {
        brought.plant(&cookie.host, &cookie.name, &cookie.value);
    }
    brought
}

async fn is_in(browser: &Browser) -> bool {
    browser.fetch(&format!("{ORIGIN}/_sso/session")).await.status == 200
}

/// Waits until what one gateway did is heard at the other.
async fn is_over(browser: &Browser) {
    let over = async {
        while is_in(browser).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.expect("still signed in");
}

#[tokio::test]
async fn what_one_gateway_is_told_ends_sessions_and_websockets_at_the_other_and_once() {
    let redis = redis::Server::start(&[]);
    let ([one, other], rogue, app) = two_gateways(&redis).await;
    let provider = brought_to(&one, &Browser::new());
    let here = brought_to(&one, &Browser::new());
    here.visit(&format!("{ORIGIN}/")).await.expect(200);
    let there = brought_to(&other, &here);
    assert!(is_in(&there).await, "one session at both");
    app.answer(|_| Answer::WebSocketEcho);
    let mut socket = Socket::open(&there, ORIGIN, Some(ORIGIN)).await;
    socket.echo("before").await;
    let form = format!("logout_token={}", rogue.logout_token_of_person());
    deliver_by(&provider, ORIGIN, &form).await.expect(200);
    assert!(!is_in(&here).await);
    socket.end().await;
    is_over(&there).await;

    app.answer(|_| Answer::text("page"));
    rogue.session("another");
    there.visit(&format!("{ORIGIN}/")).await.expect(200);
    deliver_by(&brought_to(&other, &provider), ORIGIN, &form).await.expect(200);
    assert!(is_in(&there).await, "the token had come before, to the other gateway");
}

#[tokio::test]
async fn a_token_that_finds_the_store_out_of_reach_is_heeded_when_it_comes_again() {
    let redis = redis::Server::start(&[]);
    let ([one, other], rogue, _app) = two_gateways(&redis).await;
    let provider = brought_to(&one, &Browser::new());
    let browser = brought_to(&other, &Browser::new());
    browser.visit(&format!("{ORIGIN}/")).await.expect(200);
    let form = format!("logout_token={}", rogue.logout_token(|_| ()));
    redis.signal("-STOP");
    let told = deliver_by(&provider, ORIGIN, &form).await.expect(503);
    assert!(told.header("retry-after").is_some(), "{told:?}");
    redis.signal("-CONT");
    let heeded = async {
        while deliver_by(&provider, ORIGIN, &form).await.status != 200 || is_in(&browser).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heeded).await.expect("it is heeded when it comes again");
}

#[tokio::test]
async fn the_app_is_told_of_the_end_once_by_a_gateway_that_never_had_the_session_open() {
    let redis = redis::Server::start(&[]);
    let on_end = "[apps.lms.logout]\non_end = { url = \"/internal/end?user={sub}\" }\n";
    let ([one, other], rogue, app) = two_gateways_with(&redis, on_end).await;
    let here = brought_to(&one, &Browser::new());
    here.visit(&format!("{ORIGIN}/")).await.expect(200);
    app.forget();
    let form = format!("logout_token={}", rogue.logout_token(|_| ()));
    deliver_by(&brought_to(&other, &Browser::new()), ORIGIN, &form).await.expect(200);
    is_over(&here).await;
    app.has_received(1).await;
    assert_eq!((app.last().method(), app.last().target()), ("POST", "/internal/end?user=u-1"));
    // The gateway that had it open heard of its end, and leaves the telling to the other.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn a_session_that_an_operator_ends_at_one_gateway_is_over_at_the_other() {
    let redis = redis::Server::start(&[]);
    let token = "operators-token-of-32-characters";
    let lines = format!(
        "[admin]\ntoken = \"{token}\"\n[apps.lms.logout]\non_end = {{ url = \"/internal/end?user={{sub}}\" }}\n"
    );
    let ([one, other], _rogue, app) = two_gateways_with(&redis, &lines).await;
    let operator = async |method, path: &str| {
        let ask = Ask::new(method, &format!("http://{}{path}", other.admin()));
        Browser::new().send(ask.header("Authorization", format!("Bearer {token}"))).await.expect(200)
    };
    for by_id in [false, true] {
        let here = brought_to(&one, &Browser::new());
        here.visit(&format!("{ORIGIN}/")).await.expect(200);
        let listed = operator("GET", "/sessions").await.json();
        let path = match by_id {
            true => format!("/sessions/{}", listed["sessions"][0]["id"].as_str().unwrap()),
            false => "/sessions?subject=u-1".to_owned(),
        };
        app.forget();
        assert_eq!(operator("DELETE", &path).await.json()["ended"], 1);
        is_over(&here).await;
        // The app is told, once, by the gateway that ended it and that never had it open.
        app.has_received(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked: Vec<_> = app.received().iter().map(|request| request.target().to_owned()).collect();
        assert_eq!(asked, ["/internal/end?user=u-1"], "{path}");
    }
    let metrics = other.ask_admin("/metrics").await.text();
    assert!(metrics.contains("vestibule_sign_outs_total{provider=\"rogue\",by=\"operator\"} 2"), "{metrics}");
    // A store that does not answer leaves it open whether the session stands: nobody is told that it ended.
    redis.signal("-STOP");
    let end = Ask::new("DELETE", &format!("http://{}/sessions?subject=u-1", other.admin()));
    let told = Browser::new().send(end.header("Authorization", format!("Bearer {token}"))).await.expect(503);
    assert!(told.header("retry-after").is_some(), "{told:?}");
    other.logs("sessions that an operator ends may still stand").await;
    redis.signal("-CONT");
}
