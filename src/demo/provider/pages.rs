//! The provider's pages, and the policy that they are shown under.
//!
//! Each says that this provider is for trying out. What leads to a page is decided elsewhere.

use askama::Template;
use http::{Response, StatusCode};
use url::Url;

use super::people::{PEOPLE, Person};
use super::{Client, Provider};
use crate::demo::params::Params;
use crate::demo::serving;
use crate::foundation::body::Body;

const STYLE: &str = include_str!("../style.css");

#[derive(Template)]
#[template(path = "demo/provider/login.html")]
struct LoginPage<'a> {
    people: &'static [Person],
    request: &'a Params,
}

#[derive(Template)]
#[template(path = "demo/provider/end_session.html")]
struct EndSessionPage<'a> {
    name: &'a str,
    request: &'a Params,
}

#[derive(Template)]
#[template(path = "demo/provider/message.html")]
struct MessagePage<'a> {
    title: &'a str,
    ru: &'a str,
    en: &'a str,
}

#[derive(Template)]
#[template(path = "demo/provider/index.html")]
struct IndexPage<'a> {
    issuer: &'a str,
    app: &'a str,
}

impl Provider {
    /// `GET /`
    pub(super) fn index(&self) -> Response<Body> {
        let app = Url::parse(&self.client.redirect_uri).map(|uri| uri.origin().ascii_serialization());
        let page = IndexPage { issuer: &self.issuer, app: app.as_deref().unwrap_or_default() };
        serving::page(StatusCode::OK, &policy(""), &page)
    }
}

/// The list of people; `params` is the authorization request that brought the browser here.
pub(super) fn login(client: &Client, params: &Params) -> Response<Body> {
    let page = LoginPage { people: &PEOPLE, request: params };
    serving::page(StatusCode::OK, &policy(&form_target(&client.redirect_uri)), &page)
}

/// The question before signing out.
pub(super) fn confirm_end_session(client: &Client, person: &Person, params: &Params) -> Response<Body> {
    let page = EndSessionPage { name: &person.full_name(), request: params };
    serving::page(StatusCode::OK, &policy(&form_target(&client.post_logout_redirect_uri)), &page)
}

/// Where a sign-out ends that nobody vouched for.
pub(super) fn signed_out() -> Response<Body> {
    let page = MessagePage {
        title: "Вы вышли",
        ru: "Вход у поставщика завершён. Это окно можно закрыть.",
        en: "You are signed out at the provider. You can close this window.",
    };
    serving::page(StatusCode::OK, &policy(""), &page)
}

/// Something is wrong with the request.
pub(super) fn problem(status: StatusCode, ru: &str, en: &str) -> Response<Body> {
    serving::page(status, &policy(""), &MessagePage { title: "Не получилось", ru, en })
}

/// The style sheet.
pub(super) fn style() -> Response<Body> {
    serving::asset("text/css; charset=utf-8", STYLE)
}

fn policy(form_target: &str) -> String {
    format!(
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self' {form_target}"
    )
}

/// Browsers hold `form-action` against the redirect that follows a form as well, so the client's origin must
/// be named. An IPv6 address cannot stand there; its scheme can.
fn form_target(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(uri) if matches!(uri.host(), Some(url::Host::Ipv6(_))) => format!("{}:", uri.scheme()),
        Ok(uri) => uri.origin().ascii_serialization(),
        Err(_) => String::new(),
    }
}
