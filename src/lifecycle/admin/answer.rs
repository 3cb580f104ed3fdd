//! What every answer of the admin listener has: never stored, never read as another type, allowed nothing in a
//! browser but what its page needs.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::documents::Problem;

/// An answer of the admin listener.
pub(super) type Answer = Response<Full<Bytes>>;

/// An answer of this type.
pub(super) fn text(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let nothing = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(nothing));
    // With `no-referrer` browsers send `Origin: null` with a form, as a stranger's form would.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A JSON document.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Answer {
    text(status, "application/json", written(document))
}

/// Why there is no such document (RFC 9457).
pub(super) fn problem(status: StatusCode, problem: &Problem) -> Answer {
    text(status, "application/problem+json", written(problem))
}

fn written(document: &impl Serialize) -> String {
    // Text and numbers always become JSON; an empty body would still carry the status.
    serde_json::to_string(document).unwrap_or_default() + "\n"
}

/// On to another page, by GET.
pub(super) fn see_other(path: &str) -> Answer {
    let mut response = text(StatusCode::SEE_OTHER, "text/plain", String::new());
    // The paths are ours, and what stands in their queries is encoded.
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

/// 405.
pub(super) fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", format!("{allowed}\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
