//! The description of an identity header, and what is judged of it before anything is compiled.
//!
//! Names that can't be identity headers, keys that contradict each other, and texts that are the same for
//! everyone and so can be written once. Each refusal is a sentence for the operator.

use http::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::names::{Folded, reserved};
use crate::identity::encoding::{self, Encoding};

/// A claim's path may have this many bytes.
const MAX_PATH: usize = 512;

/// One identity header, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderSpec {
    /// Its name. HTTP compares names without case, and apps get it in lower case.
    pub name: String,
    /// Where its value comes from.
    pub source: Source,
    /// How its value is written.
    pub encoding: Encoding,
    /// What stands between the elements of an array; `None`: an array is an error of the value.
    pub join: Option<String>,
    /// The value when the claim is absent; with [`Encoding::Json`] it is JSON itself.
    pub default: Option<String>,
    /// Whether a person without this value may not enter.
    pub required: bool,
}

/// Where a header's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A claim, by its path (`address.locality`).
    Claim(String),
    /// Claims between literal text (`{given_name} {family_name} <{email}>`); absent when all of them are.
    Template(String),
    /// A CEL expression over `claims`.
    Expression(String),
    /// The same text for everyone; with [`Encoding::Json`] it is JSON itself.
    Constant(String),
    /// A token of the session as a Bearer value.
    Token(TokenKind),
}

/// Which token a header carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The access token.
    Access,
    /// The ID token.
    Id,
}

/// Why a header or rule of the configuration can't be used: a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(pub String);

impl SpecError {
    pub(in crate::identity) fn from_error(error: impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl HeaderSpec {
    /// A header that carries a claim as it is, which is all that most headers need.
    pub fn of_claim(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            source: Source::Claim(path.into()),
            encoding: Encoding::default(),
            join: None,
            default: None,
            required: false,
        }
    }
}

pub(super) fn compile_name(name: &str) -> Result<(HeaderName, Folded), SpecError> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        SpecError(format!("{name} is not a header's name; letters, digits and hyphens make one"))
    })?;
    let folded = Folded::new(name);
    if folded.is_empty() {
        return Err(SpecError(format!("the header {name} has neither letters nor digits")));
    }
    match reserved(&folded) {
        Some(reserved) => {
            Err(SpecError(format!("{name} can't be an identity header: it {}", reserved.reason())))
        }
        None => Ok((header, folded)),
    }
}

pub(super) fn compile_path(path: String) -> Result<String, SpecError> {
    if path.trim().is_empty() || path.len() > MAX_PATH || path.chars().any(char::is_control) {
        return Err(SpecError(format!("a claim's name has 1 to {MAX_PATH} bytes and no control characters")));
    }
    Ok(path)
}

/// A text that is the same for everyone. With `json` it is JSON itself, so that `"[]"` can be a default.
pub(super) fn fixed_value(encoding: Encoding, text: &str, key: &str) -> Result<HeaderValue, SpecError> {
    let encoded = if encoding == Encoding::Json {
        let value: Value = serde_json::from_str(text).map_err(|_| {
            SpecError(format!(r#"with encode = "json", {key} must be JSON itself, such as "[]" or "\"x\"""#))
        })?;
        encoding::json(&value)
    } else if text.trim().is_empty() {
        return Err(SpecError(format!(
            "{key} is empty; without it, a person without a value gets no header"
        )));
    } else {
        encoding.encode(text)
    };
    encoded.map_err(|unfit| SpecError(format!("{key} can't be sent: {unfit}")))
}

pub(super) fn check_keys(spec: &HeaderSpec) -> Result<(), SpecError> {
    let refuse = |sentence: &str| Err(SpecError(sentence.to_owned()));
    let for_all = match spec.source {
        Source::Constant(_) => Some("value"),
        Source::Token(_) => Some("token"),
        _ => None,
    };
    match (&spec.join, for_all) {
        (Some(_), Some(key)) => {
            return Err(SpecError(format!("join has no meaning beside {key}: there is no array")));
        }
        (Some(_), None) if spec.encoding == Encoding::Json => {
            return refuse(r#"join and encode = "json" contradict each other: JSON has its own separators"#);
        }
        (Some(separator), None) if separator.is_empty() || separator.chars().any(char::is_control) => {
            return refuse("join needs at least one character, and no control character");
        }
        _ => {}
    }
    match (&spec.source, &spec.default) {
        (Source::Constant(_), Some(_)) => {
            refuse("default has no meaning beside value, which is never absent")
        }
        (Source::Token(_), Some(_)) => {
            refuse("default has no meaning beside token: no text can stand for one")
        }
        (Source::Token(_), None) if spec.encoding != Encoding::Utf8 => {
            refuse("encode has no meaning beside token")
        }
        (_, Some(_)) if spec.required => {
            refuse("required and default contradict each other: with a default the value is never absent")
        }
        _ => Ok(()),
    }
}
