//! `GET` and `POST E/callback`: takes the authorization response and makes a session of it.
//!
//! A form comes from the provider's own page, and some browsers bring no cookie with it: over plain http none
//! does, as `SameSite=None` needs TLS. Such a form is sealed and sent once more, by a redirect to ourselves
//! that the browser follows with the login's cookie. A script on a page of ours would do it too; we have none.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{COOKIE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::foundation::body::Body;
use crate::foundation::clock::Timestamp;
use crate::foundation::origin::Scheme;
use crate::gateway::answer::{redirect, refresh};
use crate::gateway::apps::Protected;
use crate::gateway::endpoints::silent;
use crate::gateway::failure::Failure;
use crate::gateway::login::{Login, again};
use crate::gateway::negotiation::{Sender, is_for_a_frame};
use crate::gateway::own_session::cookies::hand_over;
use crate::gateway::pages::{SignInCause, frame};
use crate::gateway::renewal;
use crate::gateway::request::Facts;
use crate::gateway::step_up::{self, TooWeak};
use crate::gateway::trail::Trail;
use crate::gateway::visitor::Visitor;
use crate::gateway::{Gateway, Worker, authentication, choice, form, query, rounds, ticket};
use crate::oidc::{AuthorizationResponse, CallbackError, OidcError, PendingLogin, Provider, SignIn};
use crate::sessions::{Entrance, Gone, LoginError, SessionData, Sessions, StoreError};
use crate::telemetry::SubjectInLogs;
use crate::telemetry::log::AUDIT;

/// Ends a login: checks the response, redeems the code, makes the session, and goes on to where the person
/// wanted to be. The login's cookie is gone after it, however it ends.
///
/// # Errors
/// When anything about the response, or what the provider says after it, cannot be trusted.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    request: Request<Incoming>,
    visitor: &Visitor,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let (parts, body) = request.into_parts();
    let facts = Facts::of(&parts.method, &parts.uri, &parts.headers)?;
    let came = match *facts.method {
        Method::POST => from_form(&facts, body).await?,
        _ => from_query(worker, app, &facts)?,
    };
    if let Some(once_more) = silent::once_more(app, &facts) {
        return match came.form {
            Some(form) => carried(worker, app, &facts, &form),
            None => once_more,
        };
    }
    let mut unused = Vec::new();
    let ended = end_login(worker, app, &facts, visitor, came, trail, &mut unused).await;
    let label = match &ended {
        Ok(Ended::SignedIn(_)) => Some("ok"),
        Ok(Ended::Elsewhere(_)) => None,
        Err(failure) => Some(failure.code()),
    };
    if let Some(label) = label {
        worker.gateway.metrics.sign_in(app.provider_name(trail.provider.as_ref()), label);
    }
    if !matches!(ended, Ok(Ended::SignedIn(_))) {
        trail.cookies.append(&mut unused);
    }
    let (Ended::SignedIn(answer) | Ended::Elsewhere(answer)) = ended?;
    answer
}

/// A response, and the form that it came in.
struct Came {
    response: AuthorizationResponse,
    form: Option<String>,
}

/// What a sealed form is for.
const POSTED: &str = "posted response";

/// The parameter that brings it back.
const POSTED_PARAM: &str = "posted";

fn from_query(worker: &Worker, app: &Protected, facts: &Facts<'_>) -> Result<Came, Failure> {
    let sealed = query::value(facts.query, POSTED_PARAM);
    let posted = sealed.and_then(|sealed| ticket::open(worker, app, &posted_at(facts), &sealed));
    let response = match posted {
        // SECURITY: only a form that was posted here is sealed so, and it still needs this browser's login.
        Some(form) => AuthorizationResponse::parse_form(&form),
        None => AuthorizationResponse::parse(facts.query.unwrap_or_default()),
    };
    Ok(Came { response: response.map_err(refused)?, form: None })
}

/// SECURITY: sealed for the address that it came to, so that a form of one provider's can't be brought to another's
/// (mix-up).
fn posted_at(facts: &Facts<'_>) -> String {
    format!("{POSTED}\0{}", facts.path.as_str())
}

async fn from_form(facts: &Facts<'_>, body: Incoming) -> Result<Came, Failure> {
    // SECURITY: one place for parameters, or two readers could take different ones (parameter pollution).
    if facts.query.is_some_and(|query| !query.is_empty()) {
        return Err(refused(CallbackError::QueryAndForm));
    }
    // Form Post Response Mode section 2
    if !form::is_urlencoded(facts.headers) {
        return Err(refused(CallbackError::NotAForm));
    }
    let form = form::read(body).await?;
    let response = AuthorizationResponse::parse_form(&form).map_err(refused)?;
    Ok(Came { response, form: Some(form) })
}

fn refused(error: CallbackError) -> Failure {
    Failure::SignIn(error.into())
}

/// How a callback ends that does not fail.
enum Ended {
    /// With a new session, which may be too weak for where the person wanted to go.
    SignedIn(Result<Response<Body>, Failure>),
    /// Not here: it was over before and the browser has a session, or the browser is to come again.
    Elsewhere(Result<Response<Body>, Failure>),
}

/// `unused` gets what the session that the browser had would set: not when a new one takes its place, as each
/// cookie may be set once in an answer.
async fn end_login(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    visitor: &Visitor,
    Came { response, form }: Came,
    trail: &mut Trail,
    unused: &mut Vec<HeaderValue>,
) -> Result<Ended, Failure> {
    let gateway = &worker.gateway;
    // A form's redirect must not be followed with the form.
    let onwards = if form.is_some() { StatusCode::SEE_OTHER } else { StatusCode::FOUND };
    let state = response.state().ok_or(Failure::Login(SignInCause::BadResponse))?.to_owned();
    let before = authentication::leaving_person(worker, app, facts.headers, unused).await?;
    let login: Login = match gateway.sessions.logins().take(&app.cookies, facts.headers, &state) {
        Ok(login) => login,
        // The back button, or a tab that was left at the provider while another signed in: nothing is wrong.
        Err(_) if before.is_some() => {
            return Ok(Ended::Elsewhere(redirect(onwards, &app.address(&app.front_page()))));
        }
        Err(LoginError::Missing) if let Some(form) = form.filter(|_| is_from_elsewhere(app, facts)) => {
            return Ok(Ended::Elsewhere(carried(worker, app, facts, &form)));
        }
        Err(LoginError::Missing) if is_for_a_frame(facts.headers) => {
            return Err(Failure::InFrame { open: app.address(&app.front_page()) });
        }
        Err(error) => return Err(Failure::Login(cause(error, app, facts, visitor))),
    };
    trail.cookies.extend(gateway.sessions.logins().delete(&app.cookies, facts.headers, &state));
    trail.retry = Some(again(app, &login.return_to));
    // SECURITY: a login is for the app and the provider that it was begun with (mix-up).
    let provider = app.provider_named(login.pending.provider()).filter(|_| login.app == app.settings.name);
    let provider = Arc::clone(provider.ok_or(Failure::Login(SignInCause::NotBegunHere))?);
    trail.provider = Some(Arc::clone(&provider));
    login.pending.arrived_at(&app.address(facts.path.as_str())).map_err(refused)?;
    let next = rounds::next(&login, before.as_ref());
    let person = match redeem(worker, &provider, login.pending, response).await {
        Err(failure) if login.silent.is_some() => {
            return Ok(Ended::Elsewhere(Ok(silent::failed(app, &provider, &failure))));
        }
        redeemed => redeemed?,
    };
    if let Some(renews) = &login.silent
        && let Some(error) = silent::forbids(renews, before.as_ref(), &provider, &person)
    {
        return Ok(Ended::Elsewhere(Ok(silent::refused(app, &provider, error))));
    }
    let now = gateway.clock.now();
    let weak = login.strength.and_then(|strength| TooWeak::of(strength, &person, now));
    let outgoing = before.as_ref().map(|before| before.live.data());
    let subject = person.subject.clone();
    let replacing = before.map(|before| before.live.gone()).or(login.previous);
    let set = begin_session(worker, app, &provider, facts, person, replacing, trail.record.client).await;
    let set = match set {
        Err(failure @ Failure::Store(_)) if login.silent.is_some() => {
            return Ok(Ended::Elsewhere(Ok(silent::put_off(app, &failure))));
        }
        set => set?,
    };
    // Last, as a proxy that hands on one cookie of several hands on that.
    let mark = rounds::mark(app, facts, next, &set).filter(|_| login.silent.is_none());
    trail.cookies.extend(set.into_iter().chain(choice::remember(app, &provider)).chain(mark));
    if let Some(outgoing) = outgoing {
        renewal::revoke_replaced(gateway, app, &outgoing, provider.name(), &subject);
    }
    if login.silent.is_some() {
        return Ok(Ended::SignedIn(Ok(silent::renewed(app, gateway.sessions.expiry(now)))));
    }
    if let Some(weak) = weak {
        // SECURITY: not sent on, where the rule would send them back to the provider without end.
        trail.retry = Some(step_up::once_more(app, &login.return_to, provider.name()));
        return Ok(Ended::SignedIn(Err(Failure::TooWeak(weak))));
    }
    let there = app.address(&login.return_to);
    let answer = if app.cookies.is_withheld_after_redirects() {
        refresh(&there).map(|answer| frame::allow(answer, &app.embedders))
    } else {
        redirect(onwards, &there)
    };
    Ok(Ended::SignedIn(answer))
}

/// What the provider says of the person, for a response that belongs to this login.
async fn redeem(
    worker: &Worker,
    provider: &Arc<Provider>,
    pending: PendingLogin,
    response: AuthorizationResponse,
) -> Result<SignIn, Failure> {
    let asked = Arc::clone(provider);
    let redeemed = worker.gateway.control.spawn(async move { asked.finish(pending, response).await }).await;
    redeemed.map_err(|_| Failure::Internal("a redemption was cut off"))?.map_err(Failure::SignIn)
}

/// Sends a posted form to the same address, by the browser and sealed.
fn carried(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    form: &str,
) -> Result<Response<Body>, Failure> {
    let sealed = ticket::seal(worker, app, &posted_at(facts), form);
    let again = format!("{}?{POSTED_PARAM}={sealed}", app.address(facts.path.as_str()));
    redirect(StatusCode::SEE_OTHER, &again)
}

/// Whether browsers may have withheld cookies from this form.
fn is_from_elsewhere(app: &Protected, facts: &Facts<'_>) -> bool {
    Sender::of(facts.headers, &app.settings.origin) == Sender::Stranger
}

/// Makes the session, with a new identifier; the one that the browser had before ends with it.
pub(super) async fn begin_session(
    worker: &Worker,
    app: &Protected,
    provider: &Provider,
    facts: &Facts<'_>,
    person: SignIn,
    replacing: Option<Gone>,
    client: IpAddr,
) -> Result<Vec<HeaderValue>, Failure> {
    let gateway = &worker.gateway;
    let subject = (gateway.subject_in_logs == SubjectInLogs::Named).then(|| person.subject.clone());
    let issued_at = person.issued_at;
    let data = session(provider, person, gateway.clock.now(), &gateway.sessions);
    let entrance = Entrance { app: &app.settings.name, client };
    let created = gateway.sessions.create(&app.cookies, data, entrance, replacing).await;
    let (live, mut cookies) = created.map_err(|error| match error {
        StoreError::TooLarge { .. } => Failure::SessionTooLarge(error),
        other => Failure::Store(other),
    })?;
    // SECURITY: they signed out at the provider while this login was under way: what was told of then found no
    // session to end.
    if is_over(gateway, &live.data(), issued_at).await.map_err(Failure::Store)? {
        gateway.sessions.end(&live).await.map_err(Failure::Store)?;
        return Err(Failure::SignIn(OidcError::SignedOutMeanwhile));
    }
    let set = cookies.len();
    cookies.extend(app.cookies.clear(facts.headers, set));
    cookies.extend(app.cookies.finish(facts.headers));
    let (name, provider) = (&app.settings.name, provider.name());
    cookies.extend(hand_over(gateway, app, facts.headers, provider, &live.data().subject));
    tracing::info!(target: AUDIT, event = "sign_in", %client, app = %name, provider, subject, "signed in");
    Ok(cookies)
}

/// Whether the provider has said meanwhile that the session there is over, or all of the person's are.
async fn is_over(
    gateway: &Gateway,
    data: &SessionData,
    issued_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let (sessions, provider) = (&gateway.sessions, &data.provider);
    if let Some(sid) = &data.provider_session
        && sessions.is_over(provider, sid).await?
    {
        return Ok(true);
    }
    match issued_at {
        Some(issued_at) => sessions.is_person_over(provider, &data.subject, issued_at).await,
        None => Ok(false),
    }
}

fn session(provider: &Provider, person: SignIn, now: Timestamp, sessions: &Sessions) -> SessionData {
    SessionData {
        provider: provider.name().to_owned(),
        subject: person.subject,
        provider_session: person.provider_session,
        claims: person.claims,
        tokens: person.tokens,
        auth_time: person.auth_time,
        signed_in_at: now,
        expires_at: sessions.expiry(now),
        tokens_from: now,
        access_expires_at: person.access_expires_at,
        renewals: 0,
    }
}

fn cause(error: LoginError, app: &Protected, facts: &Facts<'_>, visitor: &Visitor) -> SignInCause {
    let needs_https = app.settings.origin.scheme() == Scheme::Https;
    match error {
        LoginError::Expired => SignInCause::Expired,
        LoginError::Missing if needs_https && visitor.came_over(facts.headers) == Some(Scheme::Http) => {
            SignInCause::NeedsHttps
        }
        LoginError::Missing if !facts.headers.contains_key(COOKIE) => SignInCause::NoCookies,
        LoginError::Missing
        | LoginError::Duplicate
        | LoginError::Unreadable
        | LoginError::Spent
        | LoginError::TooLarge => SignInCause::NotBegunHere,
    }
}
