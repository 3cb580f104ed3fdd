//! `GET E/session.js`: a script that an app may include. It warns before the session ends, and renews it while the
//! person is at work. It asks `E/session` and opens `E/silent`, and does nothing that an app could not do itself.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::foundation::body::Body;
use crate::gateway::answer::own;

const SCRIPT: &str = include_str!("session.js");

/// The script: the same for everybody.
pub fn answer() -> Response<Body> {
    let mut response = own(StatusCode::OK, Body::full(SCRIPT));
    let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_needs_no_policy_that_an_app_should_not_have() {
        assert!(SCRIPT.len() < 8 * 1024, "{}", SCRIPT.len());
        for never in [
            "eval(",
            "new Function",
            "innerHTML",
            "outerHTML",
            "setAttribute(\"style\"",
            "document.write",
            "http:",
            "https:",
        ] {
            assert!(!SCRIPT.contains(never), "{never}");
        }
    }
}
