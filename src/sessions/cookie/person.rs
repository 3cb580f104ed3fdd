//! The cookie that outlives the session and stands for who was signed in last, by a keyed hash: it says that
//! the next person is another one, and nothing of who either is. It is the origin's own, also where a domain shares
//! the session.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{CookieNames, Reach, header};

/// As long as browsers keep any cookie.
const LASTS: Duration = Duration::from_secs(400 * 24 * 60 * 60);

impl CookieNames {
    /// What stands for who was signed in last; nothing when the browser says two things.
    pub fn last_person<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let own = |name: &[u8]| name.strip_prefix(self.own.as_bytes()) == Some(header::PERSON);
        let mut values = header::pairs(headers).filter(|(name, _)| own(name)).map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    /// A `Set-Cookie` value that lets the browser remember who is signed in.
    pub fn remember_person(&self, mark: &str) -> Option<HeaderValue> {
        let name = format!("{}{}", self.own, String::from_utf8_lossy(header::PERSON));
        self.set(&name, mark, LASTS, self.beside(), Reach::Host)
    }

    /// Whether a cookie of this name is one of ours.
    pub fn is_own(&self, name: &[u8]) -> bool {
        header::is_own(name, self.stem.as_bytes())
    }
}
