//! `GET E/frontchannel-logout?iss=…&sid=…`: the provider's page says in a hidden frame whose session there is over
//! (OpenID Connect Front-Channel Logout 1.0).
//!
//! Browsers withhold cookies from frames of another site, so that the session is found by what the address names;
//! where a cookie comes all the same it goes with its session. The answer is the same whatever was found.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use tokio::sync::Semaphore;

use super::backchannel_logout::same_client;
use crate::foundation::body::Body;
use crate::gateway::answer::own;
use crate::gateway::apps::Protected;
use crate::gateway::failure::Failure;
use crate::gateway::own_session::telling;
use crate::gateway::request::Facts;
use crate::gateway::trail::Trail;
use crate::gateway::{Worker, authentication, query};
use crate::sessions::StoreError;
use crate::telemetry::log::AUDIT;

/// How many of these may be at the store at a time. SECURITY: anybody can ask, and ending by a name is a write also
/// where there is nothing of that name.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// No provider's session has a longer name.
const LONGEST: usize = 512;

const PAGE: &str = "<!doctype html><html lang=\"en\"><title>Vestibule</title>";

/// Ends the sessions that belong to the session `sid` at the provider `iss`; without both nothing happens.
///
/// # Errors
/// When the sessions can't be ended now.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    // SECURITY: section 3: both, each once, and of a provider of this app; else a page anywhere could sign people out.
    let named = query::only(facts.query, "iss").zip(query::only(facts.query, "sid"));
    if let Some((iss, sid)) = named.filter(|(_, sid)| (1..=LONGEST).contains(&sid.len()))
        && let Some(provider) = app.providers.iter().find(|provider| provider.issues(&iss))
    {
        let gateway = &worker.gateway;
        let leaving = authentication::leaving_person(worker, app, facts.headers, &mut trail.cookies).await?;
        let mut ended = 0;
        for provider in same_client(gateway, provider) {
            let Ok(_turn) = AT_ONCE.acquire().await else { continue };
            ended += match gateway.sessions.end_by_provider_session(provider.name(), &sid).await {
                Ok(ended) => ended,
                // The browser holds the session: it is ended below where its cookie came.
                Err(StoreError::Unsupported) => 0,
                Err(error) => return Err(Failure::Store(error)),
            };
        }
        let is_named = |data: &crate::sessions::SessionData| {
            let known = app.provider_named(&data.provider);
            let same = known.is_some_and(|known| known.is_same_client(provider));
            same && data.provider_session.as_deref() == Some(&*sid)
        };
        if let Some(person) = leaving.filter(|person| is_named(&person.live.data())) {
            if !person.live.is_ended() {
                gateway.sessions.end(&person.live).await.map_err(Failure::Store)?;
                telling::tell(gateway, Some(app), &person.live.data());
                ended += 1;
            }
            // What was to be set for a session that is over now is deleted instead.
            trail.cookies = app.cookies.clear(facts.headers, 0);
        }
        if ended > 0 {
            let (client, name, provider) = (trail.record.client, &app.settings.name, provider.name());
            gateway.metrics.sign_out(provider, "provider");
            tracing::info!(target: AUDIT, event = "provider_sign_out", %client, app = %name, provider, by = "sid", sessions = ended, "signed out at the provider");
        }
    }
    page(app)
}

/// A page for the eyes of nobody, which only pages of the app's providers may have in a frame.
fn page(app: &Protected) -> Result<Response<Body>, Failure> {
    let origins = app.providers.iter().flat_map(|provider| provider.origins());
    let mut ancestors: Vec<String> = origins.map(|origin| origin.to_string()).collect();
    ancestors.sort_unstable();
    ancestors.dedup();
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors {}",
        if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") }
    );
    let policy = HeaderValue::try_from(policy)
        .map_err(|_| Failure::Internal("a provider's origin is no header value"))?;
    let mut response = own(StatusCode::OK, Body::full(PAGE));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}
