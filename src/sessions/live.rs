//! A session that is open in this process: one value, shared by all workers, that ends for all of them at
//! once. Whether it is alive is three comparisons on atomics; nothing here waits for a store.
//!
//! What it holds can be replaced while it is in use; who it is, and when it ends, cannot.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::Notify;

use super::data::SessionData;
use super::link::Moment;
use super::renewal::{Mark, Renewals, Version};
use super::store::{Gone, RecordName, StoreError};
use crate::foundation::clock::Timestamp;
use crate::foundation::sealing::RecordSecret;

/// What part of its idle time a session rests before its next use is written down at once.
const REST: u32 = 8;

/// An open session. Keep it under the cookie's own bytes, and ask [`Sessions::goes_on`](super::Sessions::goes_on) on
/// every request.
pub struct Live {
    name: RecordName,
    secret: RecordSecret,
    expires_at: Timestamp,
    idle_timeout: Duration,
    /// See [`Live::is_in_use`].
    rest: Duration,
    last_seen: AtomicU64,
    ended: AtomicBool,
    /// The [`Mark`] of `data`.
    mark: AtomicU64,
    data: ArcSwap<SessionData>,
    saved_seen: AtomicU64,
    /// How often it was renewed by what a store, or the browser's cookie, knows.
    saved_renewals: AtomicU64,
    end: Notify,
    renewals: Mutex<Renewals>,
    landing: Notify,
    /// Held while the store gets new content, so that older never comes after newer.
    writing: tokio::sync::Mutex<()>,
    /// In which epoch of hearing it was read, and how often that was put in doubt.
    stamp: AtomicU64,
    /// When it was known last that it stands, as a [`Moment`] counts.
    confirmed_at: AtomicU64,
    /// Held by whoever asks the store about it; when that failed last, and why.
    confirming: tokio::sync::Mutex<Option<(u64, StoreError)>>,
    /// The cookies that hold this content, once they were made.
    cookies: Mutex<Option<(Version, Vec<HeaderValue>)>>,
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
            expires_at: data.expires_at,
            idle_timeout,
            rest: idle_timeout / REST,
            last_seen: AtomicU64::new(last_seen.as_secs()),
            ended: AtomicBool::new(false),
            mark: AtomicU64::new(Mark::of(&data).bits()),
            saved_seen: AtomicU64::new(last_seen.as_secs()),
            saved_renewals: AtomicU64::new(data.renewals.into()),
            data: ArcSwap::from_pointee(data),
            end: Notify::new(),
            renewals: Mutex::default(),
            landing: Notify::new(),
            writing: tokio::sync::Mutex::default(),
            stamp: AtomicU64::new(0),
            confirmed_at: AtomicU64::new(0),
            confirming: tokio::sync::Mutex::default(),
            cookies: Mutex::default(),
        }
    }

    /// Who is signed in, and what is known of them now. Not for every request: see [`Live::mark`].
    pub fn data(&self) -> Arc<SessionData> {
        self.data.load_full()
    }

    /// Which content it has and whether its tokens are due. Read before [`Live::data`], it is never newer.
    pub fn mark(&self) -> Mark {
        Mark::from_bits(self.mark.load(Ordering::Acquire))
    }

    /// When it ends, however it is used.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When it ends if nobody uses it from now on.
    pub fn idle_expires_at(&self) -> Timestamp {
        self.last_seen().plus(self.idle_timeout).min(self.expires_at)
    }

    /// Whether the session still stands: not ended, used within the idle time, not past its end.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        !self.is_ended() && now < self.expires_at && now.since(self.last_seen()) < self.idle_timeout
    }

    /// Whether the session stands and was used so short a while ago that one more use need not be written down at once:
    /// whoever else opens it then has it for idle by a part of its idle time too early, and not by all of it.
    pub(super) fn is_in_use(&self, now: Timestamp) -> bool {
        !self.is_ended() && now < self.expires_at && now.since(self.last_seen()) < self.rest
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
        Gone { name: self.name, expires_at: self.expires_at }
    }

    pub(super) fn mark_ended(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_waiters();
    }

    /// Puts other content in the place of what is held; for whoever holds the renewal, or found newer content.
    pub(super) fn replace(&self, data: SessionData) {
        let renewals = self.renewals();
        let mark = Mark::of(&data);
        self.data.store(Arc::new(data));
        self.set_mark(&renewals, mark);
    }

    /// Notes that a browser shows this content, and takes it over where it is newer than what is known here:
    /// after a restart a browser may send an older cookie and its newest side by side.
    pub(super) fn is_shown(&self, data: SessionData) -> Version {
        let version = Version::of(&data);
        self.save_renewals(data.renewals);
        if self.data.load().renewals < data.renewals {
            self.replace(data);
        }
        version
    }

    /// Notes that content renewed so often is known elsewhere.
    pub(super) fn save_renewals(&self, renewals: u32) {
        self.saved_renewals.fetch_max(renewals.into(), Ordering::Relaxed);
    }

    /// Whether only this process knows the newest content.
    pub(super) fn is_unsaved(&self) -> bool {
        self.saved_renewals.load(Ordering::Relaxed) < u64::from(self.data.load().renewals)
    }

    pub(super) fn renewals(&self) -> MutexGuard<'_, Renewals> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_mark(&self, _held: &MutexGuard<'_, Renewals>, mark: Mark) {
        self.mark.store(mark.bits(), Ordering::Release);
    }

    pub(super) const fn landing(&self) -> &Notify {
        &self.landing
    }

    pub(super) const fn writing(&self) -> &tokio::sync::Mutex<()> {
        &self.writing
    }

    /// The epoch of hearing in which it was read from the store; zero when that says nothing any more.
    #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) fn epoch(&self) -> u32 {
        self.stamp.load(Ordering::Relaxed) as u32
    }

    /// How often what is known of it was put in doubt; to be read before the store is asked.
    pub(super) fn doubts(&self) -> u64 {
        self.stamp.load(Ordering::Acquire) >> u32::BITS
    }

    /// Notes that the store holds something else: it must be read again.
    pub(super) fn doubt(&self) {
        let doubted = |stamp: u64| ((stamp >> u32::BITS) + 1) << u32::BITS;
        self.stamp.fetch_update(Ordering::AcqRel, Ordering::Acquire, |stamp| Some(doubted(stamp))).ok();
    }

    /// Notes that it stood at this moment, unless it was put in doubt since.
    pub(super) fn confirm(&self, moment: Moment, doubts: u64) {
        self.confirmed_at.fetch_max(moment.at, Ordering::Relaxed);
        let confirmed = |stamp: u64| {
            (stamp >> u32::BITS == doubts).then_some(doubts << u32::BITS | u64::from(moment.epoch))
        };
        self.stamp.fetch_update(Ordering::AcqRel, Ordering::Acquire, confirmed).ok();
    }

    /// When it was known last that it stands, as a [`Moment`] counts.
    pub(super) fn confirmed_at(&self) -> u64 {
        self.confirmed_at.load(Ordering::Relaxed)
    }

    pub(super) const fn confirming(&self) -> &tokio::sync::Mutex<Option<(u64, StoreError)>> {
        &self.confirming
    }

    pub(super) fn cookies(&self) -> MutexGuard<'_, Option<(Version, Vec<HeaderValue>)>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
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
