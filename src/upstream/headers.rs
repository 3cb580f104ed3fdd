//! Which header fields end at this hop, and which ones a stranger may not send on.
//!
//! The gateway calls [`remove_hop_by_hop`] first, then strips and sets what is its own: so nothing that a
//! client lists in `Connection` can take away a header that the gateway adds. Nothing is allocated unless
//! something is to be removed that has no place in a proper request.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::foundation::initials::Initials;

/// Whether a field ends at this hop even if `Connection` does not list it (RFC 9110 section 7.6.1).
/// `Expect` is answered here: `hyper` says "100 Continue" when the app's connection takes the body.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "expect"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Removes what `Connection` lists and then the fixed set, from a request or an answer.
///
/// `Content-Length` and `Host` stay even when listed: they frame and address the message, and a request
/// without them would be another request.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Looking at each name once is cheaper than asking for all ten; most messages hold none of them, or a
    // `Connection` that lists nothing.
    match headers.keys().filter(|name| is_hop_by_hop(name)).count() {
        0 => return,
        1 if lists_nothing(headers) => {
            headers.remove(CONNECTION);
            return;
        }
        _ => {}
    }
    // SECURITY: the list is read before anything is added, so that a client can't have an identity header
    // dropped by naming it in `Connection`.
    let listed: Vec<HeaderName> = headers.get_all(CONNECTION).iter().flat_map(listed_names).collect();
    for name in listed {
        headers.remove(name);
    }
    // One after the other instead of a list of them: most messages hold `Connection` alone.
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        headers.remove(name);
    }
}

/// Whether there is one `Connection`, about the connection alone.
fn lists_nothing(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    match (all.next(), all.next()) {
        (Some(only), None) => only.eq_ignore_ascii_case(b"keep-alive") || only.eq_ignore_ascii_case(b"close"),
        _ => false,
    }
}

fn listed_names(value: &HeaderValue) -> impl Iterator<Item = HeaderName> + '_ {
    tokens(value)
        .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
}

/// The comma-separated elements of a field's value, without the space around them and without empty ones.
pub(super) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// The field names, as letters and digits alone, by which proxies tell apps about the client; whatever
/// begins with `xforwarded` besides.
const FORWARDING: [&[u8]; 5] = [b"forwarded", b"xrealip", b"xclientip", b"xclusterclientip", b"trueclientip"];

/// The field names, likewise, that some apps take for the request's target, host or method.
const INSTEAD: [&[u8]; 7] = [
    b"xoriginalurl",
    b"xoriginaluri",
    b"xoriginalhost",
    b"xoriginalmethod",
    b"xrewriteurl",
    b"xforwardeduri",
    b"xforwardedmethod",
];

/// The field names, likewise, by which a POST asks to be taken for another method.
const OVERRIDES: [&[u8]; 3] = [b"xhttpmethodoverride", b"xhttpmethod", b"xmethodoverride"];

/// What all of [`FORWARDING`] and [`INSTEAD`] begin with.
const FORWARDING_INITIALS: Initials = Initials::of(b"xft");

/// Removes every field by which a client could pretend to be a proxy, in any spelling that an app could
/// read as the same name (`X_Forwarded_For`). `noted` is what the fields' names begin with.
pub fn remove_forwarding(headers: &mut HeaderMap, noted: Initials) {
    if !noted.meet(FORWARDING_INITIALS) {
        return;
    }
    remove_where(headers, is_forwarding);
}

/// Removes the odd spellings alone, and what names another target: what a trusted proxy says of the client
/// under the proper names stays.
pub fn remove_misspelt_forwarding(headers: &mut HeaderMap) {
    remove_where(headers, |name| {
        let odd = || name.as_str().bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
        // SECURITY: a proxy passes these on as the client sent them. An app that believed one would serve
        // another path than the one that was judged.
        is_forwarding(name) && (odd() || is_one_of(name, &INSTEAD))
    });
}

/// What all of [`OVERRIDES`] begin with.
const OVERRIDES_INITIALS: Initials = Initials::of(b"x");

/// Removes what asks an app to take the request for another method than the one that was judged. `noted` is
/// what the fields' names begin with.
pub fn remove_method_override(headers: &mut HeaderMap, noted: Initials) {
    if !noted.meet(OVERRIDES_INITIALS) {
        return;
    }
    remove_where(headers, |name| is_one_of(name, &OVERRIDES));
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn is_forwarding(name: &HeaderName) -> bool {
    let squeezed = || name.as_str().bytes().filter(u8::is_ascii_alphanumeric);
    if !squeezed().next().is_some_and(|initial| FORWARDING_INITIALS.holds(initial)) {
        return false;
    }
    squeezed().take(10).eq(b"xforwarded".iter().copied())
        || is_one_of(name, &FORWARDING)
        || is_one_of(name, &INSTEAD)
}

fn is_one_of(name: &HeaderName, known: &[&[u8]]) -> bool {
    let squeezed = || name.as_str().bytes().filter(u8::is_ascii_alphanumeric);
    known.iter().any(|known| squeezed().eq(known.iter().copied()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        let mut headers = map(&[
            ("Connection", "close, X-Once"),
            ("Connection", "x-twice ,, host, content-length"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "x"),
            ("Proxy-Authorization", "x"),
            ("TE", "trailers"),
            ("Trailer", "x"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Expect", "100-continue"),
            ("X-Once", "1"),
            ("X-Twice", "1"),
            ("X-Twice", "2"),
            ("Host", "lms.example.org"),
            ("Content-Length", "3"),
        ]);
        remove_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(headers.contains_key("host") && headers.contains_key("content-length"));
    }

    #[test]
    fn no_spelling_of_a_forwarding_header_gets_past() {
        for name in [
            "X_Forwarded_For",
            "x-forwarded_for",
            "X.Forwarded.For",
            "XForwardedFor",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "X-Forwarded-Port",
            "Forwarded",
            "X-Forwarded-Server",
            "X-Forwarded-Prefix",
            "X-Forwarded-User",
            "X-Forwarded-Uri",
            "X-Real-IP",
            "X_Real_IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "True-Client-IP",
            "_x_forwarded_host",
        ] {
            for others in [&[("X-Fine", "1"), ("From", "a"), ("TE", "a")], &[("Accept", "a"); 3]] {
                let mut headers = map(others);
                let before = headers.len();
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), "6.6.6.6".parse().unwrap());
                let mut noted = Initials::default();
                headers.keys().for_each(|name| noted.note(name));
                remove_forwarding(&mut headers, noted);
                assert_eq!(headers.len(), before, "{name}");
            }
        }
        let mut headers =
            map(&[("X-Real-IP", "1.1.1.1"), ("x_real_ip", "6.6.6.6"), ("X-Forwarded-For", "1")]);
        remove_misspelt_forwarding(&mut headers);
        assert_eq!(headers.len(), 2);
    }

    proptest! {
        #[test]
        fn nothing_that_connection_lists_survives(
            names in proptest::collection::vec("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}", 1..12),
            lists in proptest::collection::vec(any::<prop::sample::Index>(), 1..12),
            gap in "[ \t]{0,2},[ \t,]{0,3}",
        ) {
            let mut headers = HeaderMap::new();
            for name in &names {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("v"));
            }
            let listed: Vec<&str> = lists.iter().map(|index| index.get(&names).as_str()).collect();
            headers.insert(CONNECTION, listed.join(&gap).parse().unwrap());
            remove_hop_by_hop(&mut headers);
            for name in listed {
                let kept = ["host", "content-length", "close"].contains(&name.to_ascii_lowercase().as_str());
                prop_assert!(kept || !headers.contains_key(name), "{name}");
            }
        }
    }
}
