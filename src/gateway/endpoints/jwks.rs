//! `GET E/jwks.json`: the public keys of the signed identity statements, for the apps that check them.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::foundation::body::Body;
use crate::gateway::Worker;
use crate::gateway::answer::own;
use crate::gateway::failure::Failure;

/// The key set (RFC 7517 section 5). The next key is in it a month before it signs, so an app may keep it.
///
/// # Errors
/// When they can't be made.
pub fn answer(worker: &Worker) -> Result<Response<Body>, Failure> {
    let gateway = &worker.gateway;
    let keys = gateway.statements.published(gateway.clock.now());
    let keys = keys.map_err(|_| Failure::Internal("the keys of identity statements can't be made"))?;
    let mut response = own(StatusCode::OK, Body::full(keys));
    let kind = HeaderValue::from_static("application/jwk-set+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
