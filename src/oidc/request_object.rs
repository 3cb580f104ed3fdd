//! The signed request object: RFC 9101 sections 4 to 6, OpenID Connect Core 1.0 section 6.
//!
//! The parameters of an authorization request become the claims of a JWT, so that nobody on the way through the
//! browser can change them. How it travels is settled in `carriage`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Settings;
use super::error::OidcError;
use super::message::Call;
use super::own_jwt::{self, Signing};
use crate::foundation::clock::Timestamp;
use crate::foundation::random;

/// How long one is good. The provider reads it at once, or when it is pushed; but a person may come back to a
/// page that they left open.
pub(super) const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// RFC 9101 section 10.8: SECURITY: the type keeps it from being taken for another JWT of ours.
const TYPE: &str = "oauth-authz-req+jwt";

/// The parameters of an authorization request, in order. One that is given several times is a list.
pub(super) type Parameters = Vec<(String, String)>;

/// A request object of these parameters.
///
/// # Errors
/// When there is nothing to sign with.
pub(super) fn make(
    settings: &Settings,
    signing: Signing,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<String, OidcError> {
    let mut claims = Map::new();
    for (name, text) in parameters {
        let value = value(name, text);
        match claims.get_mut(name) {
            None => drop(claims.insert(name.clone(), value)),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    // RFC 9101 section 4 (iss, aud), RFC 9101 section 10.8; `exp`, `nbf` and `jti` as FAPI 2.0 Message Signing
    // section 5.3 has them. The provider's clock may be behind ours.
    let own = [
        ("iss", json!(settings.client_id)),
        ("aud", json!(audience(settings))),
        ("iat", json!(now.as_secs())),
        ("nbf", json!(now.minus(settings.clock_skew).as_secs())),
        ("exp", json!(now.plus(LIFETIME).as_secs())),
        ("jti", json!(random::token())),
    ];
    claims.extend(own.map(|(name, value)| (name.to_owned(), value)));
    own_jwt::sign(Call::Authorization, settings, signing, TYPE, &Value::Object(claims))
}

/// RFC 9101 section 4: the issuer; a provider of plain OAuth 2.0 that has none is named by its endpoint.
fn audience(settings: &Settings) -> &str {
    match &settings.endpoints.authorization {
        Some(endpoint) if settings.issuer.is_empty() => endpoint.as_str(),
        _ => &settings.issuer,
    }
}

/// Core 6.1: what is a number or an object in JSON is one here.
fn value(name: &str, text: &str) -> Value {
    let typed = match name {
        "max_age" => text.parse().ok().map(|seconds: u64| json!(seconds)),
        "claims" => serde_json::from_str(text).ok().filter(Value::is_object),
        _ => None,
    };
    typed.unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::{Algorithm, fixture};

    #[test]
    fn the_parameters_are_claims_of_their_json_types_between_those_of_the_object_itself() {
        let mut settings = fixture::settings("https://id.example");
        settings.private_key = Some(fixture::signing_key());
        settings.clock_skew = Duration::from_secs(30);
        let parameters = [
            ("client_id", "lms"),
            ("scope", "openid email"),
            ("max_age", "60"),
            ("claims", r#"{"userinfo":{"email":null}}"#),
            ("resource", "https://a.example"),
            ("resource", "https://b.example"),
            ("resource", "https://c.example"),
            ("state", "17"),
        ];
        let parameters = parameters.map(|(name, value)| (name.into(), value.into())).to_vec();
        let now = Timestamp::from_secs(1000);
        let made = make(&settings, Signing::Key(Algorithm::Es256), &parameters, now).unwrap();
        let (header, mut claims) = fixture::opened(&settings, &made);
        assert_eq!(header["typ"], "oauth-authz-req+jwt");
        assert!(claims["jti"].take().as_str().unwrap().len() == 43);
        assert_eq!(
            claims,
            json!({
                "client_id": "lms", "scope": "openid email", "max_age": 60, "claims": {"userinfo": {"email": null}},
                "resource": ["https://a.example", "https://b.example", "https://c.example"], "state": "17",
                "iss": "lms", "aud": "https://id.example", "iat": 1000, "nbf": 970, "exp": 1300, "jti": null,
            })
        );
    }
}
