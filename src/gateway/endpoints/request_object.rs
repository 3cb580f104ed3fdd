//! `GET E/request/<name>`: a signed request object that the provider fetches (RFC 9101 section 5.2.3).
//!
//! The caller is a provider's machine: it has no session, and its name for what it wants is all that it needs.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::foundation::body::Body;
use crate::gateway::answer::own;
use crate::gateway::apps::{Endpoint, Protected};
use crate::gateway::failure::Failure;
use crate::gateway::request::Facts;

/// The object, for as long as it is kept.
///
/// # Errors
/// 404 when there is none of that name, or no more.
pub fn answer(app: &Protected, facts: &Facts<'_>) -> Result<Response<Body>, Failure> {
    let place = app.path_of(Endpoint::RequestObject);
    let name = facts.path.as_str().strip_prefix(place.as_str()).and_then(|rest| rest.strip_prefix('/'));
    let find = |name| app.providers.iter().find_map(|provider| provider.request_object(name));
    let object = name.and_then(find).ok_or(Failure::NoEndpoint)?;
    let mut response = own(StatusCode::OK, Body::full(object));
    let kind = HeaderValue::from_static("application/oauth-authz-req+jwt");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
