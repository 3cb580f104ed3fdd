//! The sessions that are open in this process, so that each is opened once and shared by all workers, and so
//! that what ends anywhere finds every holder.
//!
//! Opening one waits for the store, and it may be ended meanwhile: an [`Epoch`] taken before the store was
//! asked tells [`Registry::admit`] whether any session of that shard was ended, or changed elsewhere, since.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::live::Live;
use super::store::RecordName;

const SHARDS: usize = 16;

/// All open sessions.
#[derive(Default)]
pub(super) struct Registry {
    shards: [Mutex<Shard>; SHARDS],
    open: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    lives: HashMap<RecordName, Arc<Live>>,
    turns: u64,
}

/// How many sessions a shard had seen ended, or changed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u64);

/// What the registry knows of a name.
pub(super) enum Known {
    /// It is open.
    Open(Arc<Live>),
    /// It is not: ask the store, and bring the epoch back.
    Not(Epoch),
}

impl Registry {
    /// The open session of this name.
    pub(super) fn look_up(&self, name: &RecordName) -> Known {
        let shard = self.shard(name);
        shard.lives.get(name).map_or(Known::Not(Epoch(shard.turns)), |live| Known::Open(Arc::clone(live)))
    }

    /// The open session of this name, if there is one.
    pub(super) fn open_session(&self, name: &RecordName) -> Option<Arc<Live>> {
        self.shard(name).lives.get(name).cloned()
    }

    /// Takes in a session that was opened since `epoch`, or gives the one that another thread opened first.
    /// `None` when a session was ended or changed meanwhile, perhaps this one: look again.
    pub(super) fn admit(&self, live: Live, epoch: Epoch) -> Option<Arc<Live>> {
        let mut shard = self.shard(live.name());
        // SECURITY: a record read before its session was ended must not bring the session back.
        if shard.turns != epoch.0 {
            return None;
        }
        Some(match shard.lives.entry(*live.name()) {
            Entry::Occupied(open) => Arc::clone(open.get()),
            Entry::Vacant(place) => {
                self.open.fetch_add(1, Ordering::Relaxed);
                Arc::clone(place.insert(Arc::new(live)))
            }
        })
    }

    /// Takes in a session that was just made: nobody else knows its name yet.
    pub(super) fn add(&self, live: Arc<Live>) {
        if self.shard(live.name()).lives.insert(*live.name(), live).is_none() {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends a session for everyone who holds it.
    pub(super) fn end(&self, name: &RecordName) {
        let ended = {
            let mut shard = self.shard(name);
            shard.turns = shard.turns.wrapping_add(1);
            shard.lives.remove(name)
        };
        if let Some(live) = ended {
            self.open.fetch_sub(1, Ordering::Relaxed);
            live.mark_ended();
        }
    }

    /// Notes that another process changed a session; gives it, if it is open here.
    pub(super) fn changed(&self, name: &RecordName) -> Option<Arc<Live>> {
        let mut shard = self.shard(name);
        shard.turns = shard.turns.wrapping_add(1);
        shard.lives.get(name).cloned()
    }

    /// How many sessions are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The open sessions that `wanted` picks.
    pub(super) fn select(&self, wanted: impl Fn(&Live) -> bool) -> Vec<Arc<Live>> {
        let mut selected = Vec::new();
        for shard in &self.shards {
            selected.extend(lock(shard).lives.values().filter(|live| wanted(live)).cloned());
        }
        selected
    }

    /// Ends the sessions that are `over_now`, and lets go of those that nobody holds and `done` picks.
    pub(super) fn clear(&self, over_now: impl Fn(&Live) -> bool, done: impl Fn(&Live) -> bool) {
        for shard in &self.shards {
            let mut over = Vec::new();
            let mut shard = lock(shard);
            let before = shard.lives.len();
            shard.lives.retain(|_, live| {
                if over_now(live) {
                    over.push(Arc::clone(live));
                    return false;
                }
                // Under the shard's lock nobody can take another hold of what only the registry holds.
                Arc::strong_count(live) > 1 || !done(live)
            });
            self.open.fetch_sub(before - shard.lives.len(), Ordering::Relaxed);
            drop(shard);
            over.iter().for_each(|live| live.mark_ended());
        }
    }

    fn shard(&self, name: &RecordName) -> MutexGuard<'_, Shard> {
        let [first, ..] = name;
        let [shard, ..] = &self.shards;
        lock(self.shards.get(usize::from(*first) % SHARDS).unwrap_or(shard))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::clock::Timestamp;
    use crate::foundation::sealing::RecordSecret;
    use crate::sessions::data::tests::ivan;
    use std::time::Duration;

    const START: Timestamp = Timestamp::from_secs(1_000_000);
    const IDLE: Duration = Duration::from_secs(100);

    fn unknown(registry: &Registry, secret: &RecordSecret) -> Epoch {
        match registry.look_up(&secret.name()) {
            Known::Not(epoch) => epoch,
            Known::Open(_) => panic!("it is open"),
        }
    }

    fn opened(secret: &RecordSecret) -> Live {
        Live::new(secret.clone(), ivan(START), START, IDLE)
    }

    #[test]
    fn a_session_opened_twice_at_once_is_one_session() {
        let (registry, secret) = (Registry::default(), RecordSecret::generate());
        let epochs = [unknown(&registry, &secret), unknown(&registry, &secret)];
        let [first, second] = epochs.map(|epoch| registry.admit(opened(&secret), epoch).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(registry.open(), 1);
    }

    #[test]
    fn a_session_ended_while_it_was_being_opened_does_not_come_back() {
        let (registry, secret) = (Registry::default(), RecordSecret::generate());
        let epoch = unknown(&registry, &secret);
        registry.end(&secret.name());
        assert!(registry.admit(opened(&secret), epoch).is_none());
    }

    #[test]
    fn what_nobody_holds_is_let_go_when_it_may_be_and_what_is_over_ends() {
        let registry = Registry::default();
        let at = |seconds| START.plus(Duration::from_secs(seconds));
        let live = Arc::new(opened(&RecordSecret::generate()));
        registry.add(Arc::clone(&live));
        registry.clear(|live| !live.is_alive(at(20)), |_| true);
        assert_eq!(registry.open(), 1, "held");
        drop(live);
        registry.clear(|live| !live.is_alive(at(20)), |_| false);
        assert_eq!(registry.open(), 1, "still wanted");
        registry.clear(|live| !live.is_alive(at(20)), |_| true);
        assert_eq!(registry.open(), 0);

        let idle = Arc::new(opened(&RecordSecret::generate()));
        registry.add(Arc::clone(&idle));
        registry.clear(|live| !live.is_alive(at(100)), |_| false);
        assert!(idle.is_ended());
        assert_eq!(registry.open(), 0);
    }
}
