//! `GET E/client-jwks.json`: the public halves of the keys that we sign with and that answers are
//! encrypted to, for a provider's `jwks_uri`.
//!
//! Not the keys of identity statements, which apps read.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::foundation::body::Body;
use crate::gateway::answer::own;
use crate::gateway::apps::Protected;

/// The key set (RFC 7517 section 5) of the app's providers; empty when there are none.
pub fn answer(app: &Protected) -> Response<Body> {
    let mut keys: Vec<Value> = Vec::new();
    for key in app.providers.iter().flat_map(|provider| provider.settings().public_keys()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut response = own(StatusCode::OK, Body::full(json!({ "keys": keys }).to_string()));
    let kind = HeaderValue::from_static("application/jwk-set+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
