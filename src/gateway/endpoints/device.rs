//! `GET E/device`: sign-in by QR code on a screen without a keyboard (RFC 8628).
//!
//! The page shows a code that a phone scans, and comes again by itself until the person has signed in there; then this
//! browser has the session. What is waited for stands sealed in the browser's cookie; how often the provider is asked
//! does not depend on the page ([`waiting`](crate::gateway::waiting)).

use std::sync::Arc;

use http::header::{HeaderValue, REFRESH};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::callback::begin_session;
use super::{NO_SUCH_PROVIDER, is_own_sites};
use crate::foundation::body::Body;
use crate::foundation::clock::Timestamp;
use crate::foundation::random;
use crate::gateway::answer::redirect;
use crate::gateway::apps::{Endpoint, Protected};
use crate::gateway::authentication;
use crate::gateway::failure::Failure;
use crate::gateway::login::Wish;
use crate::gateway::negotiation::{Intent, is_for_a_frame, is_speculative};
use crate::gateway::pages::{Language, Page, SignInCause};
use crate::gateway::request::Facts;
use crate::gateway::step_up::{self, TooWeak};
use crate::gateway::trail::Trail;
use crate::gateway::{DeviceSignIn, Worker};
use crate::gateway::{choice, query, renewal, return_to};
use crate::identity::access::Strength;
use crate::oidc::{DeviceAnswer, Fault, OidcError, PendingDevice, Provider};
use crate::sessions::{LoginError, Return};

/// The parameter that names the screen whose page comes again.
const SCREEN: &str = "screen";

/// What a screen's cookie carries.
#[derive(Serialize, Deserialize)]
struct Screen {
    app: String,
    return_to: String,
    strength: Option<Strength>,
    over: Timestamp,
    pending: PendingDevice,
}

/// Shows a code, or looks whether somebody approved the one that this browser shows.
///
/// # Errors
/// When the provider has no such sign-in (404), can't be reached, or the code is over or was refused.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    if app.settings.device == DeviceSignIn::Refused {
        return Err(Failure::NoEndpoint);
    }
    if facts.intent() != Intent::Navigation || is_speculative(facts.headers) {
        return Err(Failure::SignInNeeded);
    }
    // The page with the code may not be framed: a code is begun in a window, or not at all.
    if is_for_a_frame(facts.headers) {
        return Err(Failure::InFrame { open: app.address(&facts.target()) });
    }
    match query::value(facts.query, SCREEN) {
        Some(id) => look(worker, app, facts, &id, trail).await,
        None => begin(worker, app, facts, trail).await,
    }
}

async fn begin(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let gateway = &worker.gateway;
    // SECURITY: another site must not put a code of its choosing time before somebody (RFC 8628 section 5.4), nor use
    // up codes by links and pictures.
    is_own_sites(app, facts, "a sign-in by code is begun on the app's own site")?;
    let wanted = query::value(facts.query, "return_to");
    let back = wanted.and_then(|wanted| return_to::on_origin(app, &wanted));
    let wish = Wish::to(app, back.unwrap_or_else(|| app.front_page()));
    trail.retry = Some(again(app, &wish.return_to, None));
    let named = query::value(facts.query, "provider");
    let provider = match &named {
        Some(named) => Some(app.provider_named(named).ok_or(Failure::BadRequest(NO_SUCH_PROVIDER))?),
        None => choice::settled(app, facts.headers),
    };
    let Some(provider) = provider.map(Arc::clone) else {
        let address = |provider: &Provider| again(app, &wish.return_to, Some(provider.name()));
        return Ok(choice::offers(worker, app, facts.headers, address, None));
    };
    trail.provider = Some(Arc::clone(&provider));
    trail.retry = Some(again(app, &wish.return_to, Some(provider.name())));
    let (client, now) = (trail.record.client, gateway.clock.now());
    let place = gateway.waiting.admit(client, now).map_err(|_| Failure::Crowded)?;
    let acr = wish.strength.as_ref().and_then(Strength::acr).map(str::to_owned);
    let max_age = wish.strength.as_ref().and_then(Strength::max_age);
    let begun = gateway.control.spawn(async move { provider.begin_device(acr, max_age).await }).await;
    let begun = begun.map_err(|_| Failure::Internal("a call to the provider was cut off"))?;
    let pending = begun.map_err(Failure::SignIn)?.ok_or(Failure::NoEndpoint)?;
    let over = now.plus(std::time::Duration::from_secs(pending.lasts));
    drop(place);
    gateway.waiting.may_ask(pending.secret(), client, pending.interval, over, now);
    let id = random::token();
    let screen = Screen {
        app: app.settings.name.clone(),
        return_to: wish.return_to,
        strength: wish.strength,
        over,
        pending,
    };
    let carried = gateway.sessions.logins().begin(&app.cookies, facts.headers, &id, &screen, Return::ByLink);
    trail.cookies.extend(carried.map_err(|_| Failure::Internal("a code does not fit into a cookie"))?);
    show(worker, app, facts, &id, &screen, now)
}

async fn look(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    id: &str,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let gateway = &worker.gateway;
    trail.retry = Some(again(app, &app.front_page(), None));
    let mut unused = Vec::new();
    let before = authentication::person(worker, app, facts.headers, &mut unused).await?;
    let screen: Screen = match gateway.sessions.logins().look(&app.cookies, facts.headers, id) {
        Ok(screen) => screen,
        // The page came again in two windows, and one of them got the session.
        Err(_) if before.is_some() => {
            trail.cookies.append(&mut unused);
            return redirect(StatusCode::FOUND, &app.address(&app.front_page()));
        }
        Err(LoginError::Expired) => return Err(Failure::Login(SignInCause::Expired)),
        Err(_) => return Err(Failure::Login(SignInCause::NotBegunHere)),
    };
    // SECURITY: a code is for the app and the provider that it was begun with.
    let provider = app.provider_named(screen.pending.provider()).filter(|_| screen.app == app.settings.name);
    let provider = Arc::clone(provider.ok_or(Failure::Login(SignInCause::NotBegunHere))?);
    trail.provider = Some(Arc::clone(&provider));
    trail.retry = Some(again(app, &screen.return_to, Some(provider.name())));
    let (client, now) = (trail.record.client, gateway.clock.now());
    let code = screen.pending.secret();
    if !gateway.waiting.may_ask(code, client, screen.pending.interval, screen.over, now) {
        trail.cookies.append(&mut unused);
        return show(worker, app, facts, id, &screen, now);
    }
    let (asked, pending) = (Arc::clone(&provider), screen.pending.clone());
    let answer = gateway.control.spawn(async move { asked.ask_device(&pending).await }).await;
    let person = match answer.map_err(|_| Failure::Internal("a call to the provider was cut off"))? {
        Ok(DeviceAnswer::SignedIn(person)) => *person,
        Ok(waits) => {
            if matches!(waits, DeviceAnswer::SlowDown) {
                gateway.waiting.slow_down(code, now);
            }
            trail.cookies.append(&mut unused);
            return show(worker, app, facts, id, &screen, now);
        }
        // RFC 8628 section 3.5: who can't be reached is asked less often.
        Err(error) if error.fault() == Fault::Unreachable && now < screen.over => {
            let (name, code, provider) = (&app.settings.name, error.code(), provider.name());
            tracing::warn!(app = %name, provider, code, %error, "a provider could not be asked for a screen");
            gateway.waiting.slow_down(screen.pending.secret(), now);
            trail.cookies.append(&mut unused);
            return show(worker, app, facts, id, &screen, now);
        }
        Err(error) => return Err(over(worker, app, facts, id, code, error, trail)),
    };
    // SECURITY: spent, so that a copy of the cookie is worth nothing from here on.
    let spent: Result<Screen, LoginError> = gateway.sessions.logins().take(&app.cookies, facts.headers, id);
    spent.map_err(|_| Failure::Login(SignInCause::NotBegunHere))?;
    gateway.waiting.forget(code);
    trail.cookies.extend(gateway.sessions.logins().delete(&app.cookies, facts.headers, id));
    let weak = screen.strength.and_then(|strength| TooWeak::of(strength, &person, now));
    let outgoing = before.as_ref().map(|before| before.live.data());
    let subject = person.subject.clone();
    let replacing = before.as_ref().map(|before| before.live.gone());
    trail.cookies.extend(begin_session(worker, app, &provider, facts, person, replacing, client).await?);
    gateway.metrics.sign_in(provider.name(), "ok");
    trail.cookies.extend(choice::remember(app, &provider));
    if let Some(outgoing) = outgoing {
        renewal::revoke_replaced(gateway, app, &outgoing, provider.name(), &subject);
    }
    if let Some(weak) = weak {
        trail.retry = Some(step_up::once_more(app, &screen.return_to, provider.name()));
        return Err(Failure::TooWeak(weak));
    }
    redirect(StatusCode::FOUND, &app.address(&screen.return_to))
}

/// The end of a code that nobody will approve any more.
fn over(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    id: &str,
    code: &crate::foundation::secret::Secret,
    error: OidcError,
    trail: &mut Trail,
) -> Failure {
    let gateway = &worker.gateway;
    gateway.waiting.forget(code);
    trail.cookies.extend(gateway.sessions.logins().delete(&app.cookies, facts.headers, id));
    if let Some(provider) = &trail.provider {
        gateway.metrics.sign_in(provider.name(), error.code());
    }
    Failure::SignIn(error)
}

/// The page with the code, which comes again when the provider may be asked.
fn show(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    id: &str,
    screen: &Screen,
    now: Timestamp,
) -> Result<Response<Body>, Failure> {
    let pending = &screen.pending;
    let page = Page::EnterOnPhone {
        code: &pending.user_code,
        address: &pending.verification_uri,
        scanned: pending.verification_uri_complete.as_deref().unwrap_or(&pending.verification_uri),
    };
    let mut response = worker.gateway.pages.render(&page, Language::of(facts.headers));
    let pause = worker.gateway.waiting.pause(pending.secret(), pending.interval, now);
    let again = format!("{pause};url={}?{SCREEN}={id}", app.address(&app.path_of(Endpoint::Device)));
    let again =
        HeaderValue::try_from(again).map_err(|_| Failure::Internal("an address is no header value"))?;
    response.headers_mut().insert(REFRESH, again);
    Ok(response)
}

/// Where a new code is shown.
fn again(app: &Protected, return_to: &str, provider: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to);
    if let Some(provider) = provider {
        query.append_pair("provider", provider);
    }
    format!("{}?{}", app.path_of(Endpoint::Device), query.finish())
}
