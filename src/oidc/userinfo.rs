//! The userinfo endpoint: OpenID Connect Core 1.0 sections 5.3 and 5.3.2, and how its claims join the ID token's.
//!
//! An answer is plain JSON, a signed JWT, or either of them encrypted; which of them is seen by the body, as
//! providers label them in many ways. Claims stay raw JSON: only what says whom they are about is looked at.

use http::{HeaderValue, header};
use openidconnect::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::error::{MemberProblem, OidcError};
use super::jwks::Keys;
use super::jwt::{self, OtherAudiences, Policy};
use super::message::{self, Call};
use super::{Algorithm, DecryptionKey, Settings, TokenBinding, token};
use crate::foundation::clock::Timestamp;
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

/// Core 5.3.1, with the access token as RFC 6750 section 2.1 says, or RFC 9449 section 7.1.
pub(super) fn request(
    userinfo: &Url,
    access_token: &Secret,
    binding: TokenBinding,
) -> Result<HttpRequest, OidcError> {
    let mut request = message::get(Call::Userinfo, userinfo)?;
    let unusable = OidcError::Member {
        call: Call::Token,
        member: "access_token",
        problem: MemberProblem::NotA("fit for a header"),
    };
    let value = Zeroizing::new(format!("{} {}", token::scheme(binding), access_token.expose()));
    let mut value = HeaderValue::from_str(&value).map_err(|_| unusable)?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    // Core 5.3.2: plain JSON or a JWT, as the client is registered; servers that go by this header find both.
    let accepted = HeaderValue::from_static("application/json, application/jwt;q=0.5");
    request.headers_mut().insert(header::ACCEPT, accepted);
    Ok(request)
}

/// What a userinfo endpoint answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Claims.
    Plain(Map<String, Value>),
    /// A JWT, still to be verified.
    Signed(String),
}

/// Core 5.3.2 and 5.3.4 (2).
pub(super) fn response(response: &HttpResponse, keys: &[DecryptionKey]) -> Result<Answer, OidcError> {
    let body = response.body().trim_ascii();
    let token = str::from_utf8(body).ok().filter(|text| response.status().is_success() && is_token(text));
    let Some(token) = token else { return message::json(Call::Userinfo, response).map(Answer::Plain) };
    let Some(inside) = jwt::inside(token, keys).map_err(OidcError::Userinfo)? else {
        return Ok(Answer::Signed(token.to_owned()));
    };
    // Core 5.3.2: encrypted without being signed, its claims are the plain JSON. TLS and the access token are what
    // they are believed by then, as where nothing is encrypted.
    match message::object(inside.as_bytes()) {
        Ok(claims) => Ok(Answer::Plain(claims)),
        Err(_) if is_token(&inside) => Ok(Answer::Signed(inside.to_string())),
        Err(found) => Err(OidcError::NotJson { call: Call::Userinfo, found }),
    }
}

/// Whether a body is a JWT in compact form (RFC 7515 section 3.1, RFC 7516 section 3.1).
fn is_token(text: &str) -> bool {
    let dots = text.bytes().filter(|&byte| byte == b'.').count();
    matches!(dots, 2 | 4)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Core 5.3.2 and 5.3.4 (3): the claims of a signed answer.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    settings: &Settings,
    algs: &[Algorithm],
    now: Timestamp,
) -> Result<Map<String, Value>, OidcError> {
    // Core 5.3.2: iss and aud should be there, and then be the provider's and ours.
    // SECURITY: an answer that was made for another client of the provider, or by another provider.
    let policy = Policy {
        issuer: &settings.issuer,
        audience: &settings.client_id,
        trusted_audience: settings.audience.as_deref(),
        other_audiences: OtherAudiences::Refused,
        authorized_party: None,
        algs,
        typ: &["jwt"],
        leeway: settings.clock_skew.min(jwt::MOST_SKEW),
        required: &[],
    };
    let verified = jwt::verify_unaddressed(token, keys, &policy, now).map_err(OidcError::Userinfo)?;
    Ok(verified.claims)
}

/// Core 5.3.2: sub, always, and exactly the ID token's. Some send it as a number; its text is compared.
pub(super) fn check_subject(claims: &Map<String, Value>, subject: &str) -> Result<(), OidcError> {
    let member = |problem| OidcError::Member { call: Call::Userinfo, member: "sub", problem };
    // SECURITY: another person's access token, put beside a genuine ID token (token substitution).
    let same = match claims.get("sub") {
        Some(Value::String(sub)) => sub == subject,
        Some(Value::Number(sub)) => sub.to_string() == subject,
        None | Some(Value::Null) => return Err(member(MemberProblem::Missing)),
        Some(_) => return Err(member(MemberProblem::NotA("a string"))),
    };
    if same { Ok(()) } else { Err(OidcError::OtherSubject) }
}

/// The claims where there is no ID token, the person under `sub` whatever claim named them, so that apps and rules
/// find them in one place. Of the sign-in itself nothing is believed: nobody vouches for it.
pub(super) fn alone(userinfo: Map<String, Value>, subject: &str) -> Claims {
    let mut claims = merge(Map::new(), Some(userinfo));
    claims.0.insert("sub".to_owned(), Value::from(subject));
    claims
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
    use crate::oidc::fixture::{self, Sealer, Signer, answer};
    use crate::oidc::{Fault, JwtError, jwks};

    #[test]
    fn the_access_token_goes_in_a_header_that_is_not_shown() {
        let url = Url::parse("https://id.example/me").unwrap();
        let request = request(&url, &Secret::new("s3cret"), TokenBinding::Bearer).unwrap();
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer s3cret");
        assert_eq!(request.headers()[header::ACCEPT], "application/json, application/jwt;q=0.5");
        assert!(!format!("{:?}", request.headers()).contains("s3cret"));
        assert!(super::request(&url, &Secret::new("a\r\nb"), TokenBinding::Key).is_err());
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
            let result = match response(&answer(200, body.to_string()), &[]) {
                Ok(Answer::Plain(claims)) => check_subject(&claims, "42"),
                other => other.map(drop),
            };
            assert_eq!(result.as_ref().err().map(OidcError::code), code, "{body}");
            assert!(result.err().is_none_or(|error| error.fault() == Fault::Provider), "{body}");
        }
    }

    #[test]
    fn a_signed_answer_is_known_by_its_body_whatever_it_is_called() {
        for (kind, body, signed) in [
            ("application/jwt", "eyJ.eyJ.c2ln\n", true),
            ("application/json", "eyJ.eyJ.c2ln", true),
            ("application/jwt; charset=utf-8", "a.b.c", true),
            ("application/jwt", r#"{"sub":"42"}"#, false),
            ("application/jwt", "a.b", false),
            ("application/jwt", "a.b.c d", false),
            ("text/html", "<p>a.b.c</p>", false),
        ] {
            let mut said = answer(200, body);
            said.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(matches!(response(&said, &[]), Ok(Answer::Signed(_))), signed, "{kind} {body}");
        }
        assert_eq!(response(&answer(200, "a.b.c.d.e"), &[]), Err(OidcError::Userinfo(JwtError::Encrypted)));
        assert_eq!(response(&answer(401, "a.b.c"), &[]).unwrap_err().code(), "provider_status");
    }

    #[test]
    fn an_encrypted_answer_holds_claims_or_a_signed_one() {
        let sealer = Sealer::get("ECDH-ES");
        let keys = [sealer.key()];
        let said = |inside: &str| response(&answer(200, sealer.seal(inside)), &keys);
        assert!(matches!(said(r#"{"sub":"42"}"#), Ok(Answer::Plain(claims)) if claims["sub"] == "42"));
        assert_eq!(said("a.b.c"), Ok(Answer::Signed("a.b.c".into())));
        assert_eq!(said("<html>").unwrap_err().code(), "provider_not_json");
        let other = [Sealer::get("RSA-OAEP-256").key()];
        let refused = response(&answer(200, sealer.seal("{}")), &other).unwrap_err();
        assert_eq!(refused.code(), "userinfo_jwt");
    }

    #[test]
    fn a_signed_answer_counts_only_from_this_provider_for_this_client() {
        const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
        let settings = fixture::settings("https://id.example");
        let set = json!({"keys": Algorithm::ALL.map(|alg| Signer::get(alg).jwk("k"))}).to_string();
        let keys = jwks::response(&answer(200, set)).unwrap();
        let signed = |signer: &Signer, header: Value, changes: Value| {
            let mut claims = json!({"iss": "https://id.example", "aud": "lms", "sub": "42"});
            for (name, value) in changes.as_object().unwrap() {
                claims[name] = value.clone();
            }
            verify(&signer.token(&header, &claims), &keys, &settings, &Algorithm::ALL[1..], NOW)
        };
        for alg in &Algorithm::ALL[1..] {
            let claims =
                signed(Signer::get(*alg), json!({"alg": alg.name(), "kid": "k"}), json!({})).unwrap();
            assert_eq!(claims["sub"], "42");
        }
        let es256 = || json!({"alg": "ES256", "typ": "JWT"});
        let key = Signer::get(Algorithm::Es256);
        for left_out in [json!({"iss": null}), json!({"aud": null}), json!({"iss": null, "aud": null})] {
            signed(key, es256(), left_out).unwrap();
        }
        for (wrong, changes) in [
            ("issuer", json!({"iss": "https://id.example/"})),
            ("issuer type", json!({"iss": 7})),
            ("audience", json!({"aud": "other"})),
            ("audience beside ours", json!({"aud": ["lms", "other"]})),
            ("no audience", json!({"aud": []})),
            ("expired", json!({"exp": NOW.as_secs() - 61})),
            ("not yet", json!({"nbf": NOW.as_secs() + 61})),
        ] {
            assert_eq!(signed(key, es256(), changes).unwrap_err().code(), "userinfo_jwt", "{wrong}");
        }
        for (wrong, signer, header) in [
            ("a stranger's key", Signer::stranger(Algorithm::Es256), es256()),
            ("an algorithm not allowed", Signer::get(Algorithm::Rs256), json!({"alg": "RS256"})),
            ("none", key, json!({"alg": "none"})),
            ("an access token", key, json!({"alg": "ES256", "typ": "at+jwt"})),
            ("an extension", key, json!({"alg": "ES256", "crit": ["b64"]})),
        ] {
            assert_eq!(signed(signer, header, json!({})).unwrap_err().code(), "userinfo_jwt", "{wrong}");
        }
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
