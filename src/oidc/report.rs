//! What the log says of fetches from a provider: once when something changes, quietly when nothing does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, info, warn};

use super::cached::{Fetched, Readiness};
use super::error::OidcError;
use super::message::Call;
use super::metadata::Remark;
use crate::foundation::clock::Timestamp;

/// How often a failure that goes on is told.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What was told of the fetches of one thing: its first failure, then at most one a minute, then that it is back.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Option<Timestamp>>);

impl Told {
    /// How a fetch of `call` ended; `before` is how things stood until then.
    pub(super) fn fetched<T>(
        &self,
        provider: &str,
        call: Call,
        fetched: &Result<Fetched<T>, OidcError>,
        before: &Readiness,
        now: Timestamp,
    ) {
        let what = call.to_string();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match fetched {
            Ok(_) => {
                if told.take().is_some() || *before != Readiness::Ready {
                    info!(provider, what, "fetched from the provider");
                } else {
                    debug!(provider, what, "fetched again");
                }
                return;
            }
            Err(error) => error,
        };
        let (code, mend, error) = (error.code(), error.mend(), error.to_string());
        if told.is_some_and(|told| told <= now && now.since(told) < TOLD_EVERY) {
            debug!(provider, what, code, error, "fetching from the provider failed again");
            return;
        }
        *told = Some(now);
        if before.can_sign_in() {
            warn!(
                provider,
                what, code, error, mend, "fetching from the provider failed; going on with what is known"
            );
        } else {
            warn!(
                provider,
                what,
                code,
                error,
                mend,
                "fetching from the provider failed; nobody can sign in with it until it succeeds"
            );
        }
    }
}

/// What an operator should see once of a provider's metadata.
pub(super) fn remarks(provider: &str, remarks: &[Remark]) {
    for remark in remarks {
        match remark {
            Remark::OtherHost { endpoint, host } => {
                warn!(provider, endpoint, host, "an endpoint is on another host than the issuer");
            }
            Remark::NotAnnounced { member, chosen } => {
                warn!(provider, member, chosen, "the provider does not announce what is used");
            }
            Remark::LeftOut { endpoint, problem } => {
                let problem = problem.to_string();
                warn!(provider, endpoint, problem, "an endpoint can't be used and is left out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    /// Counts what an operator reads: warnings, and the information that all is well again.
    #[derive(Clone, Default)]
    struct Count(Arc<[AtomicUsize; 2]>);

    impl Subscriber for Count {
        fn enabled(&self, event: &Metadata<'_>) -> bool {
            *event.level() <= Level::INFO
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let place = usize::from(*event.metadata().level() == Level::INFO);
            self.0[place].fetch_add(1, Ordering::Relaxed);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_failure_that_goes_on_is_told_once_a_minute_and_its_end_once() {
        let (told, count) = (Told::default(), Count::default());
        let waiting = Readiness::Waiting { since: Timestamp::from_secs(0), attempts: 1, last: None };
        let fetched = || Ok(Fetched { value: (), lifetime: TOLD_EVERY });
        let failed = || Err(OidcError::Status { call: Call::Keys, status: 503 });
        tracing::subscriber::with_default(count.clone(), || {
            for (second, fetch, before, warnings, informations) in [
                (100, failed(), &waiting, 1, 0),
                (101, failed(), &waiting, 1, 0),
                (159, failed(), &waiting, 1, 0),
                (160, failed(), &waiting, 2, 0),
                // The clock was set back.
                (90, failed(), &waiting, 3, 0),
                (91, fetched(), &waiting, 3, 1),
                (92, fetched(), &Readiness::Ready, 3, 1),
                (93, failed(), &Readiness::Ready, 4, 1),
                (94, fetched(), &Readiness::Ready, 4, 2),
            ] {
                told.fetched("p", Call::Discovery, &fetch, before, Timestamp::from_secs(second));
                let counted = count.0.each_ref().map(|count| count.load(Ordering::Relaxed));
                assert_eq!(counted, [warnings, informations], "{second}");
            }
        });
    }
}
