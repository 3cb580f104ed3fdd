//! `/readyz` and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::State;
use super::answer::{self, Answer};

/// How long the store may take to say that it can be used.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Ready: people who are signed in are served, and the process is not about to end. What is wrong with the session
/// store is told at once; but all gateways share it, and a balancer that took all of them away for its blink would do
/// what the blink did not. A provider that is down makes the gateway no less ready, either: people who are signed in,
/// public paths and other providers' apps are served.
pub(super) async fn ready(state: &State) -> Answer {
    let store = store(state).await;
    let providers: serde_json::Map<String, serde_json::Value> = state
        .providers
        .iter()
        .map(|provider| (provider.name().to_owned(), json!(provider.readiness().to_string())))
        .collect();
    let ready = !state.gateway.sessions.puts_off() && !state.drain.has_begun();
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
    let sessions = Arc::clone(&state.gateway.sessions);
    let asking = {
        let sessions = Arc::clone(&sessions);
        // To its end: what becomes of it later is known then.
        tokio::spawn(async move { sessions.check().await })
    };
    let (usable, code, words) = match tokio::time::timeout(STORE_PATIENCE, asking).await {
        // Who does not hear the others asks the store for each request, and serves all the same.
        Ok(Ok(Ok(()))) if sessions.hears() == Some(false) => {
            (true, "store_unheard", "what other gateways do to sessions is not heard".to_owned())
        }
        Ok(Ok(Ok(()))) => (true, "ok", "ok".to_owned()),
        Ok(Ok(Err(error))) => (false, error.code(), error.to_string()),
        Ok(Err(_)) | Err(_) => (false, "store_late", "the session store does not answer".to_owned()),
    };
    StoreHealth { usable, code, words }
}
