//! How sessions stand in the shared store. Every key begins with the prefix of the configuration:
//!
//! - `s:<name>`: a record, its marks before it; or, for a minute after its end, a tombstone;
//! - `i:<name>`: an index, the names of its records by when they end;
//! - `all:<nnn>`: one of [`SHELVES`] shelves, the names of all records by when they are due to be swept;
//! - `n:<name>`: a note, its end and its own mark before it;   `l:<name>`: a lock, its holder;
//! - `news`: the channel on which ends and changes are told.
//!
//! No name shows whose it is. Nothing here needs two keys in one slot of a cluster.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::foundation::clock::Timestamp;
use crate::sessions::data;
use crate::sessions::store::{Entry, Filed, IndexName, Kept, NoteName, RecordName};

/// How many shelves there are: each is one key, so that a cluster shares their load, and few enough records stand on
/// each that a page of the list may read all names of one. Shelves are in the order of names, and names are random.
pub(super) const SHELVES: u16 = 1024;

/// The bytes of the marks: last use and end in 12 digits each, one digit for how many index names follow, and
/// 5 for the bytes of the card behind them.
const MARKS: usize = 30;

/// The digits before a record that tell how often it was renewed.
const COUNT: usize = 10;

/// The longest card.
const LARGEST_CARD: usize = 99_999;

/// The most bytes that are read of a record: all before it, and the largest sealed session.
pub(super) const LARGEST: usize = MARKS + 2 * 32 + LARGEST_CARD + COUNT + data::LARGEST + 1024;

/// The keys under one prefix.
pub(super) struct Layout {
    prefix: String,
}

impl Layout {
    pub(super) const fn new(prefix: String) -> Self {
        Self { prefix }
    }

    pub(super) fn record(&self, name: &RecordName) -> String {
        self.named("s:", name)
    }

    pub(super) fn index(&self, name: &IndexName) -> String {
        self.named("i:", name)
    }

    pub(super) fn note(&self, name: &NoteName) -> String {
        self.named("n:", name)
    }

    pub(super) fn lock(&self, name: &RecordName) -> String {
        self.named("l:", name)
    }

    /// All shelves.
    pub(super) fn shelves(&self) -> impl Iterator<Item = String> {
        (0..SHELVES).map(|number| self.shelf(number))
    }

    /// The shelf that a record stands on.
    pub(super) fn shelf_of(&self, name: &RecordName) -> String {
        self.shelf(shelf_number(name))
    }

    pub(super) fn shelf(&self, number: u16) -> String {
        format!("{}all:{number:03x}", self.prefix)
    }

    pub(super) fn channel(&self) -> String {
        format!("{}news", self.prefix)
    }

    fn named(&self, kind: &str, name: &[u8; 32]) -> String {
        // Base64 keeps braces out, which would choose the slot.
        format!("{}{kind}{}", self.prefix, URL_SAFE_NO_PAD.encode(name))
    }
}

/// A time as it stands in a record: 12 digits, so that scripts can read and overwrite it in place.
pub(super) fn digits(time: Timestamp) -> String {
    format!("{:012}", time.as_secs().min(999_999_999_999))
}

/// The number of the shelf that a record stands on.
pub(super) const fn shelf_number(name: &RecordName) -> u16 {
    let [first, second, ..] = *name;
    u16::from_be_bytes([first, second]) / (u16::MAX / SHELVES + 1)
}

/// A record behind how often it was renewed.
pub(super) fn counted(renewals: u32, record: &[u8]) -> Vec<u8> {
    [format!("{renewals:0COUNT$}").as_bytes(), record].concat()
}

/// A new record with what stands before it.
pub(super) fn pack(entry: &Entry) -> Vec<u8> {
    let indexes = entry.indexes.get(..entry.indexes.len().min(2)).unwrap_or_default();
    // One that is too long is left out: then operators see a session without a card.
    let card = Some(entry.card.as_slice()).filter(|card| card.len() <= LARGEST_CARD).unwrap_or_default();
    let (last_seen, end) = (digits(entry.kept.last_seen), digits(entry.expires_at));
    let marks = format!("{last_seen}{end}{}{:05}", indexes.len(), card.len());
    [marks.as_bytes(), indexes.as_flattened(), card, &counted(0, &entry.kept.record)].concat()
}

/// What a record's key holds; `None` for a tombstone, or what is none of ours.
pub(super) fn unpack(bytes: &[u8]) -> Option<Kept> {
    let (head, counted) = Head::read(bytes)?;
    let (_, record) = counted.split_at_checked(COUNT)?;
    Some(Kept { record: record.to_vec(), last_seen: head.last_seen })
}

/// What a record shows of itself in the list.
pub(super) fn filed(name: RecordName, bytes: &[u8]) -> Option<Filed> {
    let (Head { last_seen, expires_at, card }, _) = Head::read(bytes)?;
    Some(Filed { name, expires_at, last_seen, card: card.to_vec() })
}

/// What stands before a record and its count, but for the index names.
struct Head<'b> {
    last_seen: Timestamp,
    expires_at: Timestamp,
    card: &'b [u8],
}

impl<'b> Head<'b> {
    fn read(bytes: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (marks, rest) = bytes.split_at_checked(MARKS)?;
        let number =
            |at: std::ops::Range<usize>| std::str::from_utf8(marks.get(at)?).ok()?.parse::<u64>().ok();
        let indexes = usize::try_from(number(24..25)?).ok().filter(|count| *count <= 2)?;
        let (_, rest) = rest.split_at_checked(32 * indexes)?;
        let (card, record) = rest.split_at_checked(usize::try_from(number(25..30)?).ok()?)?;
        let at = |seconds| Timestamp::from_secs(seconds);
        Some((Self { last_seen: at(number(0..12)?), expires_at: at(number(12..24)?), card }, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_packed_and_rubbish_does_not() {
        let kept = Kept { record: vec![0, 255, 7], last_seen: Timestamp::from_secs(1_763_750_000) };
        for (indexes, card) in
            [(vec![], vec![]), (vec![[1; 32]], vec![5; 300]), (vec![[1; 32], [2; 32]], vec![5])]
        {
            let (name, expires_at) = ([9; 32], Timestamp::from_secs(u64::MAX));
            let entry = Entry { name, indexes, expires_at, kept: kept.clone(), card: card.clone() };
            assert_eq!(unpack(&pack(&entry)).as_ref(), Some(&kept));
            let filed = filed(name, &pack(&entry)).unwrap();
            assert_eq!((filed.card, filed.last_seen), (card, kept.last_seen));
        }
        let short = "001763750000001763750001100000short";
        for rubbish in [&b""[..], b"x", &[b'0'; 29], &[b'9'; 30], &[0xff; 30], short.as_bytes()] {
            assert_eq!(unpack(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn shelves_are_in_the_order_of_names() {
        let number =
            |first, second| shelf_number(&[&[first, second][..], &[7; 30]].concat().try_into().unwrap());
        assert_eq!([number(0, 0), number(0, 63), number(0, 64), number(255, 255)], [0, 0, 1, SHELVES - 1]);
    }
}
