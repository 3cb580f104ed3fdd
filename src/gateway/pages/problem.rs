//! What a page says, for scripts: `application/problem+json` (RFC 9457).

use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;

use super::Language;
use super::page::Page;
use super::policy;
use super::texts::{self, Text};
use crate::foundation::body::Body;

/// The members of a problem, in the order of RFC 9457 section 3.1, then our own.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    /// What stands in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    /// The address that a person has to open to sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<&'a str>,
    /// The required claims that are absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'a str>,
}

/// The problem that this page tells of.
pub(super) fn render(page: &Page<'_>, language: Language) -> Response<Body> {
    let summary = page.summary();
    let problem = Problem {
        r#type: kind(summary.code),
        title: summary.heading.in_language(language),
        status: summary.status.as_u16(),
        detail: summary.what.in_language(language),
        reference: page.reference(),
        sign_in: match page {
            Page::NothingSent { sign_in, .. } => Some(sign_in),
            _ => None,
        },
        missing: page.missing().iter().map(|missing| missing.source.as_str()).collect(),
    };
    respond(&problem, summary.status, language)
}

/// A 401, with the address to sign in at.
pub(super) fn sign_in_needed(sign_in: &str, language: Language) -> Response<Body> {
    unauthorized("sign-in-needed", texts::SIGN_IN_NEEDED, texts::OPEN_TO_SIGN_IN, sign_in, language)
}

/// A 401 for somebody who is signed in, with the address to sign in at more strongly.
pub(super) fn step_up_needed(sign_in: &str, language: Language) -> Response<Body> {
    unauthorized("step-up-needed", texts::NOT_ENOUGH, texts::OPEN_TO_STEP_UP, sign_in, language)
}

/// An answer to a client of an API without an access token that is good for it, in English as RFC 6750 has it.
pub(super) fn token_needed(
    code: &str,
    status: StatusCode,
    challenge: Option<HeaderValue>,
    reference: &str,
) -> Response<Body> {
    let problem = Problem {
        r#type: kind(code),
        title: texts::TOKEN_NEEDED.in_language(Language::English),
        status: status.as_u16(),
        detail: texts::SHOW_A_TOKEN.in_language(Language::English),
        reference: Some(reference),
        sign_in: None,
        missing: Vec::new(),
    };
    let mut response = respond(&problem, status, Language::English);
    response.headers_mut().extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
    response
}

fn unauthorized(code: &str, title: Text, detail: Text, sign_in: &str, language: Language) -> Response<Body> {
    let status = StatusCode::UNAUTHORIZED;
    let problem = Problem {
        r#type: kind(code),
        title: title.in_language(language),
        status: status.as_u16(),
        detail: detail.in_language(language),
        reference: None,
        sign_in: Some(sign_in),
        missing: Vec::new(),
    };
    respond(&problem, status, language)
}

/// A name for the kind of problem (RFC 9457 section 3.1.1): an identifier, not an address to open.
fn kind(code: &str) -> String {
    format!("urn:vestibule:problem:{code}")
}

fn respond(problem: &Problem<'_>, status: StatusCode, language: Language) -> Response<Body> {
    // Text and numbers always become JSON; an empty body would still carry the status.
    let mut response = Response::new(Body::full(serde_json::to_vec(problem).unwrap_or_default()));
    policy::complete(&mut response, status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    response
}
