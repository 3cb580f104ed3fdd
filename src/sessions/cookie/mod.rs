//! Our cookies in a browser: their names on one origin, how they are read from a request, and taken out of what
//! the app gets. How they are set and deleted is in `writing`.
//!
//! What is in them is sealed elsewhere (`ticket`, `login`). A session that is too large for one cookie comes
//! in pieces: `NAME` begins with their number and a dot, `NAME.1`, `NAME.2`, … follow.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

use crate::foundation::origin::{Origin, Scheme};

mod aside;
mod chosen;
mod header;
mod leaving;
mod person;
mod rounds;
mod settings;
#[cfg(test)]
mod tests;
mod writing;

pub use chosen::Chosen;
pub use header::OPERATOR_COOKIE;
pub use rounds::Rounds;
pub use settings::{CookieSettings, Partitioned, SameSite};

/// The length of a piece, in bytes: with its name and attributes it stays below the 4096 that browsers take.
const PIECE: usize = 3800;

/// The most pieces of one session: beyond it the `Cookie` header outgrows what servers accept.
const PIECES: usize = 5;

/// The default name; https puts `__Host-` before it, or `__Secure-` where a domain shares the session.
const STEM: &str = "vestibule";

/// The names and attributes of our cookies on one origin. Made once at start for each origin.
#[derive(Clone, Debug)]
pub struct CookieNames {
    origin: String,
    /// What sessions are sealed for: the origin, or all of a domain.
    realm: String,
    session: String,
    /// What the names of the origin's own cookies begin with; without a domain the session's name.
    own: String,
    stem: String,
    secure: bool,
    settings: CookieSettings,
}

/// Which hosts a browser sends a cookie of ours to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The one that set it.
    Host,
    /// Those that share the session: all of the domain, where there is one.
    Session,
}

/// What a request presents as its session: the cookie's own bytes, which are a worker's key to the open
/// session. Borrowed from the request unless it came in pieces.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented<'a>(Cow<'a, [u8]>);

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[cookie]")
    }
}

impl Presented<'_> {
    /// The bytes that the browser holds. Equal bytes are the same session.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why session cookies can't be read: nobody is signed in by them, and they are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A cookie of ours stands in the request more than once; another site or path may have set one of them.
    #[error("the session cookie was sent more than once")]
    Duplicate,
    /// A piece is missing, or the number of pieces is none that we set.
    #[error("a piece of the session cookie is missing")]
    Incomplete,
    /// It is longer than any that we set.
    #[error("the session cookie is longer than any that was set")]
    TooLong,
}

impl CookieNames {
    /// The names on one origin. Cookies ignore ports, so a port that is not the scheme's own is part of the
    /// default name; a configured one takes its place as it is. With a domain the session's cookie is that of
    /// all apps below it, whatever their ports, and the others stay the origin's.
    pub fn for_origin(origin: &Origin, settings: &CookieSettings) -> Self {
        let secure = origin.scheme() == Scheme::Https;
        let mut settings = settings.clone();
        // A browser drops `SameSite=None` without `Secure`.
        if !secure && settings.same_site == SameSite::None {
            (settings.same_site, settings.partitioned) = (SameSite::Lax, Partitioned::No);
        }
        let name = |prefix: &str| match settings.name.as_deref() {
            Some(name) => name.to_owned(),
            None if secure => format!("{prefix}{STEM}"),
            None => STEM.to_owned(),
        };
        // SECURITY: `__Host-` keeps neighbouring hosts and plain http from setting this cookie.
        let own = name("__Host-");
        let port = origin.port();
        let plain = settings.name.is_some() || port == origin.scheme().default_port();
        let own = if plain { own } else { format!("{own}-{port}") };
        let (realm, session) = match &settings.domain {
            None => (origin.to_string(), own.clone()),
            // An origin has no star in its host, so that neither opens the other's.
            Some(domain) => (format!("{}://*.{domain}", origin.scheme().as_str()), name("__Secure-")),
        };
        let stem = settings.name.as_deref().unwrap_or(STEM);
        let stem = String::from_utf8_lossy(header::without_prefix(stem.as_bytes())).into_owned();
        Self { origin: origin.to_string(), realm, session, own, stem, secure, settings }
    }

    /// What a login's cookie is sealed for.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// What a session is sealed for: it opens wherever this is the same.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The domain whose apps share the session.
    pub fn domain(&self) -> Option<&str> {
        self.settings.domain.as_deref()
    }

    /// The session cookie's name.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Whether cookies of this origin go over TLS only.
    pub(super) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether a redirect that began on another site, as the one from a provider does, would come without the
    /// session cookie.
    pub fn is_withheld_after_redirects(&self) -> bool {
        self.settings.same_site == SameSite::Strict
    }

    /// Whether browsers bring our cookies along into a frame in another site's page, if they allow any there.
    pub fn goes_into_frames(&self) -> bool {
        self.settings.same_site == SameSite::None
    }

    /// The `SameSite` of the cookies beside the session's: sent after another site's redirect, and into another
    /// site's frames where the session's is.
    pub(super) fn beside(&self) -> SameSite {
        if self.goes_into_frames() { SameSite::None } else { SameSite::Lax }
    }

    /// What the request presents as its session. Allocates only for a session in pieces.
    ///
    /// # Errors
    /// When our cookies contradict each other; see [`CookieNames::clear`].
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Option<Presented<'a>>, Malformed> {
        let mut pieces: [Option<&[u8]>; PIECES] = [None; PIECES];
        for (name, value) in header::pairs(headers) {
            let Some(place) = piece(&self.session, name).and_then(|number| pieces.get_mut(number)) else {
                continue;
            };
            // SECURITY: which of two cookies is ours can't be told; a tossed cookie must not win.
            if place.replace(value).is_some() {
                return Err(Malformed::Duplicate);
            }
            if value.len() > PIECE {
                return Err(Malformed::TooLong);
            }
        }
        let [Some(first), others @ ..] = &pieces else { return Ok(None) };
        let Some(dot) = first.iter().position(|byte| *byte == b'.') else {
            return Ok(if first.is_empty() { None } else { Some(Presented(Cow::Borrowed(first))) });
        };
        let (number, start) = first.split_at(dot);
        let number = match number {
            [digit] => usize::from(digit.wrapping_sub(b'0')),
            _ => 0,
        };
        if !(2..=PIECES).contains(&number) {
            return Err(Malformed::Incomplete);
        }
        let mut whole = start.get(1..).unwrap_or_default().to_vec();
        for (place, piece) in others.iter().take(number - 1).enumerate() {
            let piece = piece.ok_or(Malformed::Incomplete)?;
            // Each piece but the last is full, so that there is one way only to write a session.
            let full = place + 2 == number || piece.len() == PIECE;
            if !full || piece.is_empty() || first.len() != PIECE {
                return Err(Malformed::Incomplete);
            }
            whole.extend_from_slice(piece);
        }
        Ok(Some(Presented(Cow::Owned(whole))))
    }

    /// Takes all cookies of ours out of what goes to the app: session, pieces and logins, also those of our
    /// other origins on this host. The app's own stay byte for byte; without any of ours nothing is copied.
    pub fn strip_own(&self, headers: &mut HeaderMap) {
        header::strip(headers, &|name| header::is_own(name, self.stem.as_bytes()));
    }

    /// Takes the app's own cookies that `is` picks out of what goes to it.
    pub fn strip(&self, headers: &mut HeaderMap, is: impl Fn(&[u8]) -> bool) {
        header::strip(headers, &is);
    }

    /// Takes out of an app's answer what would set or delete a cookie of ours.
    ///
    /// SECURITY: an app, or whoever may write headers there, must not put a session of its choice into a browser
    /// (session fixation) nor end one.
    pub fn strip_set(&self, headers: &mut HeaderMap) {
        header::strip_set(headers, &|name| header::is_own(name, self.stem.as_bytes()));
    }

    /// What [`CookieNames::strip_own`] leaves of a single `Cookie` header; `None`: nothing.
    pub fn without_own(&self, cookie: &HeaderValue) -> Option<HeaderValue> {
        header::without_own(cookie, &|name| header::is_own(name, self.stem.as_bytes()))
    }

    /// The name of the cookie of one login.
    pub(super) fn login(&self, id: &str) -> String {
        format!("{}-login-{id}", self.own)
    }

    /// The login cookies of this origin that the request brought, as identifier and value.
    pub(super) fn logins<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        header::pairs(headers).filter_map(move |(name, value)| {
            let id = name.strip_prefix(self.own.as_bytes())?.strip_prefix(b"-login-")?;
            (id != rounds::ID.as_bytes()).then_some((id, value))
        })
    }
}

/// Which piece of the session `session` a cookie of this name is; the session cookie itself is number 0.
fn piece(session: &str, name: &[u8]) -> Option<usize> {
    match name.strip_prefix(session.as_bytes())? {
        [] => Some(0),
        [b'.', digit @ b'1'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}

fn piece_name(session: &str, number: usize) -> Cow<'_, str> {
    match number {
        0 => Cow::Borrowed(session),
        _ => Cow::Owned(format!("{session}.{number}")),
    }
}

/// Whether a configured cookie name can be one: a token of RFC 6265 section 4.1.1, short, and without the dots
/// that number pieces.
pub fn is_cookie_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-^_`|~".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}
