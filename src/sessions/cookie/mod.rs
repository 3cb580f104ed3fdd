//! Our cookies in a browser: their names on one origin, how they are read from a request, taken out of what
//! the app gets, set and deleted.
//!
//! What is in them is sealed elsewhere (`ticket`, `login`). A session that is too large for one cookie comes
//! in pieces: `NAME` begins with their number and a dot, `NAME.1`, `NAME.2`, … follow.

use std::borrow::Cow;
use std::time::Duration;

use cookie::time::OffsetDateTime;
use cookie::{Cookie, Expiration};
use http::{HeaderMap, HeaderValue};

use super::SameSite;
use super::store::StoreError;
use crate::foundation::origin::{Origin, Scheme};

mod aside;
mod chosen;
mod header;
#[cfg(test)]
mod tests;

pub use chosen::Chosen;

/// The length of a piece, in bytes: with its name and attributes it stays below the 4096 that browsers take.
const PIECE: usize = 3800;

/// The most pieces of one session: beyond it the `Cookie` header outgrows what servers accept.
const PIECES: usize = 5;

/// The default name; https puts `__Host-` before it.
const STEM: &str = "vestibule";

/// The names and attributes of our cookies on one origin. Made once at start for each origin.
#[derive(Clone, Debug)]
pub struct CookieNames {
    origin: String,
    session: String,
    stem: String,
    secure: bool,
    same_site: SameSite,
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
    /// default name; `configured` takes its place as it is.
    pub fn for_origin(origin: &Origin, configured: Option<&str>, same_site: SameSite) -> Self {
        let secure = origin.scheme() == Scheme::Https;
        let base = match configured {
            Some(name) => name.to_owned(),
            // SECURITY: `__Host-` keeps neighbouring hosts and plain http from setting this cookie.
            None if secure => format!("__Host-{STEM}"),
            None => STEM.to_owned(),
        };
        let port = origin.port();
        let plain = configured.is_some() || port == origin.scheme().default_port();
        let session = if plain { base.clone() } else { format!("{base}-{port}") };
        let stem = header::without_prefix(base.as_bytes());
        // A browser drops `SameSite=None` without `Secure`.
        let same_site = if secure || same_site != SameSite::None { same_site } else { SameSite::Lax };
        Self {
            origin: origin.to_string(),
            session,
            stem: String::from_utf8_lossy(stem).into_owned(),
            secure,
            same_site,
        }
    }

    /// What a cookie of these names is sealed for.
    pub fn origin(&self) -> &str {
        &self.origin
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
        self.same_site == SameSite::Strict
    }

    /// What the request presents as its session. Allocates only for a session in pieces.
    ///
    /// # Errors
    /// When our cookies contradict each other; see [`CookieNames::clear`].
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Option<Presented<'a>>, Malformed> {
        let mut pieces: [Option<&[u8]>; PIECES] = [None; PIECES];
        for (name, value) in header::pairs(headers) {
            let Some(place) = self.piece(name).and_then(|number| pieces.get_mut(number)) else { continue };
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

    /// `Set-Cookie` values for a session whose ticket is `text`.
    pub(super) fn set_session(&self, text: &str, lasts: Duration) -> Result<Vec<HeaderValue>, StoreError> {
        if text.len() <= PIECE {
            return Ok(self.set(&self.session, text, lasts, self.same_site).into_iter().collect());
        }
        let number = (text.len() + 2).div_ceil(PIECE);
        if number > PIECES {
            return Err(StoreError::TooLarge { bytes: text.len(), limit: PIECES * PIECE - 2 });
        }
        let whole = format!("{number}.{text}");
        let mut values = Vec::with_capacity(number);
        for (number, piece) in whole.as_bytes().chunks(PIECE).enumerate() {
            let piece = String::from_utf8_lossy(piece);
            values.extend(self.set(&self.piece_name(number), &piece, lasts, self.same_site));
        }
        Ok(values)
    }

    /// `Set-Cookie` values that delete the session cookies which the request brought: all of them, or after a
    /// sign-in those beyond the `set` that were set anew, so that each name stands once in a response.
    pub fn clear(&self, headers: &HeaderMap, set: usize) -> Vec<HeaderValue> {
        let mut brought = [false; PIECES];
        for (name, _) in header::pairs(headers) {
            if let Some(place) = self.piece(name).and_then(|number| brought.get_mut(number)) {
                *place = true;
            }
        }
        let numbers = (0..PIECES).zip(brought).skip(set).filter(|(_, brought)| *brought);
        numbers.filter_map(|(number, _)| self.delete(&self.piece_name(number), self.same_site)).collect()
    }

    /// The name of the cookie of one login.
    pub(super) fn login(&self, id: &str) -> String {
        format!("{}-login-{id}", self.session)
    }

    /// The login cookies of this origin that the request brought, as identifier and value.
    pub(super) fn logins<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        header::pairs(headers).filter_map(move |(name, value)| {
            let id = name.strip_prefix(self.session.as_bytes())?.strip_prefix(b"-login-")?;
            Some((id, value))
        })
    }

    /// A `Set-Cookie` value. Names are tokens and values base64url with dots, so there always is one.
    pub(super) fn set(
        &self,
        name: &str,
        value: &str,
        lasts: Duration,
        same_site: SameSite,
    ) -> Option<HeaderValue> {
        let mut cookie = self.bare(name, value, same_site);
        cookie.set_max_age(cookie::time::Duration::try_from(lasts).ok());
        header_value(&cookie)
    }

    /// A `Set-Cookie` value that deletes what [`CookieNames::set`] set, with the same attributes.
    pub(super) fn delete(&self, name: &str, same_site: SameSite) -> Option<HeaderValue> {
        let mut cookie = self.bare(name, "", same_site);
        cookie.set_max_age(cookie::time::Duration::ZERO);
        cookie.set_expires(Expiration::DateTime(OffsetDateTime::UNIX_EPOCH));
        header_value(&cookie)
    }

    fn bare<'c>(&self, name: &'c str, value: &'c str, same_site: SameSite) -> Cookie<'c> {
        Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(match same_site {
                SameSite::Lax => cookie::SameSite::Lax,
                SameSite::Strict => cookie::SameSite::Strict,
                SameSite::None => cookie::SameSite::None,
            })
            .build()
    }

    /// Which piece of the session a cookie of this name is; the session cookie itself is number 0.
    fn piece(&self, name: &[u8]) -> Option<usize> {
        match name.strip_prefix(self.session.as_bytes())? {
            [] => Some(0),
            [b'.', digit @ b'1'..=b'9'] => Some(usize::from(digit - b'0')),
            _ => None,
        }
    }

    fn piece_name(&self, number: usize) -> Cow<'_, str> {
        match number {
            0 => Cow::Borrowed(&self.session),
            _ => Cow::Owned(format!("{}.{number}", self.session)),
        }
    }
}

fn header_value(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
    // SECURITY: a header map that is printed must not show who could be signed in with it.
    value.set_sensitive(true);
    Some(value)
}

/// Whether a configured cookie name can be one: a token of RFC 6265 section 4.1.1, short, and without the dots
/// that number pieces.
pub fn is_cookie_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-^_`|~".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}
