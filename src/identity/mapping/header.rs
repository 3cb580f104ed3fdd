//! One identity header: compiled from its description, and what it says of one person.

use std::cell::OnceCell;

use http::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::names::Folded;
use super::spec::{check_keys, compile_name, compile_path, fixed_value};
use super::{HeaderSpec, Missing, Omitted, Source, SpecError, TokenKind};
use crate::foundation::secret::Secret;
use crate::identity::claims::{self, Claims, Tokens};
use crate::identity::encoding::{self, Encoding, Unfit};
use crate::identity::expression::{Expression, Facts};
use crate::identity::template::Template;

/// One compiled identity header.
#[derive(Debug)]
pub struct IdentityHeader {
    pub(super) name: HeaderName,
    pub(super) folded: Folded,
    /// The name as the operator wrote it, for reports.
    spelled: String,
    source: Compiled,
    encoding: Encoding,
    join: Option<String>,
    default: Option<HeaderValue>,
    required: bool,
}

#[derive(Debug)]
enum Compiled {
    Claim(String),
    Template(Template),
    Expression(Expression),
    Constant(HeaderValue),
    Token(TokenKind),
}

/// The person for whom headers are rendered.
pub(super) struct Person<'a> {
    claims: &'a Claims,
    tokens: &'a Tokens,
    facts: OnceCell<Facts>,
}

impl<'a> Person<'a> {
    pub(super) const fn new(claims: &'a Claims, tokens: &'a Tokens) -> Self {
        Self { claims, tokens, facts: OnceCell::new() }
    }
}

impl IdentityHeader {
    /// Compiles one header.
    ///
    /// # Errors
    /// When the name is not one or is taken, when the path, the template or the expression can't be read, or
    /// when the keys contradict each other.
    pub fn compile(spec: HeaderSpec) -> Result<Self, SpecError> {
        let (name, folded) = compile_name(&spec.name)?;
        check_keys(&spec)?;
        let fixed = |text: &str, key: &str| fixed_value(spec.encoding, text, key);
        let default = spec.default.as_deref().map(|text| fixed(text, "default")).transpose()?;
        let source = match spec.source {
            Source::Claim(path) => Compiled::Claim(compile_path(path)?),
            Source::Template(template) => {
                Compiled::Template(Template::compile(&template).map_err(SpecError::from_error)?)
            }
            Source::Expression(expression) => {
                Compiled::Expression(Expression::compile(&expression).map_err(SpecError::from_error)?)
            }
            Source::Constant(text) => Compiled::Constant(fixed(&text, "value")?),
            Source::Token(kind) => Compiled::Token(kind),
        };
        Ok(Self {
            name,
            folded,
            spelled: spec.name,
            source,
            encoding: spec.encoding,
            join: spec.join,
            default,
            required: spec.required,
        })
    }

    /// The value for one person, or its default; `Err` when it is required and there is none.
    pub(super) fn render(
        &self,
        person: &Person<'_>,
        omitted: &mut Vec<Omitted>,
    ) -> Result<Option<HeaderValue>, Missing> {
        let mut omit = |reason: String| omitted.push(Omitted { header: self.spelled.clone(), reason });
        let value = match &self.source {
            Compiled::Claim(path) => person
                .claims
                .get(path)
                .and_then(|value| self.value(value, &format!("claim {path}"), &mut omit)),
            Compiled::Template(template) => self.filled(template, person.claims, &mut omit),
            Compiled::Expression(expression) => {
                match expression.evaluate(person.facts.get_or_init(|| Facts::new(person.claims))) {
                    Ok(value) => self.value(&value, "the expression's result", &mut omit),
                    Err(error) => {
                        omit(format!("the expression gave no value: {error}"));
                        None
                    }
                }
            }
            Compiled::Constant(value) => Some(value.clone()),
            Compiled::Token(kind) => kind.of(person.tokens).and_then(|token| bearer(*kind, token, &mut omit)),
        };
        match value.or_else(|| self.default.clone()) {
            None if self.required => {
                Err(Missing { header: self.spelled.clone(), source: self.source.to_string() })
            }
            value => Ok(value),
        }
    }

    /// The member of a signed statement that this header's value becomes; `None` when there is none.
    pub(super) fn stated(&self, person: &Person<'_>) -> Option<(String, Value)> {
        let named = |text: String| Some((self.name.as_str().to_owned(), Value::String(text)));
        match &self.source {
            Compiled::Claim(path) => Some((path.clone(), person.claims.get(path)?.clone())),
            Compiled::Template(template) => {
                named(template.fill(|path| claims::text(person.claims.get(path)?).ok().map(String::from))?)
            }
            Compiled::Expression(expression) => {
                let facts = person.facts.get_or_init(|| Facts::new(person.claims));
                let value = expression.evaluate(facts).ok().filter(|value| !value.is_null())?;
                Some((self.name.as_str().to_owned(), value))
            }
            Compiled::Constant(value) => named(String::from_utf8_lossy(value.as_bytes()).into_owned()),
            Compiled::Token(_) => None,
        }
    }

    /// A JSON value in this header's encoding; `None` when it counts as absent or had to be left out.
    fn value(&self, value: &Value, what: &str, omit: &mut impl FnMut(String)) -> Option<HeaderValue> {
        let encoded = match (value, self.encoding) {
            (Value::Null, _) => return None,
            (Value::String(text), _) if text.trim().is_empty() => return None,
            (value, Encoding::Json) => encoding::json(value),
            (value, _) => self.encoding.encode(&self.text(value, what, omit)?),
        };
        encoded.map_err(|unfit| omit(format!("{what}: {unfit}"))).ok()
    }

    /// The text of a value: an array is joined, or stands for its only element.
    fn text(&self, value: &Value, what: &str, omit: &mut impl FnMut(String)) -> Option<String> {
        let joined = match (value, &self.join) {
            (Value::Array(elements), Some(separator)) => Ok(self.joined(elements, separator, what, omit)),
            (Value::Array(elements), None) => match elements.as_slice() {
                [] => return None,
                [element] => claims::text(element).map(String::from),
                _ => Err(claims::NotText::Array),
            },
            (value, _) => claims::text(value).map(String::from),
        };
        let text = joined.map_err(|not_text| omit(format!("{what}: {not_text}"))).ok()?;
        Some(text).filter(|text| !text.trim().is_empty())
    }

    fn joined(
        &self,
        elements: &[Value],
        separator: &str,
        what: &str,
        omit: &mut impl FnMut(String),
    ) -> String {
        let mut joined = String::new();
        for (number, element) in (1..).zip(elements) {
            let text = claims::text(element).map_err(|not_text| not_text.to_string()).and_then(|text| {
                self.encoding.check(&text).map_err(|unfit| unfit.to_string())?;
                // SECURITY: a group named "guests,admins" must not become two groups.
                if text.trim().is_empty() || !stays_one(&text, separator) {
                    return Err("it is empty or holds the separator".to_owned());
                }
                Ok(text)
            });
            match text {
                Ok(text) => {
                    if !joined.is_empty() {
                        joined.push_str(separator);
                    }
                    joined.push_str(&text);
                }
                Err(reason) => omit(format!("{what}, element {number}: {reason}")),
            }
        }
        joined
    }

    fn filled(
        &self,
        template: &Template,
        claims: &Claims,
        omit: &mut impl FnMut(String),
    ) -> Option<HeaderValue> {
        let text = template.fill(|path| {
            let what = format!("claim {path}");
            let text = self.text(claims.get(path)?, &what, omit)?;
            // Even JSON gets no control characters here: the template could not be tidied around them.
            let unfit = if text.chars().any(char::is_control) {
                Err(Unfit::Control)
            } else {
                self.encoding.check(&text)
            };
            unfit.map_err(|unfit| omit(format!("{what}: {unfit}"))).ok().map(|()| text)
        })?;
        self.encoding.encode(&text).map_err(|unfit| omit(format!("the template's text: {unfit}"))).ok()
    }
}

impl std::fmt::Display for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Claim(path) => path,
            Self::Template(template) => template.source(),
            Self::Expression(expression) => expression.source(),
            Self::Constant(_) => "a constant",
            Self::Token(kind) => kind.name(),
        })
    }
}

impl TokenKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Access => "access token",
            Self::Id => "ID token",
        }
    }

    fn of(self, tokens: &Tokens) -> Option<&Secret> {
        match self {
            Self::Access => tokens.access.as_ref(),
            Self::Id => tokens.id.as_ref(),
        }
        .filter(|token| !token.is_empty())
    }
}

fn bearer(kind: TokenKind, token: &Secret, omit: &mut impl FnMut(String)) -> Option<HeaderValue> {
    let value = if token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        Encoding::Utf8.encode(&format!("Bearer {}", token.expose()))
    } else {
        Err(Unfit::Control)
    };
    let mut value = value.map_err(|unfit| omit(format!("{}: {unfit}", kind.name()))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether splitting at the separator gives an element back whole, whatever stands beside it. White space
/// around a separator counts for nothing, because apps trim what they have split.
fn stays_one(element: &str, separator: &str) -> bool {
    let separator = if separator.trim().is_empty() { separator } else { separator.trim() };
    let between = format!("{separator}{element}{separator}");
    let last = separator.len() + element.len();
    let starts = (0..=last).filter(|at| between.get(*at..).is_some_and(|rest| rest.starts_with(separator)));
    starts.eq([0, last])
}
