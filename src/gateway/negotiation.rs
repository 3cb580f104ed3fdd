//! What kind of answer a request wants, and who had it sent: pure decisions on its headers.
//!
//! Whether it is a navigation, a script's request or a WebSocket handshake; whether the app itself made the
//! browser send it; whether a page or `application/problem+json` suits. It decides nothing about who may
//! enter, allocates nothing, and takes a malformed header for the less trusting case.

use http::Method;
use http::header::{
    ACCEPT, CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER, SEC_WEBSOCKET_KEY, UPGRADE,
};

use crate::foundation::origin::Origin;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_STORAGE_ACCESS: HeaderName = HeaderName::from_static("sec-fetch-storage-access");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// `Sec-Purpose` (`prefetch`, `prefetch;prerender`), and what older browsers say.
const SPECULATIVE: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];

/// What sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A person goes somewhere, in a window or a frame: what is answered will be looked at.
    Navigation,
    /// A script, or a program that is no browser: it can't follow a sign-in.
    Script,
    /// A WebSocket handshake (RFC 6455 section 4.1).
    WebSocket,
}

impl Intent {
    /// What sent the request with this method and these headers.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        if is_websocket_handshake(method, headers) {
            return Self::WebSocket;
        }
        if any(headers, &X_REQUESTED_WITH, |value| value.eq_ignore_ascii_case(b"xmlhttprequest")) {
            return Self::Script;
        }
        let navigates = if headers.contains_key(SEC_FETCH_MODE) {
            all(headers, &SEC_FETCH_MODE, |value| value == b"navigate")
        } else {
            weighted(headers, &ACCEPT)
                .any(|(range, quality)| range.eq_ignore_ascii_case("text/html") && quality.is_acceptable())
        };
        if navigates { Self::Navigation } else { Self::Script }
    }
}

/// Whether a proxy's question is about a WebSocket handshake: also where the proxy took `Connection` and
/// `Upgrade` out of the question, as nginx does. What only a handshake has tells, and so does the browser.
pub fn is_websocket_of_a_proxy(method: &Method, headers: &HeaderMap) -> bool {
    is_websocket_handshake(method, headers)
        || headers.contains_key(SEC_WEBSOCKET_KEY)
        || any(headers, &SEC_FETCH_MODE, |value| value == b"websocket")
}

/// Whether a redirect or a form of another site brought this request into a frame. Browsers withhold `Lax` and
/// `Strict` cookies from it, and take none from its answer.
pub fn is_brought_into_a_frame(headers: &HeaderMap) -> bool {
    is_for_a_frame(headers) && any(headers, &SEC_FETCH_SITE, |value| value == b"cross-site")
}

/// Whether what is answered will stand in a part of another page.
pub fn is_for_a_frame(headers: &HeaderMap) -> bool {
    let frames: [&[u8]; 4] = [b"iframe", b"frame", b"embed", b"object"];
    any(headers, &SEC_FETCH_DEST, |value| frames.contains(&value))
}

/// Whether that page is another site's, as far as the request tells: another site sent the frame here, or the
/// browser says that cookies are a third party's there (`Sec-Fetch-Storage-Access`, which a first party's request
/// does not have).
pub fn is_in_a_foreign_frame(headers: &HeaderMap) -> bool {
    is_brought_into_a_frame(headers)
        || is_for_a_frame(headers) && headers.contains_key(SEC_FETCH_STORAGE_ACCESS)
}

/// Whether a page has the browser fetch this as a part of it: a picture, a style, a font.
pub fn is_part_of_a_page(headers: &HeaderMap) -> bool {
    any(headers, &SEC_FETCH_MODE, |value| value == b"no-cors")
        && any(headers, &SEC_FETCH_DEST, |value| value != b"empty")
}

/// Whether a browser asks in advance for what the person may never open. What it gets must change nothing.
pub fn is_speculative(headers: &HeaderMap) -> bool {
    let prefetches = |value: &[u8]| value.get(..8).is_some_and(|word| word.eq_ignore_ascii_case(b"prefetch"));
    SPECULATIVE.iter().any(|name| any(headers, name, prefetches))
}

/// What a request gets that needs a session and has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// A redirect to the provider.
    SignIn,
    /// It is kept until the person has signed in, or a page says that nothing was sent.
    Keep,
    /// 401, with the address to sign in at.
    Refuse,
}

impl Unsigned {
    /// What this request gets.
    pub fn of(method: &Method, intent: Intent) -> Self {
        match intent {
            Intent::Script | Intent::WebSocket => Self::Refuse,
            Intent::Navigation if method == Method::GET || method == Method::HEAD => Self::SignIn,
            // A form's content would be lost on the way to the provider and back.
            Intent::Navigation => Self::Keep,
        }
    }
}

/// Who had the browser send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The app's own origin.
    App,
    /// The person: an address typed, a bookmark, a link in another program.
    Person,
    /// Another origin of the app's own site, `www.example.org` to `lms.example.org`.
    Neighbour,
    /// Another site.
    Stranger,
    /// Nothing tells: an old browser, or none.
    Unknown,
}

impl Sender {
    /// Who had this request sent to the app at `app`: by `Sec-Fetch-Site`, else by `Origin`, else by `Referer`.
    pub fn of(headers: &HeaderMap, app: &Origin) -> Self {
        if let Some(site) = only(headers, &SEC_FETCH_SITE) {
            return match site {
                Some(b"same-origin") => Self::App,
                Some(b"none") => Self::Person,
                Some(b"same-site") => Self::Neighbour,
                _ => Self::Stranger,
            };
        }
        let source = only(headers, &ORIGIN).or_else(|| only(headers, &REFERER));
        match source {
            None => Self::Unknown,
            Some(Some(address)) if is_at(address, app) => Self::App,
            Some(_) => Self::Stranger,
        }
    }

    /// Whether the person is asked before this sender may sign them out.
    pub const fn must_be_asked_about(self) -> bool {
        matches!(self, Self::Stranger)
    }
}

/// The form in which the gateway speaks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page for a person.
    Page,
    /// `application/problem+json` (RFC 9457) for a script.
    Problem,
}

impl Form {
    /// The form that suits: a page for a navigation, and for whoever wants HTML at least as much as JSON.
    pub fn of(intent: Intent, headers: &HeaderMap) -> Self {
        let (mut html, mut json) = (Quality::NONE, Quality::NONE);
        for (range, quality) in weighted(headers, &ACCEPT) {
            if range.eq_ignore_ascii_case("text/html") || range.eq_ignore_ascii_case("text/*") {
                html = html.max(quality);
            } else if range.eq_ignore_ascii_case("application/problem+json")
                || range.eq_ignore_ascii_case("application/json")
            {
                json = json.max(quality);
            }
        }
        let equal = if intent == Intent::Navigation { Self::Page } else { Self::Problem };
        match html.cmp(&json) {
            std::cmp::Ordering::Greater => Self::Page,
            std::cmp::Ordering::Less => Self::Problem,
            std::cmp::Ordering::Equal if html.is_acceptable() => Self::Page,
            std::cmp::Ordering::Equal => equal,
        }
    }
}

/// Whether an address, or the value of an `Origin` header, has this origin (RFC 6454 section 5).
pub fn is_at(address: &[u8], origin: &Origin) -> bool {
    let Ok(address) = std::str::from_utf8(address) else { return false };
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    // SECURITY: a backslash ends the authority where browsers read addresses, so it must end it here.
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or(rest);
    // A colon inside the brackets of an IPv6 address begins no port.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        None => Some(origin.scheme().default_port()),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
    };
    scheme.eq_ignore_ascii_case(origin.scheme().as_str())
        && host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(origin.host())
        && port == Some(origin.port())
}

/// How much something is wanted, in thousandths (RFC 9110 section 12.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quality(u16);

impl Quality {
    /// Not acceptable.
    pub(super) const NONE: Self = Self(0);
    /// Wanted without reserve.
    const FULL: Self = Self(1000);

    /// Whether it is wanted at all.
    pub(super) fn is_acceptable(self) -> bool {
        self > Self::NONE
    }

    /// `0`, `1`, or either with up to three digits behind a point; anything else is not acceptable.
    fn parse(text: &str) -> Self {
        let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
        if digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::NONE;
        }
        let thousandths = digits
            .bytes()
            .chain(std::iter::repeat(b'0'))
            .take(3)
            .fold(0, |sum, byte| sum * 10 + u16::from(byte - b'0'));
        match whole {
            "0" => Self(thousandths),
            "1" if thousandths == 0 => Self::FULL,
            _ => Self::NONE,
        }
    }
}

/// The most entries of a weighted list that are looked at.
const MOST_ENTRIES: usize = 64;

/// The entries of a weighted list (`Accept`, `Accept-Language`) in their order, over all its header lines.
/// A line that is not ASCII is skipped.
pub(super) fn weighted<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'a str, Quality)> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .take(MOST_ENTRIES)
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            let quality = parts
                .filter_map(|parameter| parameter.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                .map_or(Quality::FULL, |(_, quality)| Quality::parse(quality.trim()));
            (range, quality)
        })
}

/// `GET`, with `Connection: upgrade` and `Upgrade: websocket`.
fn is_websocket_handshake(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade")
}

/// Whether a comma-separated header names this token, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    any(headers, name, |line| {
        line.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

fn any(headers: &HeaderMap, name: &HeaderName, fits: impl Fn(&[u8]) -> bool) -> bool {
    headers.get_all(name).iter().any(|value| fits(value.as_bytes().trim_ascii()))
}

fn all(headers: &HeaderMap, name: &HeaderName, fits: impl Fn(&[u8]) -> bool) -> bool {
    headers.get_all(name).iter().all(|value| fits(value.as_bytes().trim_ascii()))
}

/// A header that may be given once: `None` when it is absent, `Some(None)` when it is given more than once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a [u8]>> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    Some(values.next().is_none().then(|| first.trim_ascii()))
}

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;
