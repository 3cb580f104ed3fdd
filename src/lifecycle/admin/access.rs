//! Who may see and end sessions: whoever shows the operators' token, a program with each request, a person once, to
//! get a cookie of this listener for an hour.
//!
//! A page of another site can do nothing here: it does not know the token, it gets no cookie (`SameSite=Strict`),
//! and a host name of its own that it lets point here has none.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderValue, ORIGIN};

use crate::foundation::clock::{Clock, Timestamp};
use crate::foundation::sealing::{KeyRing, Purpose, fingerprint};
use crate::foundation::secret::Secret;
use crate::sessions::OPERATOR_COOKIE;

/// How long an operator stays signed in to the page.
const LASTS: Duration = Duration::from_secs(3600);

/// Why somebody may not see sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nobody may: there is no token.
    NoToken,
    /// Nothing was shown.
    NothingShown,
    /// What was shown is not the token, or its time is over.
    Wrong,
}

/// The token, and what is sealed for who has shown it.
pub(super) struct Access {
    /// The token's fingerprint: what is compared has one length, whatever is shown.
    token: Option<[u8; 32]>,
    keys: Arc<KeyRing>,
    clock: Clock,
}

impl Access {
    pub(super) fn new(token: Option<Secret>, keys: Arc<KeyRing>, clock: Clock) -> Self {
        Self { token: token.map(|token| fingerprint(token.expose().as_bytes())), keys, clock }
    }

    /// Lets a program pass that shows the token (RFC 6750 section 2.1).
    pub(super) fn program(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let shown = headers.get(AUTHORIZATION).ok_or(Denied::NothingShown);
        let token = self.token.ok_or(Denied::NoToken)?;
        let (scheme, shown) = shown?.as_bytes().split_at_checked("Bearer ".len()).ok_or(Denied::Wrong)?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return Err(Denied::Wrong);
        }
        matches(&token, shown.trim_ascii())
    }

    /// Lets a person pass whose browser has the cookie.
    pub(super) fn person(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let token = self.token.ok_or(Denied::NoToken)?;
        let cookie = only_cookie(headers).ok_or(Denied::NothingShown)?;
        let sealed = URL_SAFE_NO_PAD.decode(cookie).map_err(|_| Denied::Wrong)?;
        // SECURITY: bound to the token: with another token in the configuration all cookies are worth nothing.
        let plain = self.keys.open(Purpose::OperatorCookie, &token, &sealed).ok_or(Denied::Wrong)?;
        let until = plain.try_into().map(u64::from_be_bytes).map_err(|_| Denied::Wrong)?;
        if self.clock.now() < Timestamp::from_secs(until) { Ok(()) } else { Err(Denied::Wrong) }
    }

    /// The `Set-Cookie` value for a person who shows the token.
    pub(super) fn sign_in(&self, shown: &str) -> Result<HeaderValue, Denied> {
        let token = self.token.ok_or(Denied::NoToken)?;
        matches(&token, shown.trim().as_bytes())?;
        let until = self.clock.now().plus(LASTS).as_secs().to_be_bytes();
        let sealed = URL_SAFE_NO_PAD.encode(self.keys.seal(Purpose::OperatorCookie, &token, &until));
        Ok(set_cookie(&sealed, LASTS))
    }

    /// The `Set-Cookie` value that signs a person out.
    pub(super) fn sign_out() -> HeaderValue {
        set_cookie("", Duration::ZERO)
    }
}

/// Whether a form was sent by a page of this listener.
pub(super) fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    // SECURITY: other ports of this machine are the same site to a browser, which sends them the cookie as well. What
    // a browser says here holds also behind a proxy that gives another `Host`.
    if let Some(site) = text("sec-fetch-site") {
        return site == b"same-origin";
    }
    let (Some(host), Some(origin)) = (text(HOST.as_str()), text(ORIGIN.as_str())) else { return false };
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn matches(token: &[u8; 32], shown: &[u8]) -> Result<(), Denied> {
    // SECURITY: how long the comparison takes tells nothing of the token.
    constant_time::verify_slices_are_equal(token, &fingerprint(shown)).map_err(|_| Denied::Wrong)
}

/// The cookie's value, if the browser sends exactly one.
fn only_cookie(headers: &HeaderMap) -> Option<&[u8]> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let mut values =
        pairs.filter_map(|pair| pair.strip_prefix(OPERATOR_COOKIE.as_bytes())?.strip_prefix(b"="));
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn set_cookie(value: &str, lasts: Duration) -> HeaderValue {
    let seconds = lasts.as_secs();
    let text = format!("{OPERATOR_COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    // Base64url and the words above are all visible ASCII.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::sealing::RootKey;

    const TOKEN: &str = "operators-token-of-32-characters";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        pairs.iter().map(|(name, text)| (http::HeaderName::from_static(name), value(text))).collect()
    }

    fn access(token: Option<&str>, clock: &Clock, key: &RootKey) -> Access {
        Access::new(token.map(Secret::new), Arc::new(KeyRing::new(key, &[])), clock.clone())
    }

    #[test]
    fn a_program_passes_with_the_very_token_alone() {
        let (clock, key) = (Clock::manual(Timestamp::from_secs(1_000)), RootKey::generate());
        let with = access(Some(TOKEN), &clock, &key);
        for (shown, expected) in [
            (vec![], Err(Denied::NothingShown)),
            (vec![("authorization", "Bearer operators-token-of-32-characters")], Ok(())),
            (vec![("authorization", "bearer operators-token-of-32-characters")], Ok(())),
            (vec![("authorization", "Bearer operators-token-of-32-character")], Err(Denied::Wrong)),
            (vec![("authorization", "Bearer ")], Err(Denied::Wrong)),
            (vec![("authorization", "Basic operators-token-of-32-characters")], Err(Denied::Wrong)),
            (vec![("authorization", "operators-token-of-32-characters")], Err(Denied::Wrong)),
            (
                vec![("cookie", "vestibule-operator=operators-token-of-32-characters")],
                Err(Denied::NothingShown),
            ),
        ] {
            assert_eq!(with.program(&headers(&shown)), expected, "{shown:?}");
        }
        let without = access(None, &clock, &key);
        let empty = headers(&[("authorization", "Bearer ")]);
        assert_eq!(without.program(&empty), Err(Denied::NoToken));
        assert_eq!(without.sign_in("").unwrap_err(), Denied::NoToken);
    }

    #[test]
    fn a_person_passes_with_the_cookie_for_an_hour_and_until_the_token_is_another() {
        let (clock, key) = (Clock::manual(Timestamp::from_secs(1_000)), RootKey::generate());
        let with = access(Some(TOKEN), &clock, &key);
        assert_eq!(with.sign_in("something else").unwrap_err(), Denied::Wrong);
        let set = with.sign_in(&format!(" {TOKEN}\n")).unwrap().to_str().unwrap().to_owned();
        assert!(set.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict") && !set.contains(TOKEN));
        let pair = set.split(';').next().unwrap();
        let cookie = headers(&[("cookie", &format!("a=b; {pair}"))]);
        assert_eq!(with.person(&cookie), Ok(()));
        assert_eq!(with.program(&cookie), Err(Denied::NothingShown), "programs show the token itself");
        assert_eq!(
            with.person(&headers(&[("cookie", &format!("{pair}; {pair}"))])),
            Err(Denied::NothingShown)
        );
        assert_eq!(with.person(&headers(&[("cookie", "vestibule-operator=AAAA")])), Err(Denied::Wrong));
        let others = access(Some("another-token-of-the-operators"), &clock, &key);
        assert_eq!(others.person(&cookie), Err(Denied::Wrong));
        clock.advance(LASTS);
        assert_eq!(with.person(&cookie), Err(Denied::Wrong));
    }

    #[test]
    fn a_form_of_another_origin_is_not_ours() {
        for (pairs, own) in [
            (vec![("origin", "http://127.0.0.1:9180")], true),
            (vec![("origin", "https://127.0.0.1:9180"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "http://127.0.0.1:4180"), ("sec-fetch-site", "same-site")], false),
            (vec![("origin", "http://127.0.0.1:4180")], false),
            (vec![("origin", "http://127.0.0.1:9180"), ("sec-fetch-site", "cross-site")], false),
            (vec![("origin", "null")], false),
            (vec![("origin", "http://evil.example")], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "https://operators.example"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "https://operators.example")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![], false),
        ] {
            let all: Vec<_> = [vec![("host", "127.0.0.1:9180")], pairs.clone()].concat();
            assert_eq!(is_own_form(&headers(&all)), own, "{pairs:?}");
        }
    }
}
