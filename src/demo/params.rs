//! The parameters of a query or a form (`application/x-www-form-urlencoded`), as OAuth 2.0 reads them.
//!
//! An empty value is none, and a name that came twice is noticed; which of that is an error is decided by
//! who reads them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Parameters by name. What they hold is bounded by the request's own limits.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: BTreeMap<String, String>,
    repeated: Option<String>,
}

impl Params {
    /// Reads them; invalid UTF-8 becomes replacement characters.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(text).into_owned() {
            // RFC 6749 section 3.1: a parameter without a value is treated as if it was omitted.
            if value.is_empty() {
                continue;
            }
            match params.values.entry(name) {
                Entry::Vacant(vacant) => {
                    vacant.insert(value);
                }
                Entry::Occupied(taken) => {
                    params.repeated.get_or_insert_with(|| taken.key().clone());
                }
            }
        }
        params
    }

    /// The value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A name that came more than once, which RFC 6749 section 3.1 forbids.
    pub(super) fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    /// Names and values, ordered by name; of a repeated one the first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_decoded_an_empty_one_omitted_and_a_repeated_one_noticed() {
        let params = Params::parse("a=%D0%AF+%26&b=&c=1&c=2".as_bytes());
        assert_eq!(params.get("a"), Some("Я &"));
        assert_eq!(params.get("b"), None);
        assert_eq!(params.repeated(), Some("c"));
        assert_eq!(params.iter().collect::<Vec<_>>(), [("a", "Я &"), ("c", "1")]);
    }
}
