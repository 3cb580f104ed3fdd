//! Step 3: who is there. A session opened, or nobody.
//!
//! A worker keeps every session that it opened under the cookie's own bytes, with what each app is told of the
//! person; for a request of a session that is kept, nothing is decrypted, rendered or asked of a store. A
//! session that is ended anywhere is ended here too: its `Live` is shared by the whole process.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderValue;
use lru::LruCache;

use super::Worker;
use super::apps::Protected;
use super::failure::Failure;
use super::profile::Profile;
use crate::identity::claims::text;
use crate::sessions::{Live, Presented};

/// How many sessions a worker keeps for each app; the longest unused make room.
const KEPT: usize = 16_384;

/// A signed-in person, as one app meets them.
#[derive(Clone, Debug)]
pub struct Person {
    /// The session.
    pub live: Arc<Live>,
    /// What the app is told, and by which rules they may enter.
    pub profile: Rc<Profile>,
}

impl Person {
    /// How a person is called, for our own pages.
    pub fn display_name(&self) -> Option<String> {
        let claims = &self.live.data().claims;
        ["name", "preferred_username", "email"]
            .iter()
            .find_map(|claim| text(claims.get(claim)?).ok())
            .map(Cow::into_owned)
    }
}

/// The sessions that a worker opened, by the cookie's own bytes.
///
/// SECURITY: one table for each app, because a cookie is sealed for one origin: bytes that were opened for
/// one app say nothing on another.
#[derive(Debug)]
pub struct Opened(Vec<RefCell<LruCache<Box<[u8]>, Person>>>);

impl Opened {
    /// Room for the sessions of so many apps; it grows with use, up to its bound.
    pub fn new(apps: usize) -> Self {
        Self((0..apps).map(|_| RefCell::new(LruCache::unbounded())).collect())
    }

    fn get(&self, app: &Protected, cookie: &[u8]) -> Option<Person> {
        self.0.get(app.number)?.borrow_mut().get(cookie).cloned()
    }

    fn keep(&self, app: &Protected, cookie: &[u8], person: Person) {
        if let Some(table) = self.0.get(app.number) {
            let mut table = table.borrow_mut();
            table.put(cookie.into(), person);
            while table.len() > KEPT {
                table.pop_lru();
            }
        }
    }

    fn forget(&self, app: &Protected, cookie: &[u8]) {
        if let Some(table) = self.0.get(app.number) {
            table.borrow_mut().pop(cookie);
        }
    }
}

/// Who sent a request. Cookies that the answer must set, because the session is kept in them and was used, are
/// added to `cookies`.
///
/// # Errors
/// When the store is out of reach: nobody is signed out by that.
pub async fn person(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    cookies: &mut Vec<HeaderValue>,
) -> Result<Option<Person>, Failure> {
    let presented = match app.cookies.read(headers) {
        Ok(Some(presented)) => presented,
        Ok(None) => return Ok(None),
        Err(malformed) => {
            tracing::info!(app = %app.settings.name, %malformed, "session cookies are refused and deleted");
            cookies.extend(app.cookies.clear(headers, 0));
            return Ok(None);
        }
    };
    let gateway = &worker.gateway;
    let person = match worker.opened.get(app, presented.as_bytes()) {
        Some(person) => person,
        None => match open(worker, app, &presented).await? {
            Some(person) => person,
            None => return Ok(None),
        },
    };
    let now = gateway.clock.now();
    if !person.live.is_alive(now) {
        worker.opened.forget(app, presented.as_bytes());
        return Ok(None);
    }
    person.live.touch(now);
    cookies.extend(gateway.sessions.reissue(&app.cookies, &person.live));
    Ok(Some(person))
}

async fn open(
    worker: &Worker,
    app: &Protected,
    presented: &Presented<'_>,
) -> Result<Option<Person>, Failure> {
    let found = worker.gateway.sessions.find(&app.cookies, presented).await.map_err(Failure::Store)?;
    // SECURITY: a session with one provider is nobody to an app that trusts another.
    let Some(live) = found.filter(|live| live.data().provider == app.settings.provider) else {
        return Ok(None);
    };
    let data = live.data();
    let profile = Profile::new(&app.settings, data.subject.as_str().into(), &data.claims, &data.tokens);
    for omitted in &profile.omitted {
        let (header, reason) = (&omitted.header, &omitted.reason);
        tracing::warn!(app = %app.settings.name, %header, %reason, "an identity header, or a part of it, is left out");
    }
    let person = Person { live, profile: Rc::new(profile) };
    worker.opened.keep(app, presented.as_bytes(), person.clone());
    Ok(Some(person))
}
