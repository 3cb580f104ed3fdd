//! What is laid aside beside the sessions, for minutes: messages that must not be taken twice, and sealed texts
//! that wait for whoever holds their secret. With a shared store all processes see them.

use std::time::Duration;

use super::Sessions;
use super::store::StoreError;
use crate::foundation::sealing::RecordSecret;

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

    /// Lays a text aside, sealed under the secret that is returned: only its holder can find and read it.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn lay_aside(&self, text: &[u8], lasts: Duration) -> Result<RecordSecret, StoreError> {
        let secret = RecordSecret::generate();
        let now = self.clock.now();
        self.store.put_note(secret.name(), secret.seal(text), now, now.plus(lasts)).await?;
        Ok(secret)
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
