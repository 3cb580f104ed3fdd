//! The gateway's own pages: what a person sees when there is no app to show.
//!
//! Each page says in a teacher's words what happened and what to do, in Russian or English, and carries the
//! reference that the log has. No page needs a script (one has one that presses its button), loads anything from elsewhere or shows anything that
//! a provider or an app sent but a person's name. Facts are in `page`, status and words in `summary` and
//! `texts`, the look in `style.css`; the same facts for scripts are in `problem`. What happened, and when to
//! say so, is decided by the caller.

pub mod frame;
mod language;
mod page;
mod policy;
mod problem;
mod qr;
mod summary;
mod texts;

use askama::Template;
use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

pub use language::Language;
pub use page::{
    AtProvider, ByEmail, FailureKind, NotAllowed, Offer, Page, Provider, RETURN_TO_FIELD, Sending,
    SignInCause, TICKET_FIELD, Unsent,
};
pub(super) use policy::complete;

use self::page::Action;
use self::policy::Policies;
use self::summary::{Mark, Summary};
use self::texts::Text;
use super::Branding;
use super::negotiation::Form;
use crate::foundation::body::Body;

/// All styles there are: inlined, and allowed by their hash.
const STYLE: &str = include_str!("style.css");

/// Sends the only form of a page, at once where that is wanted, and no form twice; allowed by its hash.
const SCRIPT: &str = include_str!("send.js");

/// Makes pages. One for the whole process.
#[derive(Debug)]
pub struct Pages {
    branding: Branding,
    policies: Policies,
}

impl Pages {
    /// Pages that carry the operator's name and logo.
    pub fn new(branding: Branding) -> Self {
        Self { branding, policies: Policies::new(STYLE, SCRIPT) }
    }

    /// The page, or for a script the problem, complete with status and headers.
    pub fn answer(&self, page: &Page<'_>, form: Form, language: Language) -> Response<Body> {
        match form {
            Form::Problem if page.is_problem() => problem::render(page, language),
            Form::Page | Form::Problem => self.render(page, language),
        }
    }

    /// The page, complete with status and headers. A host that no app has is answered in plain text.
    pub fn render(&self, page: &Page<'_>, language: Language) -> Response<Body> {
        let summary = page.summary();
        if summary.status == StatusCode::MISDIRECTED_REQUEST {
            return plain(&summary, language);
        }
        let Ok(html) = self.view(page, &summary, language).render() else {
            return plain(&summary, language);
        };
        let mut response = Response::new(Body::full(html));
        policy::complete(&mut response, summary.status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        self.policies.apply(headers, page.sends(), page.stands());
        response
    }

    fn view<'a>(&'a self, page: &'a Page<'a>, summary: &Summary, language: Language) -> View<'a> {
        let text = |text: Text| text.in_language(language);
        View {
            language: language.tag(),
            style: STYLE,
            brand: self.branding.name.as_deref().filter(|name| !name.is_empty()),
            // SECURITY: a logo is a picture that stands in the page; any other address would be loaded.
            logo: self.branding.logo.as_deref().filter(|logo| logo.starts_with("data:image/")),
            mark: summary.mark,
            heading: text(summary.heading),
            what: text(summary.what),
            advice: text(summary.advice),
            missing: page.missing().iter().map(|missing| missing.source.as_str()).collect(),
            phone: match *page {
                Page::EnterOnPhone { code, address, scanned } => Some(Phone {
                    code: (text(texts::CODE_TO_ENTER), code),
                    address: (text(texts::ADDRESS_TO_OPEN), address),
                    picture: qr::svg(scanned).map(|picture| (text(texts::QR_CODE), picture)),
                }),
                _ => None,
            },
            person: page.person().map(|person| (text(texts::SIGNED_IN_AS), person)),
            actions: page
                .actions()
                .into_iter()
                .flatten()
                .map(|action| Shown::of(action, language))
                .filter(|shown| leads_to_a_site(shown.address))
                .collect(),
            choice: Choice::of(page, language),
            reference: page.reference().map(|reference| (text(texts::REFERENCE), reference)),
            script: match page {
                Page::SendForm { how: Sending::AtOnce, .. } => Some((SCRIPT, "now")),
                Page::SendForm { how: Sending::WhenAsked, .. } => Some((SCRIPT, "")),
                _ => None,
            },
        }
    }
}

/// A 401 for a script: `application/problem+json` with the address that a person has to open.
pub fn sign_in_needed(sign_in: &str, language: Language) -> Response<Body> {
    problem::sign_in_needed(sign_in, language)
}

/// An answer to a client of an API without an access token that is good for it.
pub fn token_needed(
    code: &str,
    status: StatusCode,
    challenge: Option<HeaderValue>,
    reference: &str,
) -> Response<Body> {
    problem::token_needed(code, status, challenge, reference)
}

/// The same for somebody who has to sign in again, with more or just now.
pub fn step_up_needed(sign_in: &str, language: Language) -> Response<Body> {
    problem::step_up_needed(sign_in, language)
}

/// What the templates show.
#[derive(Template)]
#[template(path = "gateway/pages/message.html")]
struct View<'a> {
    language: &'static str,
    style: &'static str,
    brand: Option<&'a str>,
    logo: Option<&'a str>,
    mark: Mark,
    heading: &'static str,
    what: &'static str,
    advice: &'static str,
    missing: Vec<&'a str>,
    phone: Option<Phone<'a>>,
    person: Option<(&'static str, &'a str)>,
    actions: Vec<Shown<'a>>,
    choice: Option<Choice<'a>>,
    reference: Option<(&'static str, &'a str)>,
    /// The script of the page, and when it sends.
    script: Option<(&'static str, &'static str)>,
}

/// The providers on a page, and the field for an e-mail address.
struct Choice<'a> {
    last: Option<(&'static str, Offer<'a>)>,
    others: &'a [Offer<'a>],
    by_email: Option<ByEmail<'a>>,
    your_email: &'static str,
    submit: &'static str,
}

impl<'a> Choice<'a> {
    fn of(page: &Page<'a>, language: Language) -> Option<Self> {
        let Page::Choose { last, others, by_email } = *page else { return None };
        Some(Self {
            last: last.map(|last| (texts::LAST_TIME.in_language(language), last)),
            others,
            by_email,
            your_email: texts::YOUR_EMAIL.in_language(language),
            submit: texts::CONTINUE.in_language(language),
        })
    }
}

/// What a phone is to scan, or a person to type on it; each with its label.
struct Phone<'a> {
    code: (&'static str, &'a str),
    address: (&'static str, &'a str),
    /// An SVG of our own making.
    picture: Option<(&'static str, String)>,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    Here,
    Window,
}

/// A button on a page.
struct Shown<'a> {
    label: &'static str,
    address: &'a str,
    /// The fields that are posted; `None` for a link.
    posts: Option<Vec<(&'a str, &'a str)>>,
    /// What they are posted as.
    kind: &'static str,
    opens: Opens,
}

impl<'a> Shown<'a> {
    const fn new(
        label: &'static str,
        address: &'a str,
        posts: Option<Vec<(&'a str, &'a str)>>,
        opens: Opens,
    ) -> Self {
        Self { label, address, posts, kind: URLENCODED, opens }
    }

    fn of(action: Action<'a>, language: Language) -> Self {
        match action {
            Action::Link { label, to } => Self::new(label.in_language(language), to, None, Opens::Here),
            Action::Window { label, to } => Self::new(label.in_language(language), to, None, Opens::Window),
            Action::Marked { label, to, marker } => Self {
                kind: "text/plain",
                ..Self::new(label.in_language(language), to, Some(vec![marker]), Opens::Here)
            },
            Action::Post { label, to, fields } => {
                Self::new(label.in_language(language), to, Some(fields), Opens::Here)
            }
        }
    }
}

/// What forms are sent as unless they say otherwise.
const URLENCODED: &str = "application/x-www-form-urlencoded";

/// Whether an address is a path on this site, or a site.
///
/// SECURITY: `javascript:` and `data:` would run in our origin, `//host` is another site in a path's clothes.
fn leads_to_a_site(address: &str) -> bool {
    let path = address.starts_with('/') && !address.starts_with("//") && !address.starts_with("/\\");
    path || address.starts_with("https://") || address.starts_with("http://")
}

/// The same in plain text.
fn plain(summary: &Summary, language: Language) -> Response<Body> {
    let [heading, what] = [summary.heading, summary.what].map(|text| text.in_language(language));
    let mut response = Response::new(Body::full(format!("{heading}. {what}\n")));
    policy::complete(&mut response, summary.status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests;
