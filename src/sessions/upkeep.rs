//! What is done beside the requests: last uses are saved, what is over is swept, what nobody uses is let go.
//!
//! A request only notes its time in memory, and one that follows a rest writes it down. A `kill -9` therefore costs a
//! session a part of its idle time, and never signs out whoever was there a moment ago.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::Sessions;
use super::cookie::CookieNames;
use super::data;
use super::live::Live;
use super::renewal::Version;
use super::store::{BATCH, Change, Custody, Kept, StoreError};
use crate::foundation::clock::Timestamp;

/// How long a session that is open must be unused before it is let go.
const RESTS: Duration = Duration::from_secs(120);

/// The pause between two rounds.
const ROUND: Duration = Duration::from_secs(30);

/// The least pause between two rounds.
const BREATH: Duration = Duration::from_secs(1);

/// How long a request waits until its use is written down.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many sessions may be open before those that nobody uses right now are let go.
const CROWD: usize = 16_384;

impl Sessions {
    /// Keeps the sessions for as long as the process lives; runs on the control runtime.
    pub async fn keep(self: Arc<Self>) {
        tokio::join!(self.tidy_up(), self.mind_the_link());
    }

    async fn tidy_up(&self) {
        let round = ROUND.min(self.idle_timeout / 16);
        loop {
            tokio::time::sleep(BREATH).await;
            tokio::select! {
                () = tokio::time::sleep(round) => {}
                () = self.round.notified() => {}
            }
            if let Err(error) = self.tidy().await {
                tracing::debug!(%error, "sessions could not be saved and swept; the next round tries again");
            }
        }
    }

    /// Notes a use that follows a rest. It is in the store when this returns, so that no other process, nor the next one
    /// here, has the session for idle; where the store takes too long it is saved later.
    pub async fn note_return(self: &Arc<Self>, live: &Arc<Live>, now: Timestamp) {
        if live.is_in_use(now) || !live.is_alive(now) || self.store.custody() == Custody::Browser {
            return;
        }
        // First, so that one of many requests at once writes.
        live.touch(now);
        let (sessions, used) = (Arc::clone(self), Arc::clone(live));
        let writing = self.control.spawn(async move { sessions.save_uses(&[used]).await });
        tokio::time::timeout(PATIENCE, writing).await.ok();
    }

    /// Saves all last uses. For the end of a drain, before [`Sessions::close`].
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn flush(&self) -> Result<(), StoreError> {
        match self.store.custody() {
            Custody::Store => {
                self.save_content().await?;
                self.save(|live| live.last_seen() > live.saved_seen()).await
            }
            Custody::Browser => Ok(()),
        }
    }

    /// Waits for the renewals that are under way, whose refresh tokens would be lost, saves all last uses and closes
    /// the store, so that the next process need not repair it.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn close(&self) -> Result<(), StoreError> {
        for live in self.registry.select(Live::is_renewing) {
            live.landed().await;
        }
        self.flush().await?;
        self.store.close().await
    }

    /// With the cookie store: `Set-Cookie` values that tell the browser's cookie of the last use, when that is
    /// due, for one of several answers at a time; or of newer content than the `carried`, with every answer
    /// until the browser shows it. Call it on every answer to somebody who is signed in.
    pub fn reissue(&self, names: &CookieNames, live: &Live, carried: Version) -> Vec<HeaderValue> {
        if self.store.custody() == Custody::Store || live.is_ended() {
            return Vec::new();
        }
        let last_seen = live.last_seen();
        let version = live.mark().version();
        let due = last_seen.since(live.saved_seen()) >= self.grain() && live.save_seen(last_seen);
        if !due && carried == version {
            return Vec::new();
        }
        let mut made = live.cookies();
        // Parallel answers give the same bytes, so that their pieces fit each other whichever comes last.
        if !due
            && let Some((of, cookies)) = &*made
            && *of == version
        {
            return cookies.clone();
        }
        let data = live.data();
        let Ok(record) = data::encode(&*data) else { return Vec::new() };
        let cookies = self.cookies_of(names, live, &Kept { record, last_seen }).unwrap_or_else(|error| {
            tracing::warn!(%error, "a renewed session is too large for its cookies and ends with this process");
            Vec::new()
        });
        *made = Some((Version::of(&data), cookies.clone()));
        cookies
    }

    /// One round: saves, lets go, sweeps.
    pub(super) async fn tidy(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let rest = if self.registry.open() > CROWD { Duration::ZERO } else { RESTS };
        let rests = |live: &Live| now.since(live.last_seen()) >= rest;
        if self.store.custody() == Custody::Store {
            let grain = self.grain();
            self.save_content().await?;
            self.save(|live| {
                let unsaved = live.last_seen().since(live.saved_seen());
                unsaved >= grain || (!unsaved.is_zero() && rests(live))
            })
            .await?;
            self.let_go(now, |live| {
                rests(live) && live.last_seen() <= live.saved_seen() && !live.is_unsaved()
            })
            .await;
        } else {
            self.let_go(now, |live| rests(live) && !live.is_unsaved()).await;
        }
        // The store's times may be this far behind; `find` judges idle time to the second.
        let behind = self.grain() + RESTS + 2 * ROUND;
        let unused_since = now.minus(self.idle_timeout).minus(behind);
        loop {
            if self.apply(Change::Sweep { now, unused_since }).await? < BATCH {
                return Ok(());
            }
        }
    }

    /// Ends what is over, and lets go of what nobody holds and is `done`.
    async fn let_go(&self, now: Timestamp, done: impl Fn(&Live) -> bool) {
        if !self.link.is_shared() {
            return self.registry.clear(|live| !live.is_alive(now), done);
        }
        // What nobody used here may be in use elsewhere, and what was used elsewhere is known to the store.
        self.registry.clear(|live| live.is_over(now), |live| !live.is_alive(now) || done(live));
        for idle in self.registry.select(|live| !live.is_alive(now)) {
            if matches!(self.stands(&idle).await, Ok(false)) {
                self.registry.end(idle.name());
            }
        }
    }

    /// Asks for a round at once when more sessions are open than there should be.
    pub(super) fn notice_crowd(&self) {
        if self.registry.open() > CROWD {
            self.round.notify_one();
        }
    }

    /// How far a last use may be ahead of the saved one before it is saved.
    pub(super) fn grain(&self) -> Duration {
        (self.idle_timeout / 16).clamp(Duration::from_secs(1), Duration::from_secs(300))
    }

    async fn save(&self, wanted: impl Fn(&Live) -> bool) -> Result<(), StoreError> {
        let lives = self.registry.select(wanted);
        for batch in lives.chunks(BATCH) {
            self.save_uses(batch).await?;
        }
        Ok(())
    }

    async fn save_uses(&self, lives: &[Arc<Live>]) -> Result<(), StoreError> {
        let seen: Vec<(&Live, Timestamp)> = lives.iter().map(|live| (&**live, live.last_seen())).collect();
        let names = seen.iter().map(|(live, at)| (*live.name(), *at)).collect();
        self.store.apply(Change::Touch(names)).await?;
        for (live, at) in seen {
            live.save_seen(at);
        }
        Ok(())
    }
}
