//! The mapping from claims to an app's request headers: compiled at start, rendered once a session and app.
//!
//! A value that is absent, `null` or blank sends no header. What can't be sent (a control character, an array
//! without a separator, too many bytes) is left out and reported, and then counts as absent: a default
//! takes its place, and a required header is missing.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::claims::{Claims, Tokens};
use super::encoding::Encoding;

mod header;
mod names;
#[cfg(test)]
mod tests;

pub use header::IdentityHeader;
pub use names::same_name;

/// The identity headers of an app that configures none, and their claims.
const DEFAULTS: [(&str, &str); 6] = [
    ("X-Auth-Sub", "sub"),
    ("X-Auth-Email", "email"),
    ("X-Auth-Name", "name"),
    ("X-Auth-Given-Name", "given_name"),
    ("X-Auth-Family-Name", "family_name"),
    ("X-Auth-Phone-Number", "phone_number"),
];

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
    pub(super) fn from_error(error: impl std::error::Error) -> Self {
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

/// All identity headers of an app.
#[derive(Debug, Default)]
pub struct HeaderMapping {
    headers: Vec<IdentityHeader>,
    spellings: names::Spellings,
}

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
        let spellings = names::Spellings::of(headers.iter().map(|header| header.folded.clone()));
        Self { headers, spellings }
    }

    /// The mapping of an app that configures none: `X-Auth-Sub`, `-Email`, `-Name`, `-Given-Name`,
    /// `-Family-Name` and `-Phone-Number`.
    pub fn default_set() -> Self {
        let specs = DEFAULTS.map(|(name, path)| HeaderSpec::of_claim(name, path));
        Self::new(specs.into_iter().filter_map(|spec| IdentityHeader::compile(spec).ok()).collect())
    }

    /// Removes every header that an app could read as one of ours, in whatever spelling it came.
    pub fn strip(&self, headers: &mut HeaderMap) {
        // SECURITY: an app trusts these headers; only what `render` made may arrive under their names.
        self.spellings.strip(headers);
    }

    /// What the app gets for this person.
    pub fn render(&self, claims: &Claims, tokens: &Tokens) -> Rendered {
        let person = header::Person::new(claims, tokens);
        let mut rendered = Rendered::default();
        for header in &self.headers {
            match header.render(&person, &mut rendered.omitted) {
                Ok(Some(value)) => rendered.headers.push((header.name.clone(), value)),
                Ok(None) => {}
                Err(missing) => rendered.missing.push(missing),
            }
        }
        rendered
    }

    /// The names of all configured headers.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|header| &header.name)
    }

    /// Every configured header, with an empty value where `present` has none: for a proxy in front that
    /// copies them over whatever the client sent. `present` is [`Rendered::headers`], or nothing for nobody.
    pub fn complete<'a>(
        &'a self,
        present: &'a [(HeaderName, HeaderValue)],
    ) -> impl Iterator<Item = (&'a HeaderName, HeaderValue)> {
        self.names().map(move |name| {
            let value = present.iter().find(|(rendered, _)| rendered == name).map(|(_, value)| value.clone());
            (name, value.unwrap_or(HeaderValue::from_static("")))
        })
    }
}
