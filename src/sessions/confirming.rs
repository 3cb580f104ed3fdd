//! What becomes of a session that is open here while other processes may end it, renew it or use it: what they do
//! is heard, and what may have gone unheard is asked of the store, by one at a time for a session.
//!
//! A store that can't be used says nothing: then a session is served that was known to stand moments ago, for as
//! long as the operator allows, and after that nobody is served, but nobody is signed out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Sessions;
use super::data::SessionData;
use super::link::Turned;
use super::live::Live;
use super::replacing::Standing;
use super::store::{Listener, News, Reach, StoreError};
use crate::foundation::clock::Timestamp;

/// How often the link is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What sessions were asked for besides their use; for the metrics.
#[derive(Debug, Default)]
pub struct Confirmations {
    stand: AtomicU64,
    over: AtomicU64,
    failed: AtomicU64,
    graced: AtomicU64,
}

impl Confirmations {
    /// How often a session that is open here was asked for again and stood, was over, and could not be asked for.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [("stands", &self.stand), ("over", &self.over), ("failed", &self.failed)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// How many requests were served by what was known moments ago, because the store could not be asked.
    pub fn graced(&self) -> u64 {
        self.graced.load(Ordering::Relaxed)
    }
}

impl Sessions {
    /// Whether a session stands by what this process knows, that can be relied on, and its use need not be written down
    /// at once. For every request; where it is `false`, [`Sessions::stands`] and [`Sessions::note_return`] do the rest.
    pub fn goes_on(&self, live: &Live, now: Timestamp) -> bool {
        live.is_in_use(now) && self.link.trusts(live, now)
    }

    /// Whether a session stands by what this process knows, and that can be relied on.
    pub(super) fn is_sure_of(&self, live: &Live, now: Timestamp) -> bool {
        live.is_alive(now) && self.link.trusts(live, now)
    }

    /// Whether a session that is open here still stands; asks the store where that is not known.
    ///
    /// # Errors
    /// When the store can't be used, and the session was not known to stand moments ago: nobody is signed out by
    /// that.
    pub async fn stands(&self, live: &Live) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if self.is_sure_of(live, now) {
            return Ok(true);
        }
        if live.is_over(now) || !self.link.is_shared() {
            return Ok(false);
        }
        // One that nobody used here may be in use elsewhere, and one that is known may have been ended there.
        match self.confirm(live).await {
            Ok(Standing::Stands) => Ok(live.is_alive(self.clock.now())),
            Ok(Standing::Over) => Ok(false),
            Err(error) => {
                if live.is_alive(now) && self.link.knew_within(live, self.outage_grace) {
                    self.confirmations.graced.fetch_add(1, Ordering::Relaxed);
                    return Ok(true);
                }
                Err(error)
            }
        }
    }

    /// Asks the store for a session that is open here, takes over what is newer there, and ends here what is gone.
    /// Those who ask at once share an answer.
    pub(super) async fn confirm(&self, live: &Live) -> Result<Standing, StoreError> {
        let came = self.link.moment();
        let mut failed = live.confirming().lock().await;
        if live.is_ended() {
            return Ok(Standing::Over);
        }
        // Asked by somebody else since: begun after this one came, or in vain.
        if live.confirmed_at() > came.at && live.epoch() == came.epoch {
            return Ok(Standing::Stands);
        }
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| *at >= came.at) {
            return Err(error.clone());
        }
        let answer = self.read_again(live).await;
        *failed = answer.as_ref().err().map(|error| (self.link.moment().at, error.clone()));
        let counts = &self.confirmations;
        let count = match &answer {
            Ok(Standing::Stands) => &counts.stand,
            Ok(Standing::Over) => &counts.over,
            Err(_) => &counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        answer
    }

    async fn read_again(&self, live: &Live) -> Result<Standing, StoreError> {
        let (doubts, moment) = (live.doubts(), self.link.moment());
        let kept = self.store.get(*live.name(), None).await?;
        let read = kept.and_then(|kept| Some((kept.last_seen, self.read_record(live.secret(), &kept)?)));
        let Some((last_seen, data)) = read else {
            self.registry.end(live.name());
            // It may be held by others than the registry, and be another one there.
            live.mark_ended();
            return Ok(Standing::Over);
        };
        live.touch(last_seen);
        live.save_seen(last_seen);
        if is_newer(&data, &live.data()) {
            // Who is writing here right now may have what is newer still: it is asked for again after that.
            let Ok(_alone) = live.writing().try_lock() else { return Ok(Standing::Stands) };
            live.save_renewals(data.renewals);
            live.replace(data);
        }
        live.confirm(moment, doubts);
        Ok(if live.is_ended() { Standing::Over } else { Standing::Stands })
    }

    /// Sees to it that trust ends when its time does, whatever happens to the clock, and tells the operator.
    pub(super) async fn mind_the_link(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            match self.link.look() {
                Some(Turned::Deaf) => {
                    tracing::warn!(
                        "what other gateways do to sessions is not heard: the store is asked on each request"
                    );
                }
                Some(Turned::Hearing) => tracing::info!("what other gateways do to sessions is heard again"),
                None => {}
            }
        }
    }
}

/// This process's ear at its store.
pub(super) struct Ear(pub(super) Weak<Sessions>);

impl Listener for Ear {
    fn heard(&self, news: News) {
        let Some(sessions) = self.0.upgrade() else { return };
        match news {
            News::Ended(name) => sessions.registry.end(&name),
            News::Changed(name) => {
                let Some(live) = sessions.registry.changed(&name) else { return };
                // SECURITY: from here on nobody goes on with rights that were taken away.
                live.doubt();
                let control = sessions.control.clone();
                control.spawn(async move { sessions.confirm(&live).await });
            }
        }
    }

    fn hears(&self, asked: Instant, until: Instant) {
        let Some(sessions) = self.0.upgrade() else { return };
        if sessions.link.hears_until(asked, until) {
            // What could not be written while the store was away is written now.
            sessions.round.notify_one();
        }
    }

    fn deaf(&self) {
        if let Some(sessions) = self.0.upgrade() {
            sessions.link.deaf();
        }
    }
}

impl Live {
    /// Whether it is over wherever it may be used.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.is_ended() || now >= self.expires_at()
    }
}

/// Whether what the store holds takes the place of what is known here. Of two that were renewed as often, by two
/// processes that knew nothing of each other, the store's counts.
fn is_newer(kept: &SessionData, known: &SessionData) -> bool {
    (known.renewals, &known.tokens.refresh) != (kept.renewals, &kept.tokens.refresh)
        && known.renewals <= kept.renewals
}

/// Whoever shares sessions with others.
pub(super) fn listen(sessions: &Arc<Sessions>) {
    match sessions.store.watch(Arc::new(Ear(Arc::downgrade(sessions)))) {
        Reach::Alone => sessions.link.stand_alone(),
        Reach::Shared => {}
    }
}

#[cfg(test)]
mod tests;
