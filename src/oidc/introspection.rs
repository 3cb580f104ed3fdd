//! Token introspection: RFC 7662 section 2. What the answer is worth is `access_token`'s matter.

use openidconnect::HttpResponse;
use serde_json::{Map, Value};

use super::client_auth::Form;
use super::error::OidcError;
use super::message::{self, Call};

/// What is asked: RFC 7662 section 2.1.
pub(super) fn form(token: &str) -> Form {
    Form::default().with("token", token).with("token_type_hint", "access_token")
}

/// The answer's members.
///
/// # Errors
/// When the provider refuses us, or answers with something else than a JSON object.
pub(super) fn response(response: &HttpResponse) -> Result<Map<String, Value>, OidcError> {
    message::json(Call::Introspection, response)
}
