//! Tokens refreshed beside the requests: by how many asks, what of a refusal and of a provider that is down,
//! what the app and the browser notice, and what is revoked in the end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::websockets::Socket;
use crate::world::{
    Answer, Ask, Browser, Endpoint, Engine, Gateway, Inside, Rogue, Server, Shape, World, twenty,
};

const STORES: [&str; 3] = ["file", "memory", "cookie"];
const MINUTE: Duration = Duration::from_secs(60);

/// Lines for an app that gets the access token.
const BEARER: &str = "[apps.lms.headers]\nAuthorization = { token = \"access\" }\nX-Email = \"email\"\n";

/// A gateway with a clock and a person who signed in at a provider whose access tokens are good for ten minutes.
async fn signed_in(lines: &str) -> (Inside, Rogue, Server, Browser) {
    let (gateway, rogue, app) = Inside::with_rogue(&format!("{BEARER}{lines}")).await;
    rogue.gives_refresh_tokens(10 * MINUTE);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    (gateway, rogue, app, browser)
}

/// Time goes on, here and at the provider; `since` is how far it went since the start.
fn later(gateway: &Inside, rogue: &Rogue, since: &mut Duration, span: Duration) {
    *since += span;
    rogue.is_ahead(*since);
    gateway.later(span);
}

fn bearer(app: &Server) -> String {
    app.last().header("authorization").expect("an access token")
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = Instant::now();
    while !is_so() {
        assert!(waited.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_proxy_that_asks_verify_gets_the_renewed_token() {
    let trusted = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let (gateway, rogue, app, browser) = signed_in(trusted).await;
    let before = bearer(&app);
    later(&gateway, &rogue, &mut Duration::default(), 11 * MINUTE);
    let ask = Ask::new("GET", &gateway.url("/_sso/verify"))
        .header("X-Original-Method", "GET")
        .header("X-Original-URL", gateway.url("/x"));
    let verdict = browser.send(ask).await.expect(200);
    assert_eq!(rogue.refreshes(), 1);
    let told = verdict.header("authorization").expect("an access token");
    assert_ne!(told, before);
    browser.fetch(&gateway.url("/x")).await.expect(200);
    assert_eq!((bearer(&app), rogue.refreshes()), (told, 1));
}

#[tokio::test]
async fn twenty_requests_at_expiry_make_one_refresh_and_none_fails() {
    for store in STORES {
        let (gateway, rogue, app, browser) = signed_in(&format!("[session]\nstore = \"{store}\"\n")).await;
        let before = bearer(&app);
        later(&gateway, &rogue, &mut Duration::default(), 11 * MINUTE);
        app.forget();
        assert_eq!(twenty(&[&browser], &gateway.url("/x")).await, [200; 20], "{store}");
        assert_eq!(rogue.refreshes(), 1, "{store}");
        let seen: Vec<_> = app.received().iter().map(|request| request.header("authorization")).collect();
        assert!(seen.iter().all(|token| token.is_some() && *token != Some(before.clone())), "{store}");
        assert!(seen.windows(2).all(|two| two[0] == two[1]), "{store}: one new token for all");
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_round_by_round_in_every_store() {
    for store in STORES {
        let (gateway, rogue, app, browser) = signed_in(&format!("[session]\nstore = \"{store}\"\n")).await;
        let mut since = Duration::ZERO;
        for round in 1..=4 {
            let before = bearer(&app);
            later(&gateway, &rogue, &mut since, 11 * MINUTE);
            browser.get(&gateway.url("/x")).await.expect(200);
            assert_ne!(bearer(&app), before, "{store} {round}");
            assert_eq!(rogue.refreshes(), round, "{store}");
        }
        let spent: Vec<_> =
            rogue.asked("/token").iter().filter_map(|asked| asked.param("refresh_token")).collect();
        let distinct: std::collections::HashSet<_> = spent.iter().collect();
        assert_eq!(distinct.len(), 4, "{store}: each once");
        let asked = rogue.asked("/token").pop().unwrap().params();
        assert!(asked.iter().all(|(name, _)| name != "scope" && name != "resource"), "{asked:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_still_good_is_refreshed_behind_the_request() {
    let (gateway, rogue, app, browser) = signed_in("").await;
    let before = bearer(&app);
    later(&gateway, &rogue, &mut Duration::default(), 9 * MINUTE + Duration::from_secs(5));
    rogue.slow_down(Endpoint::Token, Duration::from_millis(800));
    let asked = Instant::now();
    browser.get(&gateway.url("/x")).await.expect(200);
    browser.get(&gateway.url("/x")).await.expect(200);
    assert!(asked.elapsed() < Duration::from_millis(700), "nobody waits for it");
    assert_eq!(bearer(&app), before);
    until("it is refreshed", || rogue.asked("/userinfo").len() == 2).await;
    let waited = Instant::now();
    while bearer(&app) == before {
        assert!(waited.elapsed() < Duration::from_secs(10));
        browser.get(&gateway.url("/x")).await.expect(200);
    }
    assert_eq!(rogue.refreshes(), 1);
}

#[tokio::test]
async fn a_refused_refresh_ends_the_session_for_everybody_who_holds_it() {
    for store in STORES {
        let (gateway, rogue, app, browser) = signed_in(&format!("[session]\nstore = \"{store}\"\n")).await;
        app.answer(|request| match request.header("upgrade") {
            Some(_) => Answer::WebSocketEcho,
            None => Answer::text("page"),
        });
        let origin = gateway.world.origin();
        let mut socket = Socket::open(&browser, &origin, Some(&origin)).await;
        socket.echo("before").await;
        let refused = json!({"error": "invalid_grant"}).to_string();
        rogue.replace(Endpoint::Token, Answer::of(400, "application/json", refused));
        later(&gateway, &rogue, &mut Duration::default(), 11 * MINUTE);
        app.forget();
        assert_eq!(twenty(&[&browser], &gateway.url("/x")).await, [401; 20], "{store}");
        socket.end().await;
        assert!(app.received().is_empty(), "{store}");
        assert_eq!(rogue.refreshes(), 1, "{store}");
        browser.get(&gateway.url("/x")).await.expect(302);
        assert_eq!(rogue.refreshes(), 1, "{store}: it is not tried again");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_signs_nobody_out_and_is_asked_again_later() {
    for (down, code) in [
        (Answer::of(503, "text/html", "down"), "503"),
        (Answer::of(429, "application/json", "{\"error\":\"invalid_grant\"}"), "429"),
        (Answer::Close, "close"),
        (Answer::of(401, "application/json", "{\"error\":\"invalid_client\"}"), "client"),
        (Answer::of(200, "text/html", "<html>"), "html"),
    ] {
        let (gateway, rogue, app, browser) = signed_in("").await;
        let before = bearer(&app);
        let mut since = Duration::ZERO;
        later(&gateway, &rogue, &mut since, 11 * MINUTE);
        rogue.replace(Endpoint::Token, down);
        assert_eq!(twenty(&[&browser], &gateway.url("/x")).await, [200; 20], "{code}");
        assert_eq!(rogue.refreshes(), 1, "{code}: a pause follows a failure");
        assert_eq!(bearer(&app), before, "{code}: the app judges the old token itself");
        later(&gateway, &rogue, &mut since, Duration::from_secs(6));
        browser.get(&gateway.url("/x")).await.expect(200);
        until("it is tried again", || rogue.refreshes() == 2).await;
        rogue.restore();
        // The second failure lands, and its pause passes.
        let waited = Instant::now();
        while bearer(&app) == before {
            assert!(waited.elapsed() < Duration::from_secs(20), "{code}");
            later(&gateway, &rogue, &mut since, Duration::from_secs(11));
            browser.get(&gateway.url("/x")).await.expect(200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        browser.get(&gateway.url("/x")).await.expect(200);
    }
}

#[tokio::test]
async fn requests_wait_for_a_slow_provider_no_longer_than_its_time_limit() {
    let (gateway, rogue, app, browser) = {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        rogue.gives_refresh_tokens(Duration::from_secs(1));
        let config = rogue.table("rogue", "timeout = \"1s\"") + &world.app("lms", &app) + BEARER;
        let gateway = world.start(&config).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        (gateway, rogue, app, browser)
    };
    rogue.replace(Endpoint::Token, Answer::Silence);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let asked = Instant::now();
    assert_eq!(twenty(&[&browser], &gateway.url("/x")).await, [200; 20]);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let asked = Instant::now();
    browser.get(&gateway.url("/x")).await.expect(200);
    assert!(asked.elapsed() < Duration::from_millis(700), "after a failure nobody waits");
    assert!(!bearer(&app).is_empty());
    let metrics = gateway.ask_admin("/metrics").await.text();
    let line = "vestibule_token_refreshes_total{provider=\"rogue\",outcome=\"provider_too_slow\"}";
    assert!(metrics.contains(line), "{metrics}");
    assert!(gateway.logs("could not be refreshed").await.contains("the session goes on"));
}

#[tokio::test]
async fn a_refusal_is_an_audit_event_and_a_metric() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.gives_refresh_tokens(Duration::from_secs(1));
    let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app))).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let refused = json!({"error": "invalid_grant"}).to_string();
    rogue.replace(Endpoint::Token, Answer::of(400, "application/json", refused));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    browser.fetch(&gateway.url("/x")).await.expect(401);
    let log = gateway.logs("session_ended").await;
    assert!(log.contains("invalid_grant"), "{log}");
    let metrics = gateway.ask_admin("/metrics").await.text();
    let line = "vestibule_token_refreshes_total{provider=\"rogue\",outcome=\"invalid_grant\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_kill_right_after_a_refresh_leaves_the_newest_refresh_token() {
    for store in ["file", "cookie"] {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        rogue.gives_refresh_tokens(Duration::from_secs(2));
        let session = format!("[session]\nstore = \"{store}\"\n");
        let config = rogue.table("rogue", "") + &world.app("lms", &app) + BEARER + &session;
        let gateway = world.start(&config).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let first = bearer(&app);
        tokio::time::sleep(Duration::from_millis(2100)).await;
        browser.get(&gateway.url("/x")).await.expect(200);
        let second = bearer(&app);
        assert_ne!(first, second, "{store}");
        let refreshes = rogue.refreshes();
        let gateway = gateway.kill().await.restart().await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        // A spent refresh token would end the grant.
        browser.fetch(&gateway.url("/y")).await.expect(200);
        assert_ne!(bearer(&app), second, "{store}");
        assert!(rogue.refreshes() > refreshes, "{store}");
    }
}

#[tokio::test]
async fn a_websocket_lives_on_through_a_refresh() {
    let (gateway, rogue, app, browser) = signed_in("").await;
    app.answer(|request| match request.header("upgrade") {
        Some(_) => Answer::WebSocketEcho,
        None => Answer::text("page"),
    });
    let origin = gateway.world.origin();
    let mut socket = Socket::open(&browser, &origin, Some(&origin)).await;
    socket.echo("before").await;
    later(&gateway, &rogue, &mut Duration::default(), 11 * MINUTE);
    browser.get(&gateway.url("/x")).await.expect(200);
    assert_eq!(rogue.refreshes(), 1);
    socket.echo("after").await;
}

#[tokio::test]
async fn a_browser_that_missed_its_new_cookie_is_still_in() {
    let (gateway, rogue, app, browser) = signed_in("[session]\nstore = \"cookie\"\n").await;
    let old = browser.copy();
    let mut since = Duration::ZERO;
    later(&gateway, &rogue, &mut since, 11 * MINUTE);
    browser.get(&gateway.url("/x")).await.expect(200);
    let fresh = bearer(&app);
    old.get(&gateway.url("/y")).await.expect(200);
    assert_eq!(bearer(&app), fresh);
    assert_eq!(rogue.refreshes(), 1);
    later(&gateway, &rogue, &mut since, 11 * MINUTE);
    old.get(&gateway.url("/y")).await.expect(200);
    assert_eq!(rogue.refreshes(), 2, "with the newest refresh token: it was not told of reuse");
}

#[tokio::test]
async fn claims_are_asked_for_again_and_the_rules_judge_them_anew() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/staff\"]\nallow = \"'staff' in claims.groups\"\n";
    let (gateway, rogue, app) = Inside::with_rogue(&format!("{rules}{BEARER}")).await;
    rogue.gives_refresh_tokens(10 * MINUTE);
    rogue.person(json!({"sub": "u-1", "email": "old@school.example", "groups": ["staff"]}));
    let browser = Browser::new();
    browser.visit(&gateway.url("/staff")).await.expect(200);
    rogue.person(json!({"sub": "u-1", "email": "new@school.example", "groups": []}));
    browser.get(&gateway.url("/staff")).await.expect(200);
    later(&gateway, &rogue, &mut Duration::default(), 11 * MINUTE);
    browser.get(&gateway.url("/staff")).await.expect(403);
    browser.get(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-email").as_deref(), Some("new@school.example"));
    let session = browser.fetch(&gateway.url("/_sso/session")).await.json();
    assert_eq!(session["claims"]["email"], "new@school.example");
}

#[tokio::test]
async fn tokens_of_somebody_else_end_the_session() {
    type Bend = fn(&Rogue);
    let cases: [(&str, Bend); 4] = [
        ("ID token", |rogue| rogue.person(json!({"sub": "u-2"}))),
        ("userinfo", |rogue| rogue.bend_userinfo(|claims| claims["sub"] = json!("u-2"))),
        ("nonce", |rogue| rogue.bend_id_token(|draft| draft.claims["nonce"] = json!("another"))),
        ("audience", |rogue| rogue.bend_id_token(|draft| draft.claims["aud"] = json!("another"))),
    ];
    for (name, bend) in cases {
        let (gateway, rogue, app, browser) = signed_in("").await;
        app.forget();
        // Times stay right: only the gateway's clock moves, and the token's skew is within bounds.
        gateway.later(9 * MINUTE + Duration::from_secs(30));
        bend(&rogue);
        browser.get(&gateway.url("/x")).await;
        until(name, || rogue.refreshes() == 1).await;
        let waited = Instant::now();
        while browser.fetch(&gateway.url("/x")).await.status == 200 {
            assert!(waited.elapsed() < Duration::from_secs(10), "{name}");
        }
        browser.fetch(&gateway.url("/x")).await.expect(401);
    }
}

#[tokio::test]
async fn a_session_without_a_refresh_token_or_a_lifetime_is_left_alone() {
    type Bend = fn(&mut serde_json::Value);
    let cases: [Bend; 2] = [
        |tokens| drop(tokens.as_object_mut().unwrap().remove("refresh_token")),
        |tokens| drop(tokens.as_object_mut().unwrap().remove("expires_in")),
    ];
    for bend in cases {
        let (gateway, rogue, app) = Inside::with_rogue(BEARER).await;
        rogue.gives_refresh_tokens(10 * MINUTE);
        rogue.bend_tokens(bend);
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let before = bearer(&app);
        gateway.later(60 * MINUTE);
        browser.get(&gateway.url("/x")).await.expect(200);
        assert_eq!((bearer(&app), rogue.refreshes()), (before, 0));
    }
}

fn leave(gateway: &str) -> Ask {
    Ask::navigation(&format!("{gateway}/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin")
}

#[tokio::test]
async fn a_sign_out_revokes_the_newest_refresh_token_and_never_waits_for_it() {
    let (gateway, rogue, _app, browser) = signed_in("").await;
    later(&gateway, &rogue, &mut Duration::default(), 11 * MINUTE);
    browser.get(&gateway.url("/x")).await.expect(200);
    let spent = rogue.asked("/token").pop().unwrap().param("refresh_token");
    let slow = Answer::After(Duration::from_secs(3), Box::new(Answer::of(503, "text/plain", "")));
    rogue.replace(Endpoint::Revocation, slow);
    let asked = Instant::now();
    browser.send(leave(&gateway.world.origin())).await.expect(302);
    assert!(asked.elapsed() < Duration::from_secs(2));
    browser.fetch(&gateway.url("/x")).await.expect(401);
    until("it is revoked", || !rogue.asked("/revoke").is_empty()).await;
    let revoked = rogue.asked("/revoke").pop().unwrap();
    assert_eq!(revoked.param("token_type_hint").as_deref(), Some("refresh_token"));
    assert!(revoked.param("token").is_some() && revoked.param("token") != spent);
    assert!(revoked.header("authorization").is_some_and(|proof| proof.starts_with("Basic ")));
}

#[tokio::test]
async fn a_sign_out_after_expiry_refreshes_nothing_and_waits_for_nobody() {
    let (gateway, rogue, _app, browser) = signed_in("").await;
    later(&gateway, &rogue, &mut Duration::default(), 11 * MINUTE);
    rogue.replace(Endpoint::Token, Answer::Silence);
    let asked = Instant::now();
    browser.send(leave(&gateway.world.origin())).await.expect(302);
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert_eq!(rogue.refreshes(), 0);
}

#[tokio::test]
async fn a_refresh_that_a_sign_out_overtakes_brings_nobody_back_and_its_tokens_are_revoked() {
    let (gateway, rogue, _app, browser) = signed_in("").await;
    later(&gateway, &rogue, &mut Duration::default(), 9 * MINUTE + Duration::from_secs(5));
    rogue.slow_down(Endpoint::Token, Duration::from_millis(500));
    browser.get(&gateway.url("/x")).await.expect(200);
    until("it has begun", || rogue.refreshes() == 1).await;
    browser.send(leave(&gateway.world.origin())).await.expect(302);
    browser.fetch(&gateway.url("/x")).await.expect(401);
    until("both are revoked", || rogue.asked("/revoke").len() == 2).await;
    let revoked: Vec<_> = rogue.asked("/revoke").iter().map(|asked| asked.param("token")).collect();
    assert_ne!(revoked[0], revoked[1]);
    browser.fetch(&gateway.url("/x")).await.expect(401);
}

#[tokio::test]
async fn a_process_that_is_asked_to_end_waits_for_its_refreshes() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.gives_refresh_tokens(Duration::from_secs(4));
    let mut gateway =
        world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app) + BEARER)).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    tokio::time::sleep(Duration::from_millis(3000)).await;
    rogue.slow_down(Endpoint::Token, Duration::from_millis(700));
    browser.get(&gateway.url("/x")).await.expect(200);
    until("it has begun", || rogue.refreshes() == 1).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let gateway = world.restart().await;
    tokio::time::sleep(Duration::from_millis(4100)).await;
    browser.fetch(&gateway.url("/y")).await.expect(200);
    assert_eq!(rogue.refreshes(), 2, "with the newest refresh token");
}

#[tokio::test]
async fn a_session_that_another_persons_replaces_has_its_tokens_revoked_and_ones_own_new_one_is_spared() {
    let (gateway, rogue, _app, browser) = signed_in("").await;
    browser.visit(&gateway.url("/_sso/sign-in")).await.expect(200);
    rogue.person(json!({"sub": "u-2"}));
    browser.visit(&gateway.url("/_sso/sign-in")).await.expect(200);
    until("it is revoked", || !rogue.asked("/revoke").is_empty()).await;
    browser.send(leave(&gateway.world.origin())).await.expect(302);
    until("it is revoked", || rogue.asked("/revoke").len() == 2).await;
}

/// A gateway in front of one app behind a real provider whose access tokens are good for three seconds.
async fn behind(shape: Shape, store: &str) -> (Gateway, Engine, Server, Browser) {
    let engine = Engine::own(shape, json!({"ttl": {"AccessToken": 3}}));
    let (world, app) = (World::new(), Server::start().await);
    let scopes = "scopes = [\"openid\", \"email\", \"offline_access\"]";
    let session = format!("[session]\nstore = \"{store}\"\n");
    let config = engine.table(&world, "school", scopes) + &world.app("lms", &app) + BEARER + &session;
    let gateway = world.start(&config).await.ready().await;
    let browser = Browser::new();
    // Without its consent page the provider would drop `offline_access` without a word.
    let consent = browser.sign_in(&gateway.url("/"), "petrova").await.expect(200);
    browser.submit(&consent, consent.form("consent")).await.expect(200);
    (gateway, engine, app, browser)
}

#[tokio::test]
async fn a_real_provider_rotates_and_detects_reuse_and_nobody_is_signed_out() {
    for (shape, store) in
        [(Shape::V7, "file"), (Shape::V8, "memory"), (Shape::V9, "cookie"), (Shape::Trusted, "file")]
    {
        let (gateway, engine, app, browser) = behind(shape, store).await;
        for round in 1..=3 {
            let before = bearer(&app);
            tokio::time::sleep(Duration::from_millis(3100)).await;
            assert_eq!(twenty(&[&browser], &gateway.url("/x")).await, [200; 20], "{shape:?}");
            assert_eq!(engine.count("refresh_token"), round, "{shape:?}: one refresh for twenty requests");
            browser.get(&gateway.url("/x")).await.expect(200);
            assert_ne!(bearer(&app), before, "{shape:?}");
        }
        assert_eq!(engine.count("refresh_token refused"), 0, "{shape:?}");
        assert_eq!(app.last().header("x-email").as_deref(), Some("petrova@school.example"), "{shape:?}");
        browser.send(leave(&gateway.world.origin())).await;
        browser.fetch(&gateway.url("/x")).await.expect(401);
    }
}

#[tokio::test]
async fn a_real_provider_that_no_longer_knows_the_person_ends_the_session() {
    let (gateway, engine, _app, browser) = behind(Shape::V9, "file").await;
    engine.command("disable", json!({"login": "petrova"}));
    tokio::time::sleep(Duration::from_millis(3100)).await;
    browser.fetch(&gateway.url("/x")).await.expect(401);
    gateway.logs("session_ended").await;
    assert_eq!(engine.count("refresh_token refused"), 1);
}
