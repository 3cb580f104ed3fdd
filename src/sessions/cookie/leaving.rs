//! The cookie of a sign-out that a script began: what a page needs that is opened later, to end the session at the
//! provider too.
//!
//! It is the origin's own, and sealed by whoever sets it: here are its name, how long it lasts, and how it goes.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{CookieNames, PIECE, Reach, header};

/// A working day: longer than most providers keep a session that nobody uses.
const LASTS: Duration = Duration::from_secs(8 * 60 * 60);

impl CookieNames {
    /// What the browser keeps of such a sign-out; nothing when it says two things.
    pub fn unfinished<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let own = |name: &[u8]| name.strip_prefix(self.own.as_bytes()) == Some(header::LEAVING);
        let mut values = header::pairs(headers).filter(|(name, _)| own(name)).map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    /// A `Set-Cookie` value that has the browser keep this; `None` where it is too long for a cookie.
    pub fn keep_unfinished(&self, text: &str) -> Option<HeaderValue> {
        let fits = text.len() <= PIECE;
        fits.then(|| self.set(&self.leaving(), text, LASTS, self.beside(), Reach::Host)).flatten()
    }

    /// A `Set-Cookie` value that takes it away, where the request brought it.
    pub fn finish(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let brought = header::pairs(headers).any(|(name, _)| name == self.leaving().as_bytes());
        brought.then(|| self.delete(&self.leaving(), self.beside(), Reach::Host)).flatten()
    }

    fn leaving(&self) -> String {
        format!("{}{}", self.own, String::from_utf8_lossy(header::LEAVING))
    }
}
