//! A store as the process uses it: every answer comes within its time, is counted and timed, and the log says
//! once when the store can't be used any more, and once when it can again.
//!
//! A store that let somebody wait in vain is asked by one at a time, with pauses: whoever else comes meanwhile is
//! told at once that it can't be used, and the requests behind them don't pile up.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{
    Change, Cursor, Custody, Filed, Holder, IndexName, Kept, Listener, NoteName, Page, Pending, Reach,
    RecordName, Store, StoreError,
};
use crate::foundation::clock::Timestamp;
use crate::foundation::timings::Timings;

/// How long a store that did not answer in time is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// The least time between two of the log's lines that say the store can't be used: where a part of it is down, some are
/// refused while others are served, request by request.
const CALM: Duration = Duration::from_secs(10);

/// A store, guarded.
pub(in crate::sessions) struct Guarded {
    store: Arc<dyn Store>,
    operations: Arc<Operations>,
    born: Instant,
    /// Until when nobody reads and nobody writes, in microseconds since `born`; zero while it is answered.
    silent_until: [AtomicU64; 2],
}

/// What a process asked of its store, and how that went.
#[derive(Debug, Default)]
pub struct Operations {
    rows: [Row; Operation::ALL.len()],
    /// Why it can't be read from and written to, by the last answer, and since when.
    troubles: [Mutex<Option<(Instant, StoreError)>>; 2],
    told: [Mutex<Told>; 2],
}

/// What the log was told last.
#[derive(Debug, Default)]
struct Told {
    is_trouble: bool,
    /// When it was told of trouble last.
    at: Option<Instant>,
}

impl Told {
    /// Whether the log is to be told of this answer.
    fn is_news(&mut self, trouble: Option<&StoreError>, now: Instant) -> bool {
        let is_trouble = trouble.is_some();
        let is_calm = self.at.is_none_or(|at| now.duration_since(at) >= CALM);
        let news = is_trouble != self.is_trouble && (is_calm || !is_trouble);
        if news {
            self.is_trouble = is_trouble;
            self.at = if is_trouble { Some(now) } else { self.at };
        }
        news
    }
}

#[derive(Debug, Default)]
struct Row {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    timings: Arc<Timings>,
}

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A record, or how many there are.
    Read,
    /// A change.
    Write,
    /// A note put down or taken up.
    Note,
    /// A lock taken, prolonged or given back.
    Lock,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// The store can't be used.
    Unreachable,
    /// It did not answer in time.
    Late,
    /// It can't do this at all.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reading,
    Writing,
}

impl Kind {
    const fn of<T>(self, [reading, writing]: &[T; 2]) -> &T {
        match self {
            Self::Reading => reading,
            Self::Writing => writing,
        }
    }
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Note, Self::Lock];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Note => "note",
            Self::Lock => "lock",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Read => Kind::Reading,
            Self::Write | Self::Note | Self::Lock => Kind::Writing,
        }
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Unreachable, Self::Late, Self::Refused];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Refused => "refused",
        }
    }

    const fn of<T>(answer: &Result<T, StoreError>) -> Self {
        match answer {
            Ok(_) => Self::Ok,
            Err(StoreError::Unreachable(_)) => Self::Unreachable,
            Err(StoreError::Late { .. }) => Self::Late,
            Err(StoreError::Unsupported | StoreError::TooLarge { .. }) => Self::Refused,
        }
    }
}

impl Operations {
    /// How often this was asked and went so.
    pub fn count(&self, operation: Operation, outcome: Outcome) -> u64 {
        let row = self.rows.get(operation as usize);
        let count = row.and_then(|row| row.outcomes.get(outcome as usize));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How long this took.
    pub fn timings(&self, operation: Operation) -> Arc<Timings> {
        self.rows.get(operation as usize).map(|row| Arc::clone(&row.timings)).unwrap_or_default()
    }

    /// Why the store can't be written to, by the last answer to a change.
    pub(in crate::sessions) fn unwritable(&self) -> Option<StoreError> {
        self.trouble(Kind::Writing).as_ref().map(|(_, error)| error.clone())
    }

    /// For how long the store could not be read, by the last answer; always, where it never could.
    pub(in crate::sessions) fn unreadable_for(&self) -> Duration {
        if self.count(Operation::Read, Outcome::Ok) == 0 {
            return Duration::MAX;
        }
        self.trouble(Kind::Reading).as_ref().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }

    fn note<T>(&self, operation: Operation, took: Duration, answer: &Result<T, StoreError>) {
        let outcome = Outcome::of(answer);
        if let Some(row) = self.rows.get(operation as usize) {
            row.timings.count(took);
            if let Some(count) = row.outcomes.get(outcome as usize) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        if outcome == Outcome::Refused {
            return;
        }
        let kind = operation.kind();
        let trouble = answer.as_ref().err();
        {
            let mut known = self.trouble(kind);
            let since = known.as_ref().map_or_else(Instant::now, |(since, _)| *since);
            *known = trouble.map(|error| (since, error.clone()));
        }
        if !kind
            .of(&self.told)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_news(trouble, Instant::now())
        {
            return;
        }
        match (trouble, kind) {
            (Some(error), Kind::Reading) => {
                let (code, mend) = (error.code(), error.mend());
                tracing::error!(code, %error, mend, "the session store can't be read; nobody is signed out by that");
            }
            (Some(error), Kind::Writing) => {
                let (code, mend) = (error.code(), error.mend());
                tracing::error!(code, %error, mend, "the session store can't be written; nobody is signed out by that");
            }
            (None, Kind::Reading) => tracing::info!("the session store can be read again"),
            (None, Kind::Writing) => tracing::info!("the session store can be written again"),
        }
    }

    fn trouble(&self, kind: Kind) -> MutexGuard<'_, Option<(Instant, StoreError)>> {
        kind.of(&self.troubles).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guarded {
    pub(in crate::sessions) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, operations: Arc::default(), born: Instant::now(), silent_until: Default::default() }
    }

    pub(in crate::sessions) const fn operations(&self) -> &Arc<Operations> {
        &self.operations
    }

    async fn within<T>(
        &self,
        operation: Operation,
        ask: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.store.patience();
        let silent_until = operation.kind().of(&self.silent_until);
        if !self.may_ask(silent_until, limit) {
            return Err(StoreError::Late { limit });
        }
        let mut asking = Asking { guarded: self, silent_until, is_answered: false };
        let begun = Instant::now();
        let answer = tokio::time::timeout(limit, ask).await.unwrap_or(Err(StoreError::Late { limit }));
        asking.is_answered = true;
        let next = match &answer {
            Err(StoreError::Late { .. }) => self.micros() + micros(PAUSE),
            _ => 0,
        };
        silent_until.store(next, Ordering::Relaxed);
        self.operations.note(operation, begun.elapsed(), &answer);
        answer
    }

    /// Whether to ask at all: always while the store answers, else one at a time and after a pause.
    fn may_ask(&self, silent_until: &AtomicU64, limit: Duration) -> bool {
        let (until, now) = (silent_until.load(Ordering::Relaxed), self.micros());
        let next = now + micros(limit + PAUSE);
        let mine =
            || silent_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        until == 0 || (until <= now && mine())
    }

    fn micros(&self) -> u64 {
        micros(self.born.elapsed())
    }
}

/// Somebody who asks. Where they go away without an answer, and were the only one who asked, the next need not wait for
/// it, either.
struct Asking<'g> {
    guarded: &'g Guarded,
    silent_until: &'g AtomicU64,
    is_answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_answered && self.silent_until.load(Ordering::Relaxed) != 0 {
            self.silent_until.store(self.guarded.micros() + micros(PAUSE), Ordering::Relaxed);
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Store for Guarded {
    fn custody(&self) -> Custody {
        self.store.custody()
    }

    fn get(&self, name: RecordName, carried: Option<Kept>) -> Pending<'_, Option<Kept>> {
        Box::pin(self.within(Operation::Read, async move { self.store.get(name, carried).await }))
    }

    fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>> {
        Box::pin(self.within(Operation::Write, async move { self.store.apply(change).await }))
    }

    fn count(&self) -> Pending<'_, Option<u64>> {
        Box::pin(self.within(Operation::Read, async move { self.store.count().await }))
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(self.within(Operation::Read, async move { self.store.probe().await }))
    }

    fn page(&self, after: Option<Cursor>, index: Option<IndexName>, limit: usize) -> Pending<'_, Page> {
        Box::pin(self.within(Operation::Read, async move { self.store.page(after, index, limit).await }))
    }

    fn filed(&self, name: RecordName) -> Pending<'_, Option<Filed>> {
        Box::pin(self.within(Operation::Read, async move { self.store.filed(name).await }))
    }

    fn put_note(&self, name: NoteName, text: Vec<u8>, now: Timestamp, until: Timestamp) -> Pending<'_, bool> {
        let put = async move { self.store.put_note(name, text, now, until).await };
        Box::pin(self.within(Operation::Note, put))
    }

    fn noted_until(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Timestamp>> {
        Box::pin(self.within(Operation::Note, async move { self.store.noted_until(name, now).await }))
    }

    fn take_note(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Vec<u8>>> {
        Box::pin(self.within(Operation::Note, async move { self.store.take_note(name, now).await }))
    }

    fn lock(&self, name: RecordName, holder: Holder, lasts: Duration) -> Pending<'_, bool> {
        Box::pin(self.within(Operation::Lock, async move { self.store.lock(name, holder, lasts).await }))
    }

    fn unlock(&self, name: RecordName, holder: Holder) -> Pending<'_, ()> {
        Box::pin(self.within(Operation::Lock, async move { self.store.unlock(name, holder).await }))
    }

    fn watch(&self, listener: Arc<dyn Listener>) -> Reach {
        self.store.watch(listener)
    }

    fn patience(&self) -> Duration {
        self.store.patience()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.store.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_once_and_not_with_each_request_where_some_are_refused_and_others_served() {
        let (start, error) = (Instant::now(), StoreError::unreachable("a part of it is down"));
        let mut told = Told::default();
        let mut at = |seconds, fails: bool| {
            told.is_news(fails.then_some(&error), start + Duration::from_secs(seconds))
        };
        let first = [at(0, false), at(1, true), at(1, true), at(2, false), at(2, false)];
        assert_eq!(first, [false, true, false, true, false]);
        assert!((3..11).all(|second| !at(second, true) && !at(second, false)));
        assert_eq!([at(11, true), at(30, true), at(30, false)], [true, false, true]);
    }
}
