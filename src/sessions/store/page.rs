//! A page of what a store holds, and the place where the next one begins.
//!
//! The stores on this machine give the record that ends last first, which is the newest sign-in; a cursor is the
//! end and the name of the last record given, or its name alone among those of one index.

use super::RecordName;
use crate::foundation::clock::Timestamp;

/// Some of the records of a store.
#[derive(Debug)]
pub(in crate::sessions) struct Page {
    /// The records; where there is a next page, it may have fewer than were asked for, or none.
    pub(in crate::sessions) records: Vec<Filed>,
    /// Where the next page begins; `None` when this is the last.
    pub(in crate::sessions) next: Option<Cursor>,
    /// Where a page begins that goes on after one of these records.
    pub(in crate::sessions) after: fn(&Filed) -> Cursor,
}

/// A record as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sessions) struct Filed {
    pub(in crate::sessions) name: RecordName,
    pub(in crate::sessions) expires_at: Timestamp,
    pub(in crate::sessions) last_seen: Timestamp,
    /// As it was put; empty for a record from before there were cards.
    pub(in crate::sessions) card: Vec<u8>,
}

/// A place between two records: bytes of the store that gave them, for that store alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sessions) struct Cursor(pub(in crate::sessions) Vec<u8>);

impl Cursor {
    /// The place after a record, among all.
    pub(super) fn after(record: &Filed) -> Self {
        Self([&record.expires_at.as_secs().to_be_bytes()[..], &record.name].concat())
    }

    /// What [`Cursor::after`] was made of.
    pub(super) fn time_and_name(&self) -> Option<(u64, RecordName)> {
        let (time, name) = self.0.split_first_chunk()?;
        Some((u64::from_be_bytes(*time), name.try_into().ok()?))
    }

    /// The place after a record, among those of its index.
    pub(super) fn after_name(record: &Filed) -> Self {
        Self(record.name.to_vec())
    }

    /// What [`Cursor::after_name`] was made of.
    pub(super) fn name(&self) -> Option<RecordName> {
        self.0.as_slice().try_into().ok()
    }
}

impl Page {
    /// A page of the first `limit` of `records`, of which there is one more when the page is not the last.
    pub(super) fn cut(mut records: Vec<Filed>, limit: usize, after: fn(&Filed) -> Cursor) -> Self {
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(after);
        Self { records, next, after }
    }
}

impl Default for Page {
    /// One behind which there is nothing.
    fn default() -> Self {
        Self::cut(Vec::new(), 0, Cursor::after)
    }
}
