//! `E/verify`: the decision for another proxy (nginx, Caddy, Traefik, HAProxy, Envoy).
//!
//! One more way to arrive at the same decision and to leave with it: the request judged is the one that the
//! proxy describes, by the same routing, rules and session; an admission becomes 200 with every identity
//! header, instead of a forwarded request.

mod described;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use self::described::{DESCRIBING, Described, Redirects};
use super::answer::own;
use super::apps::Protected;
use super::authentication::{self, Person};
use super::authorization::{Admission, Decision as Permission, decide};
use super::bearer::{self, TokenProblem};
use super::failure::Failure;
use super::forwarding::check_origin;
use super::login::Wish;
use super::negotiation::{Intent, is_websocket_of_a_proxy};
use super::request::Facts;
use super::routing::fit;
use super::trail::Trail;
use super::visitor::{Trust, Visitor};
use super::{Worker, login, step_up};
use crate::foundation::body::Body;
use crate::identity::access::Access;
use crate::telemetry::metrics::Decision;

/// Judges the request that a trusted proxy describes.
///
/// # Errors
/// As the path of a request, and 400 when the description is missing, contradicts itself or the app's address,
/// or comes from a peer that is not in `trusted_proxies`.
pub async fn answer(
    worker: &Worker,
    asked: &Protected,
    request: &Request<Incoming>,
    visitor: &Visitor,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let headers = request.headers();
    if visitor.trust == Trust::Stranger {
        return Err(not_believed(worker, asked, headers, visitor, trail).await?);
    }
    let Some(described) = Described::of(headers)? else {
        return Err(match person(worker, asked, headers, trail).await? {
            None => Failure::SignInNeeded,
            Some(_) => Failure::BadRequest("verify was asked without X-Forwarded-Uri or X-Original-URL"),
        });
    };
    let Described { method, schemes, authority, target, redirects } = described;
    trail.record.target = target.path_and_query().cloned();
    if let Some(method) = &method {
        trail.record.method = method.clone();
    }
    let facts = Facts::of(method.as_ref().unwrap_or(&Method::GET), &target, headers)?;
    // SECURITY: where nothing names a host it is the one that was asked, but the app is found by the path:
    // `/wiki/admin` must not be judged by the rules of the app at `/`.
    let authority = authority.unwrap_or_else(|| asked.settings.origin.authority().into());
    let app = worker.gateway.routes.app(&worker.gateway.apps, &authority, &facts.path)?;
    // SECURITY: a session belongs to the origin that its cookie came from, or to all of its domain.
    if app.cookies.realm() != asked.cookies.realm() {
        return Err(Failure::BadRequest("the described host is another than the one that was asked"));
    }
    if schemes.into_iter().flatten().any(|scheme| scheme != app.settings.origin.scheme()) {
        return Err(Failure::BadRequest(
            "the described scheme (X-Forwarded-Proto, or that of the address) is not that of the app's url",
        ));
    }
    trail.record.app = Some(app.number);
    // Our endpoints are for everybody; the proxy passes them to us as they are.
    if app.endpoint(facts.path.as_str())?.is_some() {
        return Err(Failure::BadRequest("our own endpoints are passed on, not verified"));
    }
    let fit = fit(app, method.as_ref(), &facts.path)?;
    trail.record.rule = Some(app.label_of(fit));
    let (person, token);
    let profile = if app.settings.rules.access(fit) == Access::Bearer {
        person = None;
        token = bearer::holder(worker, app, headers, fit).await?;
        Some(&token)
    } else {
        person = self::person(worker, app, headers, trail).await?;
        person.as_ref().map(|person| &person.profile)
    };
    trail.record.subject = profile.and_then(|profile| worker.subject(profile));
    match decide(&app.settings.rules, fit, profile, || worker.gateway.clock.now()) {
        Permission::Admit(admission) => {
            // SECURITY: a proxy may take `Connection` and `Upgrade` out of its question and still open the
            // WebSocket; another site's page must not get it opened with this person's cookies (cross-site
            // WebSocket hijacking).
            if is_websocket_of_a_proxy(facts.method, headers) {
                check_origin(app, headers)?;
            }
            let signed_in = admission.profile().is_some();
            trail.record.decision = if signed_in { Decision::Admitted } else { Decision::Public };
            admitted(worker, app, &admission)
        }
        Permission::SignIn => {
            trail.record.decision = Decision::SignIn;
            if redirects == Redirects::Ours && reads_a_page(&facts) {
                let wish = Wish::to(app, facts.target().into_owned());
                return login::start(worker, app, &facts, wish, trail).await;
            }
            Err(Failure::SignInNeeded)
        }
        Permission::Token => Err(Failure::Token(TokenProblem::None)),
        Permission::Deny(_) if person.is_none() => Err(Failure::Token(TokenProblem::Denied)),
        Permission::StepUp(_) => {
            trail.record.decision = Decision::SignIn;
            if redirects == Redirects::Ours && reads_a_page(&facts) {
                return step_up::begin(worker, app, &facts, fit, person.as_ref(), trail).await;
            }
            Err(step_up::needed(app, &facts, person.as_ref()))
        }
        Permission::Deny(denial) => {
            let person = person.as_ref().and_then(Person::display_name);
            Err(Failure::Denied { denial, person })
        }
    }
}

/// Whether a browser navigates, so that it can follow a redirect to the provider.
fn reads_a_page(facts: &Facts<'_>) -> bool {
    facts.intent() == Intent::Navigation && matches!(*facts.method, Method::GET | Method::HEAD)
}

/// What a peer gets that is not a trusted proxy, whatever it describes.
///
/// SECURITY: what a stranger describes is no input to a decision; there is nothing to say yes to.
async fn not_believed(
    worker: &Worker,
    asked: &Protected,
    headers: &HeaderMap,
    visitor: &Visitor,
    trail: &mut Trail,
) -> Result<Failure, Failure> {
    if DESCRIBING.iter().any(|name| headers.contains_key(name)) {
        let (peer, app) = (visitor.peer.ip(), &asked.settings.name);
        tracing::warn!(%peer, %app, "verify was asked by a peer that is not in server.trusted_proxies; if it is your proxy, list it there");
    }
    Ok(match person(worker, asked, headers, trail).await? {
        None => Failure::SignInNeeded,
        Some(_) => Failure::BadRequest("verify was asked by a peer that is not in server.trusted_proxies"),
    })
}

/// Who asks. A session in several cookies is not renewed here: proxies hand one `Set-Cookie` on, and a
/// browser with one piece of a renewed session has none.
async fn person(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    trail: &mut Trail,
) -> Result<Option<Person>, Failure> {
    let mut cookies = Vec::new();
    let person = authentication::person(worker, app, headers, &mut cookies).await?;
    if cookies.is_empty() && person.is_some() {
        // Where the proxy hands it on; else the mark of the sign-in ends by itself within a minute.
        cookies.extend(app.cookies.came_back(headers));
    }
    if cookies.len() == 1 {
        trail.cookies.append(&mut cookies);
    }
    Ok(person)
}

/// 200 with every identity header; empty where there is no value, so that the proxy overwrites what a client
/// sent.
fn admitted(worker: &Worker, app: &Protected, admission: &Admission) -> Result<Response<Body>, Failure> {
    let mut response = own(StatusCode::OK, Body::empty());
    let headers = response.headers_mut();
    let rendered = admission.profile().map_or(&[][..], |profile| &profile.headers);
    for (name, value) in app.settings.headers.complete(rendered) {
        headers.insert(name.clone(), value);
    }
    if let Some(profile) = admission.profile()
        && let Some((name, value)) = profile.statement(&worker.gateway)?
    {
        headers.insert(name, value);
    }
    Ok(response)
}
