//! Two gateways over one Redis: what one does is so on the other, and whatever becomes of the store, nobody is
//! signed out by it, and nobody is served for long after an end that was acknowledged.

use std::time::{Duration, Instant};

use crate::websockets::Socket;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World, redis};

mod between;
mod forms;
mod load;
mod refresh;

use between::{Between, Weather};
use load::Load;

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

#[tokio::test]
async fn what_one_gateway_ends_is_over_on_the_other_and_its_websockets_and_streams_are_closed() {
    let two = Two::start("").await;
    let [here, there] = two.person().await;
    let mut socket = Socket::open(&there, ORIGIN, Some(ORIGIN)).await;
    socket.echo("before").await;
    two.app.answer(|request| match request.path() {
        "/events" => {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            Answer::bytes(format!("{head}9\r\ndata: 1\n\n\r\n"))
        }
        _ => Answer::text("page"),
    });
    let events = Ask::script("GET", &url("/events")).header("Accept", "text/event-stream");
    let stream = tokio::spawn({
        let there = there.copy();
        async move { there.send(events).await }
    });
    soon("it streams", async || two.app.received().iter().any(|request| request.path() == "/events")).await;
    let thief = there.copy();
    assert_eq!(sign_out(&here).await, 302);
    let begun = Instant::now();
    socket.end().await;
    assert_eq!(stream.await.unwrap().expect(200).text(), "data: 1\n\n", "whole, and at its end");
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
    let load = Load::of(&two, &person);
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
    let load = Load::of(&two, &person);
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
async fn whoever_was_there_when_their_gateway_was_killed_is_in_at_the_other_however_short_the_idle_time() {
    let two = Two::start("idle_timeout = \"8s\"").await;
    let [here, there] = two.person().await;
    // Each of them at the end of a rest that is long for this idle time, and right before the kill.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        here.fetch(&url("/x")).await.expect(200);
    }
    two.gateways[0].signal("KILL");
    tokio::time::sleep(Duration::from_secs(5)).await;
    there.fetch(&url("/x")).await.expect(200);
    tokio::time::sleep(Duration::from_secs(9)).await;
    there.fetch(&url("/x")).await.expect(401);
}

#[tokio::test]
async fn a_store_that_is_away_for_a_moment_or_takes_no_changes_makes_no_gateway_unready() {
    let two = Two::start("outage_grace = \"4s\"").await;
    two.person().await;
    two.store.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let told = async |gateway: &Gateway| {
        let answer = gateway.ask_admin("/readyz").await;
        (answer.status, answer.json()["sessions_code"].as_str().unwrap_or_default().to_owned())
    };
    for (number, gateway) in two.gateways.iter().enumerate() {
        assert_eq!(two.at(number, &Browser::new()).visit(&url("/")).await.status, 503);
        assert_eq!(told(gateway).await, (200, "store_full".to_owned()));
    }
    tokio::time::sleep(Duration::from_millis(4500)).await;
    assert_eq!(told(&two.gateways[0]).await.0, 200, "for as long as it likes");
    two.store.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    for gateway in &two.gateways {
        soon("all is well", async || told(gateway).await == (200, "ok".to_owned())).await;
    }
    two.store.signal("-STOP");
    let stopped = Instant::now();
    let mut first = 0;
    soon("it says what is wrong", async || {
        let (status, code) = told(&two.gateways[0]).await;
        first = status;
        code != "ok"
    })
    .await;
    assert_eq!(first, 200);
    soon("it is unready", async || told(&two.gateways[0]).await.0 == 503).await;
    assert!(stopped.elapsed() >= Duration::from_secs(4), "{:?}", stopped.elapsed());
    two.store.signal("-CONT");
    soon("it is ready", async || told(&two.gateways[0]).await == (200, "ok".to_owned())).await;
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
