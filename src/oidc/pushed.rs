//! The pushed authorization request and its response: RFC 9126 section 2.

use openidconnect::HttpResponse;
use serde_json::Value;

use super::client_auth::Form;
use super::error::{MemberProblem, OidcError};
use super::message::{self, Call, told};
use super::request_object::Parameters;

/// RFC 9101 section 5.2: a reference is at most 512 ASCII characters.
const LONGEST: usize = 512;

/// RFC 9126 section 2.1: the parameters as a form.
pub(super) fn form(parameters: &Parameters) -> Form {
    parameters.iter().fold(Form::default(), |form, (name, value)| form.with(name, value))
}

/// RFC 9126 section 3: a request object, and nothing else that it holds already.
pub(super) fn form_of_object(client_id: &str, object: &str) -> Form {
    Form::default().with("client_id", client_id).with("request", object)
}

/// RFC 9126 sections 2.2 and 2.3: what the provider calls the request from now on.
///
/// # Errors
/// When the provider refuses it, fails, or answers something else.
pub(super) fn response(response: &HttpResponse) -> Result<String, OidcError> {
    let answer = message::json(Call::Pushed, response)?;
    let member = |member, problem| OidcError::Member { call: Call::Pushed, member, problem };
    // RFC 9126 section 2.2: expires_in is a positive number; one that is left out does no harm.
    match answer.get("expires_in") {
        None | Some(Value::Null) => {}
        Some(seconds) if seconds.as_f64().is_some_and(|seconds| seconds > 0.0) => {}
        Some(Value::Number(seconds)) => {
            return Err(member("expires_in", MemberProblem::Value(seconds.to_string())));
        }
        Some(_) => return Err(member("expires_in", MemberProblem::NotA("a number"))),
    }
    match answer.get("request_uri") {
        None | Some(Value::Null) => Err(member("request_uri", MemberProblem::Missing)),
        Some(Value::String(uri)) if uri.is_empty() => Err(member("request_uri", MemberProblem::Missing)),
        // SECURITY: it goes into the browser's address; it is what the specification lets it be and no more.
        Some(Value::String(uri))
            if uri.len() > LONGEST || !uri.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Err(member("request_uri", MemberProblem::Value(told(uri))))
        }
        Some(Value::String(uri)) => Ok(uri.clone()),
        Some(_) => Err(member("request_uri", MemberProblem::NotA("a string"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::Fault;
    use crate::oidc::fixture::answer;

    #[test]
    fn the_reference_is_taken_and_nothing_that_is_none() {
        let uri = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c";
        for status in [200, 201] {
            let body = json!({"request_uri": uri, "expires_in": 60, "x": []}).to_string();
            assert_eq!(response(&answer(status, body)).unwrap(), uri);
        }
        assert_eq!(response(&answer(201, json!({"request_uri": uri}).to_string())).unwrap(), uri);
        for (body, code) in [
            (json!({"expires_in": 60}), "provider_member"),
            (json!({"request_uri": "", "expires_in": 60}), "provider_member"),
            (json!({"request_uri": 7, "expires_in": 60}), "provider_member"),
            (json!({"request_uri": "urn:a b", "expires_in": 60}), "provider_member"),
            (json!({"request_uri": "urn:a\r\nx: y", "expires_in": 60}), "provider_member"),
            (json!({"request_uri": "u".repeat(513), "expires_in": 60}), "provider_member"),
            (json!({"request_uri": uri, "expires_in": 0}), "provider_member"),
            (json!({"request_uri": uri, "expires_in": "60"}), "provider_member"),
        ] {
            let error = response(&answer(201, body.to_string())).unwrap_err();
            assert_eq!((error.code(), error.fault()), (code, Fault::Provider), "{body}");
        }
    }

    #[test]
    fn every_refusal_is_the_providers_and_an_outage_is_one() {
        for (status, body, fault) in [
            (400, r#"{"error":"invalid_request"}"#, Fault::Provider),
            (401, r#"{"error":"invalid_client"}"#, Fault::Provider),
            (400, r#"{"error":"access_denied"}"#, Fault::Provider),
            (413, "", Fault::Provider),
            (429, "", Fault::Unreachable),
            (503, "<html>", Fault::Unreachable),
            (302, "", Fault::Provider),
        ] {
            assert_eq!(response(&answer(status, body)).unwrap_err().fault(), fault, "{status} {body}");
        }
    }
}
