//! The last step, on every path: the answer's cookies, its line in the log, its place in the metrics.
//!
//! Early ends pass here too: whatever [`super::Worker`] answers has gone through [`finish`].

use std::time::Instant;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, InvalidHeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};

use super::failure::Failure;
use crate::foundation::body::Body;
use crate::telemetry::access::Record;

/// What a request leaves behind on its way: its line in the log, and the cookies that its answer sets.
#[derive(Debug)]
pub struct Trail {
    /// What is known of the request so far.
    pub record: Record,
    /// `Set-Cookie` values for the answer, whichever it is.
    pub cookies: Vec<HeaderValue>,
}

/// Gives an answer its cookies, its line and its place in the metrics; the latter two when its body is over.
pub fn finish(mut response: Response<Body>, trail: Trail) -> Response<Body> {
    let Trail { mut record, cookies } = trail;
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    record.answered = Instant::now();
    record.status = response.status();
    response.map(|body| body.on_end(Box::new(record)))
}

/// An answer of our own that is no page: never stored, with nothing allowed.
pub fn own(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A redirect of our own.
///
/// # Errors
/// When the address is no header value, which a parsed address always is.
pub fn redirect(status: StatusCode, address: &str) -> Result<Response<Body>, Failure> {
    let value = HeaderValue::try_from(address)
        .map_err(|_: InvalidHeaderValue| Failure::Internal("an address is no header value"))?;
    let mut response = own(status, Body::empty());
    response.headers_mut().insert(LOCATION, value);
    Ok(response)
}
