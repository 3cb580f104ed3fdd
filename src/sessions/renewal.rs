//! When a session's tokens are renewed, and that one renewal is under way at a time, however many ask.
//!
//! A request learns from one word, the [`Mark`], both whether what it knows of the session is the newest and
//! whether its tokens are due. Who finds them due takes the [`Renewal`] on; nobody else can until it ended.
//! What is asked of the provider is not known here.

use std::sync::Arc;
use std::time::Duration;

use super::data::SessionData;
use super::live::Live;
use crate::foundation::clock::Timestamp;

/// An access token is renewed when this much of its time is left, or a tenth of it where that is more.
const LEAD: Duration = Duration::from_secs(30);

/// The pause after a first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A failure that lies back this far is forgotten: the next try is waited for again.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// The bits of a [`Mark`] that hold a moment; the others hold a version.
const MOMENT_BITS: u32 = 40;
const NEVER: u64 = (1 << MOMENT_BITS) - 1;

/// Which content a session has, and when its tokens are due: in one word, for one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// Which content of a session: another number is other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u32);

impl Mark {
    pub(super) fn of(data: &SessionData) -> Self {
        Self::new(Version::of(data), renew_at(data))
    }

    fn new(Version(version): Version, due: Option<Timestamp>) -> Self {
        let due = due.map_or(NEVER, |due| due.as_secs().min(NEVER));
        Self(u64::from(version) << MOMENT_BITS | due)
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// Which content it is.
    #[allow(clippy::cast_possible_truncation, reason = "24 bits are left")]
    pub const fn version(self) -> Version {
        Version((self.0 >> MOMENT_BITS) as u32)
    }

    /// Whether the tokens are to be renewed.
    pub const fn is_due(self, now: Timestamp) -> bool {
        now.as_secs() >= self.0 & NEVER
    }
}

impl Version {
    pub(super) const fn of(data: &SessionData) -> Self {
        Self(data.renewals & (u32::MAX >> (MOMENT_BITS - u32::BITS)))
    }
}

/// When the tokens of a session are due: never without a refresh token, or where the provider does not say how
/// long the access token is good. A token that lives shortly is not renewed in the first half of its life.
fn renew_at(data: &SessionData) -> Option<Timestamp> {
    let expires_at = data.access_expires_at?;
    data.tokens.refresh.as_ref()?;
    let lifetime = expires_at.since(data.tokens_from);
    let lead = (lifetime / 10).max(LEAD).min(lifetime / 2);
    Some(expires_at.minus(lead)).filter(|_| !lifetime.is_zero())
}

/// What a live session knows of its renewals.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    under_way: bool,
    failures: u32,
    failed_at: Timestamp,
}

/// What a request finds that found the tokens due.
#[derive(Debug)]
pub enum Turn {
    /// They are not: somebody was faster.
    NotDue,
    /// Somebody else is at it, and the access token is good no longer: worth waiting for.
    Anothers,
    /// It is this one's to renew them.
    Yours(Renewal),
}

/// The only renewal of a session that is under way. Dropped without an end, it counts as failed.
#[derive(Debug)]
pub struct Renewal {
    live: Arc<Live>,
    begun_at: Timestamp,
    awaited: bool,
    ended: bool,
}

impl Live {
    /// Takes the renewal of this session on, if it is due and nobody has.
    pub fn begin_renewal(self: &Arc<Self>, now: Timestamp) -> Turn {
        let mut renewals = self.renewals();
        let mark = self.mark();
        if !mark.is_due(now) {
            return Turn::NotDue;
        }
        if renewals.under_way {
            return Turn::Anothers;
        }
        renewals.under_way = true;
        if now.since(renewals.failed_at) >= FORGOTTEN {
            renewals.failures = 0;
        }
        let expires_at = self.data().access_expires_at.unwrap_or(now);
        let first = renewals.failures == 0;
        // Until it has ended the others are on their usual way: as long as the access token is good, and after a
        // failure also beyond that, or each request would wait for a provider that is down.
        let others = if first { Some(expires_at) } else { None };
        self.set_mark(&renewals, Mark::new(mark.version(), others));
        let awaited = first && now >= expires_at;
        Turn::Yours(Renewal { live: Arc::clone(self), begun_at: now, awaited, ended: false })
    }

    pub(super) fn is_renewing(&self) -> bool {
        self.renewals().under_way
    }

    /// Waits until no renewal is under way.
    pub async fn landed(&self) {
        let mut landed = std::pin::pin!(self.landing().notified());
        landed.as_mut().enable();
        if self.is_renewing() {
            landed.await;
        }
    }
}

impl Renewal {
    /// The session.
    pub const fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Whether requests should wait for it: the access token is good no longer, and nothing says that waiting
    /// would be in vain.
    pub const fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// How often it failed before.
    pub fn failures(&self) -> u32 {
        self.live.renewals().failures
    }

    /// The session has its new content, or is over.
    pub fn succeeded(mut self) {
        self.ended = true;
        {
            let mut renewals = self.live.renewals();
            *renewals = Renewals::default();
        }
        self.live.landing().notify_waiters();
    }

    /// It is to be tried again, after a pause.
    pub fn failed(mut self, now: Timestamp) {
        self.fail(now);
    }

    fn fail(&mut self, now: Timestamp) {
        self.ended = true;
        {
            let mut renewals = self.live.renewals();
            let pause = FIRST_PAUSE.saturating_mul(1 << renewals.failures.min(10)).min(LONGEST_PAUSE);
            let failures = renewals.failures.saturating_add(1);
            *renewals = Renewals { under_way: false, failures, failed_at: now };
            let mark = Mark::new(self.live.mark().version(), Some(now.plus(pause)));
            self.live.set_mark(&renewals, mark);
        }
        self.live.landing().notify_waiters();
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if !self.ended {
            self.fail(self.begun_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::sealing::RecordSecret;
    use crate::foundation::secret::Secret;
    use crate::sessions::data::tests::ivan;

    const START: Timestamp = Timestamp::from_secs(1_763_750_000);

    impl Mark {
        fn due(self) -> Timestamp {
            Timestamp::from_secs(self.0 & NEVER)
        }
    }

    fn at(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    fn data(lifetime: u64) -> SessionData {
        let mut data = ivan(START);
        data.tokens.refresh = Some(Secret::new("r"));
        data.access_expires_at = Some(at(lifetime));
        data
    }

    fn live(lifetime: u64) -> Arc<Live> {
        let idle = Duration::from_secs(100_000);
        Arc::new(Live::new(RecordSecret::generate(), data(lifetime), START, idle))
    }

    #[test]
    fn tokens_are_due_before_they_expire_and_only_where_they_can_be_renewed() {
        for (lifetime, due) in [(3600, 3240), (600, 540), (300, 270), (60, 30), (20, 10), (5, 3), (1, 1)] {
            assert_eq!(renew_at(&data(lifetime)), Some(at(due)), "{lifetime}");
        }
        assert_eq!(renew_at(&data(0)), None);
        assert_eq!(renew_at(&SessionData { access_expires_at: None, ..data(60) }), None);
        let mut without = data(60);
        without.tokens.refresh = None;
        assert_eq!(renew_at(&without), None);
        let mark = Mark::of(&SessionData { renewals: 0x0100_0007, ..without });
        assert!(!mark.is_due(at(1_000_000_000)));
        assert_eq!(mark.version(), Version(7));
    }

    #[tokio::test]
    async fn one_renews_and_the_others_go_on_while_the_token_is_good_and_wait_after() {
        let live = live(600);
        assert!(matches!(live.begin_renewal(at(539)), Turn::NotDue));
        let Turn::Yours(renewal) = live.begin_renewal(at(540)) else { panic!() };
        assert!(!renewal.is_awaited());
        assert!(!live.mark().is_due(at(599)), "the others are not held up");
        assert!(live.mark().is_due(at(600)));
        assert!(matches!(live.begin_renewal(at(600)), Turn::Anothers));
        let waiting = tokio::spawn({
            let live = Arc::clone(&live);
            async move { live.landed().await }
        });
        tokio::task::yield_now().await;
        live.replace(SessionData { tokens_from: at(600), renewals: 1, ..data(1200) });
        renewal.succeeded();
        waiting.await.unwrap();
        live.landed().await;
        assert_eq!((live.mark().version(), live.mark().due()), (Version(1), at(1140)));
    }

    #[test]
    fn the_first_after_a_rest_waits_and_after_a_failure_nobody_does() {
        let live = live(600);
        let Turn::Yours(renewal) = live.begin_renewal(at(5000)) else { panic!() };
        assert!(renewal.is_awaited());
        drop(renewal);
        for (now, pause) in [(5005, 10), (5015, 20), (5035, 40), (5075, 60), (5135, 60)] {
            assert!(matches!(live.begin_renewal(at(now - 1)), Turn::NotDue), "{now}");
            let Turn::Yours(renewal) = live.begin_renewal(at(now)) else { panic!("{now}") };
            assert!(!renewal.is_awaited());
            assert!(matches!(live.begin_renewal(at(now + 50_000)), Turn::NotDue), "nobody is held up");
            renewal.failed(at(now));
            assert_eq!(live.mark().due(), at(now + pause));
        }
        let Turn::Yours(renewal) = live.begin_renewal(at(5135 + 300)) else { panic!() };
        assert!(renewal.is_awaited(), "what failed long ago may work now");
    }
}
