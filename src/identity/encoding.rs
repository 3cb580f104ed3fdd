//! How a value is written into a header, so that the app reads what the provider said.
//!
//! Text in, the bytes of a header value out. What text a claim has, and when it counts as absent, is
//! decided in `mapping`.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// A header value may have this many bytes: most servers give all headers together 8 KiB or a little more.
pub const MAX_VALUE: usize = 8192;

/// What stays as it is in percent-encoding: the unreserved characters (RFC 3986 section 2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stays as it is in an extended value: `attr-char` (RFC 8187 section 3.2.1).
const NOT_ATTR_CHAR: AsciiSet = RESERVED
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'^')
    .remove(b'`')
    .remove(b'|');

/// An encoded-word has at most 75 characters (RFC 2047 section 2), of which `=?UTF-8?B?` and `?=` take 12.
const WORD: usize = 75 - 12;

/// The encodings of a header value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes of UTF-8 (what PHP reads).
    #[default]
    Utf8,
    /// The bytes of ISO 8859-1; what it lacks is an error of the value.
    Latin1,
    /// Percent-encoded UTF-8 (RFC 3986 section 2.1).
    Percent,
    /// Base64 of UTF-8 (RFC 4648 section 4).
    Base64,
    /// Encoded-words, base 64 (RFC 2047 section 4.1). Printable ASCII without `=?` stays as it is.
    Rfc2047,
    /// Encoded-words, quoted-printable (RFC 2047 section 4.2). Printable ASCII without `=?` stays as it is.
    Rfc2047Q,
    /// An extended value (RFC 8187 section 3.2).
    Rfc8187,
    /// JSON in ASCII.
    Json,
}

/// Why a value can't be sent. No message holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Line breaks and the like, which could end the header.
    #[error("it holds a control character")]
    Control,
    /// A character that ISO 8859-1 does not have.
    #[error("it holds a character that latin1 does not have; choose another encode")]
    NotLatin1,
    /// Longer than an app would take.
    #[error("it is longer than {MAX_VALUE} bytes")]
    TooLong,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Utf8,
        Self::Latin1,
        Self::Percent,
        Self::Base64,
        Self::Rfc2047,
        Self::Rfc2047Q,
        Self::Rfc8187,
        Self::Json,
    ];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Latin1 => "latin1",
            Self::Percent => "percent",
            Self::Base64 => "base64",
            Self::Rfc2047 => "rfc2047",
            Self::Rfc2047Q => "rfc2047-q",
            Self::Rfc8187 => "rfc8187",
            Self::Json => "json",
        }
    }

    /// The encoding of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == name)
    }

    /// Whether a text can be sent in this encoding.
    ///
    /// # Errors
    /// When it can't.
    pub fn check(self, text: &str) -> Result<(), Unfit> {
        // SECURITY: a decoded control character could split a header or a log line of the app, so none is
        // sent even where the encoding would hide it; JSON has an escape for it that every reader keeps.
        if self != Self::Json && text.chars().any(char::is_control) {
            return Err(Unfit::Control);
        }
        if self == Self::Latin1 && text.chars().any(|c| !matches!(c, '\0'..='\u{ff}')) {
            return Err(Unfit::NotLatin1);
        }
        if text.len() > 2 * MAX_VALUE {
            return Err(Unfit::TooLong);
        }
        Ok(())
    }

    /// Writes a text. White space at its ends, which HTTP would drop (RFC 9110 section 5.5), is dropped from
    /// `utf8` and `latin1`; the other encodings keep it.
    ///
    /// # Errors
    /// When it can't be sent.
    pub fn encode(self, text: &str) -> Result<HeaderValue, Unfit> {
        self.check(text)?;
        let bytes: Cow<'_, [u8]> = match self {
            Self::Utf8 => Cow::Borrowed(text.trim().as_bytes()),
            Self::Latin1 => text.trim().chars().filter_map(|c| u8::try_from(c).ok()).collect(),
            Self::Percent => into_bytes(utf8_percent_encode(text, &RESERVED).into()),
            Self::Base64 => Cow::Owned(STANDARD.encode(text).into_bytes()),
            Self::Rfc2047 | Self::Rfc2047Q if is_plain(text) => Cow::Borrowed(text.as_bytes()),
            Self::Rfc2047 => Cow::Owned(words_in_base64(text).into_bytes()),
            Self::Rfc2047Q => Cow::Owned(words_in_quoted_printable(text).into_bytes()),
            Self::Rfc8187 => {
                Cow::Owned(format!("UTF-8''{}", utf8_percent_encode(text, &NOT_ATTR_CHAR)).into_bytes())
            }
            Self::Json => return json(&Value::from(text)),
        };
        value(&bytes)
    }
}

/// Writes a JSON value, ASCII only, without white space between its parts.
///
/// # Errors
/// When it is too long.
pub fn json(json: &Value) -> Result<HeaderValue, Unfit> {
    let text = json.to_string();
    if text.len() > 2 * MAX_VALUE {
        return Err(Unfit::TooLong);
    }
    let mut ascii = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            // Writing into a String can't fail.
            write!(ascii, "\\u{unit:04x}").unwrap_or_default();
        }
    }
    value(ascii.as_bytes())
}

fn value(bytes: &[u8]) -> Result<HeaderValue, Unfit> {
    if bytes.len() > MAX_VALUE {
        return Err(Unfit::TooLong);
    }
    HeaderValue::from_bytes(bytes).map_err(|_| Unfit::Control)
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Whether a text needs no encoded-words.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains("=?") && text.trim() == text
}

fn words_in_base64(text: &str) -> String {
    words(text, 'B', WORD / 4 * 3, char::len_utf8, |word, part| STANDARD.encode_string(part, word))
}

fn words_in_quoted_printable(text: &str) -> String {
    // RFC 2047 section 5 (3): what is safe even where an encoded-word stands in a phrase.
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"!*+-/".contains(&byte);
    let width = move |c: char| {
        if u8::try_from(c).is_ok_and(|byte| is_safe(byte) || byte == b' ') { 1 } else { 3 * c.len_utf8() }
    };
    words(text, 'Q', WORD, width, |word, part| {
        for byte in part.bytes() {
            match byte {
                b' ' => word.push('_'),
                byte if is_safe(byte) => word.push(char::from(byte)),
                byte => write!(word, "={byte:02X}").unwrap_or_default(),
            }
        }
    })
}

/// Encoded-words between spaces, each of whole characters whose widths together are at most `room`.
fn words(
    text: &str,
    letter: char,
    room: usize,
    width: impl Fn(char) -> usize,
    encode: impl Fn(&mut String, &str),
) -> String {
    let mut encoded = String::with_capacity(2 * text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let mut used = 0;
        let end = rest.char_indices().find(|(_, c)| {
            used += width(*c);
            used > room
        });
        let (part, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        if !encoded.is_empty() {
            encoded.push(' ');
        }
        encoded.push_str("=?UTF-8?");
        encoded.push(letter);
        encoded.push('?');
        encode(&mut encoded, part);
        encoded.push_str("?=");
        rest = after;
    }
    encoded
}

#[cfg(test)]
mod tests;
