//! What the log says of fetches from a provider: once when something changes, quietly when nothing does.

use tracing::{debug, info, warn};

use super::cached::{Fetched, Readiness};
use super::error::OidcError;
use super::message::Call;
use super::metadata::Remark;

/// How a fetch of `call` ended; `before` is how things stood until then.
pub(super) fn fetched<T>(
    provider: &str,
    call: Call,
    fetched: &Result<Fetched<T>, OidcError>,
    before: &Readiness,
) {
    let error = match fetched {
        Ok(_) if *before == Readiness::Ready => {
            debug!(provider, what = %call, "fetched again");
            return;
        }
        Ok(_) => {
            info!(provider, what = %call, "fetched from the provider");
            return;
        }
        Err(error) => error,
    };
    let (code, mend) = (error.code(), error.mend());
    if before.can_sign_in() {
        warn!(provider, what = %call, code, %error, mend, "fetching from the provider failed; going on with what is known");
    } else {
        warn!(provider, what = %call, code, %error, mend, "fetching from the provider failed; nobody can sign in with it until it succeeds");
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
                warn!(provider, endpoint, %problem, "an endpoint can't be used and is left out");
            }
        }
    }
}
