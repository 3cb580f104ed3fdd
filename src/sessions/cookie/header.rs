//! The `Cookie` request header, read by hand as RFC 6265bis section 5.8.3 writes it: pairs between semicolons,
//! bytes untouched. Several header fields count as one.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// How the name of the chosen provider's cookie ends.
pub(super) const CHOSEN: &[u8] = b"-provider";

/// What stands before the identifier in the name of what a browser has us keep.
pub(super) const ASIDE: &[u8] = b"-form-";

/// How the name of an unfinished sign-out's cookie ends.
pub(super) const LEAVING: &[u8] = b"-leaving";

/// How the name of the last person's cookie ends.
pub(super) const PERSON: &[u8] = b"-person";

/// The cookie of the operators' page, which is on another port.
pub const OPERATOR_COOKIE: &str = "vestibule-operator";

/// The pairs of all `Cookie` headers, as name and value. A pair without `=` is a name with an empty value.
pub(super) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let segments = headers.get_all(COOKIE).into_iter().flat_map(|value| segments(value.as_bytes()));
    segments.map(pair)
}

/// Takes out the pairs whose name is `own`. Nothing is copied when there are none, and a header of which
/// nothing remains goes.
pub(super) fn strip(headers: &mut HeaderMap, own: &impl Fn(&[u8]) -> bool) {
    if !pairs(headers).any(|(name, _)| own(name)) {
        return;
    }
    let kept: Vec<HeaderValue> =
        headers.get_all(COOKIE).into_iter().filter_map(|value| without_own(value, own)).collect();
    headers.remove(COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}

/// Takes out the `Set-Cookie` headers of the cookies whose name is `own`.
pub(super) fn strip_set(headers: &mut HeaderMap, own: &impl Fn(&[u8]) -> bool) {
    let sets_own = |value: &HeaderValue| {
        let pair = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        // SECURITY: browsers send a cookie without a name as its value alone: `=vestibule=x` comes back as ours.
        let start = pair.iter().position(|byte| !matches!(byte, b'=' | b' ' | b'\t')).unwrap_or(pair.len());
        own(self::pair(pair.get(start..).unwrap_or_default()).0)
    };
    if !headers.get_all(SET_COOKIE).iter().any(sets_own) {
        return;
    }
    let kept: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter(|value| !sets_own(value)).cloned().collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

/// Whether a name is one of ours: an optional `__Host-` or `__Secure-`, the stem, an optional port, and then
/// nothing, the number of a piece, a login, a form that is kept, the chosen provider, the last person, or a sign-out.
/// The cookie of operators is ours, too.
pub(super) fn is_own(name: &[u8], stem: &[u8]) -> bool {
    // SECURITY: browsers send a host's cookies to all its ports: an app must not get to see sessions by that one.
    if name == OPERATOR_COOKIE.as_bytes() {
        return true;
    }
    let Some(rest) = without_prefix(name).strip_prefix(stem) else { return false };
    let rest = match rest.strip_prefix(b"-") {
        Some(port) if port.first().is_some_and(u8::is_ascii_digit) => {
            let end = port.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(port.len());
            port.get(end..).unwrap_or_default()
        }
        _ => rest,
    };
    match rest {
        [] => true,
        [b'.', number @ ..] => number.iter().all(u8::is_ascii_digit),
        _ if [CHOSEN, PERSON, LEAVING].contains(&rest) => true,
        _ => rest.starts_with(b"-login-") || rest.starts_with(ASIDE),
    }
}

/// A cookie name without the prefix that browsers give a meaning to (RFC 6265bis section 4.1.3).
pub(super) fn without_prefix(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"__Host-").or_else(|| name.strip_prefix(b"__Secure-")).unwrap_or(name)
}

/// What remains of one header without the pairs whose name is `own`; `None`: nothing.
pub(super) fn without_own(value: &HeaderValue, own: &impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let mut kept = Vec::with_capacity(value.len());
    let mut any = false;
    for segment in segments(value.as_bytes()).filter(|segment| !own(pair(segment).0)) {
        if any {
            kept.push(b';');
            kept.extend_from_slice(segment);
        } else {
            kept.extend_from_slice(segment.trim_ascii_start());
            any = true;
        }
    }
    if kept.iter().all(|byte| *byte == b';' || byte.is_ascii_whitespace()) {
        return None;
    }
    // What is left of a header value is one: its bytes were all in it.
    HeaderValue::from_bytes(&kept).ok()
}

fn segments(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';')
}

fn pair(segment: &[u8]) -> (&[u8], &[u8]) {
    let equals = segment.iter().position(|byte| *byte == b'=').unwrap_or(segment.len());
    let (name, value) = segment.split_at(equals);
    (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii())
}
