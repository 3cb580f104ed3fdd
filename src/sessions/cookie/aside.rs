//! The cookies of what a browser has us keep for a while: a form that waits until its sender has signed in.
//!
//! Each has one of its own, so that forms in several tabs do not disturb each other; a browser holds a few at a time,
//! and the oldest go first. What is in them is sealed by whoever keeps the thing.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{CookieNames, Reach, header};
use crate::foundation::clock::Timestamp;

/// The most of them that a browser holds.
const AT_A_TIME: usize = 5;

/// The longest value, in bytes.
const LONGEST: usize = 3800;

impl CookieNames {
    /// `Set-Cookie` values that give a browser this one for as long as it `lasts`, and take away its oldest where it
    /// has too many; `None` when the text is too long for a cookie. `id` and `text` are of base64url.
    pub fn lay_aside(
        &self,
        headers: &HeaderMap,
        id: &str,
        text: &str,
        now: Timestamp,
        lasts: Duration,
    ) -> Option<Vec<HeaderValue>> {
        // The time before the dot only tells which is oldest.
        let value = format!("{}.{text}", now.as_secs());
        if value.len() > LONGEST {
            return None;
        }
        let mut others: Vec<_> = self
            .asides(headers)
            .filter_map(|(id, value)| Some((since(value), std::str::from_utf8(id).ok()?)))
            .collect();
        others.retain(|(_, other)| *other != id);
        others.sort_unstable();
        others.dedup_by_key(|(_, id)| *id);
        let surplus = (others.len() + 1).saturating_sub(AT_A_TIME);
        let mut values = vec![self.set(&self.aside_name(id), &value, lasts, self.beside(), Reach::Host)?];
        values.extend(others.iter().take(surplus).filter_map(|(_, id)| self.drop_aside(id)));
        Some(values)
    }

    /// The text of one that the request brought; nothing when it came twice.
    pub fn aside<'a>(&self, headers: &'a HeaderMap, id: &str) -> Option<&'a str> {
        let mut found = self.asides(headers).filter(|(name, _)| *name == id.as_bytes());
        let (_, value) = found.next()?;
        // SECURITY: which of two cookies this browser was given can't be told.
        if found.next().is_some() {
            return None;
        }
        std::str::from_utf8(value).ok()?.split_once('.').map(|(_, text)| text)
    }

    /// A `Set-Cookie` value that takes one away.
    pub fn drop_aside(&self, id: &str) -> Option<HeaderValue> {
        self.delete(&self.aside_name(id), self.beside(), Reach::Host)
    }

    fn asides<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        header::pairs(headers).filter_map(move |(name, value)| {
            let id = name.strip_prefix(self.own.as_bytes())?.strip_prefix(header::ASIDE)?;
            Some((id, value))
        })
    }

    fn aside_name(&self, id: &str) -> String {
        format!("{}{}{id}", self.own, String::from_utf8_lossy(header::ASIDE))
    }
}

/// The time that a cookie shows; one that shows none is the oldest.
fn since(value: &[u8]) -> u64 {
    let digits = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
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

    fn jar(pairs: &[String]) -> HeaderMap {
        pairs.iter().map(|pair| (COOKIE, HeaderValue::from_str(pair).unwrap())).collect()
    }

    fn pair(set: &HeaderValue) -> String {
        set.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn each_has_a_cookie_of_its_own_that_never_reaches_an_app() {
        let (names, now, lasts) = (names(), Timestamp::from_secs(100), Duration::from_secs(60));
        let none = HeaderMap::new();
        let set = ["a", "b"]
            .map(|id| names.lay_aside(&none, id, &format!("text-{id}"), now, lasts).unwrap().remove(0));
        let attributes = set[0].to_str().unwrap().split_once("; ").unwrap().1;
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60");
        let mut headers = jar(&[pair(&set[0]), pair(&set[1]), "app=1".to_owned()]);
        assert_eq!(
            (names.aside(&headers, "a"), names.aside(&headers, "b")),
            (Some("text-a"), Some("text-b"))
        );
        assert_eq!(names.aside(&headers, "c"), None);
        let gone = names.drop_aside("a").unwrap();
        assert!(gone.to_str().unwrap().starts_with("__Host-vestibule-form-a=;"), "{gone:?}");
        let twice = jar(&[pair(&set[0]), pair(&set[0])]);
        assert_eq!(names.aside(&twice, "a"), None);
        names.strip_own(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["app=1"]);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_and_one_that_is_too_long_is_none() {
        let (names, lasts) = (names(), Duration::from_secs(60));
        let set = |headers: &HeaderMap, id: &str, at| {
            names.lay_aside(headers, id, "t", Timestamp::from_secs(at), lasts)
        };
        let held: Vec<String> = [("a", 5), ("b", 1), ("c", 3), ("d", 4), ("e", 2)]
            .map(|(id, at)| pair(&set(&HeaderMap::new(), id, at).unwrap()[0]))
            .to_vec();
        let values: Vec<String> = set(&jar(&held), "f", 9).unwrap().iter().map(pair).collect();
        assert_eq!(values, ["__Host-vestibule-form-f=9.t", "__Host-vestibule-form-b="]);
        assert!(
            names
                .lay_aside(&HeaderMap::new(), "a", &"x".repeat(LONGEST), Timestamp::from_secs(1), lasts)
                .is_none()
        );
    }
}
