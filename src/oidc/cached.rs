//! Something of the provider's that we keep and fetch again: one fetch at a time, back-off after failures, the
//! old kept while there is no new. Knows nothing of what it keeps.
//!
//! Readers never wait: what is held is one atomic load away.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::{HeaderMap, header};

use super::error::OidcError;
use crate::foundation::clock::{Clock, Timestamp};
use crate::foundation::random;

/// How long what was fetched is fresh when the provider says nothing.
const USUAL_LIFETIME: Duration = Duration::from_secs(60 * 60);
const SHORTEST_LIFETIME: Duration = Duration::from_secs(5 * 60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// After a failure, those who come this soon share it instead of asking again.
const FAILURE_SHARED: Duration = Duration::from_secs(2);
/// How seldom what is held is fetched again because it did not fit.
const UNFIT_PAUSE: Duration = Duration::from_secs(30);

/// Whether people can sign in with a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All that is needed is there and fresh.
    Ready,
    /// Something that is needed has never been fetched.
    Waiting {
        /// Since when.
        since: Timestamp,
        /// How often it was tried.
        attempts: u32,
        /// Why it failed the last time.
        last: Option<OidcError>,
    },
    /// All is there, but could not be fetched again when it was due. People can sign in.
    Stale {
        /// When it was fetched.
        since: Timestamp,
        /// How often it was tried again.
        attempts: u32,
        /// Why it failed the last time.
        last: Option<OidcError>,
    },
}

impl Readiness {
    /// Whether people can sign in.
    pub const fn can_sign_in(&self) -> bool {
        !matches!(self, Self::Waiting { .. })
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, attempts, last) = match self {
            Self::Ready => return f.write_str("ready"),
            Self::Waiting { attempts, last, .. } => ("waiting", attempts, last),
            Self::Stale { attempts, last, .. } => ("stale", attempts, last),
        };
        write!(f, "{word} after {attempts} attempts")?;
        last.as_ref().map_or(Ok(()), |last| write!(f, ": {last}"))
    }
}

/// What a fetch brought, and for how long it is fresh.
#[derive(Debug)]
pub(super) struct Fetched<T> {
    pub(super) value: T,
    pub(super) lifetime: Duration,
}

/// Why something is fetched.
#[derive(Debug)]
pub(super) enum Why<'a, T> {
    /// A login needs it; what is held will do.
    Needed,
    /// It is time.
    Due,
    /// What is held did not fit: the provider may have changed it.
    Unfit(&'a Arc<T>),
}

#[derive(Debug)]
pub(super) struct Cached<T> {
    held: ArcSwapOption<T>,
    flight: tokio::sync::Mutex<()>,
    record: Mutex<Record>,
}

#[derive(Clone, Debug, Default)]
struct Record {
    /// When what is held was fetched; before that, when this began.
    since: Timestamp,
    /// `None`: nothing is held, or it never ages.
    fresh_until: Option<Timestamp>,
    failures: u32,
    failed_at: Timestamp,
    retry_at: Timestamp,
    last: Option<OidcError>,
    unfit_at: Option<Timestamp>,
    /// Fetches that came to an end, well or not.
    rounds: u64,
}

impl<T> Cached<T> {
    /// Nothing yet.
    pub(super) fn empty(now: Timestamp) -> Self {
        Self::holding(None, now)
    }

    /// Something that never ages.
    pub(super) fn fixed(value: T, now: Timestamp) -> Self {
        Self::holding(Some(Arc::new(value)), now)
    }

    fn holding(value: Option<Arc<T>>, now: Timestamp) -> Self {
        let record = Record { since: now, ..Record::default() };
        Self {
            held: ArcSwapOption::new(value),
            flight: tokio::sync::Mutex::new(()),
            record: Mutex::new(record),
        }
    }

    /// What is held.
    pub(super) fn get(&self) -> Option<Arc<T>> {
        self.held.load_full()
    }

    /// Runs `call`, unless somebody else's fetch or the pauses make it needless; it is never run twice at once.
    pub(super) async fn fetch(
        &self,
        why: Why<'_, T>,
        clock: &Clock,
        call: impl Future<Output = Result<Fetched<T>, OidcError>>,
    ) -> Result<Arc<T>, OidcError> {
        let round = self.record().rounds;
        let _flight = self.flight.lock().await;
        if let Some(settled) = self.settled(&why, round, clock.now()) {
            return settled;
        }
        let result = call.await;
        let now = clock.now();
        let mut record = self.record();
        record.rounds += 1;
        match result {
            Ok(Fetched { value, lifetime }) => {
                let value = Arc::new(value);
                self.held.store(Some(Arc::clone(&value)));
                record.since = now;
                record.fresh_until = Some(now.plus(jittered(lifetime, random::bytes())));
                record.failures = 0;
                record.last = None;
                Ok(value)
            }
            Err(error) => {
                record.failures = record.failures.saturating_add(1);
                record.failed_at = now;
                record.retry_at = now.plus(back_off(record.failures, random::bytes()));
                record.last = Some(error.clone());
                Err(error)
            }
        }
    }

    /// What there is to say without a fetch. Called with the flight in hand.
    fn settled(&self, why: &Why<'_, T>, round: u64, now: Timestamp) -> Option<Result<Arc<T>, OidcError>> {
        let mut record = self.record();
        let failure = |record: &Record| record.last.clone().map(Err);
        match why {
            Why::Needed => match self.get() {
                Some(held) => Some(Ok(held)),
                None if within(now, record.failed_at, FAILURE_SHARED) => failure(&record),
                None => None,
            },
            Why::Due if record.rounds != round => failure(&record).or_else(|| self.get().map(Ok)),
            Why::Due => None,
            Why::Unfit(seen) => {
                if let Some(newer) = self.get().filter(|held| !Arc::ptr_eq(held, seen)) {
                    return Some(Ok(newer));
                }
                // SECURITY: a stranger's token with an invented `kid` must not make us call the provider often.
                if record.unfit_at.is_some_and(|at| within(now, at, UNFIT_PAUSE)) {
                    return Some(Ok(Arc::clone(seen)));
                }
                record.unfit_at = Some(now);
                None
            }
        }
    }

    /// How long until a fetch is due; zero when it is.
    pub(super) fn due_in(&self, now: Timestamp) -> Duration {
        let record = self.record();
        let aged = match (self.held.load().is_some(), record.fresh_until) {
            (true, Some(until)) => until.since(now),
            (true, None) => LONGEST_LIFETIME,
            (false, _) => Duration::ZERO,
        };
        let wait = if record.failures > 0 { aged.max(record.retry_at.since(now)) } else { aged };
        // A clock that was set back must not stop us for years.
        if wait > LONGEST_LIFETIME { Duration::ZERO } else { wait }
    }

    pub(super) fn readiness(&self, now: Timestamp) -> Readiness {
        let record = self.record().clone();
        let (since, attempts, last) = (record.since, record.failures, record.last);
        if self.held.load().is_none() {
            return Readiness::Waiting { since, attempts, last };
        }
        if attempts > 0 && record.fresh_until.is_some_and(|until| now >= until) {
            return Readiness::Stale { since, attempts, last };
        }
        Readiness::Ready
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `now` is less than `pause` after `then`; not when the clock was set back before it.
fn within(now: Timestamp, then: Timestamp, pause: Duration) -> bool {
    now >= then && now.since(then) < pause
}

/// How long an answer may be kept (RFC 9111 sections 4.2 and 5.2), within our bounds.
pub(super) fn lifetime(headers: &HeaderMap) -> Duration {
    let directives = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut lifetime = None;
    for directive in directives.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return SHORTEST_LIFETIME,
            "max-age" => lifetime = value.trim().trim_matches('"').parse().ok(),
            _ => {}
        }
    }
    let age = headers.get(header::AGE).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let lifetime = lifetime.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))));
    lifetime.unwrap_or(USUAL_LIFETIME).clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME)
}

/// Up to a tenth less, so that many gateways do not come at once.
fn jittered(lifetime: Duration, [chance]: [u8; 1]) -> Duration {
    lifetime - lifetime / 10 * u32::from(chance) / 255
}

/// 1 s, 2 s, 4 s and so on to a minute, up to a quarter less.
fn back_off(failures: u32, [chance]: [u8; 1]) -> Duration {
    let longest = Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(60));
    let shorter = longest - longest / 4 * u32::from(chance) / 255;
    Duration::from_secs(shorter.as_secs().max(1))
}

#[cfg(test)]
mod tests;
