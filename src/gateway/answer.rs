//! Answers of our own that are no pages: redirects, JSON, verdicts.

use http::header::{HeaderName, HeaderValue, InvalidHeaderValue, LOCATION, REFRESH};
use http::{Response, StatusCode};

use super::failure::Failure;
use super::pages;
use crate::foundation::body::Body;

/// An answer of our own that is no page: never stored, with nothing allowed.
pub fn own(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    pages::complete(&mut response, status);
    response
}

/// A redirect of our own.
///
/// # Errors
/// When the address is no header value, which a parsed address always is.
pub fn redirect(status: StatusCode, address: &str) -> Result<Response<Body>, Failure> {
    with(status, LOCATION, address)
}

/// Sends a browser on from an answer of our own, so that the next request begins on this site.
///
/// # Errors
/// As [`redirect`].
pub fn refresh(address: &str) -> Result<Response<Body>, Failure> {
    with(StatusCode::OK, REFRESH, &format!("0;url={address}"))
}

fn with(status: StatusCode, name: HeaderName, value: &str) -> Result<Response<Body>, Failure> {
    let value = HeaderValue::try_from(value)
        .map_err(|_: InvalidHeaderValue| Failure::Internal("an address is no header value"))?;
    let mut response = own(status, Body::empty());
    response.headers_mut().insert(name, value);
    Ok(response)
}
