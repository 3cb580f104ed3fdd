//! The provider's own document: OpenID Connect Discovery 1.0 section 4.
//!
//! Owns the address and the issuer's comparison; what the document says is settled in `metadata`.

use openidconnect::{HttpRequest, HttpResponse};
use serde_json::Value;
use url::Url;

use super::Settings;
use super::error::{MemberProblem, OidcError};
use super::message::{self, Call, told};
use super::metadata::Metadata;

/// Discovery 1.0 section 4.1: the path is appended to the issuer, whose final slash goes first.
pub(super) fn request(settings: &Settings) -> Result<HttpRequest, OidcError> {
    let address = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
    let url = Url::parse(&address).map_err(|_| OidcError::Address { call: Call::Discovery })?;
    message::get(Call::Discovery, &url)
}

/// Discovery 1.0 sections 4.2 and 4.3.
pub(super) fn response(settings: &Settings, response: &HttpResponse) -> Result<Metadata, OidcError> {
    let document = message::json(Call::Discovery, response)?;
    let member = |problem| OidcError::Member { call: Call::Discovery, member: "issuer", problem };
    let announced = match document.get("issuer") {
        Some(Value::String(issuer)) => issuer,
        None | Some(Value::Null) => return Err(member(MemberProblem::Missing)),
        Some(_) => return Err(member(MemberProblem::NotA("a string"))),
    };
    // Discovery 1.0 section 4.3: issuer identical to the one that was asked for.
    // SECURITY: byte for byte, or one tenant of a provider could answer for another (issuer mix-up).
    if *announced != settings.issuer {
        let configured = settings.issuer.clone();
        return Err(OidcError::Issuer { configured, announced: told(announced) });
    }
    Metadata::settle(settings, &document)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::fixture::{self, answer};

    #[test]
    fn the_document_is_asked_for_below_the_issuers_path() {
        for (issuer, address) in [
            ("https://id.example", "https://id.example/.well-known/openid-configuration"),
            ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
            ("https://id.example/am/idp", "https://id.example/am/idp/.well-known/openid-configuration"),
            ("https://id.example/realms/r/", "https://id.example/realms/r/.well-known/openid-configuration"),
        ] {
            let request = request(&fixture::settings(issuer)).unwrap();
            assert_eq!(request.uri().to_string(), address);
            assert_eq!(request.headers()["accept"], "application/json");
        }
    }

    #[test]
    fn the_issuer_is_compared_byte_for_byte_and_a_slash_is_explained() {
        let settings = fixture::settings("https://id.example/r");
        for (announced, slash) in [
            (json!("https://id.example/r/"), Some(true)),
            (json!("https://id.example:443/r"), Some(false)),
            (json!("https://ID.example/r"), Some(false)),
            (json!("https://evil.example"), Some(false)),
            (json!(null), None),
            (json!(["https://id.example/r"]), None),
        ] {
            let document = json!({"issuer": announced}).to_string();
            let error = response(&settings, &answer(200, document)).unwrap_err();
            assert_eq!(matches!(error, OidcError::Issuer { .. }), slash.is_some(), "{announced}");
            if let Some(slash) = slash {
                assert_eq!(error.mend().unwrap().contains("slash"), slash, "{announced}");
            }
        }
    }
}
