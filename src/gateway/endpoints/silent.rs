//! `GET E/silent`: a hidden frame of the app's renews the session without asking anybody (`prompt=none`), and
//! tells the window around it by `postMessage` how that went.
//!
//! The way there and back is that of every login; here are its beginning, what must hold at its end, and the
//! message. Browsers withhold a session's cookie from a frame that another site's redirect brings, and take none
//! there: such a frame is sent to the same address once more, by itself.

use http::Response;
use serde_json::{Value, json};

use super::is_own_sites;
use crate::foundation::body::Body;
use crate::foundation::clock::Timestamp;
use crate::gateway::Worker;
use crate::gateway::answer::refresh;
use crate::gateway::apps::Protected;
use crate::gateway::authentication::{self, Person};
use crate::gateway::failure::Failure;
use crate::gateway::login::{self, Silent, Wish};
use crate::gateway::negotiation::is_brought_into_a_frame;
use crate::gateway::own_session::unfinished::Leaver;
use crate::gateway::pages::frame;
use crate::gateway::request::Facts;
use crate::gateway::trail::Trail;
use crate::gateway::{choice, query};
use crate::oidc::{Call, OidcError, Provider, SignIn};

/// The parameter of an address that was opened once more.
const AGAIN: &str = "in_frame";

/// What the message calls itself.
const KIND: &str = "vestibule:silent";

/// Starts a login that may ask nobody anything, with the provider of the session, if there is one.
///
/// # Errors
/// When it is not the app's own page that asks, or by another method.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    // SECURITY: another site must not renew sessions, nor learn by the time it takes whether there is one.
    is_own_sites(app, facts, "a session is renewed by a frame in a page of the app's own")?;
    let person = match authentication::person(worker, app, facts.headers, &mut trail.cookies).await {
        Err(failure @ Failure::Store(_)) => return Ok(put_off(app, &failure)),
        asked => asked?,
    };
    let data = person.as_ref().map(|person| person.live.data());
    let silent = Silent { subject: data.as_ref().map(|data| data.subject.clone()) };
    let wish = Wish {
        strength: None,
        prompt: Some("none"),
        silent: Some(silent),
        ..Wish::to(app, app.front_page())
    };
    let provider = data.as_ref().and_then(|data| app.provider_named(&data.provider));
    let has_left = || Leaver::unfinished(worker, app, facts.headers).is_some();
    let settled = || choice::settled(app, facts.headers).filter(|_| !has_left());
    let Some(provider) = provider.or_else(settled) else {
        // SECURITY: nobody is signed in with a provider that they did not choose, or signed out of.
        return Ok(nobody(app));
    };
    match login::begin(worker, app, provider, facts, wish, trail).await {
        Err(failure @ Failure::SignIn(_)) => Ok(failed(app, provider, &failure)),
        other => other,
    }
}

/// Sends a frame that another site's redirect brought to the same address once more: then it is this site that
/// sends it there, and cookies go with it. Cookies that go into all frames need no second time.
pub fn once_more(app: &Protected, facts: &Facts<'_>) -> Option<Result<Response<Body>, Failure>> {
    if !is_brought_into_a_frame(facts.headers)
        || app.cookies.goes_into_frames()
        || query::value(facts.query, AGAIN).is_some()
    {
        return None;
    }
    let target = facts.target();
    let joint = if target.contains('?') { '&' } else { '?' };
    Some(
        refresh(&app.address(&format!("{target}{joint}{AGAIN}=1")))
            .map(|answer| frame::allow(answer, &app.embedders)),
    )
}

/// Why the person who came back may not take the place of the one who was there; `None`: they may.
pub fn forbids(
    silent: &Silent,
    there: Option<&Person>,
    provider: &Provider,
    back: &SignIn,
) -> Option<&'static str> {
    let there = there.map(|person| person.live.data());
    match (&silent.subject, there) {
        (Some(_), None) => {
            // SECURITY: they signed out meanwhile, in another tab; nobody may be signed in again by that.
            Some("login_required")
        }
        // SECURITY: an app's page that is open must not become another person's without a word.
        (_, Some(there)) if there.subject != back.subject || there.provider != provider.name() => {
            Some("another_user")
        }
        (Some(subject), _) if *subject != back.subject => Some("another_user"),
        _ => None,
    }
}

/// The message of a session that was renewed.
pub fn renewed(app: &Protected, expires_at: Timestamp) -> Response<Body> {
    tell(app, &json!({ "type": KIND, "ok": true, "expires_at": expires_at }))
}

/// The message of one that stays as it was, for a reason of ours.
pub fn refused(app: &Protected, provider: &Provider, error: &str) -> Response<Body> {
    let (name, provider) = (&app.settings.name, provider.name());
    tracing::info!(app = %name, provider, error, "a session is not renewed in a frame");
    tell(app, &json!({ "type": KIND, "ok": false, "error": error }))
}

/// The same, for the reason that a login failed: the provider's own word where it says what is needed.
pub fn failed(app: &Protected, provider: &Provider, failure: &Failure) -> Response<Body> {
    const NEEDS: [&str; 4] =
        ["login_required", "interaction_required", "consent_required", "account_selection_required"];
    if let Failure::SignIn(OidcError::Refused(refusal)) = failure
        && refusal.call == Call::Authorization
        && let Some(needed) = NEEDS.iter().find(|needed| **needed == refusal.error)
    {
        return refused(app, provider, needed);
    }
    refused(app, provider, failure.code())
}

/// The message where the session store can't be used: the session stays as it is, and the page may try again.
pub fn put_off(app: &Protected, failure: &Failure) -> Response<Body> {
    let (name, code) = (&app.settings.name, failure.code());
    tracing::info!(app = %name, code, error = %failure, "a session is not renewed in a frame");
    tell(app, &json!({ "type": KIND, "ok": false, "error": code }))
}

/// The message where a person would have to choose a provider first.
fn nobody(app: &Protected) -> Response<Body> {
    tell(app, &json!({ "type": KIND, "ok": false, "error": "login_required" }))
}

fn tell(app: &Protected, message: &Value) -> Response<Body> {
    frame::message(&app.origin, message)
}
