//! Step 3: who is there. A session opened, or nobody.
//!
//! A worker keeps the sessions that it opened ([`opened`](super::opened)), and a connection who asked last: for
//! a request of a session that is kept, nothing is decrypted, rendered or asked of a store. A session that is
//! ended anywhere is ended here too: its `Live` is shared by the whole process, and `Sessions` knows whether what
//! other gateways do is heard. What is kept of a session that was renewed is old: one word of the `Live` tells
//! that, and when its tokens are due ([`renewal`]).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderValue;

use super::Worker;
use super::apps::Protected;
use super::failure::Failure;
use super::own_session::cookies::Marks;
use super::profile::{Holder, Profile};
use super::renewal;
use super::request::Survey;
use super::visitor::Visitor;
use crate::foundation::clock::Timestamp;
use crate::identity::claims::{Claims, text};
use crate::sessions::{Found, Live, Presented, Version, Whose};

/// A signed-in person, as one app meets them. Cloned for each request, and so counted on the worker alone.
#[derive(Clone, Debug)]
pub struct Person(Rc<Known>);

/// What is known of a person.
#[derive(Debug)]
pub struct Known {
    /// The session.
    pub live: Arc<Live>,
    /// What the app is told, and by which rules they may enter.
    pub profile: Rc<Profile>,
    /// The content of the session that the profile was made of.
    version: Version,
    /// The content that the cookie holds.
    carried: Version,
    /// What stands for them in a browser, once it was needed.
    marks: OnceCell<Marks>,
}

impl Deref for Person {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0
    }
}

impl Person {
    /// How a person is called, for our own pages.
    pub fn display_name(&self) -> Option<String> {
        name_in(&self.live.data().claims)
    }

    /// What stands for them in a browser on this app's host.
    pub fn marks(&self, make: impl FnOnce() -> Marks) -> &Marks {
        self.0.marks.get_or_init(make)
    }

    /// Whether this is what the session holds and nothing is to be done about it.
    fn is_current(&self, now: Timestamp) -> bool {
        let mark = self.live.mark();
        mark.version() == self.version && !mark.is_due(now)
    }
}

/// How somebody is called by these claims.
pub fn name_in(claims: &Claims) -> Option<String> {
    let names = ["name", "preferred_username", "email"];
    names.iter().find_map(|claim| text(claims.get(claim)?).ok()).map(Cow::into_owned)
}

/// Who sent a request that came by this connection, mostly known from the one before. Otherwise as [`person`].
///
/// # Errors
/// As [`person`].
pub async fn visitors_person(
    worker: &Worker,
    app: &Protected,
    visitor: &Visitor,
    survey: &Survey<'_>,
    headers: &HeaderMap,
    cookies: &mut Vec<HeaderValue>,
) -> Result<Option<Person>, Failure> {
    let Some(cookie) = survey.cookie else { return Ok(None) };
    let only = survey.marks.cookies == 1;
    if let Some(known) = visitor.known(app, cookie).filter(|_| only) {
        let now = worker.gateway.clock.now();
        if worker.gateway.sessions.goes_on(&known.live, now) && known.is_current(now) {
            used(worker, app, &known, now, cookies);
            return Ok(Some(known));
        }
        visitor.forget();
    }
    // Boxed to keep the usual path's future small.
    let person = Box::pin(person(worker, app, headers, cookies)).await?;
    if person.is_some() {
        // Once: what follows comes without the mark, or is known by its bytes.
        cookies.extend(app.cookies.came_back(headers));
    }
    if let Some(person) = person.as_ref().filter(|_| only) {
        visitor.remember(app, cookie, person);
    }
    Ok(person)
}

/// Who sent a request. Cookies that the answer must set, because the session is kept in them and was used, are
/// added to `cookies`. Tokens that are due are renewed.
///
/// # Errors
/// When the store is out of reach: nobody is signed out by that.
pub async fn person(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    cookies: &mut Vec<HeaderValue>,
) -> Result<Option<Person>, Failure> {
    let Some(presented) = presented(app, headers, cookies) else { return Ok(None) };
    let Some(person) = known(worker, app, &presented).await? else { return Ok(None) };
    let now = worker.gateway.clock.now();
    if person.live.mark().is_due(now) {
        renewal::attend(&worker.gateway, app, &person.live, now).await;
    }
    worker.gateway.sessions.note_return(&person.live, now).await;
    Ok(as_is(worker, app, &presented, person, cookies))
}

/// Who sent a request that ends their session: as [`person`], but nothing is renewed that goes anyway.
///
/// # Errors
/// As [`person`].
pub async fn leaving_person(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    cookies: &mut Vec<HeaderValue>,
) -> Result<Option<Person>, Failure> {
    let Some(presented) = presented(app, headers, cookies) else { return Ok(None) };
    let person = known(worker, app, &presented).await?;
    Ok(person.and_then(|person| as_is(worker, app, &presented, person, cookies)))
}

/// Who is there, without this being a use of the session: as [`person`], but nothing is renewed or kept alive.
///
/// # Errors
/// As [`person`].
pub async fn seen_person(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
) -> Result<Option<Person>, Failure> {
    let Some(presented) = presented(app, headers, &mut Vec::new()) else { return Ok(None) };
    let person = known(worker, app, &presented).await?;
    Ok(person.filter(|person| person.live.is_alive(worker.gateway.clock.now())))
}

/// Whose session the cookie of a request is, also of one that is over.
pub fn whose(worker: &Worker, app: &Protected, headers: &HeaderMap) -> Option<Whose> {
    let presented = app.cookies.read(headers).ok()??;
    worker.gateway.sessions.whose(&app.cookies, &presented)
}

fn presented<'a>(
    app: &Protected,
    headers: &'a HeaderMap,
    cookies: &mut Vec<HeaderValue>,
) -> Option<Presented<'a>> {
    app.cookies.read(headers).unwrap_or_else(|malformed| {
        tracing::info!(app = %app.settings.name, %malformed, "session cookies are refused and deleted");
        cookies.extend(app.cookies.clear(headers, 0));
        None
    })
}

/// The person, if the session stood just now.
async fn known(
    worker: &Worker,
    app: &Protected,
    presented: &Presented<'_>,
) -> Result<Option<Person>, Failure> {
    if let Some(person) = worker.opened.get(app.number, presented.as_bytes()) {
        if worker.gateway.sessions.stands(&person.live).await.map_err(Failure::Store)? {
            return Ok(Some(person));
        }
        worker.opened.forget(app.number, presented.as_bytes());
    }
    // What this process let go as idle may have been used elsewhere since.
    open(worker, app, presented).await
}

/// The person as the session is now, if it stands.
fn as_is(
    worker: &Worker,
    app: &Protected,
    presented: &Presented<'_>,
    person: Person,
    cookies: &mut Vec<HeaderValue>,
) -> Option<Person> {
    let now = worker.gateway.clock.now();
    if !person.live.is_alive(now) {
        worker.opened.forget(app.number, presented.as_bytes());
        return None;
    }
    let person = if person.live.mark().version() == person.version {
        person
    } else {
        meet(worker, app, presented, Arc::clone(&person.live), person.carried)
    };
    used(worker, app, &person, now, cookies);
    Some(person)
}

fn used(worker: &Worker, app: &Protected, person: &Person, now: Timestamp, cookies: &mut Vec<HeaderValue>) {
    person.live.touch(now);
    cookies.extend(worker.gateway.sessions.reissue(&app.cookies, &person.live, person.carried));
}

async fn open(
    worker: &Worker,
    app: &Protected,
    presented: &Presented<'_>,
) -> Result<Option<Person>, Failure> {
    let found = worker.gateway.sessions.find(&app.cookies, presented).await.map_err(Failure::Store)?;
    // SECURITY: a session with one provider is nobody to an app that trusts another.
    let Some(Found { live, carried }) =
        found.filter(|found| app.provider_named(&found.live.data().provider).is_some())
    else {
        return Ok(None);
    };
    Ok(Some(meet(worker, app, presented, live, carried)))
}

/// Renders a person for an app, and keeps it.
fn meet(
    worker: &Worker,
    app: &Protected,
    presented: &Presented<'_>,
    live: Arc<Live>,
    carried: Version,
) -> Person {
    // Before the data: what was rendered may be newer than this says, and never older.
    let version = live.mark().version();
    let data = live.data();
    let subject = data.subject.as_str().into();
    let profile =
        Profile::new(&app.settings, Holder::Session, subject, &data.claims, &data.tokens, data.auth_time);
    for omitted in &profile.omitted {
        let (header, reason) = (&omitted.header, &omitted.reason);
        tracing::warn!(app = %app.settings.name, %header, %reason, "an identity header, or a part of it, is left out");
    }
    let person =
        Person(Rc::new(Known { live, profile: Rc::new(profile), version, carried, marks: OnceCell::new() }));
    worker.opened.keep(app.number, presented.as_bytes(), person.clone());
    person
}
