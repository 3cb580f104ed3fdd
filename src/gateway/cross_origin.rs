//! What scripts of other origins may read of us (CORS, Fetch Standard section 3.2): our own answers, and those alone,
//! for the origins that an app lists.
//!
//! The app's answers keep the fields that the app gives them. A preflight carries no cookie, so on a protected path
//! nobody could ever ask it of the app: for a listed origin it is answered here, and nothing reaches the app by it.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::answer::own;
use super::apps::{Endpoint, Protected};
use super::request::Facts;
use super::routing::Route;
use crate::foundation::body::Body;
use crate::foundation::origin::Origin;
use crate::identity::access::Access;

/// The longest list of header fields that a preflight is allowed, in bytes.
const LONGEST: usize = 1024;

/// How long a browser may remember a preflight, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// The origins that an app lists, as browsers write them.
#[derive(Debug, Default)]
pub struct CrossOrigin(Vec<HeaderValue>);

impl CrossOrigin {
    /// Prepares an app's list.
    pub fn new(origins: &[Origin]) -> Self {
        Self(origins.iter().filter_map(|origin| HeaderValue::try_from(origin.to_string()).ok()).collect())
    }

    /// Lets the script that asked read an answer of ours, if it is of a listed origin. `asked` are the fields of
    /// its request.
    pub fn allow(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.listed(asked) {
            // SECURITY: the operator's own words, byte for byte what the browser sent; never an origin that is not
            // listed, and never `*`.
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    fn listed(&self, asked: &HeaderMap) -> Option<&HeaderValue> {
        let mut origins = asked.get_all(ORIGIN).iter();
        let only = origins.next().filter(|_| origins.next().is_none())?;
        self.0.iter().find(|listed| *listed == only)
    }
}

/// The answer to a preflight of a listed origin, for a path where a session or an access token is needed or for
/// `E/session`. `None` for every other request: it goes its way.
pub fn preflight(app: &Protected, route: Route, facts: &Facts<'_>) -> Option<Response<Body>> {
    if *facts.method != Method::OPTIONS {
        return None;
    }
    let ours = match route {
        Route::Own(endpoint) => endpoint == Endpoint::Session,
        Route::App(fit) | Route::Leave(fit) => app.settings.rules.access(fit) != Access::Public,
    };
    app.cross_origin.listed(facts.headers).filter(|_| ours)?;
    let method = asked_for(facts.headers, &ACCESS_CONTROL_REQUEST_METHOD)?.clone();
    let mut answer = own(StatusCode::NO_CONTENT, Body::empty());
    let fields = answer.headers_mut();
    app.cross_origin.allow(facts.headers, fields);
    fields.append(VARY, HeaderValue::from_static("Access-Control-Request-Method"));
    fields.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    fields.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
    if let Some(names) = asked_for(facts.headers, &ACCESS_CONTROL_REQUEST_HEADERS) {
        fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    fields.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    Some(answer)
}

/// What a preflight asks for: names, with commas between, and no more of them than anybody needs.
fn asked_for<'a>(asked: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(byte);
    let value = asked.get(name)?;
    (value.len() <= LONGEST && !value.is_empty() && value.as_bytes().iter().all(named)).then_some(value)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn answered(origins: &[&str]) -> HeaderMap {
        let listed = ["https://spa.example.org", "https://spa.example.org:8443"];
        let listed = listed.map(|origin| Origin::of(&Url::parse(origin).unwrap()).unwrap());
        let asked = origins.iter().map(|origin| (ORIGIN, origin.parse().unwrap())).collect();
        let mut answer = HeaderMap::new();
        CrossOrigin::new(&listed).allow(&asked, &mut answer);
        answer
    }

    #[test]
    fn only_a_listed_origin_is_named_and_only_as_it_is_listed() {
        for (origins, allowed) in [
            (&["https://spa.example.org"][..], true),
            (&["https://spa.example.org:8443"], true),
            (&["http://spa.example.org"], false),
            (&["https://spa.example.org:444"], false),
            (&["https://spa.example.org.evil.example"], false),
            (&["https://evil.example"], false),
            (&["null"], false),
            (&["*"], false),
            (&["https://SPA.example.org"], false),
            (&["https://spa.example.org", "https://spa.example.org"], false),
            (&[], false),
        ] {
            let answer = answered(origins);
            assert_eq!(answer.get(VARY).unwrap(), "Origin");
            let named = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes);
            assert_eq!(named, allowed.then(|| origins[0].as_bytes()), "{origins:?}");
            assert_eq!(answer.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), allowed);
        }
    }

    #[test]
    fn an_app_that_lists_none_gets_nothing() {
        let mut answer = HeaderMap::new();
        let asked = [(ORIGIN, "https://spa.example.org".parse().unwrap())].into_iter().collect();
        CrossOrigin::default().allow(&asked, &mut answer);
        assert!(answer.is_empty());
    }
}
