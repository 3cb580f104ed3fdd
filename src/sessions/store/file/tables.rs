//! The tables of the file store, and what each change does to them within a transaction.
//!
//! What a sweep needs (times, index names) stands apart from the sealed records, so that noting a use does not
//! rewrite a record. A change of layout takes new table names: old ones would be read as if empty.

use redb::{
    Error, MultimapTable, MultimapTableDefinition, ReadTransaction, ReadableMultimapTable as _,
    ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition, TableError, WriteTransaction,
};

use crate::foundation::clock::Timestamp;
use crate::sessions::store::{BATCH, Change, Entry, IndexName, Kept, RecordName};

pub(super) type Name = &'static RecordName;
/// When the record ends, when it was last used, and its index names one after the other.
pub(super) type Marks = (u64, u64, &'static [u8]);

const RECORDS: TableDefinition<'_, Name, &[u8]> = TableDefinition::new("records v1");
/// What operators are shown. Files of older versions have no such table, and older records are not in it.
pub(super) const CARDS: TableDefinition<'_, Name, &[u8]> = TableDefinition::new("cards v1");
pub(super) const MARKS: TableDefinition<'_, Name, Marks> = TableDefinition::new("marks v1");
const BY_USE: TableDefinition<'_, (u64, Name), ()> = TableDefinition::new("by use v1");
pub(super) const BY_EXPIRY: TableDefinition<'_, (u64, Name), ()> = TableDefinition::new("by expiry v1");
pub(super) const INDEXES: MultimapTableDefinition<'_, Name, Name> =
    MultimapTableDefinition::new("indexes v1");

/// The tables, open for writing within one transaction.
pub(super) struct Tables<'txn> {
    records: Table<'txn, Name, &'static [u8]>,
    cards: Table<'txn, Name, &'static [u8]>,
    marks: Table<'txn, Name, Marks>,
    by_use: Table<'txn, (u64, Name), ()>,
    by_expiry: Table<'txn, (u64, Name), ()>,
    indexes: MultimapTable<'txn, Name, Name>,
}

/// Whether the tables are there: they are made together.
pub(super) fn exist(txn: &ReadTransaction) -> Result<bool, Error> {
    match txn.open_table(RECORDS) {
        Ok(_) => Ok(true),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The record of this name.
pub(super) fn get(txn: &ReadTransaction, name: &RecordName) -> Result<Option<Kept>, Error> {
    let Some(record) = txn.open_table(RECORDS)?.get(name)?.map(|record| record.value().to_vec()) else {
        return Ok(None);
    };
    let marks = txn.open_table(MARKS)?.get(name)?;
    Ok(marks.map(|marks| Kept { record, last_seen: Timestamp::from_secs(marks.value().1) }))
}

/// How many records there are.
pub(super) fn count(txn: &ReadTransaction) -> Result<u64, Error> {
    Ok(txn.open_table(RECORDS)?.len()?)
}

impl<'txn> Tables<'txn> {
    /// Opens the tables, making those that are not there.
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            records: txn.open_table(RECORDS)?,
            cards: txn.open_table(CARDS)?,
            marks: txn.open_table(MARKS)?,
            by_use: txn.open_table(BY_USE)?,
            by_expiry: txn.open_table(BY_EXPIRY)?,
            indexes: txn.open_multimap_table(INDEXES)?,
        })
    }

    /// Makes one change, and gives the names of the records that are gone by it.
    pub(super) fn apply(&mut self, change: &Change, limit: usize) -> Result<Vec<RecordName>, Error> {
        let mut gone = Vec::new();
        match change {
            Change::Put { entry, replacing } => {
                self.put(entry)?;
                gone.extend(replacing.map(|replaced| replaced.name));
                self.remove_all(&gone)?;
                let unused = self.longest_unused(limit, &entry.name)?;
                self.remove_all(&unused)?;
                gone.extend(unused);
            }
            Change::Replace { name, record, .. } => {
                if self.records.get(name)?.is_none() {
                    gone.push(*name);
                } else {
                    self.records.insert(name, record.as_slice())?;
                }
            }
            Change::Touch(seen) => {
                for (name, at) in seen {
                    self.touch(name, at.as_secs())?;
                }
            }
            Change::Remove(record) => {
                gone.push(record.name);
                self.remove_all(&gone)?;
            }
            Change::EndBy(indexes) => {
                for index in indexes {
                    for name in self.indexes.get(index)? {
                        gone.push(*name?.value());
                    }
                }
                self.remove_all(&gone)?;
            }
            Change::Sweep { now, unused_since } => {
                gone = self.first(Order::Expiry, now.as_secs().saturating_add(1), BATCH)?;
                self.remove_all(&gone)?;
                let unused = self.first(Order::Use, unused_since.as_secs(), BATCH - gone.len())?;
                self.remove_all(&unused)?;
                gone.extend(unused);
            }
        }
        Ok(gone)
    }

    fn put(&mut self, entry: &Entry) -> Result<(), Error> {
        self.remove(&entry.name)?;
        let (expires_at, last_seen) = (entry.expires_at.as_secs(), entry.kept.last_seen.as_secs());
        self.records.insert(&entry.name, entry.kept.record.as_slice())?;
        self.cards.insert(&entry.name, entry.card.as_slice())?;
        self.marks.insert(&entry.name, (expires_at, last_seen, entry.indexes.as_flattened()))?;
        self.by_use.insert((last_seen, &entry.name), ())?;
        self.by_expiry.insert((expires_at, &entry.name), ())?;
        for index in &entry.indexes {
            self.indexes.insert(index, &entry.name)?;
        }
        Ok(())
    }

    fn touch(&mut self, name: &RecordName, at: u64) -> Result<(), Error> {
        let Some((expires_at, last_seen, indexes)) = self.marks(name)? else { return Ok(()) };
        if last_seen < at {
            self.by_use.remove((last_seen, name))?;
            self.by_use.insert((at, name), ())?;
            self.marks.insert(name, (expires_at, at, indexes.as_flattened()))?;
        }
        Ok(())
    }

    fn remove_all(&mut self, names: &[RecordName]) -> Result<(), Error> {
        names.iter().try_for_each(|name| self.remove(name))
    }

    fn remove(&mut self, name: &RecordName) -> Result<(), Error> {
        let Some((expires_at, last_seen, indexes)) = self.marks(name)? else { return Ok(()) };
        self.records.remove(name)?;
        self.cards.remove(name)?;
        self.marks.remove(name)?;
        self.by_use.remove((last_seen, name))?;
        self.by_expiry.remove((expires_at, name))?;
        for index in &indexes {
            self.indexes.remove(index, name)?;
        }
        Ok(())
    }

    fn marks(&self, name: &RecordName) -> Result<Option<(u64, u64, Vec<IndexName>)>, Error> {
        let Some(marks) = self.marks.get(name)? else { return Ok(None) };
        let (expires_at, last_seen, indexes) = marks.value();
        Ok(Some((expires_at, last_seen, indexes.as_chunks().0.to_vec())))
    }

    /// The names beyond the limit, but for the new one.
    fn longest_unused(&self, limit: usize, new: &RecordName) -> Result<Vec<RecordName>, Error> {
        let held = usize::try_from(self.records.len()?).unwrap_or(usize::MAX);
        let excess = held.saturating_sub(limit);
        if excess == 0 {
            return Ok(Vec::new());
        }
        // Times are whole seconds, so the new record may stand before others of its own second.
        let mut names = self.first(Order::Use, u64::MAX, excess.saturating_add(1))?;
        names.retain(|name| name != new);
        names.truncate(excess);
        Ok(names)
    }

    /// The first `most` names whose time in this order is below `before`.
    fn first(&self, order: Order, before: u64, most: usize) -> Result<Vec<RecordName>, Error> {
        let table = match order {
            Order::Use => &self.by_use,
            Order::Expiry => &self.by_expiry,
        };
        let mut names = Vec::new();
        for row in table.range(..(before, &[0; 32]))?.take(most) {
            names.push(*row?.0.value().1);
        }
        Ok(names)
    }
}

#[derive(Clone, Copy)]
enum Order {
    Use,
    Expiry,
}
