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
}

impl Ticket {
    /// The cookie's text, sealed for one origin.
    pub(super) fn seal(&self, keys: &KeyRing, origin: &str) -> String {
        let mut plain = self.secret.as_bytes().to_vec();
        if let Some(kept) = &self.carried {
            plain.extend_from_slice(&kept.last_seen.as_secs().to_be_bytes());
            plain.extend_from_slice(&kept.record);
        }
        URL_SAFE_NO_PAD.encode(keys.seal(Purpose::SessionCookie, origin.as_bytes(), &plain))
    }

    /// Opens what [`Ticket::seal`] made for the same origin; `None` for anything else.
    pub(super) fn open(keys: &KeyRing, origin: &str, text: &[u8]) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        // SECURITY: bound to purpose and origin: no other cookie, and no other app's, opens as this session.
        let plain = keys.open(Purpose::SessionCookie, origin.as_bytes(), &sealed)?;
        let (secret, rest) = plain.split_first_chunk::<{ RecordSecret::LEN }>()?;
        let carried = rest.split_first_chunk().map(|(last_seen, record)| Kept {
            record: record.to_vec(),
            last_seen: Timestamp::from_secs(u64::from_be_bytes(*last_seen)),
        });
        Some(Self { secret: RecordSecret::from_bytes(secret), carried })
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
        fn a_ticket_opens_for_its_origin_only(record: Option<Vec<u8>>, seen: u64) {
            let keys = KeyRing::new(&RootKey::generate(), &[]);
            let carried = record.map(|record| Kept { record, last_seen: Timestamp::from_secs(seen) });
            let ticket = Ticket { secret: RecordSecret::generate(), carried };
            let text = ticket.seal(&keys, ORIGIN);
            let opened = Ticket::open(&keys, ORIGIN, text.as_bytes()).unwrap();
            prop_assert_eq!(opened.secret.as_bytes(), ticket.secret.as_bytes());
            prop_assert_eq!(opened.carried, ticket.carried);
            prop_assert!(Ticket::open(&keys, "https://talk.example.org", text.as_bytes()).is_none());
        }

        #[test]
        fn a_ticket_with_any_byte_changed_is_refused(at: prop::sample::Index, to: u8, record: Vec<u8>) {
            let keys = KeyRing::new(&RootKey::generate(), &[]);
            let carried = Some(Kept { record, last_seen: Timestamp::default() });
            let mut text = Ticket { secret: RecordSecret::generate(), carried }.seal(&keys, ORIGIN).into_bytes();
            let at = at.index(text.len());
            prop_assume!(text[at] != to);
            text[at] = to;
            prop_assert!(Ticket::open(&keys, ORIGIN, &text).is_none());
        }
    }
}
