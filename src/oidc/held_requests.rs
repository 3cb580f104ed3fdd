//! Request objects that wait here until the provider fetches them (RFC 9101 section 5.2).
//!
//! Each has an unguessable name, a short life and a few readings; there is room for so many and no more. They
//! are in this process alone.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::request_object::LIFETIME;
use crate::foundation::clock::Timestamp;
use crate::foundation::random;

/// SECURITY: whoever begins logins makes us keep something; some kilobytes each, so that these are few megabytes.
const ROOM: NonZeroUsize = NonZeroUsize::new(2048).unwrap();
/// A provider may look, ask its user to sign in, and look again.
const READINGS: u8 = 4;

/// The objects by name.
#[derive(Debug)]
pub(super) struct HeldRequests(Mutex<LruCache<String, Held>>);

struct Held {
    object: String,
    until: Timestamp,
    readings: u8,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} more, {:?})", self.readings, self.until)
    }
}

impl HeldRequests {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        // Room is taken as it is needed.
        Self(Mutex::new(LruCache::unbounded()))
    }

    /// Keeps an object and gives its name. The oldest goes when there is no room.
    pub(super) fn hold(&self, object: String, now: Timestamp) -> String {
        let name = random::token();
        let mut held = self.held();
        while held.peek_lru().is_some_and(|(_, oldest)| oldest.until <= now) || held.len() >= ROOM.get() {
            held.pop_lru();
        }
        held.push(name.clone(), Held { object, until: now.plus(LIFETIME), readings: READINGS });
        name
    }

    /// The object of that name, if there is one still.
    pub(super) fn read(&self, name: &str, now: Timestamp) -> Option<String> {
        let mut held = self.held();
        // The order stays that of arrival.
        let found = held.peek_mut(name)?;
        if found.until > now && found.readings > 1 {
            found.readings -= 1;
            return Some(found.object.clone());
        }
        held.pop(name).filter(|found| found.until > now).map(|found| found.object)
    }

    fn held(&self) -> MutexGuard<'_, LruCache<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn an_object_is_there_for_a_few_readings_and_a_short_time() {
        let held = HeldRequests::new();
        let name = held.hold("object".into(), at(0));
        for _ in 0..READINGS {
            assert_eq!(held.read(&name, at(299)).as_deref(), Some("object"));
        }
        assert_eq!(held.read(&name, at(299)), None);
        let name = held.hold("object".into(), at(0));
        assert_eq!(held.read(&name, at(300)), None);
        assert_eq!(held.read("", at(0)), None);
        assert_ne!(held.hold("a".into(), at(0)), held.hold("a".into(), at(0)));
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for_and_those_that_ended_go() {
        let held = HeldRequests::new();
        let first = held.hold("first".into(), at(0));
        let second = held.hold("second".into(), at(0));
        for _ in 0..ROOM.get() - 1 {
            held.hold("object".into(), at(0));
        }
        assert_eq!(held.held().len(), ROOM.get());
        assert_eq!(held.read(&first, at(0)), None);
        assert!(held.read(&second, at(0)).is_some());
        held.hold("object".into(), at(300));
        assert_eq!(held.held().len(), 1);
    }
}
