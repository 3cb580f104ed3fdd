//! The operators' page: who is signed in, what happened in the last hour, what works. It needs no script, loads
//! nothing from elsewhere, and looks itself through again once a minute.
//!
//! Signing in to it and what its forms do is here; what it shows is `view`, its words are `texts`.

mod chart;
mod texts;
mod view;

use std::borrow::Cow;
use std::time::Duration;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use self::texts::{Words, words};
use super::Call;
use super::access::{self, Access, Denied};
use super::answer::{self, Answer};
use super::asked::person;
use super::refusal::Refusal;
use crate::foundation::sealing::fingerprint;
use crate::gateway::pages::Language;
use crate::telemetry::log::AUDIT;

/// All styles there are: inlined, and allowed by their hash.
const STYLE: &str = include_str!("style.css");

/// The largest form, in bytes, and how long it may take to arrive.
const LARGEST_FORM: usize = 8 * 1024;
const SLOWEST_FORM: Duration = Duration::from_secs(10);

/// The page, or the form to sign in to it.
pub(super) async fn show(call: &Call<'_>) -> Answer {
    let language = Language::of(&call.head.headers);
    match call.state.access.person(&call.head.headers) {
        Ok(()) => html(StatusCode::OK, language, &view::overview(call, language, words(language)).await),
        Err(Denied::NoToken) => sign_in_page(language, Problem::NoToken),
        // A cookie whose time is over is no wrong token.
        Err(Denied::NothingShown | Denied::Wrong) => sign_in_page(language, Problem::None),
    }
}

/// What a form of the page asks for.
pub(super) async fn act(call: &Call<'_>, body: Incoming) -> Answer {
    let language = Language::of(&call.head.headers);
    // SECURITY: a form of another site, or of another port of this machine, ends nobody's session.
    if !access::is_own_form(&call.head.headers) {
        return sign_in_page(language, Problem::ForeignForm);
    }
    let Some(form) = read(body).await else {
        return answer::text(StatusCode::BAD_REQUEST, "text/plain", "the form can't be read\n".to_owned());
    };
    if call.head.uri.path() == "/sign-in" {
        return sign_in(call, language, &form);
    }
    if call.head.uri.path() == "/sign-out" {
        return with_cookie(answer::see_other("/"), Access::sign_out());
    }
    match call.state.access.person(&call.head.headers) {
        Ok(()) => end(call, language, &form).await,
        Err(_) => sign_in_page(language, Problem::None),
    }
}

fn sign_in(call: &Call<'_>, language: Language, form: &str) -> Answer {
    match call.state.access.sign_in(&value(form, "token").unwrap_or_default()) {
        Ok(cookie) => {
            tracing::info!(target: AUDIT, event = "operator_signed_in", client = %call.client, "an operator signed in to the page");
            with_cookie(answer::see_other("/"), cookie)
        }
        Err(denied) => match call.refused(denied) {
            Refusal::NoToken => sign_in_page(language, Problem::NoToken),
            _ => sign_in_page(language, Problem::WrongToken),
        },
    }
}

async fn end(call: &Call<'_>, language: Language, form: &str) -> Answer {
    let ended = match (value(form, "id"), value(form, "subject")) {
        (Some(id), _) => call.end_session(&id).await.map(|()| 1),
        (None, Some(subject)) => {
            let everywhere = call.state.provider_names();
            call.end_person(&person(subject.into_owned(), None, &everywhere)).await
        }
        (None, None) => Err(Refusal::WhoseSessions),
    };
    let ended = match ended {
        Ok(ended) => ended,
        // It had ended by itself meanwhile, which is as wanted.
        Err(Refusal::NoSession) => 0,
        Err(refusal) => {
            let page = view::failed(language, words(language), refusal.to_string());
            return html(refusal.status(), language, &page);
        }
    };
    let search = value(form, "q").unwrap_or_default();
    answer::see_other(&format!(
        "/?{}#sessions",
        view::query(&[("q", &search), ("ended", &ended.to_string())])
    ))
}

/// What keeps an operator from the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    None,
    NoToken,
    WrongToken,
    ForeignForm,
}

#[derive(Template)]
#[template(path = "lifecycle/admin/page/sign_in.html")]
struct SignIn {
    language: &'static str,
    style: &'static str,
    words: &'static Words,
    problem: Problem,
}

fn sign_in_page(language: Language, problem: Problem) -> Answer {
    let status = match problem {
        Problem::None | Problem::WrongToken => StatusCode::UNAUTHORIZED,
        Problem::NoToken | Problem::ForeignForm => StatusCode::FORBIDDEN,
    };
    let page = SignIn { language: language.tag(), style: STYLE, words: words(language), problem };
    let mut response = html(status, language, &page);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn html(status: StatusCode, language: Language, page: &impl Template) -> Answer {
    let mut response = answer::text(status, "text/html; charset=utf-8", page.render().unwrap_or_default());
    let hash = STANDARD.encode(fingerprint(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    // Base64 and the words above are all visible ASCII, so the stricter policy always gives way.
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    response
}

fn with_cookie(mut response: Answer, cookie: HeaderValue) -> Answer {
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}

async fn read(body: Incoming) -> Option<String> {
    let read = tokio::time::timeout(SLOWEST_FORM, Limited::new(body, LARGEST_FORM).collect()).await;
    String::from_utf8(read.ok()?.ok()?.to_bytes().into()).ok()
}

/// The first value of a member of a query or a form.
fn value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}
