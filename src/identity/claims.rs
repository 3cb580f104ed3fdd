//! Claims, as the provider sent them: raw JSON, never forced into a type.
//!
//! Looking a claim up by its path, laying userinfo over the ID token, and the text form of a single value.
//! What becomes of a value in a header is `mapping`'s matter, what an expression sees of it `expression`'s.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::foundation::secret::Secret;

/// The largest integer below which every float is exact; above it, digits of a number may be lost.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Claims that speak of the sign-in rather than of the person: the signed ID token's word stands.
const OF_THE_SIGN_IN: [&str; 16] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "azp",
    "acr",
    "amr",
    "auth_time",
    "sid",
    "at_hash",
    "c_hash",
    "s_hash",
];

/// What a provider says of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(pub Map<String, Value>);

/// The tokens of a session, sealed wherever they are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// The access token.
    pub access: Option<Secret>,
    /// The ID token as it came, for `id_token_hint` and for apps that are mapped to get it.
    pub id: Option<Secret>,
    /// The refresh token.
    pub refresh: Option<Secret>,
    /// The key that access and refresh tokens are bound to, where they are (RFC 9449).
    pub proof_key: Option<Secret>,
}

/// Why a value has no text form of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// `null`, which is the same as absent.
    #[error("it is null")]
    Null,
    /// Several values.
    #[error("it is an array; set join, or encode = \"json\"")]
    Array,
    /// Members.
    #[error("it is an object; name a member of it, or set encode = \"json\"")]
    Object,
    /// A number whose digits JSON could not carry exactly; two persons could become one.
    #[error("it is a number with more digits than are exact; the provider should send it as a string")]
    Inexact,
}

impl Claims {
    /// The claim at a path. The whole path is tried as a member's name first (`https://example.org/role`),
    /// then as names of nested members between dots (`address.locality`), each of which may hold dots
    /// itself; in an array a segment is an index from 0. A claim that is `null` is absent.
    pub fn get(&self, path: &str) -> Option<&Value> {
        member(&self.0, path)
    }

    /// Lays what userinfo said over what the ID token said. A claim that userinfo leaves out or sends as
    /// `null` stays, and so do the ID token's claims of the sign-in itself (`iss`, `acr`, `sid`, …).
    pub fn merge(&mut self, userinfo: Self) {
        for (name, value) in userinfo.0 {
            // SECURITY: userinfo is seldom signed; it must not raise the `acr` or `amr` that step-up relies on.
            let stands = OF_THE_SIGN_IN.contains(&name.as_str()) && self.0.contains_key(&name);
            if !stands && !value.is_null() {
                self.0.insert(name, value);
            }
        }
    }
}

fn member<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value).filter(|value| !value.is_null());
    }
    path.rmatch_indices('.').find_map(|(dot, _)| {
        let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
        below(object.get(name)?, rest)
    })
}

fn below<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => member(object, path),
        Value::Array(array) => {
            let (index, rest) =
                path.split_once('.').map_or((path, None), |(index, rest)| (index, Some(rest)));
            let value = array.get(index.parse::<usize>().ok()?)?;
            match rest {
                Some(rest) => below(value, rest),
                None => Some(value).filter(|value| !value.is_null()),
            }
        }
        _ => None,
    }
}

/// The text form of a single value: a string as it is, a number as it was written, `true` or `false`.
///
/// # Errors
/// When it is not a single value, or a number that can't be written without loss.
pub fn text(value: &Value) -> Result<Cow<'_, str>, NotText> {
    match value {
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number) if is_exact(number) => Ok(Cow::Owned(number.to_string())),
        Value::Number(_) => Err(NotText::Inexact),
        Value::Bool(true) => Ok(Cow::Borrowed("true")),
        Value::Bool(false) => Ok(Cow::Borrowed("false")),
        Value::Null => Err(NotText::Null),
        Value::Array(_) => Err(NotText::Array),
        Value::Object(_) => Err(NotText::Object),
    }
}

fn is_exact(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.abs() < EXACT_FLOAT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_path_finds_literal_names_nested_members_and_array_elements() {
        let claims = claims(json!({
            "sub": "1", "address": { "locality": "Тверь", "geo.lat": 56.8 }, "a.b": { "c": "dotted" },
            "a": { "b": "nested" }, "https://example.org/role": "teacher", "custom.x": 7,
            "accounts": [{ "id": 5 }, { "id": 6 }], "nothing": null, "deep": [[["x"]]],
        }));
        let cases = [
            ("sub", json!("1")),
            ("address.locality", json!("Тверь")),
            ("address.geo.lat", json!(56.8)),
            ("a.b", json!({ "c": "dotted" })),
            ("a.b.c", json!("dotted")),
            ("https://example.org/role", json!("teacher")),
            ("custom.x", json!(7)),
            ("accounts.1.id", json!(6)),
            ("deep.0.0.0", json!("x")),
        ];
        for (path, expected) in cases {
            assert_eq!(claims.get(path), Some(&expected), "{path}");
        }
        for absent in
            ["", ".", "nothing", "sub.x", "address.", ".sub", "accounts.2", "accounts.-1", "accounts.x.id"]
        {
            assert_eq!(claims.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn userinfo_lies_over_the_id_token_but_not_over_what_it_says_of_the_sign_in() {
        let mut merged = claims(json!({ "sub": "1", "acr": "pwd", "name": "old", "email": "a@example.org" }));
        merged.merge(claims(json!({
            "sub": "1", "acr": "mfa", "name": "new", "email": null, "phone_number": "+7", "amr": ["pwd"],
        })));
        let expected = json!({
            "sub": "1", "acr": "pwd", "name": "new", "email": "a@example.org", "phone_number": "+7", "amr": ["pwd"],
        });
        assert_eq!(merged, claims(expected));
    }

    #[test]
    fn a_single_value_has_a_text_and_others_say_why_not() {
        let cases = [
            (json!("Иван"), Ok("Иван")),
            (json!(42), Ok("42")),
            (json!(-7), Ok("-7")),
            (json!(u64::MAX), Ok("18446744073709551615")),
            (json!(1.5), Ok("1.5")),
            (json!(true), Ok("true")),
            (json!(false), Ok("false")),
            (Value::Null, Err(NotText::Null)),
            (json!(["a"]), Err(NotText::Array)),
            (json!({}), Err(NotText::Object)),
            (serde_json::from_str("123456789012345678901234567890").unwrap(), Err(NotText::Inexact)),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value).as_deref().map_err(|error| *error), expected, "{value}");
        }
    }
}
