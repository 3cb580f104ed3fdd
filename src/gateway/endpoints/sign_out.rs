//! `E/sign-out` and `E/signed-out`: ends the session here and at the provider.
//!
//! The session here is gone before the browser is sent anywhere. What comes back from the provider is `state`,
//! sealed by us, with the address that the person goes on to; without it a page is shown, which signs nobody in.

use std::sync::Arc;

use http::header::HeaderValue;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::foundation::body::Body;
use crate::foundation::origin::Scheme;
use crate::gateway::Worker;
use crate::gateway::answer::{own, redirect};
use crate::gateway::apps::{Endpoint, Protected};
use crate::gateway::authentication::{self, Person};
use crate::gateway::failure::Failure;
use crate::gateway::negotiation::{Sender, is_speculative};
use crate::gateway::own_session::cookies;
use crate::gateway::own_session::telling::{AtHome, tell_of_sign_out};
use crate::gateway::own_session::unfinished::Leaver;
use crate::gateway::pages::{AtProvider, Language, Page, Provider, TICKET_FIELD, frame};
use crate::gateway::request::Facts;
use crate::gateway::ticket::{open, seal};
use crate::gateway::trail::Trail;
use crate::gateway::{choice, form, query, renewal, return_to};
use crate::oidc::{self, EndSession, EndSessionRequest};
use crate::telemetry::log::AUDIT;

/// Ends the session, unless another site asked and the person has not agreed yet.
///
/// # Errors
/// When the store cannot end the session: then it is not reported as ended.
pub async fn sign_out(
    worker: &Worker,
    app: &Protected,
    request: Request<Incoming>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let (parts, body) = request.into_parts();
    if is_speculative(&parts.headers) {
        // Nobody left: the browser asks again when somebody does.
        return Ok(own(StatusCode::FORBIDDEN, Body::empty()));
    }
    let person = authentication::leaving_person(worker, app, &parts.headers, &mut trail.cookies).await?;
    trail.record.subject = person.as_ref().and_then(|person| worker.subject(&person.profile));
    let asks = Sender::of(&parts.headers, &app.settings.origin).must_be_asked_about();
    // What a stranger wrote into a form counts only with the ticket of a session that is here.
    let reads = parts.method == Method::POST && (!asks || person.is_some());
    let form = if reads { form::read(body).await? } else { String::new() };
    let field = |name| query::value(Some(&form), name).or_else(|| query::value(parts.uri.query(), name));
    let wanted = field("return_to").or_else(|| field("return"));
    let back = wanted.and_then(|wanted| return_to::on_origin(app, &wanted));
    let agreed = || Some(is_agreed(worker, app, person.as_ref()?, &field(TICKET_FIELD)?));
    // SECURITY: another site must not be able to sign a person out by a link or a form (CSRF). Also where no
    // session came: browsers withhold its cookie from another site's form, and it would live on unseen.
    if asks && agreed() != Some(true) {
        return Ok(ask(worker, app, person.as_ref(), back.as_deref(), &parts.headers));
    }
    if let Some(person) = &person {
        end(worker, app, person, By::User, trail).await?;
    }
    // What was to be set for a session that is over now is deleted instead.
    trail.cookies = cookies_after(app, person.as_ref(), &parts.headers);
    trail.cookies.extend(app.cookies.finish(&parts.headers));
    trail.cookies.extend(cookies::clear(&worker.gateway, app, &parts.headers, None));
    leave(worker, app, person.as_ref(), back, &parts.method, &parts.headers)
}

/// How a person signs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// At our own endpoint.
    User,
    /// At an address of the app's own.
    App(AtHome),
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::App(_) => "app",
        }
    }

    const fn at_home(self) -> AtHome {
        match self {
            Self::User => AtHome::Unknown,
            Self::App(at_home) => at_home,
        }
    }
}

/// Ends a person's session here, in the store first, revokes its tokens, and tells the apps. To its end, also when the
/// browser does not wait for it.
///
/// # Errors
/// When the store cannot end it: then it is not reported as ended.
pub async fn end(
    worker: &Worker,
    app: &Protected,
    person: &Person,
    by: By,
    trail: &Trail,
) -> Result<(), Failure> {
    let (gateway, number, live) = (Arc::clone(&worker.gateway), app.number, Arc::clone(&person.live));
    let (client, subject) = (trail.record.client, trail.record.subject.clone());
    let ending = worker.gateway.control.spawn(async move {
        gateway.sessions.end(&live).await?;
        let Some(app) = gateway.apps.get(number) else { return Ok(()) };
        let data = live.data();
        let (name, provider) = (&app.settings.name, &data.provider);
        if let Some(provider) = app.provider_named(provider) {
            renewal::revoke(&gateway, provider, &data);
        }
        let (at_home, by) = (by.at_home(), by.name());
        gateway.metrics.sign_out(provider, by);
        tracing::info!(target: AUDIT, event = "sign_out", by, %client, app = %name, %provider, subject = subject.as_deref(), "signed out");
        tell_of_sign_out(&gateway, app, at_home, &data).await;
        Ok(())
    });
    let ended = ending.await.map_err(|_| Failure::Internal("a sign-out was cut off"))?;
    ended.map_err(Failure::Store)
}

/// The cookies of ours that an answer after a sign-out sets: the session's are deleted.
pub fn cookies_after(app: &Protected, person: Option<&Person>, headers: &HeaderMap) -> Vec<HeaderValue> {
    let left = provider_of(app, person, headers);
    let mut cookies = app.cookies.clear(headers, 0);
    cookies.extend(app.cookies.unmark(headers));
    cookies.extend(left.and_then(|provider| choice::remember_leaving(app, provider)));
    cookies
}

/// Where the provider sends the browser after a sign-out: on to where the person wanted, or a page.
///
/// # Errors
/// Never for a checked configuration.
pub fn signed_out(worker: &Worker, app: &Protected, facts: &Facts<'_>) -> Result<Response<Body>, Failure> {
    let state = query::value(facts.query, "state").and_then(|state| open(worker, app, AFTER, &state));
    let Some((at_provider, to)) = state.as_deref().and_then(|state| state.split_at_checked(1)) else {
        return Ok(signed_out_page(worker, app, AtProvider::MayRemain, facts));
    };
    if !to.is_empty() {
        return redirect(StatusCode::FOUND, to);
    }
    let at_provider = if at_provider == ENDED { AtProvider::Ended } else { AtProvider::MayRemain };
    Ok(signed_out_page(worker, app, at_provider, facts))
}

fn signed_out_page(
    worker: &Worker,
    app: &Protected,
    provider: AtProvider,
    facts: &Facts<'_>,
) -> Response<Body> {
    let again = app.front_page();
    let page = Page::SignedOut { sign_in_again: &again, provider };
    frame::allow(worker.gateway.pages.render(&page, Language::of(facts.headers)), &app.embedders)
}

/// Sends the browser on: to the provider's own sign-out, or where a sign-out ends.
///
/// # Errors
/// Never for a checked configuration.
pub fn leave(
    worker: &Worker,
    app: &Protected,
    person: Option<&Person>,
    back: Option<String>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>, Failure> {
    let wanted = back
        .map(|path| app.address(&path))
        .or_else(|| app.settings.logout_redirect.clone().map(String::from));
    let to = wanted.unwrap_or_default();
    let landing =
        app.url_of(Endpoint::SignedOut).ok_or(Failure::Internal("the landing page is no address"))?;
    let leaver = match person {
        Some(person) => Leaver::of(app, &person.live.data()),
        None => Leaver::unfinished(worker, app, headers).or_else(|| {
            let provider = Arc::clone(choice::last_used(app, headers)?);
            Some(Leaver { provider, id_token: None, session: None })
        }),
    };
    let request = leaver.and_then(|leaver| {
        leaver.provider.end_session(EndSession {
            id_token: leaver.id_token.as_ref(),
            provider_session: leaver.session.as_deref(),
            post_logout_redirect_uri: &landing,
            state: &seal(worker, app, AFTER, &format!("{ENDED}{to}")),
        })
    });
    // A GET would be repeated with its method by some browsers after 302; after a form it must not be.
    let status = if *method == Method::POST { StatusCode::SEE_OTHER } else { StatusCode::FOUND };
    match request {
        Some(EndSessionRequest::Redirect(address)) => redirect(status, address.as_str()),
        Some(EndSessionRequest::Form { action, fields }) => {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
            let page = Page::PostToProvider { action: action.as_str(), fields: &fields };
            Ok(worker.gateway.pages.render(&page, Language::of(headers)))
        }
        None if to.is_empty() => {
            let state = seal(worker, app, AFTER, REMAINS);
            let mut landing = landing;
            landing.query_pairs_mut().append_pair("state", &state);
            redirect(status, landing.as_str())
        }
        None => redirect(status, &to),
    }
}

/// The provider that a person signed in with; for nobody the one that was used here last.
fn provider_of<'a>(
    app: &'a Protected,
    person: Option<&Person>,
    headers: &HeaderMap,
) -> Option<&'a Arc<oidc::Provider>> {
    match person {
        Some(person) => app.provider_named(&person.live.data().provider),
        None => choice::last_used(app, headers),
    }
}

/// Asks the person whether they want to sign out.
pub fn ask(
    worker: &Worker,
    app: &Protected,
    person: Option<&Person>,
    back: Option<&str>,
    headers: &HeaderMap,
) -> Response<Body> {
    let (action, stay) = (app.path_of(Endpoint::SignOut), app.front_page());
    // The page's own form comes from this site and needs no ticket, unless the browser hides where it stood.
    let ticket = person.map(|person| seal(worker, app, &agreement(person), "")).unwrap_or_default();
    let page = Page::ConfirmSignOut {
        action: &action,
        ticket: &ticket,
        return_to: back,
        stay: &stay,
        provider: match provider_of(app, person, headers).and_then(|provider| provider.sign_out_scheme()) {
            None => Provider::None,
            Some(Scheme::Https) => Provider::Https,
            Some(Scheme::Http) => Provider::Http,
        },
    };
    worker.gateway.pages.render(&page, Language::of(headers))
}

/// What sealed texts are for: each opens in its own place only.
const AFTER: &str = "after sign-out";
const AGREEMENT: &str = "agreement to sign out";

/// How a sealed way on begins: whether the provider takes part.
const ENDED: &str = "+";
const REMAINS: &str = "-";

/// SECURITY: bound to the session that it was shown for, so that another site cannot bring one of its own.
fn agreement(person: &Person) -> String {
    let data = person.live.data();
    format!("{AGREEMENT}\0{}\0{}\0{}", data.signed_in_at.as_secs(), data.provider, data.subject)
}

fn is_agreed(worker: &Worker, app: &Protected, person: &Person, ticket: &str) -> bool {
    open(worker, app, &agreement(person), ticket).is_some()
}
