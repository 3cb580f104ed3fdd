//! The token request and its response: OpenID Connect Core 1.0 section 3.1.3, RFC 6749 sections 4.1.3
//! and 5, RFC 7636 section 4.5.

use std::time::Duration;

use openidconnect::HttpResponse;
use serde_json::{Map, Value};

use super::callback::Redemption;
use super::client_auth::Form;
use super::error::{MemberProblem, OidcError};
use super::message::{self, Call, told};
use super::{Settings, TokenBinding};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;

/// What a code is worth.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) access_token: Secret,
    pub(super) access_expires_at: Option<Timestamp>,
    pub(super) id_token: Secret,
    pub(super) refresh_token: Option<Secret>,
}

/// What the token endpoint answers to any grant.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) access_token: Secret,
    pub(super) access_expires_at: Option<Timestamp>,
    pub(super) id_token: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
}

/// What a code is redeemed with: RFC 6749 section 4.1.3 and RFC 7636 section 4.5.
pub(super) fn form(settings: &Settings, redemption: &Redemption) -> Form {
    let form = Form::default()
        .with("grant_type", "authorization_code")
        .with("code", redemption.code.expose())
        .with("redirect_uri", &redemption.redirect_uri)
        .with("code_verifier", redemption.verifier.expose());
    for_resources(settings, form)
}

/// RFC 8707 section 2.2: what the access token is for, each by a field of its own.
pub(super) fn for_resources(settings: &Settings, form: Form) -> Form {
    settings.resource.iter().fold(form, |form, resource| form.with("resource", resource))
}

/// RFC 6749 sections 5.1 and 5.2, Core 3.1.3.3 to 3.1.3.5.
pub(super) fn response(
    response: &HttpResponse,
    binding: TokenBinding,
    now: Timestamp,
) -> Result<Grant, OidcError> {
    let Answer { access_token, access_expires_at, id_token, refresh_token } = answer(response, binding, now)?;
    // Core 3.1.3.3: id_token
    let id_token = id_token.ok_or(missing("id_token"))?;
    Ok(Grant { access_token, access_expires_at, id_token, refresh_token })
}

/// RFC 6749 sections 5.1 and 5.2; the ID token is there or not.
pub(super) fn answer(
    response: &HttpResponse,
    binding: TokenBinding,
    now: Timestamp,
) -> Result<Answer, OidcError> {
    let mut answer = message::json(Call::Token, response)?;
    // Some refuse with status 200.
    if !answer.contains_key("access_token")
        && let Some(refusal) = message::refusal(Call::Token, &answer)
    {
        return Err(OidcError::Refused(refusal));
    }
    // RFC 6749 section 5.1: access_token
    let access_token = token(&mut answer, "access_token")?.ok_or(missing("access_token"))?;
    // RFC 6749 section 5.1, RFC 6750 section 4, RFC 9449 section 5: token_type, in any case.
    // SECURITY: a token bound to a key (DPoP, MAC) must not be used as if it were not; and one that is not bound,
    // where we asked for that, is anybody's who gets hold of it.
    match answer.get("token_type") {
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case(scheme(binding)) => {}
        Some(Value::String(kind)) => return Err(member("token_type", MemberProblem::Value(told(kind)))),
        None | Some(Value::Null) => return Err(missing("token_type")),
        Some(_) => return Err(member("token_type", MemberProblem::NotA("a string"))),
    }
    let id_token = token(&mut answer, "id_token")?;
    // RFC 6749 section 5.1: refresh_token and expires_in are optional; scope is not needed, and comes as a
    // string or a list.
    let refresh_token = token(&mut answer, "refresh_token").ok().flatten();
    let access_expires_at = expires_in(answer.get("expires_in")).map(|span| now.plus(span));
    Ok(Answer { access_token, access_expires_at, id_token, refresh_token })
}

/// The `token_type`, which is also the scheme of `Authorization` (RFC 6750 section 2.1, RFC 9449 section 7.1).
pub(super) const fn scheme(binding: TokenBinding) -> &'static str {
    match binding {
        TokenBinding::Bearer => "Bearer",
        TokenBinding::Key => "DPoP",
    }
}

fn token(answer: &mut Map<String, Value>, name: &'static str) -> Result<Option<Secret>, OidcError> {
    match answer.get_mut(name).map(Value::take) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Secret::new(text))),
        Some(_) => Err(member(name, MemberProblem::NotA("a string"))),
    }
}

/// A number, or a number in a string, with or without a fraction; anything else says nothing.
fn expires_in(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

fn member(member: &'static str, problem: MemberProblem) -> OidcError {
    OidcError::Member { call: Call::Token, member, problem }
}

fn missing(name: &'static str) -> OidcError {
    member(name, MemberProblem::Missing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::Fault;
    use crate::oidc::fixture::{self, answer};

    #[test]
    fn a_code_is_redeemed_with_its_verifier_and_redirect_uri() {
        let mut settings = fixture::settings("https://id.example");
        settings.resource = vec!["https://a.example".into(), "https://b.example".into()];
        let form = form(&settings, &fixture::redemption("the code"));
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(form.as_str().as_bytes()).into_owned().collect();
        let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "code", "redirect_uri", "code_verifier", "resource", "resource"]);
        assert_eq!((&*pairs[0].1, &*pairs[1].1), ("authorization_code", "the code"));
    }

    #[test]
    fn a_token_response_is_read_leniently_where_nothing_depends_on_it() {
        let now = Timestamp::from_secs(1000);
        for (expires_in, at) in [
            (json!(3600), Some(4600)),
            (json!("3600"), Some(4600)),
            (json!(3600.7), Some(4600)),
            (json!("1e3"), Some(2000)),
            (json!(-5), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!([1]), None),
            (json!(1e300), None),
        ] {
            let body = json!({
                "access_token": "a", "token_type": "bEaReR", "id_token": "i", "expires_in": expires_in,
                "scope": ["openid"], "refresh_token": "", "x": null,
            });
            let grant = response(&answer(200, body.to_string()), TokenBinding::Bearer, now).unwrap();
            assert_eq!(grant.access_expires_at, at.map(Timestamp::from_secs), "{expires_in}");
            assert!(grant.refresh_token.is_none());
        }
    }

    #[test]
    fn a_token_response_that_can_not_be_used_is_refused() {
        let good = json!({"access_token": "a", "token_type": "Bearer", "id_token": "i"});
        for (name, value, code) in [
            ("access_token", json!(null), "provider_member"),
            ("access_token", json!(7), "provider_member"),
            ("token_type", json!("DPoP"), "provider_member"),
            ("token_type", json!(null), "provider_member"),
            ("token_type", json!(["Bearer"]), "provider_member"),
            ("id_token", json!(""), "provider_member"),
            ("id_token", json!({}), "provider_member"),
        ] {
            let mut body = good.clone();
            body[name] = value.clone();
            let error = read(&body.to_string(), TokenBinding::Bearer).unwrap_err();
            assert_eq!((error.code(), error.fault()), (code, Fault::Provider), "{name} {value}");
        }
        let refused = read(r#"{"error":"invalid_grant"}"#, TokenBinding::Bearer).unwrap_err();
        assert_eq!(refused.fault(), Fault::Request);
    }

    fn read(body: &str, binding: TokenBinding) -> Result<Grant, OidcError> {
        response(&answer(200, body), binding, Timestamp::from_secs(0))
    }

    #[test]
    fn a_token_is_bound_to_our_key_exactly_when_that_was_asked_for() {
        for (binding, kind, taken) in [
            (TokenBinding::Bearer, "bearer", true),
            (TokenBinding::Bearer, "DPoP", false),
            (TokenBinding::Key, "DPoP", true),
            (TokenBinding::Key, "dpop", true),
            (TokenBinding::Key, "Bearer", false),
        ] {
            let body = json!({"access_token": "a", "token_type": kind, "id_token": "i"}).to_string();
            let read = read(&body, binding);
            assert_eq!(read.is_ok(), taken, "{binding:?} {kind}");
            assert!(read.err().is_none_or(|error| error.mend().is_some_and(|mend| mend.contains("dpop"))));
        }
    }
}
