//! Step 1: the facts of a request, checked once: its path, its host, what kind of request it is.
//!
//! What can be refused without knowing an app is refused here: a target that is not in origin form, a path
//! that no rule could be trusted on, a missing or doubled `Host`.

use std::borrow::Cow;

use http::header::{ACCEPT, ACCEPT_LANGUAGE, HOST, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Uri, Version};

use super::failure::Failure;
use super::negotiation::Intent;
use crate::foundation::origin::fold_host;
use crate::identity::readings::Path;

/// What later steps may know of a request. The bytes stay where they came in.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path: the very bytes that are matched, logged and forwarded.
    pub path: Path<'a>,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The header fields as they came.
    pub headers: &'a HeaderMap,
}

impl<'a> Facts<'a> {
    /// Checks a request's target.
    ///
    /// # Errors
    /// When the target must be refused whatever app it is for.
    pub fn of(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Result<Self, Failure> {
        // SECURITY: absolute, authority and asterisk form would name a host or a path that the rules never
        // see. RFC 9112 section 3.2.
        let origin_form = uri.scheme().is_none() && uri.authority().is_none() && *method != Method::CONNECT;
        let Some(target) = uri.path_and_query().filter(|_| origin_form) else {
            return Err(Failure::TargetForm);
        };
        let path = Path::parse(target.path()).map_err(Failure::Path)?;
        Ok(Self { method, path, query: target.query(), headers })
    }

    /// What sent it: a navigation, a script, a WebSocket handshake.
    pub fn intent(&self) -> Intent {
        Intent::of(self.method, self.headers)
    }

    /// Path and query as they came.
    pub fn target(&self) -> Cow<'a, str> {
        match self.query {
            None => Cow::Borrowed(self.path.as_str()),
            Some(query) => Cow::Owned(format!("{}?{query}", self.path.as_str())),
        }
    }
}

/// What an answer of our own has to know when the request is already on its way to the app.
#[derive(Debug, Default)]
pub struct Wishes([Option<HeaderValue>; 5]);

const WISHES: [HeaderName; 5] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    UPGRADE,
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("x-requested-with"),
];

impl Wishes {
    /// References to the fields' bytes, not copies.
    pub fn of(headers: &HeaderMap) -> Self {
        Self(WISHES.map(|name| headers.get(name).cloned()))
    }

    /// The fields, as negotiation reads them.
    pub fn into_headers(self) -> HeaderMap {
        WISHES.into_iter().zip(self.0).filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// The host that a request is for, folded; port included unless it is absent.
///
/// # Errors
/// When there is none, more than one, or one that is no host.
pub fn host<'a>(headers: &'a HeaderMap, version: Version) -> Result<Cow<'a, str>, Failure> {
    let mut hosts = headers.get_all(HOST).iter();
    // RFC 9112 section 3.2: one Host, no more and no less; an HTTP/1.0 request without one names no app.
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(if version == Version::HTTP_10 { Failure::UnknownHost } else { Failure::Host });
    };
    let host = host.to_str().map_err(|_| Failure::Host)?;
    if host.is_empty()
        || host.bytes().any(|byte| matches!(byte, b'/' | b'\\' | b'@' | b'?' | b'#' | b' ' | b'%'))
    {
        return Err(Failure::Host);
    }
    Ok(folded_authority(host))
}

/// An authority as it is compared: lower case, no final dot on the host.
pub fn folded_authority(authority: &str) -> Cow<'_, str> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if !host.ends_with('.') && !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Borrowed(authority);
    }
    let host = fold_host(host);
    Cow::Owned(port.map_or(host.clone(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origin_form_targets_have_facts() {
        let headers = HeaderMap::new();
        for (method, target, good) in [
            (Method::GET, "/a?b", true),
            (Method::OPTIONS, "*", false),
            (Method::GET, "http://other.example/a", false),
            (Method::CONNECT, "lms.example.org:443", false),
            (Method::GET, "admin", false),
            (Method::GET, "/a%zz", false),
        ] {
            let uri: Uri = target.parse().unwrap();
            assert_eq!(Facts::of(&method, &uri, &headers).is_ok(), good, "{method} {target}");
        }
    }

    #[test]
    fn authorities_are_folded_without_losing_their_port() {
        for (came, folded) in [
            ("lms.example.org", "lms.example.org"),
            ("LMS.example.org.:8080", "lms.example.org:8080"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]", "[::1]"),
            ("Lms.Example.Org.", "lms.example.org"),
        ] {
            assert_eq!(folded_authority(came), folded);
        }
    }
}
