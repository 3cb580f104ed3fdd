//! The notes of a store that is one process's own: kept in memory, bounded, and gone with the process.
//!
//! A note is a small sealed text with a name and an end. What is lost with it is little: a form that waits for
//! its sender, or the memory of a message that would not be taken twice within its minutes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use super::{NOTES, NoteName};
use crate::foundation::clock::Timestamp;

/// Notes in this process's memory.
#[derive(Default)]
pub(super) struct Notes(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    notes: HashMap<NoteName, (Timestamp, Vec<u8>)>,
    by_end: BTreeSet<(Timestamp, NoteName)>,
    bytes: usize,
}

impl Notes {
    /// Puts a note down where none lies; tells whether it did.
    pub(super) fn put(&self, name: NoteName, text: Vec<u8>, now: Timestamp, until: Timestamp) -> bool {
        self.with(now, |shelf| {
            if shelf.notes.contains_key(&name) {
                return false;
            }
            shelf.add(name, text, until);
            true
        })
    }

    /// Until when a note of that name lies there.
    pub(super) fn until(&self, name: &NoteName, now: Timestamp) -> Option<Timestamp> {
        self.with(now, |shelf| shelf.notes.get(name).map(|(until, _)| *until))
    }

    /// Takes a note up: nobody else gets it.
    pub(super) fn take(&self, name: &NoteName, now: Timestamp) -> Option<Vec<u8>> {
        self.with(now, |shelf| shelf.remove(name))
    }

    fn with<T>(&self, now: Timestamp, act: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.forget_until(now);
        act(&mut shelf)
    }
}

impl Shelf {
    fn add(&mut self, name: NoteName, text: Vec<u8>, until: Timestamp) {
        self.bytes += weight(&text);
        self.by_end.insert((until, name));
        self.notes.insert(name, (until, text));
        // Beyond the bound those go that would end soonest, but never the one just put down.
        while self.bytes > NOTES
            && let Some(&(_, soonest)) = self.by_end.iter().find(|(_, other)| *other != name)
        {
            self.remove(&soonest);
        }
    }

    fn remove(&mut self, name: &NoteName) -> Option<Vec<u8>> {
        let (until, text) = self.notes.remove(name)?;
        self.by_end.remove(&(until, *name));
        self.bytes -= weight(&text);
        Some(text)
    }

    fn forget_until(&mut self, now: Timestamp) {
        while let Some(&(until, name)) = self.by_end.first()
            && until <= now
        {
            self.remove(&name);
        }
    }
}

/// What a note takes about, in bytes.
const fn weight(text: &[u8]) -> usize {
    200 + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_soonest_to_end_go_and_never_the_newest() {
        let (at, notes) = (Timestamp::from_secs, Notes::default());
        let third = || vec![0; NOTES / 3];
        for (name, until) in [(1, 400), (2, 300), (3, 200)] {
            assert!(notes.put([name; 32], third(), at(100), at(until)));
        }
        let left = [1, 2, 3].map(|name| notes.take(&[name; 32], at(100)).is_some());
        assert_eq!(left, [true, false, true]);
        notes.put([4; 32], third(), at(100), at(110));
        assert!(!notes.put([4; 32], Vec::new(), at(109), at(120)));
        assert!(notes.put([4; 32], Vec::new(), at(110), at(120)));
        assert_eq!(notes.take(&[4; 32], at(110)), Some(Vec::new()));
        notes.with(at(110), |shelf| assert_eq!((shelf.bytes, shelf.by_end.len()), (0, 0)));
    }
}
