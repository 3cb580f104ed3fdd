//! One path pattern of a rule, and how a path meets it.
//!
//! A pattern is compared with decoded text, so `/файлы/*`, `/%D1%84…/*` and a path that a browser encoded
//! are the same to it. What a pattern can't say (an encoded slash, `..`, `;`) is refused when it is compiled,
//! because a path that holds it has more than one reading anyway.

use std::borrow::Cow;

use super::super::readings::{decode, fold, remove_dot_segments};

/// A pattern may have this many bytes.
const MAX_BYTES: usize = 1024;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    text: Box<[u8]>,
    folded: Box<[u8]>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The very path.
    Exact,
    /// All that begins with it.
    Below,
    /// With a `*` inside.
    Stars,
    /// With a `*` inside, and all below.
    StarsBelow,
}

/// How a path meets a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meets {
    /// As it is written.
    Exactly,
    /// Only for an app that ignores letter case.
    ButForCase,
    /// Not at all.
    Not,
}

/// Why a pattern can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("it does not begin with a slash; for every path write /*")]
    NotAbsolute,
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("it holds a % without two hexadecimal digits; the character itself is written %25")]
    BadPercent,
    #[error("it holds a ? or #, but rules match the path alone, never the query")]
    Query,
    #[error("it holds a control character")]
    Control,
    #[error(
        "it holds an encoded slash or star, or a backslash; a path with one has several readings, so write * there"
    )]
    Hidden,
    #[error("it holds a ; but what follows one is a parameter to some apps; leave it out")]
    Parameter,
    #[error("it holds two slashes in a row, which no pattern can tell from one")]
    DoubleSlash,
    #[error("it holds a . or .. segment, or one that ends in a dot or a blank; write the path that is meant")]
    Dots,
}

impl Pattern {
    pub(super) fn compile(pattern: &str) -> Result<Self, PatternError> {
        let text = judge(pattern)?;
        let (text, below) = match text.strip_suffix(b"*") {
            Some(text) if text.ends_with(b"/") => (text, true),
            _ => (text.as_ref(), false),
        };
        let shape = match (text.contains(&b'*'), below) {
            (false, false) => Shape::Exact,
            (false, true) => Shape::Below,
            (true, false) => Shape::Stars,
            (true, true) => Shape::StarsBelow,
        };
        Ok(Self { text: text.into(), folded: fold(text).into(), shape })
    }

    /// How a reading meets the pattern; `folded` is the reading by [`fold`], or itself when it is ASCII.
    pub(super) fn meets(&self, exact: &[u8], folded: &[u8]) -> Meets {
        // Most patterns begin otherwise than the path, and their second byte tells.
        if let ([_, ours, ..], [_, came, ..]) = (&*self.folded, folded)
            && (ours ^ came) & !0x20 != 0
            && *ours != b'*'
        {
            return Meets::Not;
        }
        let without_case: fn(u8, u8) -> bool = |a, b| a.eq_ignore_ascii_case(&b);
        let met = match self.shape {
            Shape::Exact => folded.eq_ignore_ascii_case(&self.folded),
            Shape::Below => {
                folded.get(..self.folded.len()).is_some_and(|head| head.eq_ignore_ascii_case(&self.folded))
            }
            Shape::Stars | Shape::StarsBelow => self.stars(&self.folded, folded, without_case),
        };
        if !met {
            return Meets::Not;
        }
        let exactly = match self.shape {
            Shape::Exact => *exact == *self.text,
            Shape::Below => exact.starts_with(&self.text),
            Shape::Stars | Shape::StarsBelow => self.stars(&self.text, exact, |a, b| a == b),
        };
        if exactly { Meets::Exactly } else { Meets::ButForCase }
    }

    /// Matches `*` against anything but a slash. Going back to the last `*` is enough: one in an earlier
    /// segment could only give way by taking a slash.
    fn stars(&self, pattern: &[u8], path: &[u8], same: fn(u8, u8) -> bool) -> bool {
        let (mut pattern, mut path) = (pattern, path);
        let mut last_star: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern, path) {
                ([], []) => return true,
                ([], _) if self.shape == Shape::StarsBelow => return true,
                ([b'*', after @ ..], _) => {
                    last_star = Some((after, path));
                    pattern = after;
                    continue;
                }
                ([p, after @ ..], [c, rest @ ..]) if same(*p, *c) => {
                    (pattern, path) = (after, rest);
                    continue;
                }
                _ => {}
            }
            match last_star {
                Some((after, [c, rest @ ..])) if *c != b'/' => {
                    last_star = Some((after, rest));
                    (pattern, path) = (after, rest);
                }
                _ => return false,
            }
        }
    }
}

/// The pattern's text, decoded, when every path that it fits can be told from others.
fn judge(pattern: &str) -> Result<Cow<'_, [u8]>, PatternError> {
    if !pattern.starts_with('/') {
        return Err(PatternError::NotAbsolute);
    }
    if pattern.len() > MAX_BYTES {
        return Err(PatternError::TooLong);
    }
    let lone_percent =
        |after: &str| !after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if pattern.split('%').skip(1).any(lone_percent) {
        return Err(PatternError::BadPercent);
    }
    let hidden = |after: &str| {
        ["2f", "5c", "2a"].iter().any(|hex| after.get(..2).is_some_and(|two| two.eq_ignore_ascii_case(hex)))
    };
    if pattern.contains('\\') || pattern.split('%').skip(1).any(hidden) {
        return Err(PatternError::Hidden);
    }
    let text = decode(pattern.as_bytes()).map_or(Cow::Borrowed(pattern.as_bytes()), Cow::Owned);
    if text.iter().any(u8::is_ascii_control) {
        Err(PatternError::Control)
    } else if text.iter().any(|byte| matches!(byte, b'?' | b'#')) {
        Err(PatternError::Query)
    } else if text.contains(&b';') {
        Err(PatternError::Parameter)
    } else if text.windows(2).any(|pair| pair == b"//") {
        Err(PatternError::DoubleSlash)
    } else if remove_dot_segments(&text).is_some() || text.split(|byte| *byte == b'/').any(ends_blank) {
        Err(PatternError::Dots)
    } else {
        Ok(text)
    }
}

fn ends_blank(segment: &[u8]) -> bool {
    segment.last().is_some_and(|byte| matches!(byte, b'.' | b' '))
}
