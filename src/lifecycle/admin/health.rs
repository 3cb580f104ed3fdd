//! `/readyz` and `/metrics`.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::State;
use super::answer::{self, Answer};

/// How long the store may take to say that it can be used.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Ready: the session store can be used, and the process is not about to end. A provider that is down is told,
/// and makes the gateway no less ready: people who are signed in, public paths and other providers' apps are
/// served.
pub(super) async fn ready(state: &State) -> Answer {
    let store = store(state).await;
    let providers: serde_json::Map<String, serde_json::Value> = state
        .providers
        .iter()
        .map(|provider| (provider.name().to_owned(), json!(provider.readiness().to_string())))
        .collect();
    let ready = store.usable && !state.drain.has_begun();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = json!({
        "ready": ready,
        "draining": state.drain.has_begun(),
        "sessions": store.words,
        "sessions_code": store.code,
        "providers": providers,
    });
    answer::json(status, &told)
}

/// Everything that is counted.
pub(super) fn metrics(state: &State) -> Answer {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    answer::text(StatusCode::OK, kind, state.gateway.metrics.render())
}

/// What is known of the session store.
pub(super) struct StoreHealth {
    pub(super) usable: bool,
    /// A stable name for what is the matter; `ok` where nothing is.
    pub(super) code: &'static str,
    pub(super) words: String,
}

/// Whether the session store can be used.
pub(super) async fn store(state: &State) -> StoreHealth {
    let sessions = &state.gateway.sessions;
    let (usable, code, words) = match tokio::time::timeout(STORE_PATIENCE, sessions.check()).await {
        // Who does not hear the others asks the store for each request, and serves all the same.
        Ok(Ok(())) if sessions.hears() == Some(false) => {
            (true, "store_unheard", "what other gateways do to sessions is not heard".to_owned())
        }
        Ok(Ok(())) => (true, "ok", "ok".to_owned()),
        Ok(Err(error)) => (false, error.code(), error.to_string()),
        Err(_) => (false, "store_late", "the session store does not answer".to_owned()),
    };
    StoreHealth { usable, code, words }
}
