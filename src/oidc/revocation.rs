//! Token revocation: RFC 7009.
//!
//! The refresh token is revoked where there is one, and with it, as section 2.1 asks of the provider, what was
//! issued by it; else the access token.

use openidconnect::HttpResponse;

use super::client_auth::Form;
use super::error::OidcError;
use super::message::{self, Call};
use crate::identity::claims::Tokens;

/// RFC 7009 section 2.1; `None`: there is nothing to revoke.
pub(super) fn form(tokens: &Tokens) -> Option<Form> {
    let (token, kind) = match (&tokens.refresh, &tokens.access) {
        (Some(refresh), _) => (refresh, "refresh_token"),
        (None, Some(access)) => (access, "access_token"),
        (None, None) => return None,
    };
    Some(Form::default().with("token", token.expose()).with("token_type_hint", kind))
}

/// RFC 7009 section 2.2: any success is one, whatever its body; a token that is not known is no error.
pub(super) fn response(response: &HttpResponse) -> Result<(), OidcError> {
    if response.status().is_success() {
        return Ok(());
    }
    message::json(Call::Revocation, response).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::secret::Secret;
    use crate::oidc::fixture::answer;

    #[test]
    fn the_refresh_token_is_revoked_or_else_the_access_token() {
        let token = |text: &str| Some(Secret::new(text));
        let tokens = Tokens { access: token("a"), id: token("i"), refresh: token("r"), proof_key: None };
        assert_eq!(form(&tokens).unwrap().as_str(), "token=r&token_type_hint=refresh_token");
        let tokens = Tokens { refresh: None, ..tokens };
        assert_eq!(form(&tokens).unwrap().as_str(), "token=a&token_type_hint=access_token");
        assert!(form(&Tokens { access: None, ..tokens }).is_none());
    }

    #[test]
    fn any_success_is_one_and_a_refusal_says_why() {
        assert!(response(&answer(200, "")).is_ok());
        assert!(response(&answer(204, "")).is_ok());
        assert!(response(&answer(200, "<html>")).is_ok());
        for (status, body, code) in [
            (401, r#"{"error":"invalid_client"}"#, "provider_refused"),
            (503, "", "provider_status"),
            (302, "", "provider_redirected"),
        ] {
            assert_eq!(response(&answer(status, body)).unwrap_err().code(), code);
        }
    }
}
