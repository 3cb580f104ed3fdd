//! One renewal of a session at a time over all processes of a store: by a lock that is prolonged while the work
//! lasts, and that a process which dies loses.
//!
//! Whoever gets it reads the session again first, as another may have renewed it just before; whoever does not get
//! it waits for what the other brings. A refresh token that is used twice ends the grant at most providers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::Sessions;
use super::live::Live;
use super::renewal::Mark;
use super::replacing::Standing;
use super::store::{Holder, RecordName, StoreError};
use crate::foundation::random;

/// How long a lock outlives the process that holds it.
const LASTS: Duration = Duration::from_secs(6);

/// How often it is prolonged.
const PULSE: Duration = Duration::from_secs(2);

/// How long a refusal of the provider is doubted: another process may just be bringing what it was refused for.
const DOUBT: Duration = Duration::from_secs(2);

/// How often who waits for another's renewal looks whether it is there.
const LOOK: Duration = Duration::from_millis(100);

/// The right to renew a session; given back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    pulse: Option<AbortHandle>,
    held: Option<Held>,
}

/// What a renewal finds when it is its turn.
#[derive(Debug)]
pub enum Way {
    /// It is to ask the provider.
    Free(Lease),
    /// Another process has asked; its result is here.
    Renewed,
    /// The session was ended meanwhile.
    Over,
}

struct Held {
    sessions: Arc<Sessions>,
    name: RecordName,
    holder: Holder,
}

impl Sessions {
    /// Waits until no other process renews this session, for as long as `patience`, or until it was renewed
    /// elsewhere. For whoever holds its renewal here. Without others it is free at once.
    ///
    /// # Errors
    /// When the store can't lend a lock, or another process is still at it: then it is to be tried later, as the
    /// refresh token may be spent in the same moment.
    pub async fn way_to_renew(self: &Arc<Self>, live: &Live, patience: Duration) -> Result<Way, StoreError> {
        if !self.link.is_shared() {
            return Ok(Way::Free(Lease { pulse: None, held: None }));
        }
        let before = live.data().renewals;
        let renewed = || {
            let data = live.data();
            data.renewals != before && !Mark::of(&data).is_due(self.clock.now())
        };
        // Of its own: who still saves what was renewed before, in this process, has it to themselves as well.
        let (begun, holder) = (Instant::now(), random::bytes());
        loop {
            if live.is_ended() {
                return Ok(Way::Over);
            }
            if renewed() {
                return Ok(Way::Renewed);
            }
            if self.store.lock(*live.name(), holder, LASTS).await? {
                let lease = self.hold(*live.name(), holder);
                return match self.confirm(live).await? {
                    Standing::Over => Ok(Way::Over),
                    Standing::Stands if renewed() => Ok(Way::Renewed),
                    Standing::Stands => Ok(Way::Free(lease)),
                };
            }
            if begun.elapsed() >= patience {
                return Err(StoreError::Late { limit: patience });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether another process gives the session newer content than what was renewed so often; looks in the store,
    /// for a while.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn is_newer_elsewhere(&self, live: &Live, renewals: u32) -> Result<bool, StoreError> {
        if !self.link.is_shared() {
            return Ok(false);
        }
        let begun = Instant::now();
        loop {
            match self.confirm(live).await? {
                Standing::Over => return Ok(false),
                Standing::Stands if live.data().renewals > renewals => return Ok(true),
                Standing::Stands if begun.elapsed() >= DOUBT => return Ok(false),
                Standing::Stands => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn hold(self: &Arc<Self>, name: RecordName, holder: Holder) -> Lease {
        let sessions = Arc::clone(self);
        let pulse = self.control.spawn(async move {
            loop {
                tokio::time::sleep(PULSE).await;
                // A store that does not answer now may do so before the lock is over.
                sessions.store.lock(name, holder, LASTS).await.ok();
            }
        });
        let held = Held { sessions: Arc::clone(self), name, holder };
        Lease { pulse: Some(pulse.abort_handle()), held: Some(held) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(pulse) = self.pulse.take() {
            pulse.abort();
        }
        if let Some(Held { sessions, name, holder }) = self.held.take() {
            let control = sessions.control.clone();
            // What can't be given back is free when its time is over.
            control.spawn(async move { sessions.store.unlock(name, holder).await });
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}
