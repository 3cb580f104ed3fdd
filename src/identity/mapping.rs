//! The mapping from claims to an app's request headers: compiled at start, rendered once a session and app.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::claims::{Claims, Tokens};
use super::encoding::Encoding;

/// One identity header, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderSpec {
    /// Its name, in the spelling that the app gets.
    pub name: String,
    /// Where its value comes from.
    pub source: Source,
    /// How its value is written.
    pub encoding: Encoding,
    /// What stands between the elements of an array; `None`: an array is an error of the value.
    pub join: Option<String>,
    /// The value when the claim is absent.
    pub default: Option<String>,
    /// Whether a person without this value may not enter.
    pub required: bool,
}

/// Where a header's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A claim, by its path (`address.locality`).
    Claim(String),
    /// Claims between literal text (`{given_name} {family_name} <{email}>`).
    Template(String),
    /// A CEL expression over `claims`.
    Expression(String),
    /// The same text for everyone.
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

/// Why a header of the configuration can't be used: a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(pub String);

/// One compiled identity header.
#[derive(Debug)]
pub struct IdentityHeader {}

impl IdentityHeader {
    /// Compiles one header.
    ///
    /// # Errors
    /// When the name, the path, the template or the expression can't be read.
    pub fn compile(spec: HeaderSpec) -> Result<Self, SpecError> {
        Err(SpecError(format!("{} is not written yet", spec.name)))
    }
}

/// All identity headers of an app.
#[derive(Debug, Default)]
pub struct HeaderMapping {}

/// What a person's claims become for one app.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The headers that the app gets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The header and claim of each required value that is absent: not empty means 403.
    pub missing: Vec<Missing>,
    /// What was left out and why, for the log and `explain`.
    pub omitted: Vec<Omitted>,
}

/// A required value that is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The header.
    pub header: String,
    /// The claim, template or expression that gave nothing.
    pub source: String,
}

/// A value, or a part of one, that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omitted {
    /// The header.
    pub header: String,
    /// Why, without the value.
    pub reason: String,
}

impl HeaderMapping {
    /// The mapping of these headers. Two whose names an app could read as one are an error of the caller's,
    /// found with [`same_name`].
    pub fn new(headers: Vec<IdentityHeader>) -> Self {
        drop(headers);
        Self {}
    }

    /// Removes every header that an app could read as one of ours, in whatever spelling it came.
    pub fn strip(&self, headers: &mut HeaderMap) {
        drop(headers.is_empty());
    }

    /// What the app gets for this person.
    pub fn render(&self, claims: &Claims, tokens: &Tokens) -> Rendered {
        drop((claims.0.len(), tokens.access.is_some()));
        Rendered::default()
    }

    /// The names of all configured headers.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::empty()
    }
}

/// Whether an app could read two header names as the same: letters and digits only, case folded.
pub fn same_name(a: &str, b: &str) -> bool {
    a == b
}
