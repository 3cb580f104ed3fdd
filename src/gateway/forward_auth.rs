//! `E/verify`: the decision for another proxy (nginx, Caddy, Traefik, HAProxy, Envoy).
//!
//! One more way to arrive at the same decision and to leave with it: the request judged is the one that the
//! proxy describes, by the same routing, rules and session; an admission becomes 200 with every identity
//! header, instead of a forwarded request.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{HeaderName, SEC_WEBSOCKET_KEY};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;

use super::answer::own;
use super::apps::Protected;
use super::authentication::{self, Person};
use super::authorization::{Admission, Decision as Permission, decide};
use super::failure::Failure;
use super::forwarding::check_origin;
use super::negotiation::Intent;
use super::request::{Facts, folded_authority};
use super::routing::fit;
use super::trail::Trail;
use super::visitor::{Trust, Visitor};
use super::{Worker, login};
use crate::foundation::body::Body;

/// The request that a proxy asks about.
#[derive(Debug)]
struct Described {
    method: Option<Method>,
    authority: Option<String>,
    target: Uri,
    /// How a navigation without a session is sent to sign in: by us, or by the proxy on our 401.
    redirects: Redirects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redirects {
    /// The proxy hands our redirect on (Traefik, Caddy: `X-Forwarded-Uri`).
    Ours,
    /// The proxy knows only 2xx, 401 and 403 (nginx: `X-Original-URL`).
    TheProxys,
}

/// Judges the request that a trusted proxy describes.
///
/// # Errors
/// As the path of a request, and 400 when the description is missing, contradicts itself or comes from a
/// peer that is not in `trusted_proxies`.
pub async fn answer(
    worker: &Worker,
    asked: &Protected,
    request: &Request<Incoming>,
    visitor: &Visitor,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let headers = request.headers();
    let described = match described(headers) {
        Ok(Some(described)) if visitor.trust == Trust::Proxy => described,
        Err(failure) if visitor.trust == Trust::Proxy => return Err(failure),
        // SECURITY: what a stranger describes is no input to a decision; there is nothing to say yes to.
        _ if authentication::person(worker, asked, headers, &mut trail.cookies).await?.is_none() => {
            return Err(Failure::SignInNeeded);
        }
        Ok(None) => {
            return Err(Failure::BadRequest("verify was asked without X-Forwarded-Uri or X-Original-URL"));
        }
        _ => {
            return Err(Failure::BadRequest(
                "verify was asked by a peer that is not in server.trusted_proxies",
            ));
        }
    };
    let method = described.method.as_ref();
    let facts = Facts::of(method.unwrap_or(&Method::GET), &described.target, headers)?;
    let app = {
        let authority = described.authority.as_deref().map_or(Cow::Borrowed(""), folded_authority);
        if authority.is_empty() {
            asked
        } else {
            worker.gateway.routes.app(&worker.gateway.apps, &authority, &facts.path)?
        }
    };
    // SECURITY: a session belongs to the origin that its cookie came from.
    if app.origin != asked.origin {
        return Err(Failure::BadRequest("the described host is another than the one that was asked"));
    }
    trail.record.app = Some(Arc::clone(&app.labels));
    trail.record.metrics = Arc::clone(&app.metrics);
    // Our endpoints are for everybody; the proxy passes them to us as they are.
    if app.endpoint(facts.path.as_str())?.is_some() {
        return Err(Failure::BadRequest("our own endpoints are passed on, not verified"));
    }
    let fit = fit(app, method, &facts.path)?;
    trail.record.rule = Some(app.label_of(fit));
    let person = authentication::person(worker, app, headers, &mut trail.cookies).await?;
    trail.record.subject = person.as_ref().and_then(|person| worker.subject(person));
    let intent = Intent::of(facts.method, headers);
    // SECURITY: a proxy may take `Connection` and `Upgrade` out of its question and still open the WebSocket;
    // another site's page must not get it opened with this person's cookies (cross-site WebSocket hijacking).
    if intent == Intent::WebSocket || headers.contains_key(SEC_WEBSOCKET_KEY) {
        check_origin(app, headers)?;
    }
    match decide(&app.settings.rules, fit, person.as_ref().map(|person| &person.profile)) {
        Permission::Admit(admission) => Ok(admitted(app, &admission)),
        Permission::SignIn => {
            let navigates = intent == Intent::Navigation;
            let reads = matches!(*facts.method, Method::GET | Method::HEAD);
            if described.redirects == Redirects::Ours && navigates && reads {
                return login::begin(worker, app, &facts, facts.target().into_owned(), trail).await;
            }
            Err(Failure::SignInNeeded)
        }
        Permission::Deny(denial) => {
            let person = person.as_ref().and_then(Person::display_name);
            Err(Failure::Denied { denial, person })
        }
    }
}

/// 200 with every identity header; empty where there is no value, so that the proxy overwrites what a client
/// sent.
fn admitted(app: &Protected, admission: &Admission) -> Response<Body> {
    let mut response = own(StatusCode::OK, Body::empty());
    let headers = response.headers_mut();
    let rendered = admission.profile().map_or(&[][..], |profile| &profile.headers);
    for (name, value) in app.settings.headers.complete(rendered) {
        headers.insert(name.clone(), value);
    }
    response
}

/// The request that the headers describe, by `X-Forwarded-*` or by `X-Original-*`; `None` when by neither.
fn described(headers: &HeaderMap) -> Result<Option<Described>, Failure> {
    let forwarded_uri = text(headers, "x-forwarded-uri")?;
    let original_url = text(headers, "x-original-url")?;
    let redirects = if forwarded_uri.is_some() { Redirects::Ours } else { Redirects::TheProxys };
    let forwarded =
        forwarded_uri.map(|uri| split(uri, text(headers, "x-forwarded-host").ok().flatten())).transpose()?;
    let original = original_url.map(|url| split(url, None)).transpose()?;
    let method = agree(text(headers, "x-forwarded-method")?, text(headers, "x-original-method")?)?;
    let method = method
        .map(|method| Method::from_bytes(method.as_bytes()))
        .transpose()
        .map_err(|_| Failure::BadRequest("the described method is no method"))?;
    let (authority, target) = match (forwarded, original) {
        (None, None) => return Ok(None),
        (Some(one), None) | (None, Some(one)) => one,
        (Some((forwarded_host, forwarded)), Some((original_host, original))) => {
            // SECURITY: two descriptions that differ would let one be judged and the other be served.
            let hosts_differ = matches!((&forwarded_host, &original_host), (Some(a), Some(b)) if a != b);
            if forwarded != original || hosts_differ {
                return Err(Failure::BadRequest(
                    "X-Forwarded-* and X-Original-* describe different requests",
                ));
            }
            (forwarded_host.or(original_host), forwarded)
        }
    };
    Ok(Some(Described { method, authority, target, redirects }))
}

fn agree<'a>(one: Option<&'a str>, other: Option<&'a str>) -> Result<Option<&'a str>, Failure> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            Err(Failure::BadRequest("X-Forwarded-Method and X-Original-Method differ"))
        }
        (one, other) => Ok(one.or(other)),
    }
}

/// Host and target of a described address: a path, or an absolute address.
fn split(address: &str, host: Option<&str>) -> Result<(Option<String>, Uri), Failure> {
    let bad = || Failure::BadRequest("the described address can't be read");
    if address.starts_with('/') {
        let target: PathAndQuery = address.parse().map_err(|_| bad())?;
        return Ok((host.map(str::to_owned), Uri::from(target)));
    }
    let uri: Uri = address.parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?.as_str().to_owned();
    let target = uri.path_and_query().cloned().ok_or_else(bad)?;
    if host.is_some_and(|host| folded_authority(host) != folded_authority(&authority)) {
        return Err(Failure::BadRequest("the described host and address differ"));
    }
    Ok((Some(authority), Uri::from(target)))
}

/// The one value of a header, which must be there once and be text.
fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| Failure::BadRequest("a describing header is no text"))
        }
        (Some(_), Some(_)) => Err(Failure::BadRequest("a describing header came twice")),
    }
}
