//! Step 1: the facts of a request, checked once: its path, its host, what kind of request it is.
//!
//! What can be refused without knowing an app is refused here: a target that is not in origin form, a path
//! that no rule could be trusted on, a missing or doubled `Host`.

use std::borrow::Cow;

use http::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderName, HeaderValue, ORIGIN, UPGRADE};
use http::{HeaderMap, Method, Uri, Version};

use super::failure::Failure;
use super::negotiation::Intent;
use crate::foundation::initials::Initials;
use crate::foundation::origin::fold_host;
use crate::identity::readings::Path;
use crate::upstream::headers::is_hop_by_hop;

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

/// What an answer of our own has to know when the request is already on its way to the app: references to
/// the fields' bytes, not copies.
#[derive(Debug, Default)]
pub struct Wishes {
    accept: Option<HeaderValue>,
    accept_language: Option<HeaderValue>,
    origin: Option<HeaderValue>,
    upgrade: Option<HeaderValue>,
    sec_fetch_mode: Option<HeaderValue>,
    x_requested_with: Option<HeaderValue>,
}

impl Wishes {
    /// The fields, as negotiation reads them.
    pub fn into_headers(self) -> HeaderMap {
        let fields = [
            (ACCEPT, self.accept),
            (ACCEPT_LANGUAGE, self.accept_language),
            (ORIGIN, self.origin),
            (UPGRADE, self.upgrade),
            (HeaderName::from_static("sec-fetch-mode"), self.sec_fetch_mode),
            (HeaderName::from_static("x-requested-with"), self.x_requested_with),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// What one look over a request's header fields finds, so that later steps need not search.
#[derive(Debug, Default)]
pub struct Survey<'a> {
    host: Option<&'a HeaderValue>,
    hosts: usize,
    /// The first `Cookie`.
    pub cookie: Option<&'a HeaderValue>,
    /// What holds also when the request has been taken apart.
    pub marks: Marks,
}

/// What a request holds at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// What the names of its header fields begin with.
    pub initials: Initials,
    /// How many `Cookie` fields there are.
    pub cookies: usize,
    /// Whether any field ends at this hop.
    pub hop_by_hop: bool,
    /// Whether it asks for another protocol.
    pub upgrade: bool,
}

impl<'a> Survey<'a> {
    /// Looks at each field once; leaves in `wishes` what an answer of our own would have to know.
    pub fn of(headers: &'a HeaderMap, wishes: &mut Wishes) -> Self {
        let mut survey = Self::default();
        let first = |place: &mut Option<HeaderValue>, value: &HeaderValue| {
            if place.is_none() {
                *place = Some(value.clone());
            }
        };
        for (name, value) in headers {
            survey.marks.initials.note(name);
            match name.as_str() {
                "host" => {
                    survey.host.get_or_insert(value);
                    survey.hosts += 1;
                }
                "cookie" => {
                    survey.cookie.get_or_insert(value);
                    survey.marks.cookies += 1;
                }
                "accept" => first(&mut wishes.accept, value),
                "accept-language" => first(&mut wishes.accept_language, value),
                "origin" => first(&mut wishes.origin, value),
                "sec-fetch-mode" => first(&mut wishes.sec_fetch_mode, value),
                "x-requested-with" => first(&mut wishes.x_requested_with, value),
                _ if is_hop_by_hop(name) => {
                    survey.marks.hop_by_hop = true;
                    if *name == UPGRADE {
                        survey.marks.upgrade = true;
                        first(&mut wishes.upgrade, value);
                    }
                }
                _ => {}
            }
        }
        survey
    }

    /// The only `Host`.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn only_host(&self, version: Version) -> Result<&'a HeaderValue, Failure> {
        // RFC 9112 section 3.2: one Host, no more and no less; an HTTP/1.0 request without one names no app.
        match (self.host, self.hosts) {
            (Some(host), 1) => Ok(host),
            _ if version == Version::HTTP_10 => Err(Failure::UnknownHost),
            _ => Err(Failure::Host),
        }
    }
}

/// The host that a request is for, folded; port included unless it is absent.
///
/// # Errors
/// When it is no host.
pub fn folded_host(host: &HeaderValue) -> Result<Cow<'_, str>, Failure> {
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
