//! How a session gets new content and stays what it is: the same name, secret, cookie and end.
//!
//! The store first, then the requests: a refresh token that was answered with a new one is worth nothing any
//! more, so the new one is written down as soon as it is there. Where the browser holds the record it gets the
//! new one with every answer until it shows it; until then this process must not forget it. What the cookie
//! store can't do: a process that is killed before that leaves the browser with a spent refresh token, and the
//! next renewal ends the session. Two processes over one set of cookies would spend each other's.

use std::time::Duration;

use super::data::{self, SessionData};
use super::live::Live;
use super::store::{Change, Custody, StoreError};
use super::{Lease, Sessions};
use crate::foundation::clock::Timestamp;
use crate::identity::claims::{Claims, Tokens};

/// The pause between two tries to write what the store did not take.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How often it is tried.
const TRIES: u32 = 60;

/// What a renewal brings.
#[derive(Debug)]
pub enum News {
    /// Other tokens.
    Tokens {
        /// All that the session has from now on.
        tokens: Tokens,
        /// When they came.
        from: Timestamp,
        /// When the access token stops being good, where the provider said so.
        access_expires_at: Option<Timestamp>,
    },
    /// Other claims of the same person.
    Claims(Claims),
}

/// What became of a session that was to get new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has it.
    Stands,
    /// It was ended meanwhile, and stays so.
    Over,
}

impl Sessions {
    /// Gives a session new content; for whoever holds its renewal. When this returns it outlives the process,
    /// wherever sessions do. It belongs on the control runtime, in a task of its own.
    ///
    /// # Errors
    /// When the store can't be used: the session has the content all the same, and the upkeep tries again to
    /// write it. When the content is larger than any session's may be: then it does not have it.
    pub async fn renew(&self, live: &Live, news: News) -> Result<Standing, StoreError> {
        let _alone = live.writing().lock().await;
        let mut data = SessionData::clone(&live.data());
        match news {
            News::Tokens { tokens, from, access_expires_at } => {
                data.tokens = tokens;
                data.tokens_from = from;
                data.access_expires_at = access_expires_at;
            }
            News::Claims(claims) => data.claims = claims,
        }
        data.renewals = data.renewals.saturating_add(1);
        let record = encoded(&data)?;
        let renewals = data.renewals;
        let written = self.write(live, record, renewals).await;
        if !matches!(written, Ok(Standing::Over)) {
            live.replace(data);
        }
        if written.is_ok() {
            self.note_saved(live, renewals);
        }
        written
    }

    /// Writes what a store did not take when it came.
    pub(super) async fn save_content(&self) -> Result<(), StoreError> {
        for live in self.registry.select(Live::is_unsaved) {
            self.save_content_of(&live).await?;
        }
        Ok(())
    }

    /// Tries on to write a session's content that the store did not take, and keeps others from renewing it until
    /// then; after a minute that is left to the upkeep.
    pub async fn save_at_last(&self, live: &Live, lease: Lease) {
        for _ in 0..TRIES {
            tokio::time::sleep(TRY_AGAIN).await;
            if live.is_ended() || !live.is_unsaved() || self.save_content_of(live).await.is_ok() {
                break;
            }
        }
        drop(lease);
    }

    async fn save_content_of(&self, live: &Live) -> Result<(), StoreError> {
        let _alone = live.writing().lock().await;
        let data = live.data();
        if self.write(live, encoded(&data)?, data.renewals).await? == Standing::Stands {
            self.note_saved(live, data.renewals);
        }
        Ok(())
    }

    async fn write(&self, live: &Live, encoded: Vec<u8>, renewals: u32) -> Result<Standing, StoreError> {
        let record = match self.store.custody() {
            Custody::Store => live.secret().seal(&encoded),
            Custody::Browser => Vec::new(),
        };
        // SECURITY: a session that was ended while the provider was asked must not come back.
        let gone = self.apply(Change::Replace { name: *live.name(), record, renewals }).await?;
        Ok(if gone == 0 && !live.is_ended() { Standing::Stands } else { Standing::Over })
    }

    fn note_saved(&self, live: &Live, renewals: u32) {
        if self.store.custody() == Custody::Store {
            live.save_renewals(renewals);
        }
    }
}

fn encoded(data: &SessionData) -> Result<Vec<u8>, StoreError> {
    data::encode(data).map_err(|unfit| StoreError::TooLarge { bytes: unfit.bytes, limit: data::LARGEST })
}
