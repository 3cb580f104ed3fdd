//! What a proxy says of the request that it asks about: read once, whole, or refused.
//!
//! Two families of headers describe it, `X-Forwarded-*` and `X-Original-*`; where both are there they agree.
//! Whether the proxy may be believed, and what comes of the request, is decided elsewhere.

use std::borrow::Cow;

use http::header::HeaderName;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};

use crate::foundation::origin::Scheme;
use crate::gateway::failure::Failure;
use crate::gateway::request::folded_authority;

/// The request that a proxy asks about.
#[derive(Debug)]
pub(super) struct Described<'a> {
    /// Its method, where one is named.
    pub(super) method: Option<Method>,
    /// The schemes that are named for it.
    pub(super) schemes: [Option<Scheme>; 2],
    /// Its host and port, folded, where they are named.
    pub(super) authority: Option<Cow<'a, str>>,
    /// Its path and query.
    pub(super) target: Uri,
    /// How a navigation without a session is sent to sign in.
    pub(super) redirects: Redirects,
}

/// Who sends a navigation to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirects {
    /// We do; the proxy hands our redirect on (Traefik, Caddy: `X-Forwarded-Uri`).
    Ours,
    /// The proxy does, on our 401: it knows only 2xx, 401 and 403 (nginx: `X-Original-URL`).
    TheProxys,
}

const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");

/// The headers that describe a request's address.
pub(super) const DESCRIBING: [HeaderName; 2] = [FORWARDED_URI, ORIGINAL_URL];

impl<'a> Described<'a> {
    /// The request that the headers describe; `None` when they describe none.
    ///
    /// # Errors
    /// 400 when a description can't be read, or two of them differ.
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Option<Self>, Failure> {
        let once = |name| only(headers, &HeaderName::from_static(name));
        let host = once("x-forwarded-host")?;
        let [forwarded, original] = DESCRIBING.map(|name| {
            let described = only(headers, &name)?;
            described.map(|described| Address::parse(described, host)).transpose()
        });
        let (forwarded, original) = (forwarded?, original?);
        let redirects = if forwarded.is_some() { Redirects::Ours } else { Redirects::TheProxys };
        let method = agree(once("x-forwarded-method")?, once("x-original-method")?)?;
        let method = method
            .map(|method| Method::from_bytes(method.as_bytes()))
            .transpose()
            .map_err(|_| Failure::BadRequest("the described method is no method"))?;
        let Address { scheme, authority, target } = match (forwarded, original) {
            (None, None) => return Ok(None),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(forwarded), Some(original)) => forwarded.and(original)?,
        };
        let schemes = [once("x-forwarded-proto")?.map(self::scheme).transpose()?, scheme];
        Ok(Some(Self { method, schemes, authority, target, redirects }))
    }
}

fn agree<'a>(one: Option<&'a str>, other: Option<&'a str>) -> Result<Option<&'a str>, Failure> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            Err(Failure::BadRequest("X-Forwarded-Method and X-Original-Method differ"))
        }
        (one, other) => Ok(one.or(other)),
    }
}

/// A described address: what stands in it, and no more.
#[derive(Debug)]
struct Address<'a> {
    scheme: Option<Scheme>,
    authority: Option<Cow<'a, str>>,
    target: Uri,
}

impl<'a> Address<'a> {
    /// A described address: a path, which `host` belongs to, or an absolute address.
    fn parse(described: &'a str, host: Option<&'a str>) -> Result<Self, Failure> {
        // SECURITY: what stands behind a `#` would be judged by nobody, and the proxy sends it on.
        if described.contains('#') {
            return Err(Failure::BadRequest("the described address holds a fragment"));
        }
        let host = host.map(folded_authority);
        let (scheme, authority, target) = if described.starts_with('/') {
            (None, host, described)
        } else {
            let (named, rest) = described
                .split_once("://")
                .ok_or(Failure::BadRequest("the described address is no address"))?;
            // SECURITY: only a slash ends the authority: `http://host?/admin` would be judged as `/`.
            let (authority, target) = rest
                .find(['/', '?', '\\'])
                .and_then(|end| rest.split_at_checked(end))
                .filter(|(_, target)| target.starts_with('/'))
                .ok_or(Failure::BadRequest("the described address has no path"))?;
            let authority = folded_authority(authority);
            if host.is_some_and(|host| host != authority) {
                return Err(Failure::BadRequest("the described host and address differ"));
            }
            (Some(self::scheme(named)?), Some(authority), target)
        };
        let target: PathAndQuery =
            target.parse().map_err(|_| Failure::BadRequest("the described address can't be read"))?;
        Ok(Self { scheme, authority, target: Uri::from(target) })
    }

    /// SECURITY: two descriptions that differ would let one be judged and the other be served.
    fn and(self, other: Self) -> Result<Self, Failure> {
        fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            matches!((one, other), (Some(one), Some(other)) if one != other)
        }
        if self.target != other.target
            || differ(self.authority.as_ref(), other.authority.as_ref())
            || differ(self.scheme.as_ref(), other.scheme.as_ref())
        {
            return Err(Failure::BadRequest("X-Forwarded-* and X-Original-* describe different requests"));
        }
        let scheme = self.scheme.or(other.scheme);
        Ok(Self { scheme, authority: self.authority.or(other.authority), target: self.target })
    }
}

/// The scheme of a described address; a WebSocket's is that of the handshake.
fn scheme(named: &str) -> Result<Scheme, Failure> {
    let is = |known: [&str; 2]| known.iter().any(|known| known.eq_ignore_ascii_case(named));
    match named {
        _ if is(["https", "wss"]) => Ok(Scheme::Https),
        _ if is(["http", "ws"]) => Ok(Scheme::Http),
        _ => Err(Failure::BadRequest("the described scheme is none of http, https, ws and wss")),
    }
}

/// The one value of a header, which must be there once and be text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        // Not `to_str`: a target may hold more than ASCII, as it may where we proxy ourselves.
        (Some(value), None) => std::str::from_utf8(value.as_bytes())
            .map(Some)
            .map_err(|_| Failure::BadRequest("a describing header is no text")),
        (Some(_), Some(_)) => Err(Failure::BadRequest("a describing header came twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&'static str, &str)]) -> Option<(Option<String>, String)> {
        let headers = lines.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
            headers
        });
        let described = Described::of(&headers).ok()??;
        Some((described.authority.map(Cow::into_owned), described.target.to_string()))
    }

    #[test]
    fn a_described_address_is_read_whole_or_refused() {
        for (url, expected) in [
            ("/a?b", Some((None, "/a?b"))),
            ("/\u{44b}", Some((None, "/\u{44b}"))),
            ("https://LMS.example.org./a", Some((Some("lms.example.org"), "/a"))),
            ("wss://lms.example.org:8443/a?b", Some((Some("lms.example.org:8443"), "/a?b"))),
            ("//lms.example.org/a", Some((None, "//lms.example.org/a"))),
            ("/a#b", None),
            ("/a?b#/../admin", None),
            ("https://lms.example.org#/admin", None),
            ("https://lms.example.org?/admin", None),
            ("https://lms.example.org\\/admin", None),
            ("https://lms.example.org", None),
            ("gopher://lms.example.org/", None),
            ("lms.example.org/a", None),
            ("a", None),
            ("", None),
            ("*", None),
        ] {
            let expected = expected
                .map(|(host, target): (Option<&str>, &str)| (host.map(str::to_owned), target.to_owned()));
            for name in ["x-forwarded-uri", "x-original-url"] {
                assert_eq!(read(&[(name, url)]), expected, "{url}");
            }
        }
    }

    #[test]
    fn descriptions_agree_in_every_part_that_both_have() {
        let host = ("x-forwarded-host", "LMS.example.org");
        for (lines, good) in [
            (&[("x-forwarded-uri", "/a"), host, ("x-original-url", "https://lms.example.org/a")][..], true),
            (&[("x-original-url", "https://lms.example.org/a"), host], true),
            (&[("x-original-url", "/a"), host], true),
            (&[("x-original-url", "https://talk.example.org/a"), host], false),
            (&[("x-forwarded-uri", "/a"), host, host], false),
            (
                &[
                    ("x-forwarded-uri", "https://lms.example.org/a"),
                    ("x-original-url", "http://lms.example.org/a"),
                ],
                false,
            ),
            (&[("x-forwarded-uri", "/a"), ("x-original-url", "/b")], false),
            (&[("x-forwarded-uri", "/a"), ("x-forwarded-proto", "gopher")], false),
            (&[("x-forwarded-uri", "/a"), ("x-forwarded-proto", "WSS")], true),
        ] {
            assert_eq!(read(lines).is_some(), good, "{lines:?}");
        }
    }
}
