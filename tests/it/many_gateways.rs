//! Two gateways over one Redis: what one does is so on the other, and whatever becomes of the store, nobody is
//! signed out by it, and nobody is served for long after an end that was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::websockets::Socket;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, Shape, World, redis};

mod between;
mod forms;

use between::{Between, Weather};

/// The name under which browsers find both gateways.
const HOST: &str = "lms.localhost";

/// The app's address, whichever gateway answers.
const ORIGIN: &str = "http://lms.localhost:4180";

/// Two gateways in front of one app, each with its own way to the store.
struct Two {
    gateways: [Gateway; 2],
    ways: [Between; 2],
    rogue: Rogue,
    app: Server,
    store: redis::Server,
}

impl Two {
    async fn start(session: &str) -> Self {
        Self::over(redis::Server::start(&[]), session, "timeout = \"2s\"").await
    }

    async fn over(store: redis::Server, session: &str, provider: &str) -> Self {
        let rogue = Rogue::start().await;
        let table = rogue.table("rogue", provider);
        Self::with(store, session, rogue, &table).await
    }

    async fn with(store: redis::Server, session: &str, rogue: Rogue, provider: &str) -> Self {
        let app = Server::start().await;
        app.answer(|request| match request.header("upgrade") {
            Some(_) => Answer::WebSocketEcho,
            None => Answer::text("page"),
        });
        let ways = [Between::before(store.port).await, Between::before(store.port).await];
        let mut gateways = Vec::new();
        for way in &ways {
            let world = World::new();
            let config = provider.to_owned()
                + &world.app_at("lms", ORIGIN, &app.origin())
                + "[apps.lms.headers]\nX-Token = { token = \"access\" }\n"
                + &format!(
                    "[session]\nstore = \"redis://127.0.0.1:{}/0\"\nkeys = [{:?}]\n{session}\n\
                     [session.redis]\ntimeout = \"1s\"\n",
                    way.port, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
                );
            gateways.push(world.start(&config).await);
        }
        let gateways = gateways.try_into().unwrap_or_else(|_| panic!("two"));
        let two = Self { gateways, ways, rogue, app, store };
        two.both_hear().await;
        two
    }

    /// Waits until each hears what the other does.
    async fn both_hear(&self) {
        for gateway in &self.gateways {
            soon("it hears", async || {
                gateway.ask_admin("/metrics").await.text().contains("vestibule_session_store_heard 1")
            })
            .await;
        }
    }

    /// The browser, led to this gateway.
    fn at(&self, number: usize, browser: &Browser) -> Browser {
        browser.led_to(HOST, self.gateways[number].address().ip())
    }

    /// Somebody who signed in at the first gateway and has been at the second.
    async fn person(&self) -> [Browser; 2] {
        let browser = self.at(0, &Browser::new());
        browser.visit(&url("/")).await.expect(200);
        let there = self.at(1, &browser);
        there.fetch(&url("/")).await.expect(200);
        [browser, there]
    }

    /// Both gateways serve this person.
    async fn serve(&self, person: &[Browser; 2], what: &str) {
        for browser in person {
            soon(what, async || browser.fetch(&url("/x")).await.status == 200).await;
        }
    }
}

fn url(path: &str) -> String {
    format!("{ORIGIN}{path}")
}

async fn sign_out(browser: &Browser) -> u16 {
    let leave = Ask::navigation(&url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    browser.send(leave).await.status
}

async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = Instant::now();
    while !is_so().await {
        assert!(waited.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Requests that go on beside what a test does, and how they were answered.
struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<BTreeMap<u16, usize>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn of(person: &[Browser; 2]) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let load = |browser: &Browser| {
            let (browser, stop, counts) = (browser.clone(), Arc::clone(&stop), Arc::clone(&counts));
            tokio::spawn(async move {
                let counts: Arc<Mutex<BTreeMap<u16, usize>>> = counts;
                while !stop.load(Ordering::Relaxed) {
                    let status = browser.fetch(&url("/load")).await.status;
                    *counts.lock().unwrap().entry(status).or_default() += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        };
        let tasks = person.iter().chain(person).map(load).collect();
        Self { stop, counts, tasks }
    }

    /// Ends it; nobody may have been answered as signed out. How many were served, and how many put off.
    async fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let counts = self.counts.lock().unwrap().clone();
        assert!(counts.keys().all(|status| matches!(status, 200 | 503)), "{counts:?}");
        let count = |status| counts.get(&status).copied().unwrap_or_default();
        (count(200), count(503))
    }
}

#[tokio::test]
async fn what_one_gateway_ends_is_over_on_the_other_and_its_websocket_is_closed() {
    let two = Two::start("").await;
    let [here, there] = two.person().await;
    let mut socket = Socket::open(&there, ORIGIN, Some(ORIGIN)).await;
    socket.echo("before").await;
    let thief = there.copy();
    assert_eq!(sign_out(&here).await, 302);
    let begun = Instant::now();
    socket.end().await;
    soon("it is over", async || thief.fetch(&url("/x")).await.status == 401).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for _ in 0..20 {
        thief.fetch(&url("/x")).await.expect(401);
    }
}

#[tokio::test]
async fn a_store_that_pauses_stops_dies_or_takes_no_changes_signs_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [
        format!("dir {}", dir.path().display()),
        "appendonly yes\nappendfsync always".to_owned(),
        "enable-debug-command local".to_owned(),
    ];
    let mut two = Two::over(redis::Server::start(&lines), "", "timeout = \"2s\"").await;
    let person = two.person().await;
    let load = Load::of(&person);
    two.store.ask(&["CLIENT", "PAUSE", "1500", "ALL"]);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    two.serve(&person, "after a pause").await;

    two.store.signal("-STOP");
    tokio::time::sleep(Duration::from_secs(5)).await;
    two.store.signal("-CONT");
    two.serve(&person, "after it stood still").await;

    two.store.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = two.at(1, &Browser::new()).visit(&url("/")).await;
    assert_eq!(refused.status, 503, "full: {refused:?}");
    two.serve(&person, "while it is full").await;
    two.store.ask(&["CONFIG", "SET", "maxmemory", "0"]);

    two.store.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    two.serve(&person, "while it is a replica").await;
    assert_eq!(two.at(0, &Browser::new()).visit(&url("/")).await.status, 503, "a replica");
    two.store.ask(&["REPLICAOF", "NO", "ONE"]);
    soon("sign-ins are taken again", async || {
        two.at(0, &Browser::new()).visit(&url("/")).await.status == 200
    })
    .await;

    // What was acknowledged is there after a kill in the midst of sign-ins.
    let mut acknowledged = Vec::new();
    for _ in 0..5 {
        let browser = two.at(1, &Browser::new());
        browser.visit(&url("/")).await.expect(200);
        acknowledged.push(browser);
    }
    let port = two.store.port;
    two.store.signal("-KILL");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let restarted = redis::Server::start_again(port, &lines);
    drop(std::mem::replace(&mut two.store, restarted));
    two.serve(&person, "after a kill").await;
    for browser in acknowledged {
        soon("it was acknowledged", async || browser.fetch(&url("/")).await.status == 200).await;
    }
    let (served, put_off) = load.end().await;
    assert!(served > 100 && served > put_off, "{served} served, {put_off} put off");
}

#[tokio::test]
async fn a_network_that_is_slow_breaks_off_or_swallows_signs_nobody_out() {
    let two = Two::start("").await;
    let person = two.person().await;
    let load = Load::of(&person);
    for weather in [
        Weather::Slow(Duration::from_millis(300)),
        Weather::CutAfter(3),
        Weather::CutAfter(60),
        Weather::Gone,
    ] {
        two.ways[1].weather(weather);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        two.ways[1].weather(Weather::Fair);
        two.serve(&person, &format!("after {weather:?}")).await;
    }
    load.end().await;
}

#[tokio::test]
async fn a_gateway_that_is_cut_off_serves_nobody_for_longer_than_the_grace_after_their_end() {
    let two = Two::start("outage_grace = \"2s\"").await;
    let [here, there] = two.person().await;
    let thief = there.copy();
    let mut socket = Socket::open(&there, ORIGIN, Some(ORIGIN)).await;
    two.ways[1].weather(Weather::Gone);
    assert_eq!(sign_out(&here).await, 302);
    let ended = Instant::now();
    let mut served_last = Duration::ZERO;
    while ended.elapsed() < Duration::from_secs(9) {
        match thief.fetch(&url("/x")).await.status {
            200 => served_last = ended.elapsed(),
            503 => {}
            other => panic!("{other} while nobody can know"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is heard counts for four seconds, and the grace begins with them.
    assert!(served_last < Duration::from_secs(6), "{served_last:?}");
    socket.echo("nobody knows that it is over").await;
    two.ways[1].weather(Weather::Fair);
    soon("it is over", async || thief.fetch(&url("/x")).await.status == 401).await;
    socket.end().await;
}

#[tokio::test]
async fn a_gateway_that_stood_still_asks_before_it_serves() {
    let two = Two::start("").await;
    let [here, there] = two.person().await;
    let thief = there.copy();
    two.gateways[1].signal("STOP");
    assert_eq!(sign_out(&here).await, 302);
    tokio::time::sleep(Duration::from_millis(5200)).await;
    let waiting = [(); 8].map(|()| {
        let thief = thief.copy();
        tokio::spawn(async move { thief.fetch(&url("/x")).await.status })
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    two.gateways[1].signal("CONT");
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 401);
    }
}

#[tokio::test]
async fn when_the_store_is_gone_each_kind_of_request_is_put_off_in_its_own_way() {
    let two = Two::start("outage_grace = \"0s\"").await;
    let person = two.person().await;
    let [here, there] = &person;
    let mut socket = Socket::open(there, ORIGIN, Some(ORIGIN)).await;
    let cookies = here.cookies();
    two.store.signal("-STOP");
    soon("trust ends", async || here.fetch(&url("/x")).await.status == 503).await;
    for (language, words) in [("en", "Just a moment, please"), ("ru", "Подождите немного")] {
        let page = here.clone().reading(language).get(&url("/page")).await.expect(503);
        assert!(page.header("retry-after").is_some() && page.text().contains(words), "{page:?}");
    }
    let problem = here.fetch(&url("/api")).await.expect(503);
    assert_eq!(problem.header("content-type").as_deref(), Some("application/problem+json"));
    assert!(problem.header("retry-after").is_some());
    assert_eq!(problem.json()["type"], "urn:vestibule:problem:sessions-unreachable");
    assert_eq!(Socket::open(here, ORIGIN, Some(ORIGIN)).await.status(), "503");
    assert_eq!(sign_out(here).await, 503, "a sign-out that was not written is not reported");
    assert_eq!(here.cookies(), cookies, "the cookie stays");
    socket.echo("what is open stays").await;

    let stranger = two.at(0, &Browser::new());
    let failed = stranger.visit(&url("/wanted")).await.expect(503);
    assert!(failed.text().contains("/_sso/sign-in?return_to=%2Fwanted"), "{failed:?}");
    for gateway in &two.gateways {
        let told = gateway.ask_admin("/readyz").await.expect(503).json();
        assert!(told["sessions_code"].as_str().unwrap().starts_with("store_"), "{told}");
        soon("it says that it is deaf", async || {
            gateway.ask_admin("/metrics").await.text().contains("vestibule_session_store_heard 0")
        })
        .await;
    }
    assert_eq!(two.gateways[0].log().matches("the session store can't be read").count(), 1, "told once");

    two.store.signal("-CONT");
    two.serve(&person, "when the store is back so is the session").await;
    stranger.visit(&url("/_sso/sign-in?return_to=%2Fwanted")).await.expect(200);
    socket.echo("still").await;
    two.both_hear().await;
    soon("ready", async || two.gateways[0].ask_admin("/readyz").await.status == 200).await;
    two.gateways[0].logs("the session store can be read again").await;
    assert_eq!(sign_out(here).await, 302);
    socket.end().await;
}

/// Twenty requests at once, by turns at both; their statuses.
async fn twenty(person: &[Browser; 2]) -> Vec<u16> {
    let asked: Vec<_> = (0..20)
        .map(|number| {
            let browser = person[number % 2].copy();
            tokio::spawn(async move { browser.fetch(&url("/x")).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for asked in asked {
        statuses.push(asked.await.unwrap());
    }
    statuses
}

#[tokio::test]
async fn twenty_requests_over_both_at_expiry_make_one_refresh_and_none_fails() {
    let two = Two::start("").await;
    two.rogue.gives_refresh_tokens(Duration::from_secs(3));
    let person = two.person().await;
    for round in 1..=3 {
        tokio::time::sleep(Duration::from_millis(3100)).await;
        two.app.forget();
        two.rogue.slow_down(Endpoint::Token, Duration::from_millis(300));
        assert_eq!(twenty(&person).await, [200; 20], "{round}");
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
        assert_eq!(twenty(&person).await, [200; 20], "{round}");
        assert_eq!(engine.count("refresh_token"), round, "one refresh for twenty requests at two gateways");
    }
    assert_eq!(engine.count("refresh_token refused"), 0);
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
    assert_eq!(two.rogue.refreshes(), begun + 2);
    lost.abort();
}
