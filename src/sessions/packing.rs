//! Tokens in fewer bytes: a token in three base64url segments, as signed tokens are, is kept as the bytes that
//! the segments stand for, a quarter less and open to compression. Any other stays text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::foundation::secret::Secret;
use crate::identity::claims::Tokens;

/// Serializes tokens; for `#[serde(with)]`.
pub(super) fn serialize<S: Serializer>(tokens: &Tokens, to: S) -> Result<S::Ok, S::Error> {
    let token = |token: &Option<Secret>| token.clone().map(Packed);
    let proof_key = tokens.proof_key.clone().map(Packed);
    let all = [token(&tokens.access), token(&tokens.id), token(&tokens.refresh), proof_key];
    // The last is seldom there, and sessions of older versions have three.
    let [first @ .., last] = &all;
    if last.is_some() { all.as_slice() } else { first.as_slice() }.serialize(to)
}

/// Deserializes what [`serialize`] made.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tokens, D::Error> {
    let mut all = Vec::<Option<Packed>>::deserialize(from)?.into_iter();
    let mut next = || all.next().flatten().map(|Packed(token)| token);
    Ok(Tokens { access: next(), id: next(), refresh: next(), proof_key: next() })
}

struct Packed(Secret);

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match pack(self.0.expose()) {
            Some(packed) => to.serialize_bytes(&packed),
            None => to.serialize_str(self.0.expose()),
        }
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Unpack;
        impl Visitor<'_> for Unpack {
            type Value = Packed;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a token")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Packed, E> {
                Ok(Packed(Secret::new(text)))
            }

            fn visit_bytes<E: Error>(self, packed: &[u8]) -> Result<Packed, E> {
                unpack(packed)
                    .map(|token| Packed(Secret::new(token)))
                    .ok_or_else(|| E::custom("not a packed token"))
            }
        }
        from.deserialize_any(Unpack)
    }
}

/// The lengths of the first two segments and the bytes of all three; `None` when that would not give the very
/// same text again.
fn pack(token: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut segments = token.split('.');
    let (first, second, third) = (segments.next()?, segments.next()?, segments.next()?);
    let decode = |segment: &str| URL_SAFE_NO_PAD.decode(segment).ok().map(Zeroizing::new);
    let (first, second, third) = (decode(first)?, decode(second)?, decode(third)?);
    let length = |segment: &[u8]| u32::try_from(segment.len()).ok().map(u32::to_be_bytes);
    let (a, b) = (length(&first)?, length(&second)?);
    let packed = Zeroizing::new([&a[..], &b, &first, &second, &third].concat());
    (segments.next().is_none() && unpack(&packed)? == token).then_some(packed)
}

fn unpack(packed: &[u8]) -> Option<String> {
    let (a, rest) = packed.split_first_chunk()?;
    let (b, rest) = rest.split_first_chunk()?;
    let length = |bytes: [u8; 4]| usize::try_from(u32::from_be_bytes(bytes)).ok();
    let (first, rest) = rest.split_at_checked(length(*a)?)?;
    let (second, third) = rest.split_at_checked(length(*b)?)?;
    let mut token = String::with_capacity(packed.len() / 3 * 4 + 8);
    for (place, segment) in [first, second, third].into_iter().enumerate() {
        if place > 0 {
            token.push('.');
        }
        URL_SAFE_NO_PAD.encode_string(segment, &mut token);
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(token: &str) -> (usize, String) {
        let (id, refresh) = (Some(Secret::new(token)), Some(Secret::new("r")));
        let tokens = Tokens { access: None, id, refresh, proof_key: Some(Secret::new("k")) };
        let mut bytes = Vec::new();
        serialize(&tokens, &mut rmp_serde::Serializer::new(&mut bytes)).unwrap();
        let back = deserialize(&mut rmp_serde::Deserializer::from_read_ref(&bytes)).unwrap();
        assert_eq!(back.refresh.unwrap().expose(), "r");
        assert_eq!(back.proof_key.unwrap().expose(), "k");
        (bytes.len(), back.id.unwrap().expose().to_owned())
    }

    #[test]
    fn a_signed_token_takes_a_quarter_less() {
        let token = format!("{}.{}.{}", "eyJh".repeat(10), "eyJz".repeat(100), "c2ln".repeat(85));
        let (bytes, back) = there_and_back(&token);
        assert_eq!(back, token);
        assert!(bytes < token.len() * 3 / 4 + 20, "{bytes} of {}", token.len());
    }

    #[test]
    fn three_tokens_without_a_key_are_as_older_versions_wrote_them() {
        let three = rmp_serde::to_vec(&(Some("a"), None::<&str>, Some("r"))).unwrap();
        let tokens = deserialize(&mut rmp_serde::Deserializer::from_read_ref(&three)).unwrap();
        assert_eq!(tokens.access.as_ref().unwrap().expose(), "a");
        assert!(tokens.id.is_none() && tokens.proof_key.is_none());
        let mut again = Vec::new();
        serialize(&tokens, &mut rmp_serde::Serializer::new(&mut again)).unwrap();
        assert_eq!(again, three);
    }

    proptest! {
        #[test]
        fn any_token_comes_back_as_it_was(token in "[A-Za-z0-9_=.-]{0,8}(\\.[A-Za-z0-9_=-]{0,8}){0,4}|.*") {
            prop_assert_eq!(there_and_back(&token).1, token);
        }

        #[test]
        fn bytes_that_are_no_packed_token_are_refused_or_read_without_harm(bytes: Vec<u8>) {
            drop(unpack(&bytes));
        }
    }
}
