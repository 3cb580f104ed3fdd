//! The userinfo endpoint: OpenID Connect Core 1.0 sections 5.3 and 5.3.2, and how its claims join the ID token's.
//!
//! Claims stay raw JSON: only `sub` is looked at.

use http::{HeaderValue, header};
use openidconnect::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use url::Url;

use super::error::{MemberProblem, OidcError};
use super::message::{self, Call};
use crate::foundation::secret::Secret;
use crate::identity::claims::Claims;

/// Claims that say how and for whom an ID token was made. They are the ID token's word alone, because its
/// signature covers them.
const ID_TOKEN_ONLY: [&str; 15] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "azp",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "nonce",
    "at_hash",
    "c_hash",
];

/// Claims that have served their purpose at sign-in and say nothing of a person.
const SPENT: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// Core 5.3.1, with the access token as RFC 6750 section 2.1 says.
pub(super) fn request(userinfo: &Url, access_token: &Secret) -> Result<HttpRequest, OidcError> {
    let mut request = message::get(Call::Userinfo, userinfo)?;
    let unusable = OidcError::Member {
        call: Call::Token,
        member: "access_token",
        problem: MemberProblem::NotA("fit for a header"),
    };
    let mut bearer =
        HeaderValue::from_str(&format!("Bearer {}", access_token.expose())).map_err(|_| unusable)?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    Ok(request)
}

/// Core 5.3.2 and 5.3.4.
pub(super) fn response(response: &HttpResponse, subject: &str) -> Result<Map<String, Value>, OidcError> {
    // Core 5.3.4, verifying a signed or decrypting an encrypted answer: refused, clearly, until it is supported.
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if response.status().is_success()
        && content_type
            .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/jwt"))
    {
        return Err(OidcError::SignedUserinfo);
    }
    let claims = message::json(Call::Userinfo, response)?;
    // Core 5.3.2: sub, always, and exactly the ID token's. Some send it as a number; its text is compared.
    // SECURITY: another person's access token, put beside a genuine ID token (token substitution).
    let member = |problem| OidcError::Member { call: Call::Userinfo, member: "sub", problem };
    let same = match claims.get("sub") {
        Some(Value::String(sub)) => sub == subject,
        Some(Value::Number(sub)) => sub.to_string() == subject,
        None | Some(Value::Null) => return Err(member(MemberProblem::Missing)),
        Some(_) => return Err(member(MemberProblem::NotA("a string"))),
    };
    if same { Ok(claims) } else { Err(OidcError::OtherSubject) }
}

/// One set of claims: userinfo's word wins where both speak of the person, the ID token's where it speaks of
/// the login. A null says nothing (Core 5.3.2) and takes nothing away.
pub(super) fn merge(id_token: Map<String, Value>, userinfo: Option<Map<String, Value>>) -> Claims {
    let mut claims = id_token;
    for (name, value) in userinfo.into_iter().flatten() {
        if !value.is_null() && !ID_TOKEN_ONLY.contains(&name.as_str()) {
            claims.insert(name, value);
        }
    }
    claims.retain(|name, _| !SPENT.contains(&name.as_str()));
    Claims(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::Fault;
    use crate::oidc::fixture::answer;

    #[test]
    fn the_access_token_goes_in_a_header_that_is_not_shown() {
        let url = Url::parse("https://id.example/me").unwrap();
        let request = request(&url, &Secret::new("s3cret")).unwrap();
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer s3cret");
        assert!(!format!("{:?}", request.headers()).contains("s3cret"));
        assert!(super::request(&url, &Secret::new("a\r\nb")).is_err());
    }

    #[test]
    fn userinfo_counts_only_for_the_same_subject() {
        for (body, code) in [
            (json!({"sub": "42", "email": 7, "address": "a string", "groups": {"a": []}}), None),
            (json!({"sub": 42}), None),
            (json!({"sub": "43"}), Some("userinfo_subject")),
            (json!({"sub": 42.5}), Some("userinfo_subject")),
            (json!({"sub": ["42"]}), Some("provider_member")),
            (json!({"sub": null}), Some("provider_member")),
            (json!({"email": "a@example.org"}), Some("provider_member")),
            (json!(["42"]), Some("provider_not_json")),
        ] {
            let result = response(&answer(200, body.to_string()), "42");
            assert_eq!(result.as_ref().err().map(OidcError::code), code, "{body}");
            assert!(result.err().is_none_or(|error| error.fault() == Fault::Provider), "{body}");
        }
    }

    #[test]
    fn a_signed_answer_is_refused_as_such() {
        let mut signed = answer(200, "eyJ.eyJ.c2ln");
        signed
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/JWT; charset=utf-8"));
        assert_eq!(response(&signed, "42"), Err(OidcError::SignedUserinfo));
    }

    #[test]
    fn claims_of_the_login_stay_the_id_tokens_and_claims_of_the_person_are_userinfos() {
        let id_token = json!({
            "iss": "https://id.example", "sub": "42", "aud": "lms", "exp": 9, "nonce": "n", "at_hash": "h",
            "sid": "s", "email": "old@example.org", "name": "Анна",
        });
        let userinfo = json!({
            "sub": 42, "iss": "https://evil.example", "sid": "evil", "acr": "evil", "nonce": "x",
            "email": "new@example.org", "email_verified": "true", "name": null, "id": 7,
        });
        let merged = merge(id_token.as_object().unwrap().clone(), userinfo.as_object().cloned());
        assert_eq!(
            Value::Object(merged.0),
            json!({
                "iss": "https://id.example", "sub": "42", "aud": "lms", "exp": 9, "sid": "s",
                "email": "new@example.org", "name": "Анна", "email_verified": "true", "id": 7,
            })
        );
    }
}
