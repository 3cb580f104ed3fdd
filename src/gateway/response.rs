//! The last step, on every path: the answer's cookies, its line in the log, its place in the metrics.
//!
//! Early ends pass here too: whatever [`super::Worker`] answers has gone through [`finish`].

use http::header::{CACHE_CONTROL, EXPIRES, SET_COOKIE};
use http::{HeaderMap, Response};

use super::trail::Trail;
use crate::foundation::body::Body;

/// Gives an answer its cookies, its line and its place in the metrics; the latter two when its body is over.
pub fn finish(mut response: Response<Body>, trail: Trail) -> Response<Body> {
    let Trail { mut record, cookies, .. } = trail;
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    record.answered(response.status());
    response.map(|body| body.on_end(record))
}

/// Whether an app says that a cache may keep its answer for others (RFC 9111 section 3): by a lifetime, and
/// without a word that forbids it.
pub fn is_for_everybody(headers: &HeaderMap) -> bool {
    let says = |words: &[&str]| {
        let directives = headers
            .get_all(CACHE_CONTROL)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
        let mut names = directives.filter_map(|directive| directive.split(|byte| *byte == b'=').next());
        names.any(|name| words.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes())))
    };
    let lifetime = says(&["public", "max-age", "s-maxage", "immutable"]) || headers.contains_key(EXPIRES);
    lifetime && !says(&["private", "no-store", "no-cache"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shared_caches_may_keep_is_for_everybody() {
        for (name, value, expected) in [
            ("cache-control", "public, max-age=31536000, immutable", true),
            ("cache-control", "S-MaxAge=60", true),
            ("cache-control", "max-age=60", true),
            ("expires", "Thu, 01 Dec 2994 16:00:00 GMT", true),
            ("cache-control", "private, max-age=60", false),
            ("cache-control", "no-cache=\"Set-Cookie\", max-age=60", false),
            ("cache-control", "no-store", false),
            ("content-type", "text/html", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(is_for_everybody(&headers), expected, "{name}: {value}");
        }
    }
}
