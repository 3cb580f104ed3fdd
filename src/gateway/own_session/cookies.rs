//! The cookies of an app that go when another person signs in with the same browser, so that nobody lands in the
//! previous person's session of the app.
//!
//! Who was signed in last outlives the session: a cookie of ours holds a keyed hash of the person, which tells
//! nobody who it was. A browser that brings none is taken for another person's. Where a domain shares the session
//! people come without signing in on this host, and so each request tells who was here last.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};

use super::way::names;
use crate::foundation::origin::Scheme;
use crate::gateway::Gateway;
use crate::gateway::apps::Protected;
use crate::gateway::authentication::Person;

/// The most cookies of a browser that are cleared by a pattern; browsers keep up to 180 of a site.
const MOST: usize = 200;

/// A deletion's attributes.
const OVER: &str = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";

/// What more of them over https. A browser takes none without `SameSite=None` in a frame of another site's page, and
/// keeps what was set there with `Partitioned` apart from what was set without: it takes two to delete either.
const IN_ANY_FRAME: [&str; 2] = ["; Secure; SameSite=None", "; Secure; SameSite=None; Partitioned"];

/// A cookie that an app sets, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppCookie {
    /// Its name, or how it begins.
    pub name: String,
    /// Whether more may follow.
    pub extent: Extent,
    /// Its `Path`; left out: `/` and the app's prefix.
    pub path: Option<String>,
    /// Its `Domain`; left out: none.
    pub domain: Option<String>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One cookie.
    Whole,
    /// All that begin so, of those that the browser sends.
    Beginning,
}

impl AppCookie {
    fn is(&self, name: &[u8]) -> bool {
        match self.extent {
            Extent::Whole => name == self.name.as_bytes(),
            Extent::Beginning => name.starts_with(self.name.as_bytes()),
        }
    }
}

/// What the answer to a sign-in sets besides the session: it remembers the person and, unless they are the one
/// who was here last, deletes the cookies that the apps of this origin name.
pub fn hand_over(
    gateway: &Gateway,
    app: &Protected,
    headers: &HeaderMap,
    provider: &str,
    subject: &str,
) -> Vec<HeaderValue> {
    if !are_named(gateway, app) {
        return Vec::new();
    }
    let marks = Marks::of(gateway, app, provider, subject);
    let deletions =
        if marks.are_last(app, headers) { Vec::new() } else { clear(gateway, app, headers, None) };
    deletions.into_iter().chain(marks.remembered(app)).collect()
}

/// A person who comes with a session that was begun on another host of its domain, while another person was the last
/// one here.
#[derive(Debug)]
pub struct Newcomer(Vec<HeaderValue>);

impl Newcomer {
    /// Whether somebody is one; who signs in on this host is seen to by [`hand_over`].
    pub fn of(
        gateway: &Gateway,
        app: &Protected,
        person: Option<&Person>,
        headers: &HeaderMap,
    ) -> Option<Box<Self>> {
        let person = person.filter(|_| app.cookies.domain().is_some() && are_named(gateway, app))?;
        let marks = person.marks(|| {
            let data = person.live.data();
            Marks::of(gateway, app, &data.provider, &data.subject)
        });
        if marks.are_last(app, headers) {
            return None;
        }
        let deletions = clear(gateway, app, headers, None).into_iter();
        Some(Box::new(Self(deletions.chain(marks.remembered(app)).collect())))
    }

    /// Keeps the previous person's cookies from the app in this request already.
    pub fn hide(&self, app: &Protected, headers: &mut HeaderMap) {
        app.cookies.strip(headers, |name| self.0.iter().any(|set| named_in(set) == name));
    }

    /// What the app's answer sets besides: what it sets anew stays.
    pub fn set(self, answer: &HeaderMap) -> impl Iterator<Item = HeaderValue> {
        let set: Vec<&[u8]> = answer.get_all(SET_COOKIE).iter().map(named_in).collect();
        self.0.into_iter().filter(move |deletion| !set.contains(&named_in(deletion)))
    }
}

/// What stands for a person in a browser, under each key of the ring, the first of them first.
#[derive(Debug)]
pub struct Marks(Vec<String>);

impl Marks {
    fn of(gateway: &Gateway, app: &Protected, provider: &str, subject: &str) -> Self {
        let field = format!("last person\0{}", app.origin);
        // The length keeps provider and subject apart whatever characters they hold.
        let person = format!("{}:{provider}{subject}", provider.len());
        let names = gateway.sessions.keys().index_names(&field, &person);
        Self(names.map(|mark| URL_SAFE_NO_PAD.encode(mark)).collect())
    }

    /// Whether this is the person who was here last.
    fn are_last(&self, app: &Protected, headers: &HeaderMap) -> bool {
        let last = app.cookies.last_person(headers);
        last.is_some_and(|last| self.0.iter().any(|mark| mark.as_bytes() == last))
    }

    fn remembered(&self, app: &Protected) -> Option<HeaderValue> {
        app.cookies.remember_person(self.0.first()?)
    }
}

/// Whether an app of this origin names cookies.
fn are_named(gateway: &Gateway, app: &Protected) -> bool {
    of_origin(gateway, app).any(|app| !app.settings.own_session.cookies.is_empty())
}

fn of_origin<'g>(gateway: &'g Gateway, app: &Protected) -> impl Iterator<Item = &'g Protected> {
    gateway.apps.iter().filter(move |other| other.origin == app.origin)
}

/// `Set-Cookie` values that delete the cookies which the apps of this origin name, but for those that an `answer` of
/// the app's sets.
pub fn clear(
    gateway: &Gateway,
    app: &Protected,
    headers: &HeaderMap,
    answer: Option<&HeaderMap>,
) -> Vec<HeaderValue> {
    let set: Vec<&[u8]> =
        answer.into_iter().flat_map(|answer| answer.get_all(SET_COOKIE)).map(named_in).collect();
    let mut values = Vec::new();
    for app in of_origin(gateway, app) {
        for cookie in &app.settings.own_session.cookies {
            let named: Vec<&[u8]> = match cookie.extent {
                Extent::Whole => vec![cookie.name.as_bytes()],
                Extent::Beginning => names(headers).filter(|name| cookie.is(name)).take(MOST).collect(),
            };
            for name in named.into_iter().filter(|name| !set.contains(name) && !app.cookies.is_own(name)) {
                values.extend(deletions(app, cookie, name));
            }
        }
    }
    values
}

/// The name of the cookie that a `Set-Cookie` value is about.
fn named_in(set: &HeaderValue) -> &[u8] {
    set.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// A cookie goes only by the very name, path and domain that it was set with (RFC 6265bis section 5.7).
fn deletions(app: &Protected, cookie: &AppCookie, name: &[u8]) -> Vec<HeaderValue> {
    let prefix = &app.settings.prefix;
    let below = format!("{prefix}/");
    // RFC 6265bis section 4.1.3.2: such a cookie has this path and no domain, whatever the prefix's case.
    let bound = name.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"__Host-"));
    let paths = match &cookie.path {
        _ if bound => vec!["/"],
        Some(path) => vec![path.as_str()],
        None if prefix.is_empty() => vec!["/"],
        None => vec!["/", prefix.as_str(), below.as_str()],
    };
    let domain = cookie.domain.as_ref().filter(|_| !bound);
    let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    let kinds: &[&str] = match app.settings.origin.scheme() {
        Scheme::Https => &IN_ANY_FRAME,
        Scheme::Http => &[""],
    };
    let value = |(path, kind)| {
        let attributes = format!("=; {OVER}; Path={path}{domain}; HttpOnly{kind}");
        HeaderValue::from_bytes(&[name, attributes.as_bytes()].concat()).ok()
    };
    paths.into_iter().flat_map(|path| kinds.iter().map(move |kind| (path, kind))).filter_map(value).collect()
}
