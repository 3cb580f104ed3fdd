//! The mapping from claims to an app's request headers: compiled at start, rendered once a session and app.
//!
//! A value that is absent, `null` or blank sends no header. What can't be sent (a control character, an array
//! without a separator, too many bytes) is left out and reported, and then counts as absent: a default
//! takes its place, and a required header is missing.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::claims::{Claims, Tokens};
use crate::foundation::initials::Initials;

mod header;
mod names;
mod spec;
#[cfg(test)]
mod tests;

pub use header::IdentityHeader;
pub use names::same_name;
pub use spec::{HeaderSpec, Source, SpecError, TokenKind};

/// The identity headers of an app that configures none, and their claims.
const DEFAULTS: [(&str, &str); 6] = [
    ("X-Auth-Sub", "sub"),
    ("X-Auth-Email", "email"),
    ("X-Auth-Name", "name"),
    ("X-Auth-Given-Name", "given_name"),
    ("X-Auth-Family-Name", "family_name"),
    ("X-Auth-Phone-Number", "phone_number"),
];

/// All identity headers of an app.
#[derive(Debug, Default)]
pub struct HeaderMapping {
    headers: Vec<IdentityHeader>,
    spellings: names::Spellings,
    /// The name of the header that carries a signed statement.
    statement: Option<HeaderName>,
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
        Self { headers, spellings, statement: None }
    }

    /// The mapping of an app that configures none: `X-Auth-Sub`, `-Email`, `-Name`, `-Given-Name`,
    /// `-Family-Name` and `-Phone-Number`.
    pub fn default_set() -> Self {
        let specs = DEFAULTS.map(|(name, path)| HeaderSpec::of_claim(name, path));
        Self::new(specs.into_iter().filter_map(|spec| IdentityHeader::compile(spec).ok()).collect())
    }

    /// This mapping, with one header more that carries a signed statement: it is stripped and named as the
    /// others are.
    ///
    /// # Errors
    /// When the name can't be an identity header's, or an app could read it as one of the others.
    pub fn with_statement(mut self, name: &str) -> Result<(Self, HeaderName), SpecError> {
        let (header, folded) = spec::compile_name(name)?;
        if let Some(twin) = self.headers.iter().find(|other| other.folded == folded) {
            return Err(SpecError(format!("{name} can be read as {} by an app", twin.name)));
        }
        let all = self.headers.iter().map(|header| header.folded.clone()).chain(std::iter::once(folded));
        self.spellings = names::Spellings::of(all);
        self.statement = Some(header.clone());
        Ok((self, header))
    }

    /// What a signed statement says of a person: each claim that a header is mapped from, under its own name and
    /// as the provider sent it; what is computed, under the header's name in lower case. Tokens never.
    pub fn statement(&self, claims: &Claims) -> Map<String, Value> {
        let tokens = Tokens::default();
        let person = header::Person::new(claims, &tokens);
        self.headers.iter().filter_map(|header| header.stated(&person)).collect()
    }

    /// Removes every header that an app could read as one of ours, in whatever spelling it came. `noted` is
    /// what the headers' names begin with.
    pub fn strip(&self, headers: &mut HeaderMap, noted: Initials) {
        // SECURITY: an app trusts these headers; only what `render` made may arrive under their names.
        self.spellings.strip(headers, noted);
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
        self.headers.iter().map(|header| &header.name).chain(&self.statement)
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
