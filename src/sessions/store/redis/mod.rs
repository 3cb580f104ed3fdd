//! The shared store: sessions in Redis or Valkey, for as many gateways as there are. One server, a master that
//! Sentinels name, or a cluster.
//!
//! All input and output runs on the control runtime, over connections that all requests share. Each command has
//! a time limit; while the servers are known to be down none is sent. What is kept is sealed by the sessions
//! themselves: whoever reads it opens nobody's session.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{
    Change, Cursor, Custody, Filed, Holder, IndexName, Kept, Listener, NoteName, Page, Pending, Reach,
    RecordName, Store, StoreError,
};
use crate::foundation::clock::Timestamp;
use crate::foundation::random;

mod changes;
mod examination;
mod fault;
mod hearing;
mod keeper;
mod lanes;
mod layout;
mod pages;
mod replicas;
mod scripts;
mod servers;
mod settings;
mod slots;
#[cfg(test)]
mod tests;

pub(in crate::sessions) use examination::examine;
pub use settings::{Address, Login, RedisSettings, Tls, Topology};

use changes::Changes;
pub(super) use fault::Fault;
use keeper::Keeper;
use lanes::{Lanes, read};
use layout::Layout;
use scripts::script;

/// How far the times that are kept may be behind what processes know, and more: for so long a record is kept
/// after it is due. Until then some process has swept it, or was not there to do so.
const BEHIND: Duration = Duration::from_secs(15 * 60);

/// Sessions in Redis.
pub(in crate::sessions) struct RedisStore {
    inner: Arc<Inner>,
    listening: Mutex<JoinSet<()>>,
}

struct Inner {
    settings: Arc<RedisSettings>,
    layout: Layout,
    /// How long a record is kept unused.
    idle: Duration,
    control: Handle,
    keeper: Mutex<Option<Arc<Keeper>>>,
}

/// Whether a command that may have been made already can be sent once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Twice is as good as once.
    Once,
    /// The second answer would differ.
    Never,
}

impl RedisStore {
    /// Begins to connect; nothing is waited for. Records that nobody used for `idle_timeout` go by themselves.
    pub(in crate::sessions) fn open(
        settings: RedisSettings,
        idle_timeout: Duration,
        control: Handle,
    ) -> Self {
        let inner = Arc::new(Inner {
            layout: Layout::new(settings.prefix.clone()),
            settings: Arc::new(settings),
            idle: idle_timeout + BEHIND,
            control,
            keeper: Mutex::default(),
        });
        inner.keeper();
        Self { inner, listening: Mutex::default() }
    }

    /// Runs on the control runtime, to its end also when nobody waits for it any more.
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Pending<'_, T> {
        let task = self.inner.control.spawn(work);
        Box::pin(async move {
            match task.await {
                Ok(done) => done.map_err(StoreError::from),
                Err(ended) => Err(StoreError::unreachable(ended)),
            }
        })
    }

    /// Runs `act` with the connections, and once more with new ones where they were lost meanwhile.
    fn with<T, F>(
        &self,
        again: Again,
        act: impl Fn(Arc<Inner>, Arc<Lanes>) -> F + Send + Sync + 'static,
    ) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let inner = Arc::clone(&self.inner);
        self.run(async move {
            let keeper = inner.keeper();
            let lanes = keeper.lanes().await?;
            let done = act(Arc::clone(&inner), Arc::clone(&lanes)).await;
            let Err(fault) = &done else { return done };
            if fault.is_doubtful() {
                keeper.doubt();
            }
            if again == Again::Never || !fault.is_lost() {
                return done;
            }
            act(Arc::clone(&inner), keeper.after(&lanes).await?).await
        })
    }
}

impl Inner {
    fn keeper(&self) -> Arc<Keeper> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Arc::new(Keeper::start(Arc::clone(&self.settings), &self.control));
        Arc::clone(keeper.get_or_insert_with(start))
    }
}

impl Store for RedisStore {
    fn custody(&self) -> Custody {
        Custody::Store
    }

    fn get(&self, name: RecordName, _: Option<Kept>) -> Pending<'_, Option<Kept>> {
        self.with(Again::Once, move |inner, lanes| async move {
            let key = inner.layout.record(&name);
            let mut command = redis::cmd("GETRANGE");
            command.arg(&key).arg(0).arg(layout::LARGEST);
            let bytes: Vec<u8> = read(lanes.ask(&key, &command).await?)?;
            Ok(layout::unpack(&bytes))
        })
    }

    fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>> {
        let change = Arc::new(change);
        self.with(Again::Once, move |inner, lanes| {
            let change = Arc::clone(&change);
            async move { Changes::new(&inner.layout, &lanes, inner.idle).apply(&change).await }
        })
    }

    fn count(&self) -> Pending<'_, Option<u64>> {
        self.with(Again::Once, |inner, lanes| async move {
            Changes::new(&inner.layout, &lanes, inner.idle).count().await.map(Some)
        })
    }

    fn probe(&self) -> Pending<'_, ()> {
        self.with(Again::Once, |inner, lanes| async move {
            Changes::new(&inner.layout, &lanes, inner.idle).probe().await
        })
    }

    fn page(&self, after: Option<Cursor>, index: Option<IndexName>, limit: usize) -> Pending<'_, Page> {
        self.with(Again::Once, move |inner, lanes| {
            let after = after.clone();
            async move { pages::page(&inner.layout, &lanes, after.as_ref(), index.as_ref(), limit).await }
        })
    }

    fn filed(&self, name: RecordName) -> Pending<'_, Option<Filed>> {
        self.with(
            Again::Once,
            move |inner, lanes| async move { pages::filed(&inner.layout, &lanes, name).await },
        )
    }

    fn put_note(&self, name: NoteName, text: Vec<u8>, now: Timestamp, until: Timestamp) -> Pending<'_, bool> {
        // By its mark a note is known for this one, should the answer be lost and the question sent again.
        let note = [layout::digits(until).as_bytes(), &random::bytes::<16>(), &text].concat();
        let lasts = until.since(now).as_millis().try_into().unwrap_or(u64::MAX).max(1);
        self.with(Again::Once, move |inner, lanes| {
            let key = inner.layout.note(&name);
            let mut command = script(scripts::PUT_NOTE, &key);
            command.arg(now.as_secs()).arg(&note).arg(lasts);
            async move { Ok(read::<u8>(lanes.change(&key, &command).await?)? == 1) }
        })
    }

    fn noted_until(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Timestamp>> {
        self.with(Again::Once, move |inner, lanes| {
            let key = inner.layout.note(&name);
            let mut command = redis::cmd("GETRANGE");
            command.arg(&key).arg(0).arg(11);
            async move {
                let until: String = read(lanes.ask(&key, &command).await?)?;
                Ok(until.parse().ok().map(Timestamp::from_secs).filter(|until| *until > now))
            }
        })
    }

    fn take_note(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Vec<u8>>> {
        self.with(Again::Never, move |inner, lanes| {
            let key = inner.layout.note(&name);
            let mut command = script(scripts::TAKE_NOTE, &key);
            command.arg(now.as_secs());
            async move { read(lanes.change(&key, &command).await?) }
        })
    }

    fn lock(&self, name: RecordName, holder: Holder, lasts: Duration) -> Pending<'_, bool> {
        self.with(Again::Once, move |inner, lanes| {
            let key = inner.layout.lock(&name);
            let mut command = script(scripts::LOCK, &key);
            command.arg(&holder).arg(lasts.as_millis().try_into().unwrap_or(u64::MAX).max(1));
            async move { Ok(read::<u8>(lanes.change(&key, &command).await?)? == 1) }
        })
    }

    fn unlock(&self, name: RecordName, holder: Holder) -> Pending<'_, ()> {
        self.with(Again::Once, move |inner, lanes| {
            let key = inner.layout.lock(&name);
            let mut command = script(scripts::UNLOCK, &key);
            command.arg(&holder);
            // Where locks are taken: it must not overtake one that is being prolonged.
            async move { lanes.change(&key, &command).await.map(drop) }
        })
    }

    fn watch(&self, listener: Arc<dyn Listener>) -> Reach {
        let listening = hearing::listen(Arc::clone(&self.inner), listener);
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn_on(listening, &self.inner.control);
        Reach::Shared
    }

    fn patience(&self) -> Duration {
        // The connections are waited for, and then a change takes two or three commands.
        self.inner.settings.timeout * 4
    }

    fn close(&self) -> Pending<'_, ()> {
        // Who listens would connect anew.
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.inner.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(std::future::ready(Ok(())))
    }
}
