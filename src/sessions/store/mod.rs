//! The stores of sessions behind one trait. A store sees names, times and sealed bytes: it knows neither
//! what a session holds nor who may open it, so that a copy of it opens nobody's session.
//!
//! What a store promises stands at [`Store`] and [`Change`]; `contract` is the test of those promises, and
//! each store's own tests only say which store it is.

use std::error::Error;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::foundation::clock::Timestamp;

mod browser;
#[cfg(test)]
pub(super) mod contract;
mod file;
mod guarded;
mod listening;
mod memory;
mod notes;
mod page;
mod redis;

pub(super) use browser::BrowserStore;
pub(super) use file::{FileStore, OpenError};
pub(super) use guarded::Guarded;
pub use guarded::{Operation, Operations, Outcome};
pub(super) use listening::{Listener, News, Reach};
pub(super) use memory::MemoryStore;
pub(super) use page::{Cursor, Filed, Page};
use redis::Fault;
pub use redis::{Address, Login, RedisSettings, Tls, Topology};
pub(super) use redis::{RedisStore, examine as examine_redis};

/// The name of a record: nothing about the session can be learnt from it.
pub(super) type RecordName = [u8; 32];

/// The name of an index entry: who it is about cannot be learnt from it.
pub(super) type IndexName = [u8; 32];

/// The name of a note: what it is about cannot be learnt from it.
pub(super) type NoteName = [u8; 32];

/// Who holds a lock: a number that nobody else has drawn.
pub(super) type Holder = [u8; 16];

/// How long a store on this machine may take: what is slower has a disk that hangs.
const LOCAL_PATIENCE: Duration = Duration::from_secs(30);

/// How many bytes of notes a process keeps that keeps them itself.
const NOTES: usize = 64 << 20;

/// The most records that one [`Change::Sweep`] removes, and the most that one [`Change::Touch`] should name,
/// so that no sign-in waits long behind them.
pub(super) const BATCH: usize = 1000;

/// What a store gives later; dropping it does not undo what was begun.
pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where sessions are kept.
///
/// An answer means that it is so: a change that was answered with `Ok` outlives the process wherever the
/// store is one that can, and a change that was answered with an error may or may not have happened.
pub(super) trait Store: Send + Sync {
    /// Who holds the records.
    fn custody(&self) -> Custody;

    /// The record of this name, unless it was removed. `carried` is what the browser brought with it.
    fn get(&self, name: RecordName, carried: Option<Kept>) -> Pending<'_, Option<Kept>>;

    /// Makes one change, and gives the names of the records that are gone by it.
    fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>>;

    /// How many records there are; `None` where nobody can know.
    fn count(&self) -> Pending<'_, Option<u64>>;

    /// Whether all of the store can be read: something small is asked of each of its parts.
    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async { self.count().await.map(drop) })
    }

    /// Up to `limit` records after a place, of all there are or of those that are indexed under one name. The order
    /// is the store's own, but no record moves in it while it stands: who goes from page to page meets each that
    /// stands throughout once. Others may be met or not. A cursor that no page of the same kind gave has nothing
    /// behind it.
    fn page(&self, after: Option<Cursor>, index: Option<IndexName>, limit: usize) -> Pending<'_, Page>;

    /// What a list shows of the record of this name, unless it was removed.
    fn filed(&self, name: RecordName) -> Pending<'_, Option<Filed>>;

    /// Puts down a note, a sealed text with an end of its own, where none of that name lies; tells whether it did.
    fn put_note(&self, name: NoteName, text: Vec<u8>, now: Timestamp, until: Timestamp) -> Pending<'_, bool>;

    /// Until when a note of that name lies there; `None` where none does.
    fn noted_until(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Timestamp>>;

    /// Takes a note up: of several who ask, one gets it.
    fn take_note(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Vec<u8>>>;

    /// Takes the lock of this name for so long from now, or prolongs it where this holder has it; tells whether
    /// this holder has it now. One that is not prolonged is free when its time is over. It locks no record: it is
    /// for those who ask.
    ///
    /// A store that one process has alone grants it, as that process has other means to do things one at a time.
    fn lock(&self, _name: RecordName, _holder: Holder, _lasts: Duration) -> Pending<'_, bool> {
        Box::pin(ready(Ok(true)))
    }

    /// Gives a lock back, where this holder still has it.
    fn unlock(&self, _name: RecordName, _holder: Holder) -> Pending<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    /// Tells `listener` from now on of what is done to records, for as long as the store lives; to be called once
    /// a process, on a runtime. A shared store begins deaf, and calls [`Listener::hears`] when it isn't any more.
    fn watch(&self, _listener: Arc<dyn Listener>) -> Reach {
        Reach::Alone
    }

    /// How long an answer may take: later the store counts as one that can't be used.
    fn patience(&self) -> Duration {
        LOCAL_PATIENCE
    }

    /// Lets go of files and connections; a store may be used again after it.
    fn close(&self) -> Pending<'_, ()>;
}

/// Who holds the records of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Custody {
    /// The store: the browser holds only the secret that names and opens the record.
    Store,
    /// The browser: the store knows only which sessions were ended.
    Browser,
}

/// One change to a store.
pub(super) enum Change {
    /// Keeps a new record and, in the same moment or after it, removes the one that it replaces. A store with
    /// a limit then removes the longest unused beyond it.
    Put { entry: Entry, replacing: Option<Gone> },
    /// Puts another record, which was renewed so often, in the place of one that is there, and changes nothing else, its
    /// card neither. One that is gone stays gone, and is named in the answer. A shared store keeps one that was renewed
    /// as often or oftener, and tells all processes to read it.
    Replace { name: RecordName, record: Vec<u8>, renewals: u32 },
    /// Notes when records were last used. One that is gone stays gone; a time never moves back.
    Touch(Vec<(RecordName, Timestamp)>),
    /// Removes one record; one that is not there is no error.
    Remove(Gone),
    /// Removes all records that are indexed under any of these names.
    EndBy(Vec<IndexName>),
    /// Removes up to [`BATCH`] records that are past their end or were last used before `unused_since`.
    Sweep { now: Timestamp, unused_since: Timestamp },
}

/// A record as it goes into a store.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: RecordName,
    /// At most two.
    pub(super) indexes: Vec<IndexName>,
    pub(super) expires_at: Timestamp,
    pub(super) kept: Kept,
    /// What operators are shown of it, sealed.
    pub(super) card: Vec<u8>,
}

/// A record as it comes out of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) record: Vec<u8>,
    pub(super) last_seen: Timestamp,
}

/// A session that is to go, by its name, and when it would have gone by itself. It opens nothing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Gone {
    pub(super) name: RecordName,
    pub(super) expires_at: Timestamp,
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store can't be used now. Nobody is signed out by this: answer 503 and keep the cookie.
    #[error("the session store can't be used: {0}")]
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// The store did not answer in time, or was not asked because it just did not. What was to be changed may be
    /// changed. Nobody is signed out by this, either.
    #[error("the session store did not answer within {limit:?}")]
    Late {
        /// The time that it has.
        limit: Duration,
    },
    /// The store can't do this at all: the cookie store can't end sessions that it does not hold.
    #[error(
        "sessions in cookies can't be found by provider session or subject, nor listed; use another session.store"
    )]
    Unsupported,
    /// The session is too large for where it is kept: ask the provider for fewer claims, or use another store.
    #[error("the session takes {bytes} bytes, more than the {limit} that can be kept")]
    TooLarge {
        /// The size of this session, in bytes.
        bytes: usize,
        /// The most that can be kept, in bytes.
        limit: usize,
    },
}

impl StoreError {
    /// A stable name for it: the shared store's own word, where it has one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(why) => why.downcast_ref::<Fault>().map_or("store_unreachable", Fault::code),
            Self::Late { .. } => "store_late",
            Self::Unsupported => "store_unsupported",
            Self::TooLarge { .. } => "session_too_large",
        }
    }

    /// What the operator should do, where that is known.
    pub fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable(why) => why.downcast_ref::<Fault>().map(Fault::mend),
            Self::Late { .. } | Self::Unsupported | Self::TooLarge { .. } => None,
        }
    }

    /// Whether it passes when the store is well again.
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Late { .. })
    }

    /// What `error` means for whoever asked: the store can't be used.
    pub(super) fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreachable(Arc::from(error.into()))
    }
}
