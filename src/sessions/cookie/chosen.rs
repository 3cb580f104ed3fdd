//! The cookie of the provider that people last signed in with in a browser, where an app has several.
//!
//! It holds a name and no secret, and is sealed by nobody: whoever reads it takes it for a wish, and holds it
//! against the app's providers. The name is one that can stand in a cookie, as the configuration sees to.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{CookieNames, Reach, header};

/// How long a browser remembers.
const LASTS: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What follows the name once the person has signed out.
const SIGNED_OUT: &str = ":signed-out";

/// What a browser remembers of the provider of its last sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// A session was begun with it: the next login is begun with it too.
    InUse(&'a str),
    /// The person signed out: it is offered first, as the next one here may be somebody else.
    SignedOut(&'a str),
}

impl<'a> Chosen<'a> {
    /// The provider's name.
    pub const fn name(self) -> &'a str {
        match self {
            Self::InUse(name) | Self::SignedOut(name) => name,
        }
    }
}

impl CookieNames {
    /// What the browser remembers; nothing when it says two things.
    pub fn chosen<'a>(&self, headers: &'a HeaderMap) -> Option<Chosen<'a>> {
        let own = |name: &[u8]| name.strip_prefix(self.session.as_bytes()) == Some(header::CHOSEN);
        let mut values = header::pairs(headers).filter(|(name, _)| own(name)).map(|(_, value)| value);
        let value = std::str::from_utf8(values.next()?).ok()?;
        if values.next().is_some() {
            return None;
        }
        Some(match value.strip_suffix(SIGNED_OUT) {
            Some(name) => Chosen::SignedOut(name),
            None => Chosen::InUse(value),
        })
    }

    /// A `Set-Cookie` value that lets the browser remember.
    pub fn remember(&self, chosen: Chosen<'_>) -> Option<HeaderValue> {
        let name = format!("{}{}", self.session, String::from_utf8_lossy(header::CHOSEN));
        let value = match chosen {
            Chosen::InUse(provider) => provider.to_owned(),
            Chosen::SignedOut(provider) => format!("{provider}{SIGNED_OUT}"),
        };
        self.set(&name, &value, LASTS, self.beside(), Reach::Session)
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use url::Url;

    use super::*;
    use crate::foundation::origin::Origin;
    use crate::sessions::{CookieSettings, SameSite};

    fn names() -> CookieNames {
        let origin = Origin::of(&Url::parse("https://lms.example.org").unwrap()).unwrap();
        CookieNames::for_origin(
            &origin,
            &CookieSettings { same_site: SameSite::Strict, ..Default::default() },
        )
    }

    fn headers(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
    }

    #[test]
    fn what_is_remembered_comes_back_and_is_kept_from_scripts_other_hosts_and_plain_http() {
        for chosen in [Chosen::InUse("trusted"), Chosen::SignedOut("a.d-1_~")] {
            let set = names().remember(chosen).unwrap();
            let set = set.to_str().unwrap();
            let (pair, attributes) = set.split_once("; ").unwrap();
            assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=31536000");
            assert!(pair.starts_with("__Host-vestibule-provider="), "{pair}");
            assert_eq!(names().chosen(&headers(&[pair])), Some(chosen));
        }
    }

    #[test]
    fn what_is_said_twice_or_of_another_origin_is_not_remembered() {
        for cookies in [
            &["__Host-vestibule-provider=a; __Host-vestibule-provider=b"][..],
            &["__Host-vestibule-provider=a", "__Host-vestibule-provider=a"],
            &["__Host-vestibule-8443-provider=a"],
            &["vestibule-provider=a"],
            &["__Host-vestibule-provider-x=a"],
            &[],
        ] {
            assert_eq!(names().chosen(&headers(cookies)), None, "{cookies:?}");
        }
    }
}
