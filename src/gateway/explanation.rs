//! What would be decided about a request, and why: the steps of the path, told instead of taken.
//!
//! The steps are the ones that serve requests: the same routing, rules, mapping and decision.

use std::rc::Rc;

use http::{HeaderMap, Method, Uri};
use serde::Serialize;
use url::Url;

use super::apps::Protected;
use super::authorization::{Decision, Denial, decide};
use super::failure::Failure;
use super::profile::Profile;
use super::request::{Facts, folded_authority};
use super::routing::{Route, Routes, route};
use crate::identity::access::Access;
use crate::identity::claims::{Claims, Tokens, text};

/// What would happen to a request.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// The app that the address belongs to.
    pub app: Option<String>,
    /// The rule that fits.
    pub rule: Option<String>,
    /// `admit`, `sign_in`, `deny`, `refuse` or `own` (one of our endpoints).
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

/// Explains what would be decided about `method` on `url` for a person with these claims, or for nobody.
pub fn explain(
    apps: &[Protected],
    routes: &Routes,
    url: &Url,
    method: &Method,
    claims: Option<&Claims>,
) -> Explanation {
    let mut told = Explanation::default();
    let outcome = walk(apps, routes, url, method, claims, &mut told);
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
    url: &Url,
    method: &Method,
    claims: Option<&Claims>,
    told: &mut Explanation,
) -> Result<(), Failure> {
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let uri: Uri = target.parse().map_err(|_| Failure::TargetForm)?;
    let headers = HeaderMap::new();
    let facts = Facts::of(method, &uri, &headers)?;
    let authority = url.host_str().ok_or(Failure::Host)?;
    let authority = url.port().map_or_else(|| authority.to_owned(), |port| format!("{authority}:{port}"));
    let app = routes.app(apps, &folded_authority(&authority), &facts.path)?;
    told.app = Some(app.settings.name.clone());
    let fit = match route(app, &facts)? {
        Route::Own(endpoint) => {
            told.decision = "own";
            told.reason = format!("the gateway's own endpoint {}", endpoint.name());
            return Ok(());
        }
        Route::App(fit) => fit,
    };
    told.rule = app.labels.rules.get(app.label_of(fit)).cloned();
    let profile = claims.map(|claims| {
        let subject = claims.get("sub").and_then(|sub| text(sub).ok()).unwrap_or_default();
        Rc::new(Profile::new(&app.settings, (&*subject).into(), claims, &Tokens::default()))
    });
    match decide(&app.settings.rules, fit, profile.as_ref()) {
        Decision::Admit(_) => {
            told.decision = "admit";
            told.reason = match (app.settings.rules.access(fit), &profile) {
                (Access::Public, None) => {
                    "the rule is public; nobody is signed in, so no identity header is sent"
                }
                (Access::Public, Some(_)) => {
                    "the rule is public; identity headers are sent for who is signed in"
                }
                (Access::SignedIn, _) => "the person is signed in and meets the rule",
            }
            .to_owned();
        }
        Decision::SignIn => {
            told.decision = "sign_in";
            told.status = Some(302);
            "nobody is signed in: a navigation is sent to the provider (302), a script gets 401"
                .clone_into(&mut told.reason);
        }
        Decision::Deny(denial) => {
            told.decision = "deny";
            told.status = Some(403);
            told.reason = reason(&denial);
        }
    }
    if let Some(profile) = profile {
        tell_headers(&profile, told);
    }
    Ok(())
}

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

fn tell_headers(profile: &Profile, told: &mut Explanation) {
    told.headers = profile
        .headers
        .iter()
        .map(|(name, value)| Header {
            name: name.to_string(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
        .collect();
    told.omitted = profile
        .omitted
        .iter()
        .map(|omitted| Header { name: omitted.header.clone(), value: omitted.reason.clone() })
        .collect();
}
