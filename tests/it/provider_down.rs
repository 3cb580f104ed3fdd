//! A provider that is down, slow, or changes its keys, and how little that matters to everybody else.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::keys::SigningKey;
use crate::world::{Answer, Browser, Endpoint, Engine, Gateway, Rogue, Server, Shape, World};

/// Two apps on one gateway, each behind a provider of its own.
struct Two {
    gateway: Gateway,
    lame: Rogue,
    well: Rogue,
}

const LAME: &str = "http://lame.localhost:4180";
const WELL: &str = "http://well.localhost:4180";

impl Two {
    async fn start(before: impl Fn(&Rogue)) -> Self {
        let (world, lame, well) = (World::new(), Rogue::start().await, Rogue::start().await);
        let app = Server::start().await;
        before(&lame);
        let config = lame.table("lame", "timeout = \"2s\"")
            + &well.table("well", "timeout = \"2s\"")
            + &world.app_at("lame", LAME, &app.origin())
            + "provider = \"lame\"\n"
            + &world.app_at("well", WELL, &app.origin())
            + "provider = \"well\"\n";
        // The app must outlive this function: it answers for as long as the test runs.
        std::mem::forget(app);
        Self { gateway: world.start(&config).await, lame, well }
    }

    fn browser(&self) -> Browser {
        let browser = Browser::new();
        for host in ["lame.localhost", "well.localhost"] {
            browser.knows(host, self.gateway.address().ip());
        }
        browser
    }
}

#[tokio::test]
async fn a_provider_that_is_down_at_start_stops_nobody_and_is_found_when_it_comes_up() {
    let two =
        Two::start(|lame| lame.replace(Endpoint::Discovery, Answer::of(500, "text/html", "down"))).await;
    two.browser().visit(WELL).await.expect(200);
    let page = two.browser().get(LAME).await.expect(503);
    assert!(page.header("retry-after").is_some());
    assert!(two.gateway.ask_admin("/readyz").await.text().contains("lame"));
    two.gateway.logs("lame").await;
    // Asked after one second, two, four: told once.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let told = |log: &str, words: &str| {
        log.lines().filter(|line| line.contains("lame") && line.contains(words)).count()
    };
    assert_eq!(told(&two.gateway.log(), "fetching from the provider failed"), 1, "{}", two.gateway.log());
    assert_eq!(told(&two.gateway.log(), "fetched from the provider"), 0);
    two.lame.restore();
    let back = tokio::time::timeout(Duration::from_secs(20), async {
        while two.browser().visit(LAME).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    back.await.expect("found again within its back-off");
    assert!(told(&two.gateway.logs("what=\"discovery document\"").await, "fetched from the provider") >= 1);
}

#[tokio::test]
async fn a_provider_that_goes_down_later_hurts_nobody_who_is_signed_in() {
    let two = Two::start(|_| ()).await;
    let signed_in = two.browser();
    signed_in.visit(LAME).await.expect(200);
    for endpoint in [Endpoint::Discovery, Endpoint::Keys, Endpoint::Token, Endpoint::Userinfo] {
        two.lame.replace(endpoint, Answer::Close);
    }
    for _ in 0..3 {
        signed_in.get(LAME).await.expect(200);
        two.browser().visit(WELL).await.expect(200);
    }
    two.browser().visit(LAME).await.expect(503);
}

#[tokio::test]
async fn a_slow_provider_delays_no_request_that_does_not_need_it() {
    let two = Two::start(|_| ()).await;
    let signed_in = two.browser();
    signed_in.visit(LAME).await.expect(200);
    signed_in.visit(WELL).await.expect(200);
    two.lame.replace(Endpoint::Token, Answer::Silence);
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let browser = two.browser();
            tokio::spawn(async move { browser.visit(LAME).await.status })
        })
        .collect();
    two.lame.server.has_received(2 + 2 + 8).await;
    let begun = Instant::now();
    for _ in 0..20 {
        signed_in.get(LAME).await.expect(200);
        signed_in.get(WELL).await.expect(200);
    }
    two.browser().visit(WELL).await.expect(200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for visit in stuck {
        assert_eq!(visit.await.unwrap(), 503);
    }
    assert_eq!(two.well.asked("/token").len(), 2);
}

#[tokio::test]
async fn a_slow_discovery_at_start_is_given_up_in_time() {
    let two = Two::start(|lame| lame.replace(Endpoint::Discovery, Answer::Silence)).await;
    let begun = Instant::now();
    two.browser().visit(WELL).await.expect(200);
    assert!(begun.elapsed() < Duration::from_secs(2));
    two.browser().get(LAME).await.expect(503);
    assert!(begun.elapsed() < Duration::from_secs(8), "the limit is 2 s a call");
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_names_one_that_is_unknown() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let before = rogue.asked("/jwks").len();
    rogue.rotate(SigningKey::new("second", "ES256"));
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    assert_eq!(rogue.asked("/jwks").len(), before + 1);
}

#[tokio::test]
async fn an_unknown_key_makes_us_ask_again_but_seldom() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let before = rogue.asked("/jwks").len();
    rogue.bend_id_token(|draft| draft.header["kid"] = json!("no such key"));
    for _ in 0..10 {
        Browser::new().visit(&gateway.url("/")).await.expect(502);
    }
    assert!(rogue.asked("/jwks").len() <= before + 1, "{} times", rogue.asked("/jwks").len() - before);
}

#[tokio::test]
async fn a_key_set_that_cannot_be_read_does_not_replace_the_one_we_have() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    rogue.replace(Endpoint::Keys, Answer::of(200, "application/json", "{\"keys\": 7}"));
    rogue.bend_id_token(|draft| draft.header["kid"] = json!("no such key"));
    Browser::new().visit(&gateway.url("/")).await;
    rogue.bend_id_token(|_| ());
    Browser::new().visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn keys_that_we_cannot_use_beside_the_right_one_do_no_harm() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.bend_keys(|set| {
        let keys = set["keys"].as_array_mut().unwrap();
        keys.insert(0, json!({"kty": "oct", "k": "AAAA"}));
        keys.insert(0, json!({"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB", "kid": "enc"}));
        keys.insert(0, json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": "big"}));
        keys.insert(0, json!({"kty": "XX"}));
        keys.insert(0, json!("not even an object"));
    });
    let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app))).await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn the_real_provider_may_rotate_its_keys_and_forget_the_old_ones() {
    let engine = Engine::own(Shape::Trusted, json!({}));
    let (gateway, _app) = World::behind(&engine, "").await;
    Browser::new().sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    engine.command("rotate", json!({"keep": false}));
    Browser::new().sign_in(&gateway.url("/"), "petrova").await.expect(200);
}

#[tokio::test]
async fn the_real_provider_may_stop_and_those_signed_in_go_on() {
    let engine = Engine::own(Shape::Trusted, json!({}));
    let (gateway, _app) = World::behind(&engine, "").await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    let stranger = Browser::new();
    let login = stranger.visit(&gateway.url("/")).await;
    let form = login.form("login").fill("login", "petrova").fill("password", "x");
    let mut at = stranger.submit_once(&login, form).await;
    while !at.location().path().starts_with("/_sso/") {
        at = stranger.get(at.location().as_str()).await;
    }
    engine.stop();
    browser.get(&gateway.url("/")).await.expect(200);
    let page = stranger.get(at.location().as_str()).await.expect(503);
    assert!(page.header("retry-after").is_some());
}
