//! `POST E/backchannel-logout`: the provider says, without a browser, who signed out there (OpenID Connect
//! Back-Channel Logout 1.0 sections 2.5 to 2.8).
//!
//! Anybody may come here, so what costs little is looked at first, and the answer never tells whether somebody was
//! signed in. A token that comes again does nothing; one whose sessions could not be ended may come again.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::foundation::body::Body;
use crate::foundation::secret::Secret;
use crate::gateway::answer::own;
use crate::gateway::apps::Protected;
use crate::gateway::failure::Failure;
use crate::gateway::trail::Trail;
use crate::gateway::{Gateway, Worker, form};
use crate::oidc::{LogoutToken, OidcError, Provider, Whose};
use crate::sessions::{Once, StoreError};
use crate::telemetry::SubjectInLogs;
use crate::telemetry::log::AUDIT;

/// The field of logout tokens that were heeded.
const HEEDED: &str = "logout token";

/// Ends the sessions that a logout token names: of all apps that this client signs people in to.
///
/// # Errors
/// When the sessions can't be ended now: the provider may come again.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    request: Request<Incoming>,
    trail: &Trail,
) -> Result<Response<Body>, Failure> {
    let (parts, body) = request.into_parts();
    let gateway = &worker.gateway;
    if !gateway.sessions.ends_unseen() {
        return Ok(no(StatusCode::NOT_IMPLEMENTED, "sessions in cookies can't be ended from here"));
    }
    let token = match token(&parts.headers, body).await {
        Ok(token) => token,
        Err(why) => {
            tracing::info!(client = %trail.record.client, app = %app.settings.name, why, "no logout token");
            return Ok(no(StatusCode::BAD_REQUEST, why));
        }
    };
    let (shared, providers) = (Arc::clone(gateway), app.providers.clone());
    // To its end, also when the provider does not wait for it.
    let heeded = gateway.control.spawn(async move { heed(&shared, &providers, &token).await }).await;
    let (client, app) = (trail.record.client, &app.settings.name);
    match heeded.map_err(|_| Failure::Internal("a logout was cut off"))? {
        Ok(Heeded { provider, token, ended }) => {
            let (provider, (by, subject)) = (provider.name(), named(gateway, &token.whose));
            match ended {
                None => tracing::info!(%client, %app, provider, "a logout token came again"),
                Some(sessions) => {
                    tracing::info!(target: AUDIT, event = "provider_sign_out", %client, %app, provider, by, subject, sessions, "signed out at the provider");
                }
            }
            Ok(own(StatusCode::OK, Body::empty()))
        }
        Err(Unheeded::Store(error)) => Err(Failure::Store(error)),
        // How that ends is not known: the provider may ask again.
        Err(Unheeded::AtWork) => Ok(no(StatusCode::SERVICE_UNAVAILABLE, "the same token is at work")),
        Err(Unheeded::Token(error)) => {
            let (code, mend) = (error.code(), error.mend());
            // What is not the token's fault may be over when it comes again.
            let status = match error {
                OidcError::LogoutToken(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            let number = status.as_u16();
            tracing::warn!(target: AUDIT, event = "provider_sign_out_failed", code, %error, mend, %client, %app, status = number, "a logout token is not heeded");
            Ok(no(status, code))
        }
    }
}

/// A token that was heeded.
struct Heeded {
    provider: Arc<Provider>,
    token: LogoutToken,
    /// How many sessions ended; `None`: the token had come before.
    ended: Option<usize>,
}

/// Why a token was not heeded.
enum Unheeded {
    Token(OidcError),
    Store(StoreError),
    /// The same token is being heeded.
    AtWork,
}

async fn heed(gateway: &Gateway, providers: &[Arc<Provider>], token: &Secret) -> Result<Heeded, Unheeded> {
    let heard = Provider::hear_logout(providers, token.expose()).await;
    let (provider, token) = heard.map_err(Unheeded::Token)?;
    let sessions = &gateway.sessions;
    let end = async {
        let mut ended = 0;
        for provider in same_client(gateway, &provider) {
            ended += match &token.whose {
                Whose::Session(sid) => {
                    // First, so that a session that is made in this moment is ended here or finds it over.
                    sessions.remember_over(provider.name(), sid).await?;
                    sessions.end_by_provider_session(provider.name(), sid).await?
                }
                Whose::Person(subject) => {
                    sessions.remember_person_over(provider.name(), subject, token.issued_at).await?;
                    sessions.end_by_subject(provider.name(), subject).await?
                }
            };
        }
        Ok(ended)
    };
    // SECURITY: a token that somebody kept must not end the sessions that begin after it.
    let delivery = format!("{} {}", provider.name(), token.id);
    let heeded = sessions.once(HEEDED, &delivery, token.good_for, end).await;
    let ended = match heeded.map_err(Unheeded::Store)? {
        Once::Now(ended) => Some(ended),
        Once::Before => None,
        Once::AtWork => return Err(Unheeded::AtWork),
    };
    if ended.is_some_and(|ended| ended > 0) {
        gateway.metrics.sign_out(provider.name(), "provider");
    }
    Ok(Heeded { provider, token, ended })
}

/// The entries that are this client: a provider tells a client once, however many entries it has here.
pub(super) fn same_client<'g>(gateway: &'g Gateway, provider: &Provider) -> Vec<&'g Arc<Provider>> {
    let mut same: Vec<&Arc<Provider>> = Vec::new();
    for other in gateway.apps.iter().flat_map(|app| &app.providers) {
        if other.is_same_client(provider) && !same.iter().any(|known| known.name() == other.name()) {
            same.push(other);
        }
    }
    same
}

/// What the log says of who signed out.
fn named<'t>(gateway: &Gateway, whose: &'t Whose) -> (&'static str, Option<&'t str>) {
    match whose {
        Whose::Session(_) => ("sid", None),
        Whose::Person(subject) => {
            ("sub", Some(&**subject).filter(|_| gateway.subject_in_logs == SubjectInLogs::Named))
        }
    }
}

/// Section 2.5: one `logout_token` in a urlencoded form; what else it holds is ignored.
async fn token(headers: &HeaderMap, body: Incoming) -> Result<Secret, &'static str> {
    if !form::is_urlencoded(headers) {
        return Err("the body is no urlencoded form");
    }
    let form = form::read(body).await.map_err(|_| "the form is too large, too slow or broken")?;
    only_token(&form)
}

fn only_token(form: &str) -> Result<Secret, &'static str> {
    let mut tokens = form_urlencoded::parse(form.as_bytes())
        .filter(|(name, _)| name == "logout_token")
        .map(|(_, text)| text);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(Secret::new(token)),
        (None, _) => Err("the form has no logout_token"),
        // SECURITY: who checked one and uses the other could be led anywhere (parameter pollution).
        (Some(_), Some(_)) => Err("the form has more than one logout_token"),
    }
}

/// Section 2.8: the error as RFC 6749 section 5.2 has it.
fn no(status: StatusCode, description: &str) -> Response<Body> {
    let error = match status {
        StatusCode::BAD_REQUEST => "invalid_request",
        StatusCode::NOT_IMPLEMENTED => "unsupported",
        _ => "temporarily_unavailable",
    };
    let told = json!({ "error": error, "error_description": description });
    let mut response = own(status, Body::full(told.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_one_logout_token_and_may_have_anything_else() {
        for (form, expected) in [
            ("logout_token=a.b.c", Ok("a.b.c")),
            ("x=1&logout_token=a.b.c&x=2", Ok("a.b.c")),
            ("logout%5Ftoken=a", Ok("a")),
            ("logout_token=", Ok("")),
            ("logout_token=a&logout_token=a", Err(())),
            ("logout_token=a&logout%5ftoken=b", Err(())),
            ("Logout_Token=a", Err(())),
            ("", Err(())),
        ] {
            let found = only_token(form);
            assert_eq!(found.as_ref().map(Secret::expose).map_err(|_| ()), expected, "{form}");
        }
    }
}
