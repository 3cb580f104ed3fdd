//! Members of a query or a form, read without a panic whatever it holds.

use std::borrow::Cow;

/// The first value of a parameter.
pub fn value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query?.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The value of a parameter that is there once; `None` where it is not, or more than once.
pub fn only<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let mut values = form_urlencoded::parse(query?.as_bytes()).filter(|(key, _)| key == name);
    values.next().filter(|_| values.next().is_none()).map(|(_, value)| value)
}
