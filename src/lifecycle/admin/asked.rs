//! Which sessions an operator asks for, read from a query. Nothing that is written there is ignored: a filter with
//! a typing error must not become no filter.

use std::borrow::Cow;

use super::refusal::Refusal;
use crate::config;
use crate::foundation::clock::Timestamp;
use crate::sessions::{LARGEST_PAGE, Person, Place, Wanted};

const USUAL_PAGE: usize = 100;

/// What a query may hold, each once.
const PARAMETERS: [&str; 9] =
    ["subject", "provider", "app", "address", "search", "older_than", "newer_than", "after", "limit"];

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Parameters<'a>(Vec<(&'static str, Cow<'a, str>)>);

/// A page of the list, as it was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// Which sessions.
    pub(super) wanted: Wanted,
    /// Where the page begins.
    pub(super) after: Option<Place>,
    /// How long it may be.
    pub(super) limit: usize,
}

impl<'a> Parameters<'a> {
    /// Reads a query that may hold these parameters.
    pub(super) fn read(query: Option<&'a str>, allowed: &[&str]) -> Result<Self, Refusal> {
        let mut read: Vec<(&'static str, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let known = PARAMETERS.into_iter().find(|known| *known == name && allowed.contains(known));
            let name = known.ok_or_else(|| Refusal::UnknownParameter { name: name.into_owned() })?;
            if read.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::GivenTwice { name });
            }
            // SECURITY: a filter that a script left empty would stand for more sessions than were meant, to end too.
            if value.is_empty() {
                return Err(Refusal::BadParameter { name, expected: "something, or be left out" });
            }
            read.push((name, value));
        }
        Ok(Self(read))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let value = self.get(name);
        value.map(|value| parse(value).ok_or(Refusal::BadParameter { name, expected })).transpose()
    }
}

impl Asked {
    /// Reads the query of a list. `providers` are all there are.
    pub(super) fn read(query: Option<&str>, providers: &[String], now: Timestamp) -> Result<Self, Refusal> {
        let parameters = Parameters::read(query, &PARAMETERS)?;
        let moment = |name: &'static str| {
            let ago = parameters.parsed(
                name,
                "a duration such as \"90s\", \"15m\", \"8h\" or \"30d\"",
                config::duration,
            );
            Ok::<_, Refusal>(ago?.map(|ago| now.minus(ago)))
        };
        let text = |name: &str| parameters.get(name).map(str::to_owned);
        let provider = text("provider");
        let person = text("subject").map(|subject| person(subject, provider.as_deref(), providers));
        let wanted = Wanted {
            // An index finds the sessions of a person at this provider, also those without a card.
            provider: provider.filter(|_| person.is_none()),
            person,
            app: text("app"),
            address: parameters.parsed("address", "an IP address", |text| text.parse().ok())?,
            search: text("search"),
            before: moment("older_than")?,
            since: moment("newer_than")?,
        };
        let limit = parameters.parsed("limit", "a number from 1 to 1000", |text| {
            text.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit))
        })?;
        let after =
            parameters.parsed("after", "what next of the page before says", |text| text.parse().ok())?;
        Ok(Self { wanted, after, limit: limit.unwrap_or(USUAL_PAGE) })
    }
}

/// A person, at this provider or at all.
pub(super) fn person(subject: String, provider: Option<&str>, all: &[String]) -> Person {
    let providers = provider.map_or_else(|| all.to_vec(), |provider| vec![provider.to_owned()]);
    Person { subject, providers }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Asked, Refusal> {
        let providers = ["trusted".to_owned(), "legacy".to_owned()];
        Asked::read(Some(query), &providers, Timestamp::from_secs(10_000))
    }

    #[test]
    fn a_query_is_read_whole_or_refused() {
        let asked =
            read("provider=trusted&app=lms&address=192.0.2.7&older_than=2h&newer_than=1d&limit=7").unwrap();
        let Wanted { person, provider, app, address, search, before, since } = asked.wanted;
        assert!(person.is_none() && search.is_none() && asked.after.is_none());
        assert_eq!((provider.as_deref(), app.as_deref(), asked.limit), (Some("trusted"), Some("lms"), 7));
        assert_eq!(address, Some("192.0.2.7".parse().unwrap()));
        assert_eq!((before, since), (Some(Timestamp::from_secs(2_800)), Some(Timestamp::from_secs(0))));
        for (query, providers) in
            [("subject=7d", vec!["trusted", "legacy"]), ("subject=7d&provider=gone", vec!["gone"])]
        {
            let asked = read(query).unwrap();
            let person = asked.wanted.person.unwrap();
            assert_eq!(
                (&*person.subject, person.providers),
                ("7d", providers.iter().map(|&name| name.into()).collect())
            );
            assert!(asked.wanted.provider.is_none() && asked.wanted.app.is_none());
        }
        for wrong in [
            "sub=7d",
            "subject=a&subject=b",
            "subject=",
            "subject=7d&provider=",
            "search",
            "older_than=2",
            "older_than=-1h",
            "limit=0",
            "limit=1001",
            "limit=x",
            "address=localhost",
            "after=!",
            "address=%00",
            "=",
            "older_than=99999999999999999999d",
        ] {
            let refusal = read(wrong).unwrap_err();
            assert_eq!(refusal.status(), http::StatusCode::BAD_REQUEST, "{wrong}");
        }
    }
}
