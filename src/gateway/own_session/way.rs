//! What a request to an app's own sign-out address is, and what the app's answer to it says: pure decisions.
//!
//! Apps differ: some sign out by a link, some show a question first, some answer a form that they do not trust with
//! an error. What counts is what browsers see of it, so no app needs a table of its own here.

use cookie::Cookie;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::{Method, Response};
use url::Url;

use crate::foundation::clock::Timestamp;
use crate::foundation::origin::Origin;
use crate::gateway::negotiation::{Intent, Sender, is_part_of_a_page, is_speculative};

/// How somebody comes to an app's own sign-out address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The browser asks in advance, and nobody left.
    InAdvance,
    /// Another site sent the person there.
    FromElsewhere,
    /// The person goes there.
    Navigation,
    /// A script of the app's asks for it.
    Script,
}

impl Way {
    /// The way of a request to the app at `origin`; `None` when it is the app's own affair: by another method, a
    /// WebSocket, a picture on a page, or what another site has the browser fetch.
    pub fn of(method: &Method, headers: &HeaderMap, origin: &Origin) -> Option<Self> {
        if !matches!(*method, Method::GET | Method::POST) {
            return None;
        }
        let intent = Intent::of(method, headers);
        // SECURITY: whoever may write into a page of the app's, or has one of their own, must not sign its readers
        // out by a picture (CSRF); an app that lets them sees to its own session alone.
        let asks = Sender::of(headers, origin).must_be_asked_about();
        match intent {
            Intent::WebSocket => None,
            _ if is_speculative(headers) => Some(Self::InAdvance),
            Intent::Navigation if asks => Some(Self::FromElsewhere),
            Intent::Navigation => Some(Self::Navigation),
            Intent::Script if asks || is_part_of_a_page(headers) => None,
            Intent::Script => Some(Self::Script),
        }
    }
}

/// What an app's answer says of a sign-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The person has left, and is sent there, if anywhere.
    Left(Option<Url>),
    /// They have not, or not yet: the app asks, refuses, or sends them on to where they will.
    Stays,
}

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

impl Said {
    /// Reads the answer to a request for `at` that brought these `cookies`. `goes_on` tells whether an address is
    /// one where the sign-out takes place after all.
    pub fn of<B>(
        method: &Method,
        at: &Url,
        cookies: &HeaderMap,
        answer: &Response<B>,
        now: Timestamp,
        goes_on: impl Fn(&Url) -> bool,
    ) -> Self {
        let status = answer.status();
        if status.is_server_error() {
            // The app is broken; the person is not to be held here by that.
            return Self::Left(None);
        }
        if status.is_success() {
            // A question before a sign-out takes no cookie away; a page after it does, or follows a form.
            let left = *method == Method::POST || takes_a_cookie_away(cookies, answer.headers(), now);
            return if left { Self::Left(None) } else { Self::Stays };
        }
        let moved = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(to) = answer.headers().get(LOCATION).filter(|_| moved) else { return Self::Stays };
        let to = to.to_str().ok().and_then(|to| at.join(to).ok());
        match &to {
            Some(to) if is_another_spelling(at, to) => Self::Stays,
            Some(to) if goes_on(to) && !takes_a_cookie_away(cookies, answer.headers(), now) => Self::Stays,
            _ => Self::Left(to),
        }
    }
}

/// Whether a redirect only tidies the address: another final slash, scheme or host.
pub(super) fn is_another_spelling(at: &Url, to: &Url) -> bool {
    let bare = |url: &Url| url.path().trim_end_matches('/').to_owned();
    let same = at.path() == to.path() && at.query() == to.query();
    bare(at) == bare(to) && (at.path() != to.path() || same && at.origin() != to.origin())
}

/// Whether an answer deletes a cookie that the request brought.
fn takes_a_cookie_away(brought: &HeaderMap, answer: &HeaderMap, now: Timestamp) -> bool {
    let clears = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|kind| [&b"\"cookies\""[..], b"\"*\""].iter().any(|all| kind.eq_ignore_ascii_case(all)))
    };
    if answer.get_all(CLEAR_SITE_DATA).iter().any(clears) {
        return true;
    }
    let is_over = |cookie: &Cookie<'_>| match (cookie.max_age(), cookie.expires_datetime()) {
        (Some(lasts), _) => lasts.is_zero() || lasts.is_negative(),
        (None, Some(until)) => u64::try_from(until.unix_timestamp()).unwrap_or(0) <= now.as_secs(),
        (None, None) => false,
    };
    let sets = answer.get_all(SET_COOKIE).iter().filter_map(|set| Cookie::parse(set.to_str().ok()?).ok());
    sets.filter(is_over).any(|cookie| names(brought).any(|name| name == cookie.name().as_bytes()))
}

/// The names of the cookies that a request brought.
pub(super) fn names(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let pairs =
        headers.get_all(COOKIE).into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let names = pairs.map(|pair| pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii());
    names.filter(|name| !name.is_empty())
}

#[cfg(test)]
#[path = "way_tests.rs"]
mod tests;
