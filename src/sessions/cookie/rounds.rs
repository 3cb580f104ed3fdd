//! The mark of sign-ins that lead nowhere: a number in a short-lived cookie, so that a browser is not sent to the
//! provider and back for ever.
//!
//! It is one of the login cookies and as plain as they are, so that it comes back where the session's does not.
//! It is sealed by nobody: whoever writes one stops their own browser's sign-in, once. A neighbouring host that could
//! plant it, where the name has no `__Host-`, could as well plant a second session cookie.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{CookieNames, Reach};

/// How long a round is remembered: from one sign-in to the request that needs the next.
const LASTS: Duration = Duration::from_secs(60);

/// What takes the place of a login's identifier in the name. None is that short.
pub(super) const ID: &str = "rounds";

/// The sign-ins that led nowhere, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounds {
    /// Whose session did not come back; the latest counts until it does.
    pub lost: u8,
    /// That a page asked for although somebody was signed in.
    pub again: u8,
    /// The length of the cookies of the latest session, in bytes.
    pub bytes: u32,
}

impl CookieNames {
    /// What the browser was marked with; nothing when that can't be read.
    pub fn rounds(&self, headers: &HeaderMap) -> Rounds {
        self.mark_of(headers).and_then(read).unwrap_or_default()
    }

    /// A `Set-Cookie` value that marks the browser.
    pub fn mark(&self, rounds: Rounds) -> Option<HeaderValue> {
        let value = format!("{}.{}.{}", rounds.lost, rounds.again, rounds.bytes);
        self.set(&self.login(ID), &value, LASTS, self.beside(), Reach::Host)
    }

    /// A `Set-Cookie` value that takes the mark away, where the request brought it.
    pub fn unmark(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.mark_of(headers)?;
        self.delete(&self.login(ID), self.beside(), Reach::Host)
    }

    /// What an answer sets when a session came back: the mark is gone, or holds what is still to be held.
    pub fn came_back(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match self.rounds(headers) {
            Rounds { lost: 0, .. } => None,
            Rounds { again: 0, .. } => self.unmark(headers),
            rounds => self.mark(Rounds { lost: 0, ..rounds }),
        }
    }

    fn mark_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let own = |name: &[u8]| {
            let rest = name.strip_prefix(self.own.as_bytes()).and_then(|rest| rest.strip_prefix(b"-login-"));
            rest == Some(ID.as_bytes())
        };
        super::header::pairs(headers).find(|(name, _)| own(name)).map(|(_, value)| value)
    }
}

fn read(value: &[u8]) -> Option<Rounds> {
    let mut numbers = std::str::from_utf8(value).ok()?.split('.');
    let rounds = Rounds {
        lost: numbers.next()?.parse().ok()?,
        again: numbers.next()?.parse().ok()?,
        bytes: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(rounds)
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use url::Url;

    use super::*;
    use crate::foundation::origin::Origin;
    use crate::sessions::CookieSettings;

    fn names() -> CookieNames {
        let origin = Origin::of(&Url::parse("https://lms.example.org").unwrap()).unwrap();
        CookieNames::for_origin(&origin, &CookieSettings::default())
    }

    fn sent(cookie: &str) -> HeaderMap {
        [(COOKIE, HeaderValue::from_str(cookie).unwrap())].into_iter().collect()
    }

    #[test]
    fn a_mark_comes_back_and_is_no_login() {
        let rounds = Rounds { lost: 2, again: 1, bytes: 321 };
        let set = names().mark(rounds).unwrap();
        let set = set.to_str().unwrap();
        assert_eq!(
            set,
            "__Host-vestibule-login-rounds=2.1.321; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        let headers = sent(set.split(';').next().unwrap());
        assert_eq!(names().rounds(&headers), rounds);
        assert_eq!(names().logins(&headers).count(), 0);
    }

    #[test]
    fn what_is_no_mark_counts_nothing_and_can_be_taken_away() {
        for value in ["", "1", "1.1", "1.1.1.1", "-1.0.0", "256.0.0", "a.0.0", "1.0.99999999999"] {
            let headers = sent(&format!("__Host-vestibule-login-rounds={value}"));
            assert_eq!(names().rounds(&headers), Rounds::default(), "{value}");
            assert!(names().unmark(&headers).is_some(), "{value}");
            assert_eq!(names().came_back(&headers), None, "{value}");
        }
        assert_eq!(names().unmark(&sent("a=b")), None);
    }

    #[test]
    fn a_session_that_came_back_ends_one_count_and_not_the_other() {
        let set = |cookie| names().came_back(&sent(cookie)).map(|set| set.to_str().unwrap().to_owned());
        let gone = set("__Host-vestibule-login-rounds=1.0.9").unwrap();
        assert!(gone.contains("rounds=;") && gone.contains("Max-Age=0"), "{gone}");
        let kept = set("__Host-vestibule-login-rounds=1.2.9").unwrap();
        assert!(kept.contains("rounds=0.2.9;"), "{kept}");
        assert_eq!(set("__Host-vestibule-login-rounds=0.2.9"), None);
    }
}
