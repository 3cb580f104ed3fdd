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
            Ok(_) if told.take().is_none() && *before == Readiness::Ready => {
                debug!(provider, what, "fetched again");
                return;
            }
            Ok(_) => {
                info!(provider, what, "fetched from the provider");
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
            Remark::LeftOut { endpoint, problem } => {
                let problem = problem.to_string();
                warn!(provider, endpoint, problem, "an endpoint can't be used and is left out");
            }
        }
    }
}
