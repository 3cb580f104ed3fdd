//! Who signed in, where OAuth 2.0 alone is spoken: a claim of the userinfo answer, as text.
//!
//! OpenID Connect Core 1.0 section 5.7 is followed as far as it can be: one claim, chosen once for a provider,
//! and only values that can't be mistaken for another person's.

use serde_json::Value;
use thiserror::Error;

use super::message::told;
use crate::identity::claims::Claims;

/// As many characters as an OpenID Connect subject may have (Core 2).
const MOST_CHARACTERS: usize = 255;

/// Why a userinfo answer names nobody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// The claim is not there.
    #[error("it has no `{0}`")]
    Missing(String),
    /// The claim is neither text nor a whole number.
    #[error("its `{0}` is neither text nor a whole number with all its digits")]
    Type(String),
    /// The claim's text is empty, too long, or can't be shown.
    #[error("its `{0}` is not 1 to 255 characters without control characters")]
    Text(String),
}

/// The subject by the claim at the path `named`; left out, by `sub`, else by `id`.
pub(super) fn of(claims: &Claims, named: Option<&str>) -> Result<String, SubjectError> {
    let path = named.unwrap_or_else(|| if claims.get("sub").is_some() { "sub" } else { "id" });
    let subject = match claims.get(path) {
        Some(Value::String(text)) => text.clone(),
        // SECURITY: a number with a fraction or with more digits than JSON carries would make one person of two.
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(_) => return Err(SubjectError::Type(told(path))),
        None => return Err(SubjectError::Missing(told(path))),
    };
    let fits = !subject.trim().is_empty()
        && subject.chars().count() <= MOST_CHARACTERS
        && !subject.chars().any(char::is_control);
    if fits { Ok(subject) } else { Err(SubjectError::Text(told(path))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn subject(claims: Value, named: Option<&str>) -> Result<String, SubjectError> {
        of(&Claims(claims.as_object().cloned().unwrap()), named)
    }

    #[test]
    fn a_person_is_named_by_the_claim_that_was_chosen_else_by_sub_else_by_id() {
        for (claims, named, expected) in [
            (json!({"id": 123, "email": "a@example.org"}), None, "123"),
            (json!({"id": 123, "sub": "anna"}), None, "anna"),
            (json!({"id": 123, "sub": null}), None, "123"),
            (json!({"id": 123, "sub": "anna"}), Some("id"), "123"),
            (json!({"user": {"id": "7"}}), Some("user.id"), "7"),
            (json!({"response": [{"id": -7}]}), Some("response.0.id"), "-7"),
            (json!({"login": "ШКОЛА\\анна"}), Some("login"), "ШКОЛА\\анна"),
            (json!({"id": u64::MAX}), None, "18446744073709551615"),
        ] {
            assert_eq!(subject(claims.clone(), named).as_deref(), Ok(expected), "{claims}");
        }
    }

    #[test]
    fn what_could_be_taken_for_somebody_else_names_nobody() {
        let kind = || Err(SubjectError::Type("id".into()));
        let text = || Err(SubjectError::Text("id".into()));
        for (value, expected) in [
            ("null", Err(SubjectError::Missing("id".into()))),
            ("1.0", kind()),
            ("1e3", kind()),
            ("12345678901234567890123", kind()),
            ("true", kind()),
            ("[1]", kind()),
            (r#"{"a":1}"#, kind()),
            (r#""""#, text()),
            (r#"" ""#, text()),
            (r#""a\nb""#, text()),
            (r#""a\u0000""#, text()),
        ] {
            let claims = format!(r#"{{"id": {value}}}"#);
            assert_eq!(subject(serde_json::from_str(&claims).unwrap(), None), expected, "{value}");
        }
        assert_eq!(subject(json!({"id": "я".repeat(255)}), None).unwrap().chars().count(), 255);
        assert_eq!(subject(json!({"id": "a".repeat(256)}), None), text());
        // An empty `sub` is not passed over for `id`: that would be another person's number one day.
        assert_eq!(subject(json!({"sub": "", "id": 1}), None), Err(SubjectError::Text("sub".into())));
        let missing = Err(SubjectError::Missing("uid".into()));
        assert_eq!(subject(json!({"id": 1}), Some("uid")), missing, "what was chosen has no substitute");
    }
}
