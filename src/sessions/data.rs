//! What a session holds, and its compact form: MessagePack, compressed where that makes it smaller.
//!
//! What is encoded here is always sealed before it leaves the process, and nothing is decoded but what was
//! opened with its own key.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::foundation::clock::Timestamp;
use crate::identity::claims::{Claims, Tokens};

/// The largest encoded value, in bytes, before and after compression.
pub(super) const LARGEST: usize = 1 << 20;

const PLAIN: u8 = 1;
const COMPRESSED: u8 = 2;

/// What a session holds: who signed in, when, and what the provider said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionData {
    /// The name of the provider that the person signed in with.
    pub provider: String,
    /// Who it is, at that provider (`sub`).
    pub subject: String,
    /// The provider's own name for its session (`sid`), where it gave one.
    pub provider_session: Option<String>,
    /// What the provider says of the person.
    pub claims: Claims,
    /// The tokens of this sign-in.
    #[serde(with = "super::packing")]
    pub tokens: Tokens,
    /// When the person proved who they are (`auth_time`), where the provider said so.
    pub auth_time: Option<Timestamp>,
    /// When the session was made.
    pub signed_in_at: Timestamp,
    /// When it ends, however it is used.
    pub expires_at: Timestamp,
    /// When the tokens came.
    #[serde(default)]
    pub tokens_from: Timestamp,
    /// When the access token stops being good, where the provider said so.
    #[serde(default)]
    pub access_expires_at: Option<Timestamp>,
    /// How often it was renewed: a higher number is the newer content of one session.
    #[serde(default)]
    pub renewals: u32,
}

/// A value that can't be encoded: it is too large, or of a shape that MessagePack has no form for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// Its size in bytes, where that is the reason.
    pub(super) bytes: usize,
}

/// The compact form of a value.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Unfit> {
    let plain = rmp_serde::to_vec(value).map_err(|_| Unfit { bytes: 0 })?;
    if plain.len() > LARGEST {
        return Err(Unfit { bytes: plain.len() });
    }
    let compressed = lz4_flex::block::compress_prepend_size(&plain);
    let (form, body) = if compressed.len() < plain.len() { (COMPRESSED, compressed) } else { (PLAIN, plain) };
    let mut out = Vec::with_capacity(1 + body.len());
    out.push(form);
    out.extend_from_slice(&body);
    Ok(out)
}

/// The value of a compact form; `None` when it is of another version, or of none.
pub(super) fn decode<T: DeserializeOwned>(encoded: &[u8]) -> Option<T> {
    match encoded.split_first()? {
        (&PLAIN, body) => rmp_serde::from_slice(body).ok(),
        (&COMPRESSED, body) => {
            let size = u32::from_le_bytes(*body.first_chunk()?);
            if usize::try_from(size).ok()? > LARGEST {
                return None;
            }
            let plain = lz4_flex::block::decompress_size_prepended(body).ok()?;
            rmp_serde::from_slice(&plain).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::foundation::secret::Secret;
    use serde_json::json;

    /// A session of Ivan's, made at `now`, for a day.
    pub(in crate::sessions) fn ivan(now: Timestamp) -> SessionData {
        let claims = json!({
            "sub": "7d0e2a56", "name": "Иванов Иван", "given_name": "Иван", "family_name": "Иванов",
            "email": "ivanov@example.org", "email_verified": "true", "phone_number": "+79990000000",
            "groups": ["students", "7А"], "address": {"locality": "Казань"},
            "n": 18446744073709551615u64, "f": 1.5, "i": -3, "none": null,
        });
        let serde_json::Value::Object(claims) = claims else { unreachable!() };
        SessionData {
            provider: "trusted".into(),
            subject: "7d0e2a56".into(),
            provider_session: Some("sid-1".into()),
            claims: Claims(claims),
            tokens: Tokens {
                access: Some(Secret::new("P5uAqLNmpUvVZ2OQRiQjnSxJUFzuZYzfNWDNGAzSrYw")),
                id: Some(Secret::new(format!(
                    "eyJhbGciOiJSUzI1NiJ9.{}.{}",
                    "ab".repeat(200),
                    "xyz".repeat(100)
                ))),
                refresh: None,
                proof_key: None,
            },
            auth_time: Some(now),
            signed_in_at: now,
            expires_at: now.plus(std::time::Duration::from_secs(24 * 3600)),
            tokens_from: now,
            access_expires_at: None,
            renewals: 0,
        }
    }

    #[test]
    fn a_session_comes_back_as_it_was_with_every_kind_of_json_in_its_claims() {
        let data = ivan(Timestamp::from_secs(1_700_000_000));
        let encoded = encode(&data).unwrap();
        let back: SessionData = decode(&encoded).unwrap();
        assert_eq!((back.claims, &*back.subject), (data.claims, "7d0e2a56"));
        assert_eq!(back.tokens.id, data.tokens.id);
        assert_eq!((back.auth_time, back.expires_at), (data.auth_time, data.expires_at));
        assert!(encoded.len() < 800, "{} bytes, of 1500 as JSON", encoded.len());
    }

    /// What a session held before its tokens could be renewed.
    #[derive(Serialize)]
    struct Before {
        provider: String,
        subject: String,
        provider_session: Option<String>,
        claims: Claims,
        #[serde(with = "crate::sessions::packing")]
        tokens: Tokens,
        auth_time: Option<Timestamp>,
        signed_in_at: Timestamp,
        expires_at: Timestamp,
    }

    #[test]
    fn a_session_of_an_older_version_is_read_and_never_renewed() {
        let SessionData { provider, subject, provider_session, claims, tokens, auth_time, .. } =
            ivan(Timestamp::from_secs(1_700_000_000));
        let at = Timestamp::from_secs;
        let (signed_in_at, expires_at) = (at(1), at(2));
        let before = Before {
            provider,
            subject,
            provider_session,
            claims,
            tokens,
            auth_time,
            signed_in_at,
            expires_at,
        };
        let data: SessionData = decode(&encode(&before).unwrap()).unwrap();
        assert_eq!((data.expires_at, data.access_expires_at, data.renewals), (at(2), None, 0));
    }

    #[test]
    fn what_is_not_a_compact_form_and_what_would_grow_too_large_are_refused() {
        let bomb = [&[COMPRESSED][..], &u32::MAX.to_le_bytes(), &[0; 16]].concat();
        for bytes in [&[][..], &[0, 1, 2], &[PLAIN], &[COMPRESSED, 1], &bomb] {
            assert!(decode::<SessionData>(bytes).is_none(), "{bytes:?}");
        }
        assert_eq!(encode(&"x".repeat(LARGEST)).unwrap_err(), Unfit { bytes: LARGEST + 5 });
    }
}
