//! The one path of a request, and every other way in which an app could read it.
//!
//! Nothing is cleaned up here: the bytes that came are the bytes that are sent on. Where servers and
//! frameworks read a path in more than one way, all of their readings are listed, so that rules and routes
//! can be asked about each. Most paths are plain, have one reading, and cost one pass over their bytes.

use std::borrow::Cow;

#[cfg(test)]
mod tests;
mod twists;

pub(super) use twists::{decode, fold, remove_dot_segments};

/// A path may have this many bytes.
pub const MAX_PATH: usize = 8192;

/// A path that was checked: it begins with `/` and holds no NUL, no bad `%`, no raw backslash, no `?` or `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    raw: &'a str,
    shape: Shape,
}

/// Whether a path holds anything that servers read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    Twisted,
}

/// Why a target is refused with 400 whatever the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Not in origin form.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    #[error("the path holds a % without two hexadecimal digits")]
    BadPercent,
    /// A NUL, plain or encoded.
    #[error("the path holds a NUL")]
    Nul,
    /// A backslash, not encoded.
    #[error("the path holds a backslash")]
    Backslash,
    /// White space or a control character, not encoded.
    #[error("the path holds white space or a control character")]
    Control,
    /// A `?` or `#`: not the path alone.
    #[error("the path holds a ? or #")]
    Delimiter,
    /// Longer than any app would take.
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
}

/// Where a path lies towards a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// Every reading is the prefix or below it.
    Yes,
    /// No reading is.
    No,
    /// Some are, or letter case decides: the request must be refused.
    Torn,
}

impl<'a> Path<'a> {
    /// Checks the path of a request target (without its query).
    ///
    /// # Errors
    /// When it must be refused whatever the rules say.
    pub fn parse(raw: &'a str) -> Result<Self, BadPath> {
        if !raw.starts_with('/') {
            return Err(BadPath::NotAbsolute);
        }
        if raw.len() > MAX_PATH {
            return Err(BadPath::TooLong);
        }
        let mut shape = Shape::Plain;
        let mut previous = 0;
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                0 => return Err(BadPath::Nul),
                b'\\' => return Err(BadPath::Backslash),
                ..=b' ' | 0x7f => return Err(BadPath::Control),
                b'?' | b'#' => return Err(BadPath::Delimiter),
                b'%' => match (bytes.next(), bytes.next()) {
                    (Some(b'0'), Some(b'0')) => return Err(BadPath::Nul),
                    (Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                        shape = Shape::Twisted;
                    }
                    _ => return Err(BadPath::BadPercent),
                },
                b'/' if matches!(previous, b'/' | b'.') => shape = Shape::Twisted,
                b';' | 0x80.. => shape = Shape::Twisted,
                _ => {}
            }
            previous = byte;
        }
        if previous == b'.' {
            shape = Shape::Twisted;
        }
        Ok(Self { raw, shape })
    }

    /// The very bytes that came and that the app gets.
    pub const fn as_str(&self) -> &'a str {
        self.raw
    }

    /// Whether the path has no other reading but by letter case.
    pub const fn is_plain(&self) -> bool {
        matches!(self.shape, Shape::Plain)
    }

    /// Every way in which an app could read the path, its own first. Letter case is left to the one who
    /// compares.
    pub fn readings(&self) -> Readings<'a> {
        match self.shape {
            Shape::Plain => Readings { forms: vec![Cow::Borrowed(self.raw.as_bytes())], complete: true },
            Shape::Twisted => twists::readings(self.raw.as_bytes()),
        }
    }

    /// Where the path lies towards a prefix (`/lms`, without a final slash, encoded or not), by all its
    /// readings.
    pub fn below(&self, prefix: &str) -> Below {
        if prefix.is_empty() {
            return Below::Yes;
        }
        let exact = decode(prefix.as_bytes()).map_or(Cow::Borrowed(prefix.as_bytes()), Cow::Owned);
        let folded = fold(&exact);
        let side = |reading: &[u8]| {
            if within(reading, &exact) {
                Below::Yes
            } else if within(&fold(reading), &folded) {
                Below::Torn
            } else {
                Below::No
            }
        };
        if self.is_plain() {
            return side(self.raw.as_bytes());
        }
        let readings = self.readings();
        let mut sides = readings.iter().map(side);
        let first = sides.next().unwrap_or(Below::Torn);
        if readings.complete && sides.all(|other| other == first) { first } else { Below::Torn }
    }
}

fn within(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The readings of one path.
#[derive(Clone, Debug)]
pub struct Readings<'a> {
    forms: Vec<Cow<'a, [u8]>>,
    complete: bool,
}

impl Readings<'_> {
    /// The readings, as decoded as the app would have them; they need not be UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.forms.iter().map(AsRef::as_ref)
    }

    /// Whether these are all of them. A path with more than a person or program would ever write is to be
    /// taken for ambiguous.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }
}
