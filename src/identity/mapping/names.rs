//! Header names as an app may read them: by letters and digits alone, case folded.
//!
//! CGI, WSGI and Rack turn `-` into `_`, some servers drop what they don't know; so `X_User-Email` and
//! `x.user.email` are spellings of `X-User-Email`. Owns which names may be identity headers at all, and the
//! search for spellings of ours among a request's headers.

use http::HeaderMap;
use http::header::HeaderName;

use crate::foundation::initials::{Initials, initial};

/// A name by its letters and digits alone, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folded(Box<[u8]>);

impl Folded {
    pub(super) fn new(name: &str) -> Self {
        Self(folded(name.as_bytes()).collect())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether an app could read two header names as the same: letters and digits only, case folded.
pub fn same_name(a: &str, b: &str) -> bool {
    folded(a.as_bytes()).eq(folded(b.as_bytes()))
}

fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
}

/// Names to be found in whatever spelling. Looks at every header of every request, so most are told apart
/// by their first and last letter.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    names: Vec<Folded>,
    first: Initials,
    last: Initials,
}

impl Spellings {
    pub(super) fn of(names: impl Iterator<Item = Folded>) -> Self {
        let mut spellings = Self::default();
        for name in names {
            name.0.first().into_iter().for_each(|byte| spellings.first.add(*byte));
            name.0.last().into_iter().for_each(|byte| spellings.last.add(*byte));
            spellings.names.push(name);
        }
        spellings
    }

    /// Removes every spelling of every name; `noted` is what the headers' names begin with.
    pub(super) fn strip(&self, headers: &mut HeaderMap, noted: Initials) {
        if !noted.meet(self.first) {
            return;
        }
        let forged: Vec<HeaderName> =
            headers.keys().filter(|name| self.holds(name.as_str())).cloned().collect();
        for name in forged {
            headers.remove(name);
        }
    }

    fn holds(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let last = name.iter().rfind(|byte| byte.is_ascii_alphanumeric());
        let may_be = initial(name).is_some_and(|byte| self.first.holds(byte))
            && last.is_some_and(|byte| self.last.holds(*byte));
        may_be
            && self
                .names
                .iter()
                .any(|ours| ours.0.len() <= name.len() && folded(name).eq(ours.0.iter().copied()))
    }
}

/// What a name that can't be an identity header is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// The connection between two hops.
    Connection,
    /// The message and its body.
    Message,
    /// Cookies.
    Cookies,
    /// Who asks, and for what.
    Forwarding,
    /// What browsers alone say.
    Browser,
}

impl Reserved {
    /// Why, and what to do, as the end of a sentence that begins with the name.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Connection => "belongs to the connection and never reaches an app; choose another name",
            Self::Message => "frames or describes the request itself; choose another name",
            Self::Cookies => "carries the app's own cookies; choose another name",
            Self::Forwarding => {
                "is how the gateway tells apps about the request's origin; choose another name"
            }
            Self::Browser => {
                "is what browsers say about the request, and apps rely on it; choose another name"
            }
        }
    }
}

/// How names begin that describe the body (RFC 9110 section 8).
const MESSAGE: [&str; 7] = [
    "contentlength",
    "contenttype",
    "contentencoding",
    "contentlanguage",
    "contentlocation",
    "contentrange",
    "contentdisposition",
];

/// How names begin that only browsers can set.
const BROWSER: [&str; 5] = ["secfetch", "secch", "secwebsocket", "secgpc", "secpurpose"];

/// Whether a name is taken by something else than identity.
pub(super) fn reserved(name: &Folded) -> Option<Reserved> {
    let name = std::str::from_utf8(&name.0).unwrap_or_default();
    match name {
        "connection" | "keepalive" | "proxyauthenticate" | "proxyauthorization" | "proxyconnection"
        | "te" | "trailer" | "trailers" | "transferencoding" | "upgrade" | "http2settings" | "via" => {
            Some(Reserved::Connection)
        }
        "host" | "expect" | "date" | "range" | "ifrange" | "acceptencoding" => Some(Reserved::Message),
        "cookie" | "cookie2" | "setcookie" | "setcookie2" => Some(Reserved::Cookies),
        // Names of identity that other gateways have given to apps.
        "xforwardeduser"
        | "xforwardedemail"
        | "xforwardedpreferredusername"
        | "xforwardedgroups"
        | "xforwardedaccesstoken" => None,
        "forwarded"
        | "xrealip"
        | "xoriginalurl"
        | "xoriginaluri"
        | "xoriginalmethod"
        | "xrewriteurl"
        | "xhttpmethodoverride"
        | "xhttpmethod"
        | "xmethodoverride" => Some(Reserved::Forwarding),
        "origin" | "referer" | "useragent" | "accept" | "acceptlanguage" => Some(Reserved::Browser),
        _ if name.starts_with("xforwarded") => Some(Reserved::Forwarding),
        _ if MESSAGE.iter().any(|begin| name.starts_with(begin)) => Some(Reserved::Message),
        _ if BROWSER.iter().any(|begin| name.starts_with(begin)) => Some(Reserved::Browser),
        _ => None,
    }
}
