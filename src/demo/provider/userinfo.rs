//! The userinfo endpoint (Core 5.3, RFC 6750): claims for an access token.
//!
//! The token is taken from the `Authorization` header alone: not from a form (RFC 6750 section 2.2 leaves
//! that open) and not from a query (section 2.3 advises against it).

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use super::Provider;
use crate::demo::serving;
use crate::foundation::body::Body;

impl Provider {
    /// `GET` or `POST /userinfo`
    pub(super) fn userinfo(&self, headers: &HeaderMap) -> Response<Body> {
        // RFC 6750 section 3.1: who sent no token is told no error code.
        let Some(token) = bearer(headers) else { return challenge("Bearer realm=\"demo\"") };
        let memory = self.memory();
        match memory.tokens.get(token, self.clock.now()) {
            Some(token) => serving::json(StatusCode::OK, &Value::Object(token.person.claims(&token.scopes))),
            None => challenge("Bearer realm=\"demo\", error=\"invalid_token\""),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn challenge(value: &str) -> Response<Body> {
    let mut answer = serving::empty(StatusCode::UNAUTHORIZED);
    serving::set(&mut answer, WWW_AUTHENTICATE, value);
    answer
}
