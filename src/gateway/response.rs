//! The last step, on every path: the answer's cookies, its line in the log, its place in the metrics.
//!
//! Early ends pass here too: whatever [`super::Worker`] answers has gone through [`finish`].

use std::time::Instant;

use http::Response;
use http::header::SET_COOKIE;

use super::trail::Trail;
use crate::foundation::body::Body;

/// Gives an answer its cookies, its line and its place in the metrics; the latter two when its body is over.
pub fn finish(mut response: Response<Body>, trail: Trail) -> Response<Body> {
    let Trail { mut record, cookies, .. } = trail;
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    record.answered = Instant::now();
    record.status = response.status();
    response.map(|body| body.on_end(Box::new(record)))
}
