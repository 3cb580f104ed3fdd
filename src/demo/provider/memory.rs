//! A shelf of things that are forgotten after a while, and never more than so many.
//!
//! Sessions, codes and access tokens stand on one each. It knows nothing of what they mean.

use std::collections::HashMap;

use crate::foundation::clock::Timestamp;

/// Values by an unguessable key, each until its time.
pub(super) struct Shelf<V> {
    entries: HashMap<String, Entry<V>>,
    capacity: usize,
}

struct Entry<V> {
    value: V,
    expires_at: Timestamp,
}

impl<V> Shelf<V> {
    /// An empty shelf with room for `capacity` values.
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    /// Keeps a value; when there is no room, the one that would be forgotten first makes it.
    pub(super) fn put(&mut self, key: String, value: V, expires_at: Timestamp, now: Timestamp) {
        if self.entries.len() >= self.capacity {
            self.entries.retain(|_, entry| now < entry.expires_at);
        }
        if self.entries.len() >= self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.expires_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, Entry { value, expires_at });
    }

    /// The value, if it is still there.
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<&V> {
        self.entries.get(key).filter(|entry| now < entry.expires_at).map(|entry| &entry.value)
    }

    /// Takes the value away.
    pub(super) fn take(&mut self, key: &str, now: Timestamp) -> Option<V> {
        self.entries.remove(key).filter(|entry| now < entry.expires_at).map(|entry| entry.value)
    }

    /// Forgets every value that is not worth keeping.
    pub(super) fn retain(&mut self, worth_keeping: impl Fn(&V) -> bool) {
        self.entries.retain(|_, entry| worth_keeping(&entry.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_value_is_there_until_its_time_and_taken_once() {
        let mut shelf = Shelf::new(2);
        shelf.put("a".to_owned(), 1, at(10), at(0));
        assert_eq!(shelf.get("a", at(9)), Some(&1));
        assert_eq!(shelf.get("a", at(10)), None);
        assert_eq!(shelf.take("a", at(9)), Some(1));
        assert_eq!(shelf.take("a", at(9)), None);
    }

    #[test]
    fn a_full_shelf_forgets_what_ends_first() {
        let mut shelf = Shelf::new(2);
        shelf.put("long".to_owned(), 1, at(100), at(0));
        shelf.put("short".to_owned(), 2, at(50), at(0));
        shelf.put("new".to_owned(), 3, at(70), at(0));
        assert_eq!(shelf.get("short", at(1)), None);
        assert!(shelf.get("long", at(1)).is_some() && shelf.get("new", at(1)).is_some());
    }
}
