//! A gateway with the file store that is killed a hundred times while people sign in and out: whoever was told that
//! they are in is in, whoever was told that they are out is out, and the file is whole.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::world::{Ask, Browser, World};

/// How often it is killed.
const ROUNDS: usize = 100;

/// Who was told what.
#[derive(Default)]
struct Told {
    inside: Vec<Browser>,
    outside: Vec<Browser>,
}

#[tokio::test]
async fn a_hundred_kills_under_load_lose_no_session_that_was_made_and_revive_none_that_was_ended() {
    let (mut gateway, _rogue, _app) = World::with_rogue("[session]\nstore = \"file\"\n").await;
    let (mut made, mut ended, mut veterans) = (0, 0, Vec::new());
    for round in 0..ROUNDS {
        let told = Arc::new(Mutex::new(Told::default()));
        let load: Vec<_> = (0..4)
            .map(|number| {
                let (told, origin) = (Arc::clone(&told), gateway.world.origin());
                tokio::spawn(come_and_go(told, origin, number))
            })
            .collect();
        // Never at the same moment of the same write.
        tokio::time::sleep(Duration::from_millis(120 + (round as u64 * 37) % 90)).await;
        let world = gateway.kill().await;
        for load in load {
            // A request that was cut off makes the test's browser panic; what it was told before counts.
            load.abort();
            load.await.ok();
        }
        gateway = world.restart().await;
        let told = std::mem::take(&mut *told.lock().unwrap());
        for browser in &told.inside {
            assert_eq!(browser.fetch(&gateway.url("/")).await.status, 200, "round {round}: lost");
        }
        for browser in &told.outside {
            assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401, "round {round}: revived");
        }
        made += told.inside.len() + told.outside.len();
        ended += told.outside.len();
        veterans.extend(told.inside.into_iter().take(1));
    }
    for browser in &veterans {
        browser.fetch(&gateway.url("/")).await.expect(200);
    }
    eprintln!(
        "{ROUNDS} kills: {made} sessions reported made, {ended} reported ended, none lost, none revived"
    );
    assert!(made >= ROUNDS && ended > 0, "{made} made, {ended} ended");
}

/// Signs people in, and every other of them out again, until the gateway is gone.
async fn come_and_go(told: Arc<Mutex<Told>>, origin: String, number: usize) {
    for person in number.. {
        let browser = Browser::new();
        if browser.visit(&format!("{origin}/")).await.status != 200 {
            continue;
        }
        if person % 2 == 0 {
            told.lock().unwrap().inside.push(browser);
            continue;
        }
        let thief = browser.copy();
        let leave =
            Ask::navigation(&format!("{origin}/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
        if browser.send(leave).await.status == 302 {
            told.lock().unwrap().outside.push(thief);
        }
    }
}
