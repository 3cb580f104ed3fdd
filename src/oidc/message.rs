//! What the messages share: naming a call, building its request, reading a JSON answer.
//!
//! An answer is judged here once for all messages: a redirect, an HTML page, a refusal or a failure of the
//! provider never reaches the code that reads members.

use std::fmt;

use http::{HeaderValue, header};
use openidconnect::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use url::Url;

use super::error::{NotJson, OidcError};
use super::refusal::Refusal;
use crate::foundation::secret::Secret;

/// A call to the provider, or through the browser, named in errors and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The authorization request and its response.
    Authorization,
    /// The discovery document.
    Discovery,
    /// The key set.
    Keys,
    /// The pushed authorization request endpoint.
    Pushed,
    /// The token endpoint.
    Token,
    /// The device authorization endpoint.
    Device,
    /// The userinfo endpoint.
    Userinfo,
    /// The introspection endpoint.
    Introspection,
    /// The registration endpoint.
    Registration,
    /// The revocation endpoint.
    Revocation,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorization => "authorization endpoint",
            Self::Discovery => "discovery document",
            Self::Keys => "key set",
            Self::Pushed => "pushed authorization request endpoint",
            Self::Token => "token endpoint",
            Self::Device => "device authorization endpoint",
            Self::Userinfo => "userinfo endpoint",
            Self::Introspection => "introspection endpoint",
            Self::Registration => "registration endpoint",
            Self::Revocation => "revocation endpoint",
        })
    }
}

/// A GET of `url`.
pub(super) fn get(call: Call, url: &Url) -> Result<HttpRequest, OidcError> {
    build(call, http::Request::get(url.as_str()), Vec::new())
}

/// A POST of `form`, already form-urlencoded, to `url`.
pub(super) fn post(call: Call, url: &Url, form: String) -> Result<HttpRequest, OidcError> {
    let request = http::Request::post(url.as_str())
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    build(call, request, form.into_bytes())
}

/// A POST of a JSON document to `url`, with a token where one is wanted (RFC 6750 section 2.1).
pub(super) fn post_json(
    call: Call,
    url: &Url,
    body: &Value,
    token: Option<&Secret>,
) -> Result<HttpRequest, OidcError> {
    let mut request = http::Request::post(url.as_str())
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| OidcError::Address { call })?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    build(call, request, body.to_string().into_bytes())
}

fn build(call: Call, request: http::request::Builder, body: Vec<u8>) -> Result<HttpRequest, OidcError> {
    request
        .header(header::ACCEPT, HeaderValue::from_static("application/json"))
        .body(body)
        .map_err(|_| OidcError::Address { call })
}

/// The JSON object of an answer that says yes.
///
/// The `Content-Type` is not asked: providers label key sets and token responses in many ways.
///
/// # Errors
/// A redirect, a refusal, a failure of the provider, or a body that is no JSON object.
pub(super) fn json(call: Call, response: &HttpResponse) -> Result<Map<String, Value>, OidcError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(OidcError::Redirect { call, to: location(response) });
    }
    let object = object(response.body());
    if status.is_success() {
        return object.map_err(|found| OidcError::NotJson { call, found });
    }
    let status = status.as_u16();
    if status < 500 && status != 429 {
        // RFC 6749 section 5.2: a refusal says why.
        if let Some(refusal) = object.ok().and_then(|object| refusal(call, &object)) {
            return Err(OidcError::Refused(refusal));
        }
    }
    Err(OidcError::Status { call, status })
}

/// The refusal that an object states in `error` and `error_description` (RFC 6749 section 5.2).
pub(super) fn refusal(call: Call, object: &Map<String, Value>) -> Option<Refusal> {
    let error = object.get("error")?.as_str().filter(|error| !error.is_empty())?;
    let description = object.get("error_description").and_then(Value::as_str).map(told);
    Some(Refusal { call, error: told(error), description })
}

/// Text from outside as it may stand in a log: 200 characters at most, control characters replaced.
pub(super) fn told(text: &str) -> String {
    const LIMIT: usize = 200;
    let mut chars = text.chars();
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut told: String = chars.by_ref().take(LIMIT).map(printable).collect();
    if chars.next().is_some() {
        told.push('…');
    }
    told
}

/// The JSON object that a body is.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, NotJson> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(NotJson::AnotherValue),
        Err(_) => Err(match body.trim_ascii_start().first() {
            None => NotJson::Empty,
            Some(b'<') => NotJson::Html,
            Some(_) => NotJson::Other,
        }),
    }
}

/// Where a redirect points, without the query: it may hold what must not be logged.
fn location(response: &HttpResponse) -> String {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let bare = location.and_then(|location| location.split(['?', '#']).next());
    told(bare.unwrap_or("nowhere"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::Fault;
    use crate::oidc::fixture::answer;

    #[test]
    fn an_answer_that_is_no_json_object_is_told_apart_by_whose_fault_it_is() {
        let cases: [(&str, u16, &str, Fault, &str); 12] = [
            ("a page", 200, "<!DOCTYPE html><p>Sign in", Fault::Provider, "provider_not_json"),
            ("a list", 200, "[]", Fault::Provider, "provider_not_json"),
            ("nothing", 200, "", Fault::Provider, "provider_not_json"),
            ("cut off", 200, r#"{"a":"#, Fault::Provider, "provider_not_json"),
            ("a redirect", 302, "", Fault::Provider, "provider_redirected"),
            ("a failure", 500, "", Fault::Unreachable, "provider_status"),
            (
                "a failure that explains itself",
                503,
                r#"{"error":"x"}"#,
                Fault::Unreachable,
                "provider_status",
            ),
            ("too many requests", 429, r#"{"error":"slow_down"}"#, Fault::Unreachable, "provider_status"),
            ("not found", 404, "<html>", Fault::Provider, "provider_status"),
            ("an unknown code", 400, r#"{"error":"invalid_grant"}"#, Fault::Request, "invalid_grant"),
            (
                "a refusal of our client",
                401,
                r#"{"error":"invalid_client"}"#,
                Fault::Provider,
                "provider_refused",
            ),
            ("an error without a name", 400, r#"{"error":7}"#, Fault::Provider, "provider_status"),
        ];
        for (name, status, body, fault, code) in cases {
            let error = json(Call::Token, &answer(status, body)).unwrap_err();
            assert_eq!((error.fault(), error.code()), (fault, code), "{name}");
        }
        assert!(json(Call::Token, &answer(200, "\u{feff}{}")).is_ok());
    }

    #[test]
    fn a_page_or_a_redirect_is_never_quoted_with_what_it_may_hold() {
        let mut redirect = answer(302, "");
        redirect
            .headers_mut()
            .insert(header::LOCATION, HeaderValue::from_static("https://x.example/login?code=s3cret#s3cret"));
        let error = json(Call::Token, &redirect).unwrap_err().to_string();
        assert!(error.contains("https://x.example/login") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn text_from_outside_is_cut_and_cleaned_before_it_is_logged() {
        assert_eq!(told("a\r\nb\u{1b}[31m"), "a\u{fffd}\u{fffd}b\u{fffd}[31m");
        assert_eq!(told(&"x".repeat(500)).chars().count(), 201);
    }
}
