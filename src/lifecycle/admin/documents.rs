//! The JSON documents that travel between the admin listener and programs: one shape for both ends.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::foundation::clock::Timestamp;
use crate::sessions::{Listed, Listing};

/// One session. Times are seconds since the epoch; what is not known is `null`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the members are those of `Card` and `Listed`")]
pub struct Session {
    pub id: String,
    pub provider: Option<String>,
    pub subject: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub app: Option<String>,
    pub address: Option<IpAddr>,
    pub acr: Option<String>,
    pub signed_in_at: Option<Timestamp>,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A page of sessions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sessions {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// What `after` of the next page is; `null` when this is the last.
    pub next: Option<String>,
}

/// What was ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    /// How many sessions.
    pub ended: usize,
}

/// Why something was not done (RFC 9457).
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name of the kind of problem.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong here.
    pub detail: String,
    /// What the operator should do, where it is known.
    pub mend: Option<String>,
}

impl From<Listing> for Sessions {
    fn from(Listing { sessions, next }: Listing) -> Self {
        let sessions = sessions.into_iter().map(Session::from).collect();
        Self { sessions, next: next.map(|next| next.to_string()) }
    }
}

impl From<Listed> for Session {
    fn from(Listed { id, card, last_seen, expires_at }: Listed) -> Self {
        let id = id.to_string();
        let Some(card) = card else {
            return Self {
                id,
                provider: None,
                subject: None,
                name: None,
                email: None,
                app: None,
                address: None,
                acr: None,
                signed_in_at: None,
                last_seen_at: last_seen,
                expires_at,
            };
        };
        Self {
            id,
            provider: Some(card.provider),
            subject: Some(card.subject),
            name: card.name,
            email: card.email,
            app: Some(card.app),
            address: Some(card.address),
            acr: card.strength,
            signed_in_at: Some(card.signed_in_at),
            last_seen_at: last_seen,
            expires_at,
        }
    }
}
