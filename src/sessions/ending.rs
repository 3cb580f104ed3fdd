//! How sessions end by somebody's will: one, all of a provider's session, or all of a person's.
//!
//! The store first, then this process: an end that was reported is one that lasts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Sessions;
use super::data::SessionData;
use super::listing::Person;
use super::live::Live;
use super::store::{Change, IndexName, StoreError};

/// How long an end over a shared store is not told yet: other processes were told of it in the moment when it was
/// made, and by then they have heard.
const ON_ITS_WAY: Duration = Duration::from_millis(10);

/// The fields that sessions are indexed by.
const SUBJECT: &str = "subject";
const PROVIDER_SESSION: &str = "provider session";

impl Sessions {
    /// Ends one session. When this returns it is over for good and for everyone.
    ///
    /// # Errors
    /// When the store can't be used: then the session may still stand.
    pub async fn end(self: &Arc<Self>, live: &Live) -> Result<(), StoreError> {
        self.make(Change::Remove(live.gone())).await.map(drop)
    }

    /// Ends the sessions that belong to one session at a provider (`sid`), and tells how many there were.
    ///
    /// # Errors
    /// When the store can't be used, or can't do this.
    pub async fn end_by_provider_session(
        self: &Arc<Self>,
        provider: &str,
        provider_session: &str,
    ) -> Result<usize, StoreError> {
        self.end_by(self.index(PROVIDER_SESSION, provider, provider_session).collect()).await
    }

    /// Ends all sessions of one person, and tells how many there were.
    ///
    /// # Errors
    /// When the store can't be used, or can't do this.
    pub async fn end_by_subject(
        self: &Arc<Self>,
        provider: &str,
        subject: &str,
    ) -> Result<usize, StoreError> {
        self.end_by(self.subject_index(provider, subject).collect()).await
    }

    /// Ends all sessions of one person at several providers in one change, and tells how many there were.
    ///
    /// # Errors
    /// When the store can't be used, or can't do this: then some may have ended.
    pub async fn end_person(self: &Arc<Self>, person: &Person) -> Result<usize, StoreError> {
        self.end_by(self.indexes_of_person(person)).await
    }

    async fn end_by(self: &Arc<Self>, indexes: Vec<IndexName>) -> Result<usize, StoreError> {
        let sessions = Arc::clone(self);
        self.complete(async move {
            let people = sessions.people_at(&indexes).await?;
            let ended = sessions.apply(Change::EndBy(indexes)).await?;
            if ended > 0 {
                sessions.tell(&people);
            }
            Ok(ended)
        })
        .await
    }

    /// The names under which the sessions of one person may be indexed.
    pub(super) fn subject_index(&self, provider: &str, subject: &str) -> impl Iterator<Item = IndexName> {
        self.index(SUBJECT, provider, subject)
    }

    /// The names under which a new session is indexed.
    pub(super) fn indexes_of(&self, data: &SessionData) -> Vec<IndexName> {
        let by_subject = self.index(SUBJECT, &data.provider, &data.subject).next();
        let by_session = data.provider_session.as_deref();
        let by_session = by_session.and_then(|sid| self.index(PROVIDER_SESSION, &data.provider, sid).next());
        by_subject.into_iter().chain(by_session).collect()
    }

    /// Makes a change, and ends here what is gone by it.
    pub(super) async fn apply(&self, change: Change) -> Result<usize, StoreError> {
        let gone = self.store.apply(change).await?;
        gone.iter().for_each(|name| self.registry.end(name));
        if !gone.is_empty() && self.link.is_shared() {
            tokio::time::sleep(ON_ITS_WAY).await;
        }
        Ok(gone.len())
    }

    /// Completes what was begun also when the caller goes away: a browser that hangs up must not leave a
    /// session ended in the store and alive in this process.
    pub(super) async fn complete(
        &self,
        work: impl Future<Output = Result<usize, StoreError>> + Send + 'static,
    ) -> Result<usize, StoreError> {
        self.control.spawn(work).await.unwrap_or_else(|ended| Err(StoreError::unreachable(ended)))
    }

    pub(super) async fn make(self: &Arc<Self>, change: Change) -> Result<usize, StoreError> {
        let sessions = Arc::clone(self);
        self.complete(async move { sessions.apply(change).await }).await
    }

    pub(super) fn index(&self, field: &str, provider: &str, value: &str) -> impl Iterator<Item = IndexName> {
        self.keys.index_names(field, &joined(provider, value)).collect::<Vec<_>>().into_iter()
    }
}

/// The length keeps provider and value apart whatever characters they hold.
pub(super) fn joined(provider: &str, value: &str) -> String {
    format!("{}:{provider}{value}", provider.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::store::contract::{Fault, SharedStore, World};
    use crate::sessions::store::{MemoryStore, Store};

    fn over(store: Arc<dyn Store>) -> World {
        World::new(&move |_| Arc::clone(&store))
    }

    /// What comes of this without waiting for any time to pass.
    async fn at_once<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
        let work = tokio::spawn(work);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(work.is_finished(), "it is held up");
        work.await.unwrap()
    }

    #[tokio::test]
    async fn when_an_end_is_answered_the_other_processes_have_heard_of_it() {
        let store = SharedStore::new(10);
        let world = over(Arc::clone(&store) as _);
        let (here, there) = (world.process(), world.process());
        store.has(Fault::TellsLate(ON_ITS_WAY / 2));
        for way in ["one", "person"] {
            let (live, jar) = world.sign_in(&here).await;
            let other = world.find(&there, &jar).await.unwrap();
            match way {
                "one" => here.end(&live).await.unwrap(),
                _ => assert_eq!(here.end_by_subject("trusted", "7d0e2a56").await.unwrap(), 1),
            }
            assert!(other.is_ended(), "{way}");
        }
    }

    #[tokio::test]
    async fn an_end_of_nothing_or_of_what_no_other_process_has_is_answered_at_once() {
        let shared = over(SharedStore::new(10)).process();
        let nobody = async move { shared.end_by_subject("trusted", "nobody").await.unwrap() };
        assert_eq!(at_once(nobody).await, 0);
        let world = over(Arc::new(MemoryStore::new(10)));
        let alone = world.process();
        let (live, _) = world.sign_in(&alone).await;
        at_once(async move { alone.end(&live).await.unwrap() }).await;
    }
}
