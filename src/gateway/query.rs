//! Members of a query or a form, read without a panic whatever it holds.

use std::borrow::Cow;

/// The first value of a parameter.
pub fn value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query?.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}
