//! What the session cookie carries: the secret that names and opens the record and, with the cookie store,
//! the record itself. Sealed, it is short and stays as it is for as long as the session lives.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::store::Kept;
use crate::foundation::clock::Timestamp;
use crate::foundation::sealing::{KeyRing, Purpose, RecordSecret};

/// What a browser holds of its session.
pub(super) struct Ticket {
    pub(super) secret: RecordSecret,
    /// The record, when it travels with the browser.
    pub(super) carried: Option<Kept>,
    /// Whose it is, when the record does not travel along: it can be told when the record is gone.
    pub(super) whose: Option<Mark>,
}

/// What stands for a person: made with the key ring, so that nobody else can tell whose mark it is.
pub(super) type Mark = [u8; 8];

/// Stands where a carried record has its last use.
const MARKED: [u8; 8] = [0xff; 8];

impl Ticket {
    /// The cookie's text, sealed for one origin.
    pub(super) fn seal(&self, keys: &KeyRing, origin: &str) -> String {
        let mut plain = self.secret.as_bytes().to_vec();
        if let Some(kept) = &self.carried {
            plain.extend_from_slice(&kept.last_seen.as_secs().to_be_bytes());
            plain.extend_from_slice(&kept.record);
        } else if let Some(mark) = &self.whose {
            plain.extend_from_slice(&MARKED);
            plain.extend_from_slice(mark);
        }
        URL_SAFE_NO_PAD.encode(keys.seal(Purpose::SessionCookie, origin.as_bytes(), &plain))
    }

    /// Opens what [`Ticket::seal`] made for the same origin; `None` for anything else.
    pub(super) fn open(keys: &KeyRing, origin: &str, text: &[u8]) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        // SECURITY: bound to purpose and origin: no other cookie, and no other app's, opens as this session.
        let plain = keys.open(Purpose::SessionCookie, origin.as_bytes(), &sealed)?;
        let (secret, rest) = plain.split_first_chunk::<{ RecordSecret::LEN }>()?;
        let secret = RecordSecret::from_bytes(secret);
        let (carried, whose) = match rest.split_first_chunk() {
            None => (None, None),
            Some((&MARKED, mark)) => (None, mark.try_into().ok()),
            Some((last_seen, record)) => {
                let last_seen = Timestamp::from_secs(u64::from_be_bytes(*last_seen));
                (Some(Kept { record: record.to_vec(), last_seen }), None)
            }
        };
        Some(Self { secret, carried, whose })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::sealing::RootKey;
    use proptest::prelude::*;

    const ORIGIN: &str = "https://lms.example.org";

    proptest! {
        #[test]
        fn a_ticket_opens_for_its_origin_only(record: Option<Vec<u8>>, seen in 0..u64::MAX, whose: Option<[u8; 8]>) {
            let keys = KeyRing::new(&RootKey::generate(), &[]);
            let carried = record.map(|record| Kept { record, last_seen: Timestamp::from_secs(seen) });
            let whose = whose.filter(|_| carried.is_none());
            let ticket = Ticket { secret: RecordSecret::generate(), carried, whose };
            let text = ticket.seal(&keys, ORIGIN);
            let opened = Ticket::open(&keys, ORIGIN, text.as_bytes()).unwrap();
            prop_assert_eq!(opened.secret.as_bytes(), ticket.secret.as_bytes());
            prop_assert_eq!((opened.carried, opened.whose), (ticket.carried, ticket.whose));
            prop_assert!(Ticket::open(&keys, "https://talk.example.org", text.as_bytes()).is_none());
        }

        #[test]
        fn a_ticket_with_any_byte_changed_is_refused(at: prop::sample::Index, to: u8, record: Vec<u8>) {
            let keys = KeyRing::new(&RootKey::generate(), &[]);
            let carried = Some(Kept { record, last_seen: Timestamp::default() });
            let mut text = Ticket { secret: RecordSecret::generate(), carried, whose: None }.seal(&keys, ORIGIN).into_bytes();
            let at = at.index(text.len());
            prop_assume!(text[at] != to);
            text[at] = to;
            prop_assert!(Ticket::open(&keys, ORIGIN, &text).is_none());
        }
    }
}
