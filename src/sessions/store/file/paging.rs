//! What a list shows of the file, page by page: read within one transaction, row by row, so that neither the file nor memory is held by
//! a list however long it is.

use std::ops::Bound;

use redb::{Error, ReadOnlyTable, ReadTransaction, TableError};

use super::tables::{BY_EXPIRY, CARDS, INDEXES, MARKS, Marks, Name};
use crate::foundation::clock::Timestamp;
use crate::sessions::store::{Cursor, Filed, IndexName, Page, RecordName};

/// A page of all records, the last to end first.
pub(super) fn page(txn: &ReadTransaction, after: Option<&Cursor>, limit: usize) -> Result<Page, Error> {
    let place = match after.map(Cursor::time_and_name) {
        None => None,
        Some(Some(place)) => Some(place),
        Some(None) => return Ok(Page::default()),
    };
    let below = place.as_ref().map_or(Bound::Unbounded, |(time, name)| Bound::Excluded((*time, name)));
    let (by_expiry, rows) = (txn.open_table(BY_EXPIRY)?, Rows::open(txn)?);
    let mut records = Vec::new();
    for row in by_expiry.range::<(u64, &RecordName)>((Bound::Unbounded, below))?.rev() {
        records.extend(rows.filed(row?.0.value().1)?);
        if records.len() > limit {
            break;
        }
    }
    Ok(Page::cut(records, limit, Cursor::after))
}

/// A page of the records that are indexed under this name.
pub(super) fn page_of(
    txn: &ReadTransaction,
    index: &IndexName,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page, Error> {
    let last = match after.map(Cursor::name) {
        None => None,
        Some(Some(name)) => Some(name),
        Some(None) => return Ok(Page::default()),
    };
    let (indexes, rows) = (txn.open_multimap_table(INDEXES)?, Rows::open(txn)?);
    let mut records = Vec::new();
    for name in indexes.get(index)? {
        let name = *name?.value();
        if last.is_none_or(|last| last < name) {
            records.extend(rows.filed(&name)?);
        }
        if records.len() > limit {
            break;
        }
    }
    Ok(Page::cut(records, limit, Cursor::after_name))
}

/// What a list shows of one record.
pub(super) fn filed(txn: &ReadTransaction, name: &RecordName) -> Result<Option<Filed>, Error> {
    Rows::open(txn)?.filed(name)
}

/// Where the rest of a record is looked up.
struct Rows {
    marks: ReadOnlyTable<Name, Marks>,
    cards: Option<ReadOnlyTable<Name, &'static [u8]>>,
}

impl Rows {
    fn open(txn: &ReadTransaction) -> Result<Self, Error> {
        let cards = match txn.open_table(CARDS) {
            Ok(cards) => Some(cards),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { marks: txn.open_table(MARKS)?, cards })
    }

    fn filed(&self, name: &RecordName) -> Result<Option<Filed>, Error> {
        let Some(marks) = self.marks.get(name)? else { return Ok(None) };
        let (expires_at, last_seen, _) = marks.value();
        let card = self.cards.as_ref().map(|cards| cards.get(name)).transpose()?.flatten();
        Ok(Some(Filed {
            name: *name,
            expires_at: Timestamp::from_secs(expires_at),
            last_seen: Timestamp::from_secs(last_seen),
            card: card.map(|card| card.value().to_vec()).unwrap_or_default(),
        }))
    }
}
