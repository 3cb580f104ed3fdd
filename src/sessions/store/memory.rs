//! The memory store: gone with the process.
//!
//! Records stand in order of use and of expiry beside the map, so that neither the limit nor a sweep ever
//! looks at a record that stays.

use std::collections::{BTreeSet, HashMap};
use std::future::ready;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use super::notes::Notes;
use super::{
    BATCH, Change, Cursor, Custody, Entry, Filed, IndexName, Kept, NoteName, Page, Pending, RecordName, Store,
};
use crate::foundation::clock::Timestamp;

/// Sessions in this process's memory.
pub(in crate::sessions) struct MemoryStore {
    limit: usize,
    shelves: Mutex<Shelves>,
    notes: Notes,
}

#[derive(Default)]
struct Shelves {
    entries: HashMap<RecordName, Entry>,
    by_use: BTreeSet<(Timestamp, RecordName)>,
    by_expiry: BTreeSet<(Timestamp, RecordName)>,
    indexes: HashMap<IndexName, BTreeSet<RecordName>>,
}

impl MemoryStore {
    /// An empty store of at most `limit` sessions, but of one at least.
    pub(in crate::sessions) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), shelves: Mutex::default(), notes: Notes::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shelves) -> T) -> T {
        act(&mut self.shelves.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for MemoryStore {
    fn custody(&self) -> Custody {
        Custody::Store
    }

    fn get(&self, name: RecordName, _: Option<Kept>) -> Pending<'_, Option<Kept>> {
        Box::pin(ready(Ok(self.with(|shelves| shelves.entries.get(&name).map(|entry| entry.kept.clone())))))
    }

    fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>> {
        Box::pin(ready(Ok(self.with(|shelves| shelves.apply(change, self.limit)))))
    }

    fn count(&self) -> Pending<'_, Option<u64>> {
        Box::pin(ready(Ok(self.with(|shelves| u64::try_from(shelves.entries.len()).ok()))))
    }

    fn page(&self, after: Option<Cursor>, index: Option<IndexName>, limit: usize) -> Pending<'_, Page> {
        Box::pin(ready(Ok(self.with(|shelves| match index {
            Some(index) => shelves.page_of(&index, after.as_ref(), limit),
            None => shelves.page(after.as_ref(), limit),
        }))))
    }

    fn filed(&self, name: RecordName) -> Pending<'_, Option<Filed>> {
        Box::pin(ready(Ok(self.with(|shelves| shelves.entries.get(&name).map(filed)))))
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

impl Shelves {
    fn apply(&mut self, change: Change, limit: usize) -> Vec<RecordName> {
        match change {
            Change::Put { entry, replacing } => {
                let name = entry.name;
                self.put(entry);
                let mut gone = self.remove_all(replacing.iter().map(|gone| gone.name).collect());
                let excess = self.entries.len().saturating_sub(limit);
                // Times are whole seconds, so the new record may stand before others of its own second.
                let others = self.by_use.iter().map(|&(_, other)| other).filter(|other| *other != name);
                let longest_unused = others.take(excess).collect();
                gone.extend(self.remove_all(longest_unused));
                gone
            }
            Change::Replace { name, record, .. } => match self.entries.get_mut(&name) {
                Some(entry) => {
                    entry.kept.record = record;
                    Vec::new()
                }
                None => vec![name],
            },
            Change::Touch(seen) => {
                seen.into_iter().for_each(|(name, at)| self.touch(name, at));
                Vec::new()
            }
            Change::Remove(gone) => self.remove_all(vec![gone.name]),
            Change::EndBy(indexes) => {
                let held = indexes.iter().filter_map(|index| self.indexes.get(index));
                let gone = held.flatten().copied().collect();
                self.remove_all(gone)
            }
            Change::Sweep { now, unused_since } => {
                let expired = self.by_expiry.range(..=(now, [u8::MAX; 32]));
                let unused = self.by_use.range(..(unused_since, [0; 32]));
                let gone = expired.chain(unused).take(BATCH).map(|&(_, name)| name).collect();
                self.remove_all(gone)
            }
        }
    }

    fn page(&self, after: Option<&Cursor>, limit: usize) -> Page {
        let below = match after.map(Cursor::time_and_name) {
            None => Bound::Unbounded,
            Some(Some((time, name))) => Bound::Excluded((Timestamp::from_secs(time), name)),
            Some(None) => return Page::default(),
        };
        let names = self.by_expiry.range((Bound::Unbounded, below)).rev().map(|(_, name)| name);
        Page::cut(self.filed(names, limit), limit, Cursor::after)
    }

    fn page_of(&self, index: &IndexName, after: Option<&Cursor>, limit: usize) -> Page {
        let above = match after.map(Cursor::name) {
            None => Bound::Unbounded,
            Some(Some(name)) => Bound::Excluded(name),
            Some(None) => return Page::default(),
        };
        let held = self.indexes.get(index).into_iter();
        let names = held.flat_map(|held| held.range((above, Bound::Unbounded)));
        Page::cut(self.filed(names, limit), limit, Cursor::after_name)
    }

    /// The records of these names, one more than the limit if there are.
    fn filed<'a>(&self, names: impl Iterator<Item = &'a RecordName>, limit: usize) -> Vec<Filed> {
        names.filter_map(|name| self.entries.get(name).map(filed)).take(limit.saturating_add(1)).collect()
    }

    fn put(&mut self, entry: Entry) {
        self.remove(&entry.name);
        self.by_use.insert((entry.kept.last_seen, entry.name));
        self.by_expiry.insert((entry.expires_at, entry.name));
        for index in &entry.indexes {
            self.indexes.entry(*index).or_default().insert(entry.name);
        }
        self.entries.insert(entry.name, entry);
    }

    fn touch(&mut self, name: RecordName, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(&name) else { return };
        if entry.kept.last_seen < at {
            self.by_use.remove(&(entry.kept.last_seen, name));
            self.by_use.insert((at, name));
            entry.kept.last_seen = at;
        }
    }

    /// Removes what is there of `names`; gives all that are gone now, each once.
    fn remove_all(&mut self, mut names: Vec<RecordName>) -> Vec<RecordName> {
        names.sort_unstable();
        names.dedup();
        for name in &names {
            self.remove(name);
        }
        names
    }

    fn remove(&mut self, name: &RecordName) -> bool {
        let Some(entry) = self.entries.remove(name) else { return false };
        self.by_use.remove(&(entry.kept.last_seen, *name));
        self.by_expiry.remove(&(entry.expires_at, *name));
        for index in &entry.indexes {
            if let Some(held) = self.indexes.get_mut(index) {
                held.remove(name);
                if held.is_empty() {
                    self.indexes.remove(index);
                }
            }
        }
        true
    }
}

/// What the list shows of a record.
fn filed(entry: &Entry) -> Filed {
    Filed {
        name: entry.name,
        expires_at: entry.expires_at,
        last_seen: entry.kept.last_seen,
        card: entry.card.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::sessions::store::contract::keeps_the_contract!(|limit| std::sync::Arc::new(MemoryStore::new(
        limit
    )));
}
