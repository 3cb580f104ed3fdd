//! A load over two gateways: people who ask, people who come and go, and thieves who try what was signed out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{HOST, Two, sign_out, soon, url};
use crate::world::Browser;

/// Requests that go on beside what a test does, and how they were answered; and people who sign in at one gateway, go
/// to the other, and sign out.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<BTreeMap<u16, usize>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    ended: Arc<Mutex<Vec<Ended>>>,
    leavers: Vec<tokio::task::JoinHandle<()>>,
}

/// A copy of the cookies of somebody whose sign-out was acknowledged, led to the gateway where it was not made.
#[derive(Clone)]
struct Ended {
    thief: Browser,
    at: Instant,
}

/// How long after an end that was acknowledged somebody may be served: for the grace, by a gateway that is cut off.
const SERVED_AFTER: Duration = Duration::from_secs(11);

async fn come_and_go(
    browsers: impl Fn() -> [Browser; 2],
    stop: Arc<AtomicBool>,
    ended: Arc<Mutex<Vec<Ended>>>,
) {
    while !stop.load(Ordering::Relaxed) {
        let [here, there] = browsers();
        if here.visit(&url("/")).await.status == 200 {
            there.fetch(&url("/x")).await;
            let thief = there.copy();
            if sign_out(&here).await == 302 {
                ended.lock().unwrap().push(Ended { thief, at: Instant::now() });
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn haunt(stop: Arc<AtomicBool>, ended: Arc<Mutex<Vec<Ended>>>) {
    while !stop.load(Ordering::Relaxed) {
        let known = ended.lock().unwrap().clone();
        for Ended { thief, at } in known {
            let after = at.elapsed();
            let status = thief.fetch(&url("/x")).await.status;
            assert!(matches!(status, 401 | 503) || after < SERVED_AFTER, "{status} {after:?} after its end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Load {
    pub(super) fn of(two: &Two, person: &[Browser; 2]) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let ended = Arc::<Mutex<Vec<Ended>>>::default();
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
        let addresses = [0, 1].map(|number| two.gateways[number].address().ip());
        let browsers = move || {
            let browser = Browser::new();
            addresses.map(|address| browser.led_to(HOST, address))
        };
        let coming = come_and_go(browsers, Arc::clone(&stop), Arc::clone(&ended));
        let leavers = vec![tokio::spawn(coming), tokio::spawn(haunt(Arc::clone(&stop), Arc::clone(&ended)))];
        Self { stop, counts, tasks, ended, leavers }
    }

    /// Ends it, when all is well again: nobody may have been answered as signed out, and whose sign-out was
    /// acknowledged is out. How many were served, and how many put off.
    pub(super) async fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.into_iter().chain(self.leavers) {
            task.await.unwrap();
        }
        let ended = std::mem::take(&mut *self.ended.lock().unwrap());
        assert!(!ended.is_empty(), "nobody left");
        for Ended { thief, .. } in ended {
            soon("it can be asked", async || thief.fetch(&url("/x")).await.status != 503).await;
            thief.fetch(&url("/x")).await.expect(401);
        }
        let counts = self.counts.lock().unwrap().clone();
        assert!(counts.keys().all(|status| matches!(status, 200 | 503)), "{counts:?}");
        let count = |status| counts.get(&status).copied().unwrap_or_default();
        (count(200), count(503))
    }
}
