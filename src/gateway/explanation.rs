//! What would be decided about a request, and why: the steps of the path, told instead of taken.
//!
//! The steps are the ones that serve requests: the same routing, rules, mapping and decision.

use std::rc::Rc;
use std::str::FromStr;

use http::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use url::{ParseError, Url};

use super::apps::Protected;
use super::authorization::{Decision, Denial, decide};
use super::failure::Failure;
use super::negotiation::{Intent, Unsigned};
use super::own_session::leaving;
use super::pages::{SignInCause, Unsent};
use super::profile::{Holder, Profile};
use super::request::{Facts, folded_authority};
use super::routing::{Route, Routes, route};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;
use crate::identity::access::{Access, Shortfall, Strength};
use crate::identity::claims::{Claims, Tokens, text};

/// What would happen to a request.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// The app that the address belongs to.
    pub app: Option<String>,
    /// The rule that fits.
    pub rule: Option<String>,
    /// `admit`, `sign_in`, `sign_out`, `step_up`, `deny`, `refuse` or `own` (one of our endpoints).
    pub decision: &'static str,
    /// The status that the browser would get from us; `None` where the app answers.
    pub status: Option<u16>,
    /// Why, in a sentence.
    pub reason: String,
    /// The identity headers that the app would get.
    pub headers: Vec<Header>,
    /// What is left out of the headers, and why.
    pub omitted: Vec<Header>,
}

/// A header and its value, or why it has none.
#[derive(Debug, Serialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value as the app gets it, read as UTF-8; or the reason.
    pub value: String,
}

/// The address that a request is for: host and port, and the target as it was written.
#[derive(Clone, Debug)]
pub struct Address {
    authority: String,
    target: String,
}

/// What browsers encode in a target before they send it, besides what is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let url = Url::parse(text)?;
        let host = url.host_str().ok_or(ParseError::EmptyHost)?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // `Url` resolves dot segments, as browsers do; what an attacker sends is not resolved by anybody.
        let (_, rest) = text.split_once("//").unwrap_or(("", text));
        let written = rest.find(['/', '?', '#', '\\']).and_then(|at| rest.get(at..)).unwrap_or_default();
        let target = written.split('#').next().unwrap_or_default();
        let root = if target.starts_with(['/', '\\']) { "" } else { "/" };
        let target = utf8_percent_encode(target, ENCODED);
        Ok(Self { authority, target: format!("{root}{target}") })
    }
}

/// Explains what would be decided about `method` on `address` for a person with these claims, or for nobody.
pub fn explain(
    apps: &[Protected],
    routes: &Routes,
    address: &Address,
    method: &Method,
    claims: Option<&Claims>,
    now: Timestamp,
) -> Explanation {
    let mut told = Explanation::default();
    let outcome = walk(apps, routes, address, method, claims, now, &mut told);
    if let Err(failure) = outcome {
        told.decision = "refuse";
        told.status = Some(failure.status().as_u16());
        told.reason = failure.to_string();
    }
    told
}

fn walk(
    apps: &[Protected],
    routes: &Routes,
    address: &Address,
    method: &Method,
    claims: Option<&Claims>,
    now: Timestamp,
    told: &mut Explanation,
) -> Result<(), Failure> {
    let uri: Uri = address.target.parse().map_err(|_| Failure::TargetForm)?;
    let headers = HeaderMap::new();
    let facts = Facts::of(method, &uri, &headers)?;
    let app = routes.app(apps, &folded_authority(&address.authority), &facts.path)?;
    told.app = Some(app.settings.name.clone());
    let mut leaves = false;
    let fit = match route(app, &facts)? {
        Route::Own(endpoint) => {
            endpoint.takes(method)?;
            told.decision = "own";
            told.reason = format!(
                "the gateway's own endpoint {}: the app never sees it, rules don't apply",
                endpoint.name()
            );
            return Ok(());
        }
        Route::App(fit) => fit,
        Route::Leave(fit) => {
            leaves = leaving::way(app, fit, method, facts.headers).is_some();
            fit
        }
    };
    told.rule = app.labels.rules.get(app.label_of(fit)).cloned();
    let profile = claims.map(|claims| {
        let subject = claims.get("sub").and_then(|sub| text(sub).ok()).unwrap_or_default();
        // Everyone who signs in has both; what they hold is known to the session alone.
        let token = || Some(Secret::new(SOME_TOKEN));
        let tokens = Tokens { access: token(), id: token(), refresh: None, proof_key: None };
        let auth_time = claims.0.get("auth_time").and_then(Value::as_u64).map(Timestamp::from_secs);
        let holder = match app.settings.rules.access(fit) {
            Access::Bearer => Holder::Token(None),
            Access::Public | Access::SignedIn => Holder::Session,
        };
        Rc::new(Profile::new(&app.settings, holder, (&*subject).into(), claims, &tokens, auth_time))
    });
    match decide(&app.settings.rules, fit, profile.as_ref(), || now) {
        Decision::Admit(_) => {
            told.decision = "admit";
            told.reason = match (app.settings.rules.access(fit), &profile) {
                (Access::Public, None) => {
                    "the rule is public; nobody is signed in, so no identity header is sent"
                }
                (Access::Public, Some(_)) => {
                    "the rule is public; identity headers are sent for who is signed in"
                }
                (Access::Bearer, _) => "the access token's holder meets the rule",
                (Access::SignedIn, _) => "the person is signed in and meets the rule",
            }
            .to_owned();
            if let Some(profile) = &profile {
                tell_headers(profile, told);
                if let Some(wanted) = &app.settings.identity_jwt {
                    let value = "a signed statement of this person, made anew each minute".to_owned();
                    told.omitted.push(Header { name: wanted.header.to_string(), value });
                }
            }
        }
        Decision::Token => {
            told.decision = "token";
            told.status = Some(401);
            told.reason =
                "an access token is needed, in Authorization: Bearer; a browser's session does not count"
                    .to_owned();
        }
        Decision::SignIn => {
            told.decision = "sign_in";
            let (status, reason) = match Unsigned::of(method, Intent::Navigation) {
                Unsigned::SignIn => (
                    Some(302),
                    if app.providers.len() > 1 {
                        "nobody is signed in: a navigation is sent to the provider that was used last, or to a page to \
                         choose one (302), a script gets 401"
                    } else {
                        "nobody is signed in: a navigation is sent to the provider (302), a script gets 401"
                    },
                ),
                Unsigned::Keep if *method != Method::POST => (
                    Some(403),
                    "nobody is signed in: a page says that nothing was sent (403), a script gets 401",
                ),
                Unsigned::Keep => (
                    None,
                    "nobody is signed in: a form of the app's own is kept and sent after the sign-in, up to \
                     session.form_limit, any other gets a page that says that nothing was sent (403), a script 401",
                ),
                Unsigned::Refuse => (Some(401), "nobody is signed in"),
            };
            (told.status, told.reason) = (status, reason.to_owned());
        }
        Decision::StepUp(shortfall) => {
            let (status, what) = match Unsigned::of(method, Intent::Navigation) {
                Unsigned::SignIn => {
                    (Some(302), "a navigation is sent to the provider again (302), a script gets 401")
                }
                _ if *method != Method::POST => {
                    (Some(403), "a page says that nothing was sent (403), a script gets 401")
                }
                _ => (
                    None,
                    "a form of the app's own is kept and sent after that, any other gets a page that says that \
                     nothing was sent (403), a script 401",
                ),
            };
            let reason = app.settings.rules.strength(fit).map(|strength| lacks(strength, shortfall));
            told.decision = "step_up";
            told.status = status;
            told.reason = format!("{}: {what}", reason.unwrap_or_default());
        }
        Decision::Deny(denial) => {
            told.decision = "deny";
            told.status = Some(403);
            told.reason = reason(&denial);
        }
    }
    if leaves {
        tell_of_leaving(method, profile.is_some(), told);
    }
    if let Some(profile) = profile {
        let omitted = profile.omitted.iter();
        let omitted =
            omitted.map(|omitted| Header { name: omitted.header.clone(), value: omitted.reason.clone() });
        told.omitted.extend(omitted);
    }
    Ok(())
}

/// What becomes of a request to an address where people sign out of the app.
fn tell_of_leaving(method: &Method, signed_in: bool, told: &mut Explanation) {
    if told.decision == "admit" {
        if signed_in {
            told.reason.push_str(
                "; people sign out of the app here: once it has, their session ends here and at the provider",
            );
        }
        return;
    }
    // Nobody signs in to sign out, nor does a rule hold anybody here.
    told.decision = "sign_out";
    told.status = Some(if *method == Method::POST { 303 } else { 302 });
    told.reason =
        "people sign out of the app here, and the rule does not let this person in: a navigation is sent to \
                   the gateway's own sign-out, and the app is not asked"
            .to_owned();
}

/// Stands for a token of the session in what is rendered here.
const SOME_TOKEN: &str = "(token)";

/// Why a person may not enter, for operators.
pub fn reason(denial: &Denial) -> String {
    match denial {
        Denial::Rule => "the rule's allow is false for these claims".to_owned(),
        Denial::RuleFailed(error) => {
            format!("the rule's allow could not be evaluated, which is a no: {error}")
        }
        Denial::Missing(missing) => {
            let list: Vec<String> = missing
                .iter()
                .map(|missing| format!("{} (for {})", missing.source, missing.header))
                .collect();
            format!("required claims are absent: {}", list.join(", "))
        }
    }
}

/// Why a form was not sent on, for operators.
pub const fn unsent(unsent: Unsent) -> &'static str {
    match unsent {
        Unsent::NoSession => "a form came without a session and was not sent on",
        Unsent::WeakSession => "a form came with a sign-in that is too weak for it, and was not sent on",
        Unsent::TooLarge => "a form whose sender must sign in first is too large to be kept",
        Unsent::NotKept => {
            "a form whose sender must sign in first came too slowly, or there is no room for it"
        }
        Unsent::Gone => "a kept form was sent before, is too old, or was kept elsewhere",
        Unsent::AnotherPerson => {
            "a kept form was sent by somebody else than has signed in, and is not sent on"
        }
        Unsent::InFrame => "a form came from a frame in which nobody can sign in, and was not sent on",
    }
}

/// What a sign-in lacks for a rule, for operators.
pub fn lacks(strength: &Strength, shortfall: Shortfall) -> String {
    match shortfall {
        Shortfall::Acr => {
            format!("the sign-in has none of the rule's acr ({})", strength.acr().unwrap_or_default())
        }
        Shortfall::Age => {
            let max_age = strength.max_age().unwrap_or_default();
            format!("the sign-in (auth_time) is not within the rule's max_age ({max_age:?})")
        }
    }
}

/// Why a browser has no login that a provider's answer could belong to, for operators.
pub const fn no_login(cause: SignInCause) -> &'static str {
    match cause {
        SignInCause::NoCookies => "it came back without any cookie",
        SignInCause::NeedsHttps => "it came back without its cookie, and over plain http",
        SignInCause::Expired => "its login is too old",
        SignInCause::BadResponse => "the response has no `state`",
        _ => "none was begun there, or it was used before",
    }
}

/// What an operator can do where a browser brings no login back, as far as it is theirs to mend.
pub const fn mend_of_login(cause: SignInCause) -> Option<&'static str> {
    match cause {
        SignInCause::NoCookies => Some(
            "the browser blocks cookies for this address, or it was opened by another name or by http:// before: let it be opened as the app's url has it",
        ),
        SignInCause::NeedsHttps => Some("let the proxy send http:// on to https://, where the app's url is"),
        _ => None,
    }
}

fn tell_headers(profile: &Profile, told: &mut Explanation) {
    for (name, value) in &profile.headers {
        let (name, value) = (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned());
        if value.ends_with(SOME_TOKEN) {
            let value = "a token of the session, which is not known here".to_owned();
            told.omitted.push(Header { name, value });
        } else {
            told.headers.push(Header { name, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_target_as_it_was_written() {
        for (text, authority, target) in [
            ("http://lms.example.org", "lms.example.org", "/"),
            ("http://lms.example.org?a=/b", "lms.example.org", "/?a=/b"),
            ("https://LMS.example.org:8443/a/../b;c//d?e=..#f", "lms.example.org:8443", "/a/../b;c//d?e=.."),
            ("http://lms.example.org/%2e%2e/\\x", "lms.example.org", "/%2e%2e/\\x"),
            ("http://школа.рф/курс 1", "xn--80atdl2c.xn--p1ai", "/%D0%BA%D1%83%D1%80%D1%81%201"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.authority.as_str(), address.target.as_str()), (authority, target), "{text}");
        }
        assert!("lms.example.org/a".parse::<Address>().is_err());
    }
}
