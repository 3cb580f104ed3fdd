//! The cookie store: each record is in its browser's cookie, and nothing is kept here but which sessions were
//! ended.
//!
//! What it can't do follows from that: it knows nobody's sessions, so it can't list them or end them by subject or
//! by provider session, and a session that was ended before a restart would open again for whoever kept a copy
//! of its cookie. A browser that was told to forget it has none.

use std::collections::{BTreeSet, HashSet};
use std::future::ready;
use std::sync::{Mutex, PoisonError};

use super::notes::Notes;
use super::{
    Change, Cursor, Custody, Filed, Gone, IndexName, Kept, NoteName, Page, Pending, RecordName, Store,
    StoreError,
};
use crate::foundation::clock::Timestamp;

/// Sessions in the browsers' cookies, and the list of those that were ended here.
pub(in crate::sessions) struct BrowserStore {
    limit: usize,
    ended: Mutex<Ended>,
    notes: Notes,
}

#[derive(Default)]
struct Ended {
    names: HashSet<RecordName>,
    by_expiry: BTreeSet<(Timestamp, RecordName)>,
}

impl BrowserStore {
    /// A store that remembers at most `limit` ended sessions, each until it would have ended by itself.
    pub(in crate::sessions) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), ended: Mutex::default(), notes: Notes::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ended) -> T) -> T {
        act(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for BrowserStore {
    fn custody(&self) -> Custody {
        Custody::Browser
    }

    fn get(&self, name: RecordName, carried: Option<Kept>) -> Pending<'_, Option<Kept>> {
        // SECURITY: a cookie copied before sign-out must not open the session afterwards.
        let ended = self.with(|ended| ended.names.contains(&name));
        Box::pin(ready(Ok(carried.filter(|_| !ended))))
    }

    fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>> {
        let gone = match change {
            Change::Put { replacing: Some(gone), .. } | Change::Remove(gone) => {
                self.with(|ended| ended.add(gone, self.limit));
                Ok(vec![gone.name])
            }
            Change::Put { replacing: None, .. } | Change::Touch(_) => Ok(Vec::new()),
            Change::Replace { name, .. } => {
                // The browser gets the new record with its next answers.
                Ok(self.with(|ended| ended.names.contains(&name)).then_some(name).into_iter().collect())
            }
            Change::EndBy(_) => Err(StoreError::Unsupported),
            Change::Sweep { now, .. } => {
                self.with(|ended| ended.forget_until(now));
                Ok(Vec::new())
            }
        };
        Box::pin(ready(gone))
    }

    fn count(&self) -> Pending<'_, Option<u64>> {
        Box::pin(ready(Ok(None)))
    }

    fn page(&self, _: Option<Cursor>, _: Option<IndexName>, _: usize) -> Pending<'_, Page> {
        Box::pin(ready(Err(StoreError::Unsupported)))
    }

    fn filed(&self, _: RecordName) -> Pending<'_, Option<Filed>> {
        Box::pin(ready(Err(StoreError::Unsupported)))
    }

    fn put_note(&self, name: NoteName, text: Vec<u8>, now: Timestamp, until: Timestamp) -> Pending<'_, bool> {
        Box::pin(ready(Ok(self.notes.put(name, text, now, until))))
    }

    fn noted_until(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Timestamp>> {
        Box::pin(ready(Ok(self.notes.until(&name, now))))
    }

    fn take_note(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Vec<u8>>> {
        Box::pin(ready(Ok(self.notes.take(&name, now))))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

impl Ended {
    fn add(&mut self, gone: Gone, limit: usize) {
        if !self.names.insert(gone.name) {
            return;
        }
        // Beyond the limit those go that would end soonest by themselves, but never the one just ended.
        while self.by_expiry.len() >= limit
            && let Some((_, name)) = self.by_expiry.pop_first()
        {
            self.names.remove(&name);
        }
        self.by_expiry.insert((gone.expires_at, gone.name));
    }

    fn forget_until(&mut self, now: Timestamp) {
        while let Some(&(expires_at, name)) = self.by_expiry.first()
            && expires_at <= now
        {
            self.by_expiry.pop_first();
            self.names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::sessions::store::contract::keeps_the_contract!(|_| std::sync::Arc::new(BrowserStore::new(1000)));

    #[test]
    fn ended_sessions_are_remembered_until_they_would_have_ended_and_not_without_bound() {
        let mut ended = Ended::default();
        let gone = |name, at| Gone { name: [name; 32], expires_at: Timestamp::from_secs(at) };
        ended.add(gone(1, 10), 2);
        ended.add(gone(1, 10), 2);
        ended.add(gone(2, 20), 2);
        ended.forget_until(Timestamp::from_secs(10));
        assert_eq!(ended.names, HashSet::from([[2; 32]]));
        ended.add(gone(3, 30), 2);
        ended.add(gone(1, 25), 2);
        assert_eq!(ended.names, HashSet::from([[1; 32], [3; 32]]));
        assert_eq!(ended.by_expiry.len(), 2);
    }
}
