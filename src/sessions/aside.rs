//! What is laid aside beside the sessions, for minutes: messages that must not be taken twice, and sealed texts
//! that wait for whoever holds their secret. With a shared store all processes see them.

use std::future::Future;
use std::time::Duration;

use super::Sessions;
use super::ending::joined;
use super::store::StoreError;
use crate::foundation::clock::Timestamp;
use crate::foundation::sealing::RecordSecret;

/// How long work may go on that is done once, before another process may take it for broken off.
const AT_WORK: Duration = Duration::from_secs(5);

/// How long it is remembered that a provider's session is over: longer than a code is good that was issued in it.
const OVER: Duration = Duration::from_secs(10 * 60);

/// The fields of what is remembered of sign-outs at providers.
const PROVIDER_SESSION_OVER: &str = "provider session over";
const PERSON_OVER: &str = "person over";

/// What became of work that is to be done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once<T> {
    /// It is done, with this outcome.
    Now(T),
    /// It was done before.
    Before,
    /// Somebody is at it, or died over it a moment ago: how it ends is not known yet.
    AtWork,
}

impl Sessions {
    /// Whether this is the first time within `lasts` that `what` is claimed in the realm of `field`, over all
    /// processes of the store. Nobody who reads the store learns what it was.
    ///
    /// # Errors
    /// When the store can't be used: then it may or may not be claimed now.
    pub async fn claim(&self, field: &str, what: &str, lasts: Duration) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut first = true;
        // Under every key of the ring: a process that has its new first key already is understood by the others.
        for name in self.keys.index_names(field, what).collect::<Vec<_>>() {
            first &= self.store.put_note(name, Vec::new(), now, now.plus(lasts)).await?;
        }
        Ok(first)
    }

    /// Does some work once within `lasts`, over all processes. Work that fails, or that a process dies over, is not done:
    /// who asks again soon after has it done.
    ///
    /// # Errors
    /// That of the work, and when the store can't be used: then the work may be done, and is done again.
    pub async fn once<T>(
        &self,
        field: &str,
        what: &str,
        lasts: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Once<T>, StoreError> {
        // What a store was told in vain it may still do late: so that only the end of the work counts as done.
        let at_work = format!("{field}: at work");
        if !self.claim(&at_work, what, AT_WORK).await? {
            return Ok(Once::AtWork);
        }
        let outcome = self.unless_done(field, what, lasts, work).await;
        // Else it ends by itself.
        self.release(&at_work, what).await.ok();
        outcome
    }

    /// For who alone is at it.
    async fn unless_done<T>(
        &self,
        field: &str,
        what: &str,
        lasts: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Once<T>, StoreError> {
        if self.is_claimed(field, what).await? {
            return Ok(Once::Before);
        }
        let outcome = work.await?;
        self.claim(field, what, lasts).await?;
        Ok(Once::Now(outcome))
    }

    /// Remembers that a session at a provider is over, for logins that began in it and end later.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn remember_over(&self, provider: &str, provider_session: &str) -> Result<(), StoreError> {
        self.claim(PROVIDER_SESSION_OVER, &joined(provider, provider_session), OVER).await.map(drop)
    }

    /// Whether a session at a provider is remembered to be over. To be asked after a session was made: one that is
    /// made before the other is over ends with it.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn is_over(&self, provider: &str, provider_session: &str) -> Result<bool, StoreError> {
        self.is_claimed(PROVIDER_SESSION_OVER, &joined(provider, provider_session)).await
    }

    /// Remembers that all sessions at a provider of one person were over at `at`, by the provider's clock, for logins
    /// that it answered before and that end later.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn remember_person_over(
        &self,
        provider: &str,
        subject: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        for name in self.keys.index_names(PERSON_OVER, &joined(provider, subject)).collect::<Vec<_>>() {
            // Of two that come in the wrong order the later one counts.
            let until = at.plus(OVER).max(self.store.noted_until(name, now).await?.unwrap_or_default());
            // What ends is ended after this: who asks between the two has a session by then.
            self.store.take_note(name, now).await?;
            self.store.put_note(name, Vec::new(), now, until).await?;
        }
        Ok(())
    }

    /// Whether a person is remembered to have been signed out of a provider at `since` or after it, by the provider's
    /// clock. To be asked after a session was made, as [`is_over`](Self::is_over).
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn is_person_over(
        &self,
        provider: &str,
        subject: &str,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let until = self.claimed_until(PERSON_OVER, &joined(provider, subject)).await?;
        Ok(until.is_some_and(|until| until >= since.plus(OVER)))
    }

    /// Whether something is claimed. SECURITY: it stays so all the while, for others who ask in this moment.
    async fn is_claimed(&self, field: &str, what: &str) -> Result<bool, StoreError> {
        Ok(self.claimed_until(field, what).await?.is_some())
    }

    /// Until when something is claimed, under any key of the ring.
    async fn claimed_until(&self, field: &str, what: &str) -> Result<Option<Timestamp>, StoreError> {
        let (now, mut latest) = (self.clock.now(), None);
        for name in self.keys.index_names(field, what).collect::<Vec<_>>() {
            latest = latest.max(self.store.noted_until(name, now).await?);
        }
        Ok(latest)
    }

    /// Lets go of a claim.
    async fn release(&self, field: &str, what: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        for name in self.keys.index_names(field, what).collect::<Vec<_>>() {
            self.store.take_note(name, now).await?;
        }
        Ok(())
    }

    /// Lays a text aside, sealed under a new secret: only its holder can find and read it.
    ///
    /// # Errors
    /// When the store can't be used: then it may be there or not.
    pub async fn lay_aside(
        &self,
        secret: &RecordSecret,
        text: &[u8],
        lasts: Duration,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.put_note(secret.name(), secret.seal(text), now, now.plus(lasts)).await.map(drop)
    }

    /// Takes up what was laid aside: it is there once. `None` when it was taken before, or is too old.
    ///
    /// # Errors
    /// When the store can't be used: then it may be gone.
    pub async fn take_up(&self, secret: &RecordSecret) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.store.take_note(secret.name(), self.clock.now()).await?;
        Ok(sealed.and_then(|sealed| secret.open(&sealed)))
    }
}
