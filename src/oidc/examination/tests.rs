//! What each answer of a provider is taken for.

use serde_json::json;

use super::*;
use crate::foundation::finding::Verdict;
use crate::oidc::fixture::{self, answer};
use crate::oidc::metadata::Metadata;

fn asked() -> AskedRedirect {
    AskedRedirect { app: "lms".into(), uri: Url::parse("https://lms.example/_sso/callback").unwrap() }
}

fn redirect(to: &str) -> HttpResponse {
    let mut response = answer(302, "");
    response.headers_mut().insert(header::LOCATION, to.parse().unwrap());
    response
}

#[test]
fn an_answer_of_the_authorization_endpoint_says_what_it_holds_against_us() {
    let settings = fixture::settings("https://id.example");
    let callback = "https://lms.example/_sso/callback";
    for (response, verdict, code) in [
        (redirect(&format!("{callback}?error=login_required&state=x")), Verdict::Ok, "redirect_uri"),
        (redirect(&format!("{callback}?code=x&state=x")), Verdict::Ok, "redirect_uri"),
        (redirect("/interaction/1"), Verdict::Ok, "redirect_uri"),
        (redirect("/error?error=invalid_redirect_uri"), Verdict::Failed, "redirect_uri_refused"),
        (redirect(&format!("{callback}?error=invalid_scope")), Verdict::Failed, "authorization_refused"),
        (answer(200, "<form><input name=password>"), Verdict::Ok, "redirect_uri"),
        (answer(200, "<p>Error: redirect_uri_mismatch"), Verdict::Failed, "redirect_uri_refused"),
        (answer(400, "<p>Invalid parameter: redirect_uri"), Verdict::Failed, "redirect_uri_refused"),
        (answer(400, r#"{"error":"invalid_redirect_uri"}"#), Verdict::Failed, "redirect_uri_refused"),
        (
            answer(
                400,
                r#"{"error":"invalid_request","error_description":"redirect_uri is not registered"}"#,
            ),
            Verdict::Failed,
            "redirect_uri_refused",
        ),
        (answer(400, r#"{"error":"invalid_client"}"#), Verdict::Failed, "client_unknown"),
        (answer(400, "<p>Client not found."), Verdict::Failed, "client_unknown"),
        (answer(404, "<p>?"), Verdict::Failed, "authorization_refused"),
        (answer(302, ""), Verdict::Failed, "authorization_unclear"),
        (answer(503, ""), Verdict::Failed, "provider_status"),
    ] {
        let found = authorization(&settings, &asked(), &response);
        assert_eq!((found.verdict, found.code), (verdict, code), "{found:?}");
        assert!(
            found.verdict == Verdict::Ok || found.mend.is_some() || code == "provider_status",
            "{found:?}"
        );
    }
}

#[test]
fn an_answer_of_the_token_endpoint_says_whether_it_knows_us() {
    for (status, body, verdict, code) in [
        (400, r#"{"error":"invalid_grant"}"#, Verdict::Ok, "client"),
        (401, r#"{"error":"invalid_client"}"#, Verdict::Failed, "client_refused"),
        (400, r#"{"error":"unauthorized_client"}"#, Verdict::Failed, "client_refused"),
        (401, "", Verdict::Failed, "client_refused"),
        (400, r#"{"error":"invalid_request"}"#, Verdict::Warning, "client_unclear"),
        (200, r#"{"access_token":"x"}"#, Verdict::Failed, "token_endpoint_gives_all"),
        (200, "<html>", Verdict::Failed, "provider_not_json"),
        (500, "", Verdict::Failed, "provider_status"),
    ] {
        let found = token_answer(&Ok(answer(status, body)));
        assert_eq!((found.verdict, found.code), (verdict, code), "{status} {body}");
    }
}

#[test]
fn clocks_may_differ_by_what_is_allowed() {
    let settings = fixture::settings("https://id.example");
    // Thu, 01 Jan 2026 00:00:00 GMT
    let theirs = 1_767_225_600;
    for (ours, expected) in [
        (theirs, Some("clock")),
        (theirs + 61, Some("clock")),
        (theirs + 62, Some("clock_skew")),
        (theirs - 62, Some("clock_skew")),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
        let found = clock(&settings, &headers, Timestamp::from_secs(ours));
        assert_eq!(found.map(|found| found.code), expected, "{ours}");
    }
    assert_eq!(clock(&settings, &HeaderMap::new(), Timestamp::from_secs(theirs)), None);
}

#[test]
fn what_the_metadata_lacks_is_named() {
    let cases: [(&str, serde_json::Value, Verdict); 10] = [
        ("response_type_unsupported", json!({"response_types_supported": ["id_token"]}), Verdict::Failed),
        ("grant_unsupported", json!({"grant_types_supported": ["refresh_token"]}), Verdict::Failed),
        ("refresh_unsupported", json!({"grant_types_supported": ["authorization_code"]}), Verdict::Warning),
        ("pkce_unsupported", json!({"code_challenge_methods_supported": ["plain"]}), Verdict::Warning),
        ("scope_unsupported", json!({"scopes_supported": ["openid"]}), Verdict::Warning),
        ("response_mode_unsupported", json!({"response_modes_supported": ["query"]}), Verdict::Failed),
        ("acr_unsupported", json!({"acr_values_supported": ["bronze"]}), Verdict::Warning),
        ("prompt_unsupported", json!({"prompt_values_supported": ["none"]}), Verdict::Warning),
        ("sign_out_untold", json!({"backchannel_logout_supported": false}), Verdict::Warning),
        ("sign_out_untold", json!({"frontchannel_logout_supported": true}), Verdict::Warning),
    ];
    let mut settings = fixture::settings("https://id.example");
    settings.scopes = vec!["openid".into(), "email".into(), "offline_access".into()];
    settings.response_mode = super::super::ResponseMode::FormPost;
    settings.acr_values = Some("bronze gold".into());
    settings.prompt = Some("login".into());
    for (code, document, verdict) in cases {
        let mut announced = fixture::document(&settings.issuer);
        if code == "sign_out_untold" {
            announced["backchannel_logout_supported"] = json!(null);
        }
        announced.as_object_mut().unwrap().extend(document.as_object().unwrap().clone());
        let announced = announced.as_object().unwrap();
        let metadata = Metadata::settle(&settings, announced).unwrap();
        let found = abilities(&settings, &metadata, announced);
        let found: Vec<_> =
            found.iter().filter(|found| !["request", "logout"].contains(&found.code)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].code, found[0].verdict), (code, verdict));
        assert!(found[0].mend.is_some());
    }
}
