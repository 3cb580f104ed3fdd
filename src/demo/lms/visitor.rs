//! Who is there, read from the identity headers that the gateway sent.
//!
//! This is all that an app has to do: no protocol, no token, no check; a name comes as plain UTF-8 or in an
//! encoding that the operator chose for it.

use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// The identity headers of the demo's configuration, and what they are called in a table.
const IDENTITY: [(&str, &str); 10] = [
    ("x-user-id", "Идентификатор"),
    ("x-user-full-name", "Полное имя, percent-encoding"),
    ("x-user-first-name", "Имя, UTF-8"),
    ("x-user-last-name", "Фамилия, RFC 2047"),
    ("x-user-email", "Электронная почта"),
    ("x-user-phone", "Телефон"),
    ("x-user-city", "Город: поле внутри address"),
    ("x-user-snils", "СНИЛС: поле внутри custom_fields"),
    ("x-user-groups", "Группы через запятую"),
    ("x-user-role", "Роль, выражение CEL"),
];

/// Who the gateway says is there; nobody on a public page without a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Visitor {
    /// Without it nobody is signed in.
    pub(super) id: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) city: Option<String>,
    pub(super) snils: Option<String>,
    pub(super) groups: Vec<String>,
    role: Option<String>,
}

/// A header as the LMS received it.
pub(super) struct Received {
    pub(super) name: String,
    pub(super) meaning: &'static str,
    pub(super) value: String,
}

impl Visitor {
    /// Reads the headers.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text =
            |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let groups = text("x-user-groups").unwrap_or_default();
        Self {
            id: text("x-user-id"),
            full_name: text("x-user-full-name")
                .map(|name| percent_decode_str(&name).decode_utf8_lossy().into_owned()),
            first_name: text("x-user-first-name"),
            email: text("x-user-email"),
            phone: text("x-user-phone"),
            city: text("x-user-city"),
            snils: text("x-user-snils"),
            groups: groups.split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect(),
            role: text("x-user-role"),
        }
    }

    /// What to call them.
    pub(super) fn name(&self) -> &str {
        [&self.full_name, &self.first_name, &self.id]
            .into_iter()
            .find_map(Option::as_deref)
            .unwrap_or("неизвестный посетитель")
    }

    /// The first letters of the first and the last word of their name.
    pub(super) fn initials(&self) -> String {
        let words: Vec<&str> = self.name().split_whitespace().collect();
        let last = words.last().filter(|_| words.len() > 1);
        words.first().into_iter().chain(last).filter_map(|word| word.chars().next()).collect()
    }

    /// Their role in words.
    pub(super) fn role(&self) -> &str {
        match self.role.as_deref() {
            Some("student") => "ученик",
            Some("teacher") => "учитель",
            Some("admin") => "администратор",
            Some(other) => other,
            None => "без роли",
        }
    }
}

/// The identity headers that came, then all the others.
pub(super) fn received(headers: &HeaderMap) -> (Vec<Received>, Vec<Received>) {
    let all = headers.iter().map(|(name, value)| Received {
        name: name.as_str().to_owned(),
        meaning: meaning(name.as_str()).unwrap_or_default(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    });
    all.partition(|header| meaning(&header.name).is_some())
}

fn meaning(name: &str) -> Option<&'static str> {
    IDENTITY.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        pairs.iter().map(|(name, text)| (http::HeaderName::from_static(name), value(text))).collect()
    }

    #[test]
    fn a_person_is_read_from_headers_in_their_encodings() {
        let visitor = Visitor::read(&headers(&[
            ("x-user-id", "person-1"),
            ("x-user-full-name", "%D0%AF%D0%BD%20%D0%81%D0%B6"),
            ("x-user-first-name", "Ян"),
            ("x-user-groups", "teachers,физика"),
            ("x-user-role", "teacher"),
        ]));
        assert_eq!((visitor.name(), visitor.role(), visitor.initials().as_str()), ("Ян Ёж", "учитель", "ЯЁ"));
        assert_eq!(visitor.groups, ["teachers", "физика"]);
        assert_eq!(visitor.email, None);
    }

    #[test]
    fn without_headers_nobody_is_there() {
        assert_eq!(Visitor::read(&HeaderMap::new()), Visitor::default());
    }

    #[test]
    fn identity_headers_come_first_and_broken_utf8_is_shown_somehow() {
        let mut map = headers(&[("accept", "*/*"), ("x-user-id", "1")]);
        map.insert("x-odd", HeaderValue::from_bytes(b"\xff").unwrap());
        let (identity, others) = received(&map);
        assert_eq!(identity.len(), 1);
        assert_eq!(
            others.iter().map(|header| header.value.as_str()).collect::<Vec<_>>(),
            ["*/*", "\u{fffd}"]
        );
    }
}
