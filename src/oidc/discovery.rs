//! The provider's own document: OpenID Connect Discovery 1.0 section 4, for OAuth 2.0 alone RFC 8414 section 3.
//!
//! Owns the address and the issuer's comparison; what the document says is settled in `metadata`.

use openidconnect::{HttpRequest, HttpResponse};
use serde_json::Value;
use url::Url;

use super::error::{MemberProblem, OidcError};
use super::message::{self, Call, told};
use super::metadata::Metadata;
use super::{Protocol, Settings};

/// Where the document may be, each to be asked where those before have none.
pub(super) fn requests(settings: &Settings) -> Result<Vec<HttpRequest>, OidcError> {
    let unusable = OidcError::Address { call: Call::Discovery };
    let issuer = settings.issuer.trim_end_matches('/');
    let mut places = Vec::new();
    if let Protocol::OAuth2 { .. } = settings.protocol {
        // RFC 8414 section 3.1: the well-known path goes between the issuer's host and its path.
        let mut url = Url::parse(issuer).map_err(|_| unusable.clone())?;
        let path = format!("/.well-known/oauth-authorization-server{}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        places.push(url);
    }
    // Discovery 1.0 section 4.1: the path is appended to the issuer, whose final slash goes first. RFC 8414
    // section 5: an OAuth 2.0 server may have its metadata there alone.
    let appended = format!("{issuer}/.well-known/openid-configuration");
    places.push(Url::parse(&appended).map_err(|_| unusable)?);
    places.iter().map(|url| message::get(Call::Discovery, url)).collect()
}

/// Whether an answer is worth reading: a document, a failure or a redirect, and not the word that there is none,
/// nor the page that many servers have for every path that they don't know.
pub(super) fn is_there(response: &HttpResponse) -> bool {
    let status = response.status();
    let is_page = || response.body().trim_ascii_start().first() == Some(&b'<');
    !(matches!(status.as_u16(), 401 | 403 | 404 | 405 | 410) || status.is_success() && is_page())
}

/// Discovery 1.0 sections 4.2 and 4.3, RFC 8414 sections 3.2 and 3.3.
pub(super) fn response(settings: &Settings, response: &HttpResponse) -> Result<Metadata, OidcError> {
    let document = message::json(Call::Discovery, response)?;
    let member = |problem| OidcError::Member { call: Call::Discovery, member: "issuer", problem };
    let announced = match document.get("issuer") {
        Some(Value::String(issuer)) => issuer,
        None | Some(Value::Null) => return Err(member(MemberProblem::Missing)),
        Some(_) => return Err(member(MemberProblem::NotA("a string"))),
    };
    // Discovery 1.0 section 4.3, RFC 8414 section 3.3: issuer identical to the one that was asked for.
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
            let [request] = &requests(&fixture::settings(issuer)).unwrap()[..] else { panic!("{issuer}") };
            assert_eq!(request.uri().to_string(), address);
            assert_eq!(request.headers()["accept"], "application/json");
        }
    }

    #[test]
    fn oauth_metadata_is_asked_for_before_the_issuers_path_first() {
        for (issuer, path) in [
            ("https://id.example", ""),
            ("https://id.example/", ""),
            ("https://id.example/am/idp", "/am/idp"),
            ("https://id.example:8443/realms/r/", "/realms/r"),
        ] {
            let mut settings = fixture::settings(issuer);
            settings.protocol = Protocol::OAuth2 { subject: None };
            let [first, second] = &requests(&settings).unwrap()[..] else { panic!("{issuer}") };
            let end = format!("/.well-known/oauth-authorization-server{path}");
            assert_eq!(first.uri().path(), end);
            assert_eq!(second.uri().path(), format!("{path}/.well-known/openid-configuration"));
            assert_eq!(first.uri().authority(), second.uri().authority());
        }
    }

    #[test]
    fn another_place_is_tried_only_where_there_is_no_document() {
        for (status, body, there) in [
            (200, "{}", true),
            (200, "[", true),
            (200, " <!DOCTYPE html>", false),
            (404, "{}", false),
            (403, "", false),
            (405, "", false),
            (302, "<html>", true),
            (429, "", true),
            (500, "<html>", true),
        ] {
            assert_eq!(is_there(&answer(status, body)), there, "{status} {body}");
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
