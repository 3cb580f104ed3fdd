//! The refresh request and its response: RFC 6749 section 6, OpenID Connect Core 1.0 section 12.
//!
//! Neither `scope` nor `resource` is sent: what was granted is what is asked for. What the answer's ID token
//! must be stands in `id_token::refreshed`.

use openidconnect::HttpResponse;
use serde_json::{Map, Value};

use super::client_auth::Form;
use super::error::OidcError;
use super::message::Call;
use super::token::{self, Answer};
use super::{TokenBinding, jwt, userinfo};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;
use crate::identity::claims::{Claims, Tokens};

/// Claims that tell of the sign-in. A refresh is none, so they stay as they were.
const OF_THE_SIGN_IN: [&str; 4] = ["auth_time", "acr", "amr", "sid"];

/// What a session has whose tokens are to be refreshed.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The person (`sub`).
    pub subject: &'a str,
    /// The tokens, with a refresh token.
    pub tokens: &'a Tokens,
    /// What the provider said of the person.
    pub claims: &'a Claims,
}

/// What a refresh token is worth.
#[derive(Debug)]
pub struct Refreshed {
    /// All tokens that the session has from now on: what did not come anew is the old one.
    pub tokens: Tokens,
    /// When the access token stops being good, if the provider says.
    pub access_expires_at: Option<Timestamp>,
    /// The claims of the new ID token, if there is one.
    pub(super) id_token: Option<Map<String, Value>>,
}

/// Why there are no new tokens, or no new claims.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The grant is no more, or the answer is about somebody else: the session is over.
    #[error(transparent)]
    Refused(OidcError),
    /// The provider can't be reached or is not as it should be: the session goes on, and it is tried again.
    #[error(transparent)]
    Later(OidcError),
}

/// RFC 6749 section 6.
pub(super) fn form(refresh_token: &Secret) -> Form {
    Form::default().with("grant_type", "refresh_token").with("refresh_token", refresh_token.expose())
}

/// RFC 6749 sections 5.1, 5.2 and 6.
pub(super) fn response(
    response: &HttpResponse,
    binding: TokenBinding,
    now: Timestamp,
) -> Result<Answer, RefreshError> {
    token::answer(response, binding, now).map_err(judge)
}

/// What an error of the token endpoint means for the session. Only what speaks of this grant ends it: a client
/// that is refused, or a provider in disorder, is the operator's matter, and signs nobody out.
fn judge(error: OidcError) -> RefreshError {
    let OidcError::Refused(refusal) = &error else { return RefreshError::Later(error) };
    match (refusal.call, refusal.error.as_str()) {
        // RFC 6749 section 5.2: the token is invalid, expired, revoked, or another client's; also what a
        // provider says that detected its reuse (RFC 9700 section 4.14.2).
        (Call::Token, "invalid_grant" | "access_denied")
        // Core 3.1.2.6, as some answer here: the person has to sign in again.
        | (Call::Token, "login_required" | "interaction_required" | "consent_required") => {
            RefreshError::Refused(error)
        }
        _ => RefreshError::Later(error),
    }
}

/// The tokens of a session after a refresh: RFC 6749 section 6, a new refresh token takes the place of the old.
pub(super) fn rotate(held: &Tokens, answer: Answer) -> Tokens {
    let Answer { access_token, id_token, refresh_token, .. } = answer;
    Tokens {
        access: Some(access_token),
        id: id_token.or_else(|| held.id.clone()),
        refresh: refresh_token.or_else(|| held.refresh.clone()),
        proof_key: held.proof_key.clone(),
    }
}

/// What is known of the person now: the newest ID token's claims and userinfo's, but of the sign-in what was
/// known before.
pub(super) fn claims(
    held: Held<'_>,
    id_token: Option<Map<String, Value>>,
    userinfo: Option<Map<String, Value>>,
) -> Claims {
    let signed = match (id_token, &userinfo) {
        (None, None) => return held.claims.clone(),
        (Some(signed), _) => signed,
        // No new ID token: what the old one said stands, and what userinfo said then does not.
        (None, Some(_)) => {
            let signed = held.tokens.id.as_ref().and_then(|id_token| jwt::claims_of_own(id_token.expose()));
            signed.unwrap_or_else(|| held.claims.0.clone())
        }
    };
    let mut claims = userinfo::merge(signed, userinfo);
    for name in OF_THE_SIGN_IN {
        // SECURITY: a refresh must not make a sign-in look newer or stronger than it was.
        match held.claims.0.get(name) {
            Some(value) => drop(claims.0.insert(name.to_owned(), value.clone())),
            None => drop(claims.0.remove(name)),
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::fixture::{Signer, answer};
    use crate::oidc::{Algorithm, Fault};

    const NOW: Timestamp = Timestamp::from_secs(1000);

    #[test]
    fn a_refresh_asks_for_what_was_granted_and_names_nothing_else() {
        assert_eq!(form(&Secret::new("r&1")).as_str(), "grant_type=refresh_token&refresh_token=r%261");
    }

    #[test]
    fn only_a_word_about_the_grant_ends_the_session() {
        let refused = |error: &str| json!({"error": error}).to_string();
        for (status, body, ends) in [
            (400, refused("invalid_grant"), true),
            (200, refused("invalid_grant"), true),
            (400, refused("access_denied"), true),
            (400, refused("interaction_required"), true),
            (401, refused("invalid_client"), false),
            (400, refused("unauthorized_client"), false),
            (400, refused("unsupported_grant_type"), false),
            (400, refused("temporarily_unavailable"), false),
            (429, refused("invalid_grant"), false),
            (503, refused("invalid_grant"), false),
            (500, String::new(), false),
            (404, "<html>".to_owned(), false),
            (200, "<html>".to_owned(), false),
            (302, String::new(), false),
            (200, json!({"access_token": "a", "token_type": "mac"}).to_string(), false),
        ] {
            let error = response(&answer(status, body.clone()), TokenBinding::Bearer, NOW).unwrap_err();
            assert_eq!(matches!(error, RefreshError::Refused(_)), ends, "{status} {body}");
        }
        let error = response(&answer(503, ""), TokenBinding::Bearer, NOW).unwrap_err();
        assert!(matches!(error, RefreshError::Later(error) if error.fault() == Fault::Unreachable));
    }

    #[test]
    fn a_new_refresh_token_replaces_the_old_and_an_absent_one_does_not() {
        let held = Tokens {
            access: Some(Secret::new("a1")),
            id: Some(Secret::new("i1")),
            refresh: Some(Secret::new("r1")),
            proof_key: Some(Secret::new("k1")),
        };
        let shown = |tokens: Tokens| {
            [tokens.access, tokens.id, tokens.refresh, tokens.proof_key]
                .map(|token| token.unwrap().expose().to_owned())
        };
        let mut body = json!({"access_token": "a2", "token_type": "Bearer", "expires_in": 60});
        let read =
            |body: &Value| response(&answer(200, body.to_string()), TokenBinding::Bearer, NOW).unwrap();
        assert_eq!(read(&body).access_expires_at, Some(Timestamp::from_secs(1060)));
        assert_eq!(shown(rotate(&held, read(&body))), ["a2", "i1", "r1", "k1"]);
        body["refresh_token"] = json!("r2");
        body["id_token"] = json!("i2");
        assert_eq!(shown(rotate(&held, read(&body))), ["a2", "i2", "r2", "k1"]);
    }

    #[test]
    fn claims_are_the_newest_but_those_of_the_sign_in() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let signed = json!({"sub": "anna", "email": "old@example.org", "acr": "mfa", "iat": 1});
        let id_token = Signer::get(Algorithm::Es256).token(&json!({"alg": "ES256"}), &signed);
        let tokens = Tokens { id: Some(Secret::new(id_token)), ..Tokens::default() };
        let before = Claims(object(json!({
            "sub": "anna", "email": "old@example.org", "acr": "mfa", "iat": 1, "groups": ["admins"],
        })));
        let held = Held { subject: "anna", tokens: &tokens, claims: &before };
        assert_eq!(claims(held, None, None), before);

        let userinfo = || Some(object(json!({"sub": "anna", "email": "new@example.org"})));
        let fresh = claims(held, None, userinfo());
        let expected = json!({"sub": "anna", "email": "new@example.org", "acr": "mfa", "iat": 1});
        assert_eq!(Value::Object(fresh.0), expected, "a group that is no longer named is gone");

        let id_token =
            object(json!({"sub": "anna", "iat": 2, "acr": "higher", "auth_time": 9, "nonce": "n"}));
        let fresh = claims(held, Some(id_token), userinfo());
        let expected = json!({"sub": "anna", "email": "new@example.org", "acr": "mfa", "iat": 2});
        assert_eq!(Value::Object(fresh.0), expected);
    }
}
