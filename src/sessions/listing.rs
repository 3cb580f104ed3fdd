//! The list of sessions that operators see, page by page, and the end of one by its identifier.
//!
//! One person's sessions are found by an index. Everything else is looked for along the pages of the store, a
//! bounded number of records for each request: a page may come short, and says where the next one begins.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Sessions;
use super::card::Card;
use super::store::{Change, Cursor, Filed, Gone, IndexName, RecordName, StoreError};
use crate::foundation::clock::Timestamp;

/// The most sessions on one page.
pub const LARGEST_PAGE: usize = 1000;

/// How many records are looked at for one page before it comes short.
const LOOKED_AT: usize = 10_000;

/// How often the store is asked for one page before it comes short.
const ASKED: usize = 50;

/// Which sessions are listed. All that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The sessions of one person, found by an index.
    pub person: Option<Person>,
    /// The provider's name.
    pub provider: Option<String>,
    /// The app that was signed in to.
    pub app: Option<String>,
    /// The address of the client at the sign-in.
    pub address: Option<IpAddr>,
    /// What the name, the e-mail address or the subject holds, in any case.
    pub search: Option<String>,
    /// Signed in before this.
    pub before: Option<Timestamp>,
    /// Signed in at this or later.
    pub since: Option<Timestamp>,
}

/// A person, as an index knows them.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who it is (`sub`).
    pub subject: String,
    /// At which of these providers.
    pub providers: Vec<String>,
}

/// What names a session for operators: it opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(pub(super) RecordName);

/// One session as operators see it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What names it.
    pub id: SessionId,
    /// Who it is; `None` for a session from before there were cards, or sealed by a key that is gone.
    pub card: Option<Card>,
    /// When it was last used; where another process serves it, a few minutes behind.
    pub last_seen: Timestamp,
    /// When it ends, however it is used.
    pub expires_at: Timestamp,
}

/// A page of the list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The sessions; with a store on this machine the newest first.
    pub sessions: Vec<Listed>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<Place>,
}

/// A place in the list, as it travels to an operator and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which list it is in, so that it leads on in no other.
    of: Tag,
    after: Option<Cursor>,
}

/// The beginning of an index's name, by which a person's list is known; zeros for the list of all.
type Tag = [u8; 8];

impl Sessions {
    /// A page of the live sessions that are wanted, of at most `limit` and never more than [`LARGEST_PAGE`].
    ///
    /// # Errors
    /// When the store can't be used, or can't list.
    pub async fn list(
        &self,
        wanted: &Wanted,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        let limit = limit.clamp(1, LARGEST_PAGE);
        // What a filter leaves of a page is few, so it goes through large ones, and stops where it has enough.
        let at_once = if wanted.is_picky() { LARGEST_PAGE } else { limit };
        let indexes = self.indexes_wanted(wanted);
        let (begin, mut after) = match after {
            None => (Some(0), None),
            Some(Place { of, after }) => (indexes.iter().position(|index| tag(index) == of), after),
        };
        let mut at = begin.unwrap_or(indexes.len());
        let mut sessions = Vec::new();
        let (mut asked, mut looked_at) = (0, 0);
        while let Some(index) = indexes.get(at) {
            if sessions.len() >= limit || asked >= ASKED || looked_at >= LOOKED_AT {
                return Ok(Listing { sessions, next: Some(Place { of: tag(index), after }) });
            }
            let page = self.store.page(after, *index, at_once).await?;
            asked += 1;
            looked_at += page.records.len();
            let mut records = page.records.iter().peekable();
            let mut cut = None;
            while sessions.len() < limit
                && let Some(filed) = records.next()
            {
                sessions.extend(self.listed(filed, wanted));
                cut = records.peek().map(|_| (page.after)(filed)).filter(|_| sessions.len() >= limit);
            }
            after = cut.or(page.next);
            at += usize::from(after.is_none());
            // A store in memory answers at once: others that share the thread go on in between.
            tokio::task::yield_now().await;
        }
        Ok(Listing { sessions, next: None })
    }

    /// Whether a place is one in the list of these sessions: elsewhere some would be left out unseen.
    pub fn is_place_of(&self, wanted: &Wanted, place: &Place) -> bool {
        self.indexes_wanted(wanted).iter().any(|index| tag(index) == place.of)
    }

    /// Ends the session that is named so, and gives whose it was; `None` where there is none.
    ///
    /// # Errors
    /// When the store can't be used, or can't find sessions by name.
    pub async fn end_by_id(self: &Arc<Self>, id: SessionId) -> Result<Option<Listed>, StoreError> {
        let filed = self.store.filed(id.0).await?;
        let person = filed.as_ref().and_then(|filed| self.person_of(filed));
        // Also when it seems gone: what was ended is surely over.
        let gone = Change::Remove(Gone { name: id.0, expires_at: self.expiry(self.clock.now()) });
        let sessions = Arc::clone(self);
        self.complete(async move {
            let ended = sessions.apply(gone).await?;
            sessions.tell(&person);
            Ok(ended)
        })
        .await?;
        Ok(filed.as_ref().map(|filed| self.shown(filed)))
    }

    /// The session as it is listed, if it is wanted and not over.
    fn listed(&self, filed: &Filed, wanted: &Wanted) -> Option<Listed> {
        let now = self.clock.now();
        let listed = self.shown(filed);
        // The store's times may be this far behind.
        if now >= listed.expires_at || now.since(listed.last_seen) >= self.idle_timeout + self.grain() {
            return None;
        }
        wanted.fits(listed.card.as_ref()).then_some(listed)
    }

    fn shown(&self, filed: &Filed) -> Listed {
        let last_seen = self.registry.open_session(&filed.name).map(|live| live.last_seen());
        Listed {
            id: SessionId(filed.name),
            card: Card::open(&self.keys, &filed.name, &filed.card),
            last_seen: last_seen.unwrap_or(filed.last_seen).max(filed.last_seen),
            expires_at: filed.expires_at,
        }
    }

    /// Where these sessions are looked for, one after the other: in indexes, or among all there are.
    fn indexes_wanted(&self, wanted: &Wanted) -> Vec<Option<IndexName>> {
        let of_person = |person| self.indexes_of_person(person).into_iter().map(Some).collect();
        wanted.person.as_ref().map_or_else(|| vec![None], of_person)
    }

    pub(super) fn indexes_of_person(&self, person: &Person) -> Vec<IndexName> {
        let each = person.providers.iter().flat_map(|provider| self.subject_index(provider, &person.subject));
        each.collect()
    }
}

impl Wanted {
    /// Whether cards are looked at.
    fn is_picky(&self) -> bool {
        let Self { person: _, provider, app, address, search, before, since } = self;
        let by_text = [provider, app, search].into_iter().any(Option::is_some);
        by_text || address.is_some() || before.is_some() || since.is_some()
    }

    /// Of a session without a card nothing is known but whose it is, where an index found it.
    fn fits(&self, card: Option<&Card>) -> bool {
        let Self { person: _, provider, app, address, search, before, since } = self;
        let Some(card) = card else { return !self.is_picky() };
        provider.as_ref().is_none_or(|provider| *provider == card.provider)
            && app.as_ref().is_none_or(|app| *app == card.app)
            && address.is_none_or(|address| address == card.address)
            && search.as_ref().is_none_or(|search| card.mentions(search))
            && before.is_none_or(|before| card.signed_in_at < before)
            && since.is_none_or(|since| card.signed_in_at >= since)
    }
}

fn tag(index: &Option<IndexName>) -> Tag {
    index.as_ref().and_then(|index| index.first_chunk().copied()).unwrap_or_default()
}

#[cfg(test)]
impl SessionId {
    pub(super) const fn of(live: &super::Live) -> Self {
        Self(*live.name())
    }
}

/// Why a text is no identifier, or no place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not as the list gave it")]
pub struct NotFromTheList;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for SessionId {
    type Err = NotFromTheList;

    fn from_str(text: &str) -> Result<Self, NotFromTheList> {
        let name = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotFromTheList)?;
        name.try_into().map(Self).map_err(|_| NotFromTheList)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cursor = self.after.as_ref().map(|Cursor(bytes)| bytes.as_slice()).unwrap_or_default();
        f.write_str(&URL_SAFE_NO_PAD.encode([&self.of[..], cursor].concat()))
    }
}

impl FromStr for Place {
    type Err = NotFromTheList;

    fn from_str(text: &str) -> Result<Self, NotFromTheList> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotFromTheList)?;
        let (of, cursor) = bytes.split_first_chunk().ok_or(NotFromTheList)?;
        let after = (!cursor.is_empty()).then(|| Cursor(cursor.to_vec()));
        Ok(Self { of: *of, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::SessionData;
    use crate::sessions::store::contract::World;
    use crate::sessions::store::{MemoryStore, Store};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_filter_goes_through_as_many_records_for_a_short_page_as_for_a_long_one_and_misses_none() {
        let open: fn(usize) -> Arc<dyn Store> = |_| Arc::new(MemoryStore::new(10_000));
        let world = World::new(&open);
        let sessions = world.process();
        for number in 0..1_500_u32 {
            let email =
                serde_json::json!(if number % 700 == 0 { "wanted@example.org" } else { "other@example.org" });
            let mut data = SessionData { subject: number.to_string(), ..world.data() };
            data.claims.0.insert("email".to_owned(), email);
            world.sign_in_as(&sessions, data, None).await;
        }
        let wanted = Wanted { search: Some("wanted@".to_owned()), ..Wanted::default() };
        let (mut place, mut found) = (None, Vec::new());
        for _ in 0..3 {
            let page = sessions.list(&wanted, place, 1).await.unwrap();
            assert_eq!(page.sessions.len(), 1, "one for each request");
            found.extend(page.sessions.into_iter().filter_map(|listed| Some(listed.card?.subject)));
            place = page.next;
        }
        found.sort_unstable();
        assert_eq!(found, ["0", "1400", "700"]);
        let rest = sessions.list(&wanted, place, 1).await.unwrap();
        assert!(rest.sessions.is_empty() && rest.next.is_none());
    }

    #[test]
    fn an_identifier_and_a_place_come_back_as_they_were_and_others_are_refused() {
        let id = SessionId([0xfb; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 43);
        for after in [None, Some(Cursor(vec![1, 2, 3]))] {
            let place = Place { of: *b"A person", after };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for text in ["", "A", "AAAA=", "я", &"A".repeat(44)] {
            assert_eq!(text.parse::<SessionId>(), Err(NotFromTheList), "{text}");
        }
        assert_eq!("!".parse::<Place>(), Err(NotFromTheList));
    }
}
