//! Who is told of sessions that end by somebody else's will than the person's: by a provider's or an operator's.
//!
//! Whose sessions they were is read from the cards beside the records before these are gone, and from the sessions
//! that are open here where there are no cards. Nothing is read while nobody wants to be told.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::Sessions;
use super::card::Card;
use super::store::{Filed, IndexName, StoreError};

/// How many records are looked at for one end, in pages of this size.
const PAGE: usize = 1000;
const PAGES: usize = 10;

/// A person whose sessions were ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ended {
    /// The provider that they signed in with.
    pub provider: String,
    /// Who it is, at that provider.
    pub subject: String,
    /// The app that they signed in to, where that is known.
    pub app: Option<String>,
}

/// What is told of them.
type Tell = Box<dyn Fn(&Ended) + Send + Sync>;

/// Whoever is told; nobody at first.
#[derive(Default)]
pub(super) struct Told(OnceLock<Tell>);

impl Sessions {
    /// Has `tell` told of everybody whose sessions are ended from outside, after they were. Only the first who asks
    /// is told.
    pub fn tell_of_ends(&self, tell: impl Fn(&Ended) + Send + Sync + 'static) {
        if self.told.0.set(Box::new(tell)).is_err() {
            tracing::debug!("somebody is told of ended sessions already");
        }
    }

    /// Whose sessions are found under these names, for who wants to be told when they are gone.
    ///
    /// # Errors
    /// When the store can't be used.
    pub(super) async fn people_at(&self, indexes: &[IndexName]) -> Result<BTreeSet<Ended>, StoreError> {
        let mut people = BTreeSet::new();
        if self.told.0.get().is_none() {
            return Ok(people);
        }
        for index in indexes {
            let mut after = None;
            for _ in 0..PAGES {
                let page = self.store.page(after, Some(*index), PAGE).await?;
                people.extend(page.records.iter().filter_map(|filed| self.person_of(filed)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(people)
    }

    /// Whose session this is: by its card, or because it is open here.
    pub(super) fn person_of(&self, filed: &Filed) -> Option<Ended> {
        if let Some(card) = Card::open(&self.keys, &filed.name, &filed.card) {
            return Some(Ended { provider: card.provider, subject: card.subject, app: Some(card.app) });
        }
        let data = self.registry.open_session(&filed.name)?.data();
        Some(Ended { provider: data.provider.clone(), subject: data.subject.clone(), app: None })
    }

    pub(super) fn tell<'a>(&self, people: impl IntoIterator<Item = &'a Ended>) {
        if let Some(tell) = self.told.0.get() {
            people.into_iter().for_each(tell);
        }
    }
}
