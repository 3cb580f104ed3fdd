//! A store that several processes share, in memory: it tells each what the others do, lends locks, and goes wrong
//! when a test says so. It stands for what is behind a network.

use std::collections::HashMap;
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::{
    Change, Cursor, Custody, Filed, Holder, IndexName, Kept, Listener, MemoryStore, News, NoteName, Page,
    Pending, Reach, RecordName, Store, StoreError,
};
use crate::foundation::clock::Timestamp;

/// How long it may take to answer.
pub(in crate::sessions) const PATIENCE: Duration = Duration::from_millis(200);

/// A shared store.
pub(in crate::sessions) struct SharedStore {
    store: MemoryStore,
    listeners: Mutex<Vec<Arc<dyn Listener>>>,
    locks: Mutex<HashMap<RecordName, (Holder, Instant)>>,
    /// How often records were renewed.
    renewals: Mutex<HashMap<RecordName, u32>>,
    fault: Mutex<Fault>,
    /// How often a record was asked for.
    pub(in crate::sessions) reads: AtomicU64,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sessions) enum Fault {
    None,
    /// Whatever is asked fails.
    Fails,
    /// What takes all of it fails, as where a part of a cluster is down.
    IsInPart,
    /// Changes fail, as on a replica or a full one.
    IsReadOnly,
    /// Nothing is answered.
    Hangs,
    /// Nothing is told, and it says so.
    IsDeaf,
    /// What is done is told so long after, as over a network.
    TellsLate(Duration),
}

impl SharedStore {
    pub(in crate::sessions) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(limit),
            listeners: Mutex::default(),
            locks: Mutex::default(),
            renewals: Mutex::default(),
            fault: Mutex::new(Fault::None),
            reads: AtomicU64::new(0),
        })
    }

    /// Lets this go wrong from now on.
    pub(in crate::sessions) fn has(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
        for listener in &*self.listeners.lock().unwrap() {
            match fault {
                Fault::None => Self::is_heard_by(&**listener),
                Fault::IsReadOnly | Fault::IsInPart | Fault::TellsLate(_) => {}
                Fault::Fails | Fault::Hangs | Fault::IsDeaf => listener.deaf(),
            }
        }
    }

    fn is_heard_by(listener: &dyn Listener) {
        let now = Instant::now();
        listener.hears(now, now + Duration::from_secs(3600));
    }

    /// What is told, whether or not it is so.
    pub(in crate::sessions) fn tell(&self, news: News) {
        let listeners = self.listeners.lock().unwrap().clone();
        let tell = move || listeners.iter().for_each(|listener| listener.heard(news));
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::None | Fault::IsReadOnly => tell(),
            Fault::TellsLate(by) => drop(tokio::spawn(async move {
                tokio::time::sleep(by).await;
                tell();
            })),
            Fault::Fails | Fault::IsInPart | Fault::Hangs | Fault::IsDeaf => {}
        }
    }

    /// Whether a change is newer than what is there, where that counts.
    fn is_newer(&self, change: &Change) -> bool {
        let Change::Replace { name, renewals, .. } = change else { return true };
        let before = self.renewals.lock().unwrap().insert(*name, *renewals).unwrap_or(0);
        self.renewals.lock().unwrap().insert(*name, before.max(*renewals));
        before < *renewals
    }

    async fn obstacle(&self, writes: bool) -> Result<(), StoreError> {
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::Hangs => std::future::pending().await,
            Fault::Fails => Err(StoreError::unreachable("no connection")),
            Fault::IsReadOnly if writes => Err(StoreError::unreachable("READONLY")),
            Fault::None | Fault::IsInPart | Fault::IsReadOnly | Fault::IsDeaf | Fault::TellsLate(_) => Ok(()),
        }
    }
}

impl Store for SharedStore {
    fn custody(&self) -> Custody {
        Custody::Store
    }

    fn get(&self, name: RecordName, carried: Option<Kept>) -> Pending<'_, Option<Kept>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.obstacle(false).await?;
            tokio::task::yield_now().await;
            self.store.get(name, carried).await
        })
    }

    fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>> {
        Box::pin(async move {
            self.obstacle(true).await?;
            let changed = match &change {
                Change::Replace { name, .. } => Some(*name),
                _ => None,
            };
            let gone = if self.is_newer(&change) { self.store.apply(change).await? } else { Vec::new() };
            changed.into_iter().for_each(|name| self.tell(News::Changed(name)));
            gone.iter().for_each(|name| self.tell(News::Ended(*name)));
            tokio::task::yield_now().await;
            Ok(gone)
        })
    }

    fn count(&self) -> Pending<'_, Option<u64>> {
        Box::pin(async move {
            self.obstacle(false).await?;
            if *self.fault.lock().unwrap() == Fault::IsInPart {
                return Err(StoreError::unreachable("a part of it"));
            }
            self.store.count().await
        })
    }

    fn page(&self, after: Option<Cursor>, index: Option<IndexName>, limit: usize) -> Pending<'_, Page> {
        self.store.page(after, index, limit)
    }

    fn filed(&self, name: RecordName) -> Pending<'_, Option<Filed>> {
        Box::pin(async move {
            self.obstacle(false).await?;
            self.store.filed(name).await
        })
    }

    fn put_note(&self, name: NoteName, text: Vec<u8>, now: Timestamp, until: Timestamp) -> Pending<'_, bool> {
        self.store.put_note(name, text, now, until)
    }

    fn noted_until(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Timestamp>> {
        self.store.noted_until(name, now)
    }

    fn take_note(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Vec<u8>>> {
        self.store.take_note(name, now)
    }

    fn lock(&self, name: RecordName, holder: Holder, lasts: Duration) -> Pending<'_, bool> {
        Box::pin(async move {
            self.obstacle(true).await?;
            let mut locks = self.locks.lock().unwrap();
            let now = Instant::now();
            let free = locks.get(&name).is_none_or(|(who, until)| *who == holder || *until <= now);
            if free {
                locks.insert(name, (holder, now + lasts));
            }
            Ok(free)
        })
    }

    fn unlock(&self, name: RecordName, holder: Holder) -> Pending<'_, ()> {
        Box::pin(async move {
            self.obstacle(true).await?;
            let mut locks = self.locks.lock().unwrap();
            if locks.get(&name).is_some_and(|(who, _)| *who == holder) {
                locks.remove(&name);
            }
            Ok(())
        })
    }

    fn watch(&self, listener: Arc<dyn Listener>) -> Reach {
        Self::is_heard_by(&*listener);
        self.listeners.lock().unwrap().push(listener);
        Reach::Shared
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

mod keeps_it_too {
    use super::*;

    crate::sessions::store::contract::keeps_the_contract!(|limit| SharedStore::new(limit));
}
