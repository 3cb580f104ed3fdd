//! `GET E/session`: the caller's own session as JSON, for scripts in an app.
//!
//! To look is no use of the session: a page that is left open and asks now and then would keep it alive for ever.
//! `GET E/session?active` is one: a page says by it that the person is at work there.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use crate::foundation::body::Body;
use crate::gateway::Worker;
use crate::gateway::answer::own;
use crate::gateway::apps::Protected;
use crate::gateway::authentication;
use crate::gateway::failure::Failure;
use crate::gateway::query;
use crate::gateway::request::Facts;

/// Who the caller is: `sub`, `claims`, `provider`, and when the session began, will end at the latest, and will end
/// unless it is used, beside the time it is now; in seconds since the epoch.
///
/// # Errors
/// 401 when nobody is signed in.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    cookies: &mut Vec<HeaderValue>,
) -> Result<Response<Body>, Failure> {
    let person = if query::value(facts.query, "active").is_some() {
        authentication::person(worker, app, facts.headers, cookies).await?
    } else {
        authentication::seen_person(worker, app, facts.headers).await?
    };
    let person = person.ok_or(Failure::SignInNeeded)?;
    let data = person.live.data();
    let told = json!({
        "sub": data.subject,
        "claims": data.claims,
        "provider": data.provider,
        "signed_in_at": data.signed_in_at,
        "expires_at": data.expires_at,
        "idle_expires_at": person.live.idle_expires_at(),
        "now": worker.gateway.clock.now(),
    });
    let mut response = own(StatusCode::OK, Body::full(told.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    app.cross_origin.allow(facts.headers, response.headers_mut());
    Ok(response)
}
