//! A session that is open in this process: one value, shared by all workers, that ends for all of them at
//! once. Whether it is alive is three comparisons on atomics; nothing here waits for a store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::data::SessionData;
use super::store::{Gone, RecordName};
use crate::foundation::clock::Timestamp;
use crate::foundation::sealing::RecordSecret;

/// An open session. Keep it under the cookie's own bytes, and ask [`Live::is_alive`] on every request.
pub struct Live {
    name: RecordName,
    secret: RecordSecret,
    data: SessionData,
    idle_timeout: Duration,
    last_seen: AtomicU64,
    saved_seen: AtomicU64,
    ended: AtomicBool,
    end: Notify,
}

impl Live {
    pub(super) fn new(
        secret: RecordSecret,
        data: SessionData,
        last_seen: Timestamp,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            name: secret.name(),
            secret,
            data,
            idle_timeout,
            last_seen: AtomicU64::new(last_seen.as_secs()),
            saved_seen: AtomicU64::new(last_seen.as_secs()),
            ended: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    /// Who is signed in.
    pub const fn data(&self) -> &SessionData {
        &self.data
    }

    /// Whether the session still stands: not ended, used within the idle time, not past its end.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        !self.is_ended() && now < self.data.expires_at && now.since(self.last_seen()) < self.idle_timeout
    }

    /// Notes that the session is being used. Ask [`Live::is_alive`] first: what is idle stays so.
    pub fn touch(&self, now: Timestamp) {
        // Read first: once a second writes, all other requests leave the cache line to its readers.
        if self.last_seen.load(Ordering::Relaxed) < now.as_secs() {
            self.last_seen.fetch_max(now.as_secs(), Ordering::Relaxed);
        }
    }

    /// When it was last used.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_secs(self.last_seen.load(Ordering::Relaxed))
    }

    /// Whether it was ended. One that is past its time is noticed by [`Live::is_alive`] and, within a minute,
    /// ended.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits until the session is ended, on whichever thread that happens. For what outlives a request, as a
    /// WebSocket does, beside a timer for `expires_at`.
    pub async fn ended(&self) {
        let mut end = std::pin::pin!(self.end.notified());
        end.as_mut().enable();
        if !self.is_ended() {
            end.await;
        }
    }

    pub(super) const fn name(&self) -> &RecordName {
        &self.name
    }

    pub(super) const fn secret(&self) -> &RecordSecret {
        &self.secret
    }

    /// What ends it when another session takes its place, also where this process no longer knows it.
    pub const fn gone(&self) -> Gone {
        Gone { name: self.name, expires_at: self.data.expires_at }
    }

    pub(super) fn mark_ended(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_waiters();
    }

    /// The last use that a store, or the browser's cookie, knows of.
    pub(super) fn saved_seen(&self) -> Timestamp {
        Timestamp::from_secs(self.saved_seen.load(Ordering::Relaxed))
    }

    /// Notes that the use at `seen` is known elsewhere; `false` when that one, or a later, was already.
    pub(super) fn save_seen(&self, seen: Timestamp) -> bool {
        self.saved_seen.fetch_max(seen.as_secs(), Ordering::Relaxed) < seen.as_secs()
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("ended", &self.is_ended()).field("last_seen", &self.last_seen()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::data::tests::ivan;
    use std::sync::Arc;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn live() -> Live {
        Live::new(RecordSecret::generate(), ivan(START), START, Duration::from_secs(100))
    }

    #[test]
    fn a_session_is_over_when_idle_or_past_its_end_whichever_comes_first() {
        let live = live();
        let at = |seconds| START.plus(Duration::from_secs(seconds));
        assert!(live.is_alive(at(99)));
        assert!(!live.is_alive(at(100)));
        live.touch(at(90));
        live.touch(at(80));
        assert!(live.is_alive(at(189)));
        live.touch(at(24 * 3600 - 1));
        assert!(live.is_alive(at(24 * 3600 - 1)));
        assert!(!live.is_alive(at(24 * 3600)));
        assert!(live.is_alive(START.minus(Duration::from_secs(5))), "a clock that was set back ends nobody");
    }

    #[tokio::test]
    async fn the_end_is_heard_on_every_thread_and_also_afterwards() {
        let live = Arc::new(live());
        let waiting = [0, 1].map(|_| {
            let live = Arc::clone(&live);
            std::thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(live.ended());
            })
        });
        live.mark_ended();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        live.ended().await;
        assert!(!live.is_alive(START));
    }
}
