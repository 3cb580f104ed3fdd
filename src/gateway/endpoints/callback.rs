//! `GET E/callback`: takes the authorization response and makes a session of it.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{COOKIE, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::foundation::body::Body;
use crate::foundation::clock::Timestamp;
use crate::gateway::Worker;
use crate::gateway::answer::{redirect, refresh};
use crate::gateway::apps::Protected;
use crate::gateway::authentication;
use crate::gateway::failure::Failure;
use crate::gateway::login::{Login, again};
use crate::gateway::pages::SignInCause;
use crate::gateway::request::Facts;
use crate::gateway::trail::Trail;
use crate::oidc::{AuthorizationResponse, Provider, SignIn};
use crate::sessions::{Gone, LoginError, SessionData, Sessions, StoreError};
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
    facts: &Facts<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    if *facts.method != Method::GET {
        return Err(Failure::Method { allowed: "GET" });
    }
    let mut unused = Vec::new();
    let ended = end_login(worker, app, facts, trail, &mut unused).await;
    let label = match &ended {
        Ok(Ended::SignedIn(_)) => Some("ok"),
        Ok(Ended::Before(_)) => None,
        Err(failure) => Some(failure.code()),
    };
    if let Some(label) = label {
        worker.gateway.metrics.sign_in(app.provider_name(trail.provider.as_ref()), label);
    }
    if !matches!(ended, Ok(Ended::SignedIn(_))) {
        trail.cookies.append(&mut unused);
    }
    let (Ended::SignedIn(answer) | Ended::Before(answer)) = ended?;
    Ok(answer)
}

/// How a callback ends that does not fail.
enum Ended {
    /// With a new session.
    SignedIn(Response<Body>),
    /// It was over before, and the browser has a session.
    Before(Response<Body>),
}

/// `unused` gets what the session that the browser had would set: not when a new one takes its place, as each
/// cookie may be set once in an answer.
async fn end_login(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    trail: &mut Trail,
    unused: &mut Vec<HeaderValue>,
) -> Result<Ended, Failure> {
    let gateway = &worker.gateway;
    let parsed = AuthorizationResponse::parse(facts.query.unwrap_or_default());
    let response = parsed.map_err(|error| Failure::SignIn(error.into()))?;
    let state = response.state().ok_or(Failure::Login(SignInCause::BadResponse))?.to_owned();
    let before = authentication::person(worker, app, facts.headers, unused).await?;
    let login: Login = match gateway.sessions.logins().take(&app.cookies, facts.headers, &state) {
        Ok(login) => login,
        // The back button, or a tab that was left at the provider while another signed in: nothing is wrong.
        Err(_) if before.is_some() => {
            return redirect(StatusCode::FOUND, &app.address(&app.front_page())).map(Ended::Before);
        }
        Err(error) => return Err(Failure::Login(cause(error, facts))),
    };
    trail.cookies.extend(gateway.sessions.logins().delete(&app.cookies, facts.headers, &state));
    trail.retry = Some(again(app, &login.return_to));
    // SECURITY: a login is for the app and the provider that it was begun with (mix-up).
    let provider = app.provider_named(login.pending.provider()).filter(|_| login.app == app.settings.name);
    let provider = Arc::clone(provider.ok_or(Failure::Login(SignInCause::NotBegunHere))?);
    trail.provider = Some(Arc::clone(&provider));
    // State and `iss` are compared here; only what comes out of it can be redeemed.
    let redemption = login.pending.check(&provider, response).map_err(Failure::SignIn)?;
    let asked = Arc::clone(&provider);
    let redeemed = gateway.control.spawn(async move { asked.redeem(redemption).await }).await;
    let person =
        redeemed.map_err(|_| Failure::Internal("a redemption was cut off"))?.map_err(Failure::SignIn)?;
    let replacing = before.map(|before| before.live.gone()).or(login.previous);
    trail
        .cookies
        .extend(begin_session(worker, app, &provider, facts, person, replacing, trail.record.client).await?);
    let there = app.address(&login.return_to);
    let answer = if app.cookies.is_withheld_after_redirects() {
        refresh(&there)
    } else {
        redirect(StatusCode::FOUND, &there)
    };
    answer.map(Ended::SignedIn)
}

/// Makes the session, with a new identifier; the one that the browser had before ends with it.
async fn begin_session(
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
    let data = session(provider, person, gateway.clock.now(), &gateway.sessions);
    let created = gateway.sessions.create(&app.cookies, data, replacing).await;
    let (_, mut cookies) = created.map_err(|error| match error {
        StoreError::TooLarge { .. } => Failure::SessionTooLarge(error),
        other => Failure::Store(other),
    })?;
    let set = cookies.len();
    cookies.extend(app.cookies.clear(facts.headers, set));
    let (name, provider) = (&app.settings.name, provider.name());
    tracing::info!(target: AUDIT, event = "sign_in", %client, app = %name, provider, subject, "signed in");
    Ok(cookies)
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
    }
}

fn cause(error: LoginError, facts: &Facts<'_>) -> SignInCause {
    match error {
        LoginError::Expired => SignInCause::Expired,
        LoginError::Missing if !facts.headers.contains_key(COOKIE) => SignInCause::NoCookies,
        LoginError::Missing
        | LoginError::Duplicate
        | LoginError::Unreadable
        | LoginError::Spent
        | LoginError::TooLarge => SignInCause::NotBegunHere,
    }
}
