//! Whose session a cookie is of, also when the session is over: so that what one person began is not finished by
//! the next who signs in with the same browser.

use serde::{Deserialize, Serialize};

use super::Sessions;
use super::cookie::{CookieNames, Presented};
use super::live::Live;
use super::ticket::{Mark, Ticket};

/// The field that people are marked by.
const PERSON: &str = "person";

/// Somebody who had a session. It can be held against who has one now, and tells nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Whose(Mark);

impl Sessions {
    /// Whose session a request presents, whether or not it stands; `None` where the cookie does not tell.
    pub fn whose(&self, names: &CookieNames, presented: &Presented<'_>) -> Option<Whose> {
        let ticket = Ticket::open(&self.keys, names.realm(), presented.as_bytes())?;
        let carried = ticket.carried.as_ref().and_then(|kept| self.read_record(&ticket.secret, kept));
        let of = |data: super::SessionData| self.marks(&data.provider, &data.subject).next();
        ticket.whose.or_else(|| carried.and_then(of)).map(Whose)
    }

    /// Who has this session.
    pub fn whose_is(&self, live: &Live) -> Option<Whose> {
        self.mark(live).map(Whose)
    }

    /// Whether it is this person's.
    pub fn is_of(&self, Whose(mark): Whose, provider: &str, subject: &str) -> bool {
        self.marks(provider, subject).any(|own| own == mark)
    }

    pub(super) fn mark(&self, live: &Live) -> Option<Mark> {
        let data = live.data();
        self.marks(&data.provider, &data.subject).next()
    }

    /// A person's marks by all keys of the ring, the sealing key's first.
    fn marks(&self, provider: &str, subject: &str) -> impl Iterator<Item = Mark> {
        let names = self.index(PERSON, provider, subject);
        names.filter_map(|name| name.first_chunk().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::sessions::store::contract::World;
    use crate::sessions::store::{BrowserStore, MemoryStore, Store};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whose_session_it_was_is_told_by_the_cookie_alone_after_its_end() {
        let memory: fn(usize) -> Arc<dyn Store> = |limit| Arc::new(MemoryStore::new(limit));
        let browser: fn(usize) -> Arc<dyn Store> = |limit| Arc::new(BrowserStore::new(limit));
        for open in [memory, browser] {
            let world = World::new(&open);
            let sessions = world.process();
            let (live, jar) = world.sign_in(&sessions).await;
            let data = live.data();
            sessions.end(&live).await.unwrap();
            assert!(world.find(&sessions, &jar).await.is_none());
            let presented = world.names.read(&jar).unwrap().unwrap();
            let whose = world.process().whose(&world.names, &presented).unwrap();
            assert_eq!(sessions.whose_is(&live), Some(whose));
            assert!(sessions.is_of(whose, &data.provider, &data.subject));
            assert!(!sessions.is_of(whose, &data.provider, "another"));
            assert!(!sessions.is_of(whose, "another", &data.subject));
        }
    }
}
