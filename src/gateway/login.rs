//! The beginning of a login: to the provider, with a sealed cookie that only this browser can bring back.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::Worker;
use super::answer::redirect;
use super::apps::{Endpoint, Protected};
use super::failure::Failure;
use super::request::Facts;
use super::trail::Trail;
use crate::foundation::body::Body;
use crate::oidc::{LoginRequest, OidcError, PendingLogin};

/// What a login's cookie carries from the redirect to the callback.
#[derive(Debug, Serialize, Deserialize)]
pub struct Login {
    /// The app's name: apps of one origin share cookies.
    pub app: String,
    /// Where the person wanted to go, on the app's origin.
    pub return_to: String,
    /// Provider, state, nonce and code verifier.
    pub pending: PendingLogin,
}

/// Sends a browser to the app's provider. The answer sets the login's cookie.
///
/// # Errors
/// When nothing is known of the provider yet and it cannot be reached now either.
pub async fn begin(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    return_to: String,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    trail.retry = Some(again(app, &return_to));
    let redirect_uri =
        app.url_of(Endpoint::Callback).ok_or(Failure::Internal("the callback is no address"))?;
    let begin = || app.provider.begin(LoginRequest::new(redirect_uri.clone()));
    let (address, pending) = match begin() {
        Err(OidcError::NotReady) => {
            // Ask now, on the control thread, for as long as one call may take.
            let provider = Arc::clone(&app.provider);
            let asked = worker.gateway.control.spawn(async move { provider.ensure_metadata().await });
            asked
                .await
                .map_err(|_| Failure::Internal("a call to the provider was cut off"))?
                .and_then(|()| begin())
        }
        begun => begun,
    }
    .map_err(Failure::SignIn)?;
    let state = pending.state().to_owned();
    let mut login = Login { app: app.settings.name.clone(), return_to, pending };
    let logins = worker.gateway.sessions.logins();
    let carried = logins.begin(&app.cookies, facts.headers, &state, &login).or_else(|_| {
        // An address that no cookie can carry: better to arrive at the front page than not at all.
        login.return_to = app.front_page();
        logins.begin(&app.cookies, facts.headers, &state, &login)
    });
    trail.cookies.extend(carried.map_err(|_| Failure::Internal("a login does not fit into a cookie"))?);
    redirect(StatusCode::FOUND, address.as_str())
}

/// Where a login that wants to end at `return_to` is begun.
pub fn again(app: &Protected, return_to: &str) -> String {
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
    format!("{}?{query}", app.path_of(Endpoint::SignIn))
}
