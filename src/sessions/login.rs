//! The cookie of one login: what the gateway must remember from the redirect to the provider until the
//! callback, sealed into the browser that began it, good for one use and half an hour.
//!
//! Each login has a cookie of its own, named after its `state`, so that logins in several tabs do not disturb
//! each other. A browser holds a few at a time; the oldest go first.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SameSite;
use super::cookie::{CookieNames, Reach};
use super::data::{decode, encode};
use crate::foundation::clock::{Clock, Timestamp};
use crate::foundation::sealing::{KeyRing, Purpose, fingerprint};

/// How long a login may take: a password that was forgotten, a second factor that must be found first.
const LASTS: Duration = Duration::from_secs(30 * 60);

/// The most login cookies that a browser holds.
const AT_A_TIME: usize = 5;

/// The longest value of a login cookie, in bytes.
const LONGEST: usize = 3800;

/// The most spent logins that are remembered; with more in that time the provider's own refusal of
/// a code that was used has to do.
const REMEMBERED: usize = 100_000;

/// The logins that browsers carry, and those that were spent.
pub struct Logins {
    keys: Arc<KeyRing>,
    clock: Clock,
    spent: Mutex<Spent>,
}

/// How the browser comes back to a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// By a redirect, as a person who follows a link.
    ByLink,
    /// By a form that another site's page posts.
    ByForm,
}

/// Why there is no login to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The browser has no cookie for this `state`: it did not begin this login, or waited too long.
    #[error("this browser has no login of that state")]
    Missing,
    /// The cookie was sent twice.
    #[error("the login cookie was sent more than once")]
    Duplicate,
    /// The cookie does not open: it was changed, or sealed by another key or for another origin.
    #[error("the login cookie does not open")]
    Unreadable,
    /// The login took too long.
    #[error("the login has expired")]
    Expired,
    /// The login was used before.
    #[error("the login was used before")]
    Spent,
    /// What is to be remembered does not fit into a cookie.
    #[error("the login does not fit into a cookie")]
    TooLarge,
}

impl Logins {
    pub(super) fn new(keys: Arc<KeyRing>, clock: Clock) -> Self {
        Self { keys, clock, spent: Mutex::default() }
    }

    /// `Set-Cookie` values that let the browser carry `login`, which belongs to `state`, until it comes back in
    /// the way of `returns`, and that delete its oldest logins where it has too many.
    ///
    /// # Errors
    /// When `login` is too large for a cookie.
    pub fn begin<T: Serialize>(
        &self,
        names: &CookieNames,
        headers: &HeaderMap,
        state: &str,
        login: &T,
        returns: Return,
    ) -> Result<Vec<HeaderValue>, LoginError> {
        let id = id(state);
        let now = self.clock.now().as_secs();
        let plain = [&now.to_be_bytes()[..], &encode(login).map_err(|_| LoginError::TooLarge)?].concat();
        let sealed = self.keys.seal(Purpose::LoginCookie, &context(names, &id), &plain);
        // The time before the dot only tells which is oldest; the one that counts is sealed.
        let value = format!("{now}{}.{}", mark(returns), URL_SAFE_NO_PAD.encode(sealed));
        if value.len() > LONGEST {
            return Err(LoginError::TooLarge);
        }
        let mut others: Vec<_> = names
            .logins(headers)
            .filter_map(|(id, value)| Some((issued(value), std::str::from_utf8(id).ok()?, value)))
            .filter(|(_, other, _)| *other != id)
            .collect();
        others.sort_unstable();
        others.dedup_by_key(|(_, id, _)| *id);
        let surplus = (others.len() + 1).saturating_sub(AT_A_TIME);
        let set = names.set(&names.login(&id), &value, LASTS, same_site(names, &value), Reach::Host);
        let mut values: Vec<_> = set.into_iter().collect();
        values.extend(others.iter().take(surplus).filter_map(|(_, id, value)| forget(names, id, value)));
        Ok(values)
    }

    /// Looks at the login that belongs to `state`, and leaves it as it is.
    ///
    /// # Errors
    /// As [`Logins::take`].
    pub fn look<T: DeserializeOwned>(
        &self,
        names: &CookieNames,
        headers: &HeaderMap,
        state: &str,
    ) -> Result<T, LoginError> {
        let login = self.find(names, headers, state)?;
        if self.spent().known.contains(&fingerprint(state.as_bytes())) {
            return Err(LoginError::Spent);
        }
        Ok(login)
    }

    /// Takes the login that belongs to `state`: it is spent by this. Delete its cookie with
    /// [`Logins::delete`] whatever comes of it.
    ///
    /// # Errors
    /// When this browser has no such login, or none that is good.
    pub fn take<T: DeserializeOwned>(
        &self,
        names: &CookieNames,
        headers: &HeaderMap,
        state: &str,
    ) -> Result<T, LoginError> {
        let login = self.find(names, headers, state)?;
        // SECURITY: a login is used once, also when two callbacks arrive together.
        if !self.spent().add(fingerprint(state.as_bytes()), self.clock.now()) {
            return Err(LoginError::Spent);
        }
        Ok(login)
    }

    fn find<T: DeserializeOwned>(
        &self,
        names: &CookieNames,
        headers: &HeaderMap,
        state: &str,
    ) -> Result<T, LoginError> {
        let id = id(state);
        let mut found = names.logins(headers).filter(|(name, _)| *name == id.as_bytes());
        let (_, value) = found.next().ok_or(LoginError::Missing)?;
        // SECURITY: which of two cookies this browser was given can't be told.
        if found.next().is_some() {
            return Err(LoginError::Duplicate);
        }
        let (issued, login) = self.open(names, &id, value).ok_or(LoginError::Unreadable)?;
        let now = self.clock.now();
        if now.since(issued) >= LASTS {
            return Err(LoginError::Expired);
        }
        Ok(login)
    }

    /// A `Set-Cookie` value that deletes the login of `state`, when the request brought its cookie.
    pub fn delete(&self, names: &CookieNames, headers: &HeaderMap, state: &str) -> Option<HeaderValue> {
        let id = id(state);
        let (_, value) = names.logins(headers).find(|(name, _)| *name == id.as_bytes())?;
        forget(names, &id, value)
    }

    fn open<T: DeserializeOwned>(
        &self,
        names: &CookieNames,
        id: &str,
        value: &[u8],
    ) -> Option<(Timestamp, T)> {
        let dot = value.iter().position(|byte| *byte == b'.')?;
        let sealed = URL_SAFE_NO_PAD.decode(value.get(dot + 1..)?).ok()?;
        let plain = self.keys.open(Purpose::LoginCookie, &context(names, id), &sealed)?;
        let (issued, login) = plain.split_first_chunk()?;
        Some((Timestamp::from_secs(u64::from_be_bytes(*issued)), decode(login)?))
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The logins that were used and whose cookies would still open.
#[derive(Default)]
struct Spent {
    known: HashSet<[u8; 32]>,
    in_order: VecDeque<(Timestamp, [u8; 32])>,
}

impl Spent {
    /// Notes a login; `false` when it was there already.
    fn add(&mut self, login: [u8; 32], now: Timestamp) -> bool {
        while let Some(&(at, oldest)) = self.in_order.front()
            && (now.since(at) >= LASTS || self.known.len() >= REMEMBERED)
        {
            self.in_order.pop_front();
            self.known.remove(&oldest);
        }
        let new = self.known.insert(login);
        if new {
            self.in_order.push_back((now, login));
        }
        new
    }
}

/// The public name of the login that belongs to `state`; it does not tell the state.
fn id(state: &str) -> String {
    let [a, b, c, d, e, f, g, h, i, ..] = fingerprint(state.as_bytes());
    URL_SAFE_NO_PAD.encode([a, b, c, d, e, f, g, h, i])
}

/// What stands behind the time that a login cookie shows.
const fn mark(returns: Return) -> &'static str {
    match returns {
        Return::ByLink => "",
        Return::ByForm => FORM,
    }
}

const FORM: &str = "f";

/// The `SameSite` of a login cookie. Browsers withhold all but `None` from another site's form, and take that
/// over TLS only: elsewhere the login is found one request later (`gateway::endpoints::callback`).
fn same_site(names: &CookieNames, value: impl AsRef<[u8]>) -> SameSite {
    let shown = value.as_ref().split(|byte| *byte == b'.').next().unwrap_or_default();
    if shown.ends_with(FORM.as_bytes()) && names.is_secure() { SameSite::None } else { names.beside() }
}

/// Deletes a login's cookie with the attributes that it was set with.
fn forget(names: &CookieNames, id: &str, value: &[u8]) -> Option<HeaderValue> {
    names.delete(&names.login(id), same_site(names, value), Reach::Host)
}

/// What a login is sealed for: its origin and its name, so that it opens under no other.
fn context(names: &CookieNames, id: &str) -> Vec<u8> {
    [names.origin().as_bytes(), b"\0", id.as_bytes()].concat()
}

/// The time that a login cookie shows; one that shows none is the oldest.
fn issued(value: &[u8]) -> u64 {
    let digits = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    let digits = digits.strip_suffix(FORM.as_bytes()).unwrap_or(digits);
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
