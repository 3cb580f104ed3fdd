//! The screens that wait for a phone: when each may ask its provider next, however often its page is opened, and how
//! many of them a client may have.
//!
//! Bounded; what a screen waits for is in its own browser's cookie. After a restart a screen is simply new here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::foundation::clock::Timestamp;
use crate::foundation::random;
use crate::foundation::sealing::fingerprint;
use crate::foundation::secret::Secret;

/// The most screens that wait at a time.
const MOST: usize = 10_000;

/// The most of one client's address.
const OF_ONE_CLIENT: usize = 10;

/// By how much a provider that says "slow down" is asked less often (RFC 8628 section 3.5).
const SLOWER: u64 = 5;

/// The screens that wait.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<HashMap<[u8; 32], Screen>>);

#[derive(Clone, Copy, Debug)]
struct Screen {
    client: IpAddr,
    interval: u64,
    next: Timestamp,
    over: Timestamp,
}

/// A place that is kept for a screen until its code is there; given up when this is dropped.
#[derive(Debug)]
pub struct Place<'w> {
    waiting: &'w Waiting,
    name: [u8; 32],
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.screens().remove(&self.name);
    }
}

/// There are too many screens already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

impl Waiting {
    /// Keeps a place for one more screen of a client.
    ///
    /// # Errors
    /// When there are too many.
    pub fn admit(&self, client: IpAddr, now: Timestamp) -> Result<Place<'_>, Crowded> {
        let client = household(client);
        let mut screens = self.screens();
        screens.retain(|_, screen| now < screen.over);
        // SECURITY: each is a code that works at the provider, and a line in this table.
        let own = screens.values().filter(|screen| screen.client == client).count();
        if own >= OF_ONE_CLIENT || screens.len() >= MOST {
            return Err(Crowded);
        }
        // SECURITY: counted at once, or many that are asked for at the same moment would all find room.
        let (name, over) = (random::bytes(), Timestamp::from_secs(u64::MAX));
        screens.insert(name, Screen { client, interval: 0, next: over, over });
        Ok(Place { waiting: self, name })
    }

    /// Whether the screen of this device code may ask now. If so, nobody else may until its interval is over. One that
    /// is new here has its first question ahead.
    pub fn may_ask(
        &self,
        code: &Secret,
        client: IpAddr,
        interval: u64,
        over: Timestamp,
        now: Timestamp,
    ) -> bool {
        let mut screens = self.screens();
        let full = screens.len() >= MOST;
        let known = screens.get_mut(&fingerprint(code.expose().as_bytes()));
        let Some(screen) = known else {
            if !full {
                let next = now.plus(Duration::from_secs(interval));
                let screen = Screen { client: household(client), interval, next, over };
                screens.insert(fingerprint(code.expose().as_bytes()), screen);
            }
            return false;
        };
        let may = now >= screen.next;
        if may {
            screen.next = now.plus(Duration::from_secs(screen.interval));
        }
        may
    }

    /// Asks less often for this device code.
    pub fn slow_down(&self, code: &Secret, now: Timestamp) {
        if let Some(screen) = self.screens().get_mut(&fingerprint(code.expose().as_bytes())) {
            screen.interval = screen.interval.saturating_add(SLOWER);
            screen.next = now.plus(Duration::from_secs(screen.interval));
        }
    }

    /// How many seconds are left until the next question, and one at least.
    pub fn pause(&self, code: &Secret, otherwise: u64, now: Timestamp) -> u64 {
        let screens = self.screens();
        let known = screens.get(&fingerprint(code.expose().as_bytes()));
        known.map_or(otherwise, |screen| screen.next.since(now).as_secs()).max(1)
    }

    /// Forgets a screen whose wait is over.
    pub fn forget(&self, code: &Secret) {
        self.screens().remove(&fingerprint(code.expose().as_bytes()));
    }

    fn screens(&self) -> MutexGuard<'_, HashMap<[u8; 32], Screen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is counted together. SECURITY: who has one IPv6 network has more addresses than there are places.
pub(super) fn household(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_provider_is_asked_once_an_interval_however_often_the_page_is_opened() {
        let (waiting, code) = (Waiting::default(), Secret::new("code"));
        let over = Timestamp::from_secs(2000);
        let ask = |second| waiting.may_ask(&code, CLIENT, 5, over, Timestamp::from_secs(second));
        let asked: Vec<u64> = (1000..1020).filter(|second| ask(*second)).collect();
        assert_eq!(asked, [1005, 1010, 1015]);
        waiting.slow_down(&code, Timestamp::from_secs(1020));
        assert_eq!(waiting.pause(&code, 5, Timestamp::from_secs(1020)), 10);
        let asked: Vec<u64> = (1020..1045).filter(|second| ask(*second)).collect();
        assert_eq!(asked, [1030, 1040]);
    }

    #[test]
    fn a_client_may_have_so_many_screens_and_no_more_until_some_are_over() {
        let waiting = Waiting::default();
        let now = Timestamp::from_secs(1000);
        for number in 0..OF_ONE_CLIENT {
            drop(waiting.admit(CLIENT, now).unwrap());
            waiting.may_ask(&Secret::new(format!("{number}")), CLIENT, 5, Timestamp::from_secs(2000), now);
        }
        assert_eq!(waiting.admit(CLIENT, now).unwrap_err(), Crowded);
        assert!(waiting.admit("192.0.2.1".parse().unwrap(), now).is_ok());
        waiting.forget(&Secret::new("0"));
        assert!(waiting.admit(CLIENT, now).is_ok());
        assert!(waiting.admit(CLIENT, Timestamp::from_secs(2000)).is_ok());
    }

    #[test]
    fn codes_that_are_still_fetched_count_and_so_do_all_addresses_of_one_ipv6_network() {
        let (waiting, now) = (Waiting::default(), Timestamp::from_secs(1000));
        let of = |network: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]);
        let fetched: Vec<_> = (0..10).map(|host| waiting.admit(of(1, host), now).unwrap()).collect();
        assert_eq!(waiting.admit(of(1, 99), now).unwrap_err(), Crowded);
        assert!(waiting.admit(of(2, 0), now).is_ok());
        drop(fetched);
        assert!(waiting.admit(of(1, 99), now).is_ok());
        assert!(waiting.screens().is_empty(), "a place that came to nothing is given up");
    }
}
