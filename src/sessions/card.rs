//! What operators are shown of a session: a card that lies beside the record, sealed by the key ring, because the
//! record itself opens only with its browser's cookie. A copy of the store without the keys shows nobody.
//!
//! It says how the session was made, and stays as it is however the session is renewed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::data::{self, SessionData};
use super::store::RecordName;
use crate::foundation::clock::Timestamp;
use crate::foundation::sealing::{KeyRing, Purpose};

/// The most bytes that a card keeps of one text.
const LONGEST: usize = 256;

/// Where a sign-in took place.
#[derive(Clone, Copy, Debug)]
pub struct Entrance<'a> {
    /// The app's name.
    pub app: &'a str,
    /// The address of the client.
    pub client: IpAddr,
}

/// What operators are shown of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The provider that the person signed in with.
    pub provider: String,
    /// Who it is, at that provider (`sub`).
    pub subject: String,
    /// How the person is called, where the provider said so.
    pub name: Option<String>,
    /// The person's e-mail address, where the provider said so.
    pub email: Option<String>,
    /// The app that was signed in to.
    pub app: String,
    /// The address of the client at the sign-in.
    pub address: IpAddr,
    /// When that was.
    pub signed_in_at: Timestamp,
    /// How strongly the person proved who they are (`acr`), where the provider said so.
    pub strength: Option<String>,
}

impl Card {
    pub(super) fn new(data: &SessionData, entrance: Entrance<'_>) -> Self {
        let claim = |name: &str| data.claims.0.get(name)?.as_str().filter(|text| !text.is_empty()).map(cut);
        let full_name = || match (claim("given_name"), claim("family_name")) {
            (Some(given), Some(family)) => Some(format!("{given} {family}")),
            (given, family) => given.or(family),
        };
        Self {
            provider: data.provider.clone(),
            subject: cut(&data.subject),
            name: claim("name").or_else(full_name).or_else(|| claim("preferred_username")),
            email: claim("email"),
            app: entrance.app.to_owned(),
            address: entrance.client,
            signed_in_at: data.signed_in_at,
            strength: claim("acr"),
        }
    }

    /// Whether the person's name, e-mail address or subject holds this text, in any case.
    pub(super) fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let mut all =
            [self.name.as_deref(), self.email.as_deref(), Some(&self.subject)].into_iter().flatten();
        all.any(|held| held.to_lowercase().contains(&text))
    }

    /// The card as it lies in a store, beside the record of this name.
    pub(super) fn seal(&self, keys: &KeyRing, name: &RecordName) -> Vec<u8> {
        // Its texts are short: it always has a compact form.
        let plain = data::encode(self).unwrap_or_default();
        // SECURITY: bound to its record: one person's card can't be put beside another's session.
        keys.seal(Purpose::Card, name, &plain)
    }

    /// Opens what [`Card::seal`] made for the same record; `None` for anything else.
    pub(super) fn open(keys: &KeyRing, name: &RecordName, sealed: &[u8]) -> Option<Self> {
        data::decode(&keys.open(Purpose::Card, name, sealed)?)
    }
}

/// The text, or as much of it as a card keeps.
fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::sealing::RootKey;
    use crate::sessions::data::tests::ivan;

    const ENTRANCE: Entrance<'_> = Entrance { app: "lms", client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

    fn card(claims: serde_json::Value) -> Card {
        let serde_json::Value::Object(claims) = claims else { unreachable!() };
        let claims = crate::identity::claims::Claims(claims);
        Card::new(&SessionData { claims, ..ivan(Timestamp::from_secs(7)) }, ENTRANCE)
    }

    #[test]
    fn a_person_is_called_by_the_best_name_there_is() {
        for (claims, name) in [
            (serde_json::json!({"name": "Иван Иванов", "given_name": "Иван"}), Some("Иван Иванов")),
            (serde_json::json!({"given_name": "Иван", "family_name": "Иванов"}), Some("Иван Иванов")),
            (serde_json::json!({"family_name": "Иванов", "preferred_username": "ivan"}), Some("Иванов")),
            (serde_json::json!({"name": "", "preferred_username": "ivan"}), Some("ivan")),
            (serde_json::json!({"name": 7}), None),
        ] {
            assert_eq!(card(claims).name.as_deref(), name);
        }
        let ivan = card(serde_json::json!({"name": "Иван Ёлкин", "email": "Ivan@example.org"}));
        assert!(ivan.mentions("ёлк") && ivan.mentions("IVAN@") && ivan.mentions("7d0e2a56"));
        assert!(!ivan.mentions("Пётр"));
        let long = card(serde_json::json!({"name": "я".repeat(1000), "acr": "loa2"}));
        assert_eq!(long.name.unwrap().len(), LONGEST);
        assert_eq!(long.strength.as_deref(), Some("loa2"));
    }

    #[test]
    fn a_card_opens_beside_its_own_record_only() {
        let keys = KeyRing::new(&RootKey::generate(), &[]);
        let card = Card::new(&ivan(Timestamp::from_secs(7)), ENTRANCE);
        let sealed = card.seal(&keys, &[1; 32]);
        assert_eq!(Card::open(&keys, &[1; 32], &sealed), Some(card));
        assert_eq!(Card::open(&keys, &[2; 32], &sealed), None);
        assert_eq!(Card::open(&KeyRing::new(&RootKey::generate(), &[]), &[1; 32], &sealed), None);
        assert_eq!(Card::open(&keys, &[1; 32], &[]), None);
    }
}
