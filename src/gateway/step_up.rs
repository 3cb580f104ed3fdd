//! A signed-in person whose sign-in is too weak or too old for a rule: to the provider again, once, and back.
//!
//! What is asked for is in the login's sealed cookie; the callback holds what came back against it, and shows a
//! page when it is still not enough. So nobody is sent to and fro, whatever a provider makes of `acr_values` and
//! `max_age`. Whether a sign-in is enough is `identity::access`'s matter.

use std::fmt;

use http::Response;

use super::apps::Protected;
use super::authentication::Person;
use super::explanation::lacks;
use super::failure::Failure;
use super::login::{self, Wish};
use super::request::Facts;
use super::trail::Trail;
use super::{Worker, authentication};
use crate::foundation::body::Body;
use crate::foundation::clock::Timestamp;
use crate::identity::access::{Fit, Proof, Shortfall, Strength};
use crate::oidc::SignIn;

/// The longest path that a script is told to sign in for.
const LONGEST: usize = 2048;

/// The most of an `acr` that is told.
const SHOWN: usize = 100;

/// A sign-in that came back weaker than a rule asks for.
#[derive(Debug)]
pub struct TooWeak {
    /// What it lacks.
    pub shortfall: Shortfall,
    /// How the person is called.
    pub person: Option<String>,
    wanted: Strength,
    acr: Option<String>,
}

impl TooWeak {
    /// What somebody's sign-in lacks, if anything.
    pub fn of(wanted: Strength, person: &SignIn, now: Timestamp) -> Option<Self> {
        let proof = Proof::new(&person.claims, person.auth_time);
        let shortfall = wanted.shortfall(proof, now)?;
        let acr = proof.acr.map(|acr| acr.chars().take(SHOWN).collect());
        Some(Self { shortfall, person: authentication::name_in(&person.claims), wanted, acr })
    }

    /// What the operator can do about it.
    pub const fn mend(&self) -> &'static str {
        match self.shortfall {
            Shortfall::Acr => {
                "compare the rule's acr with the values that the provider sends, and let it reach them for this client"
            }
            Shortfall::Age => {
                "let the provider honour max_age and send auth_time, and compare both machines' clocks"
            }
        }
    }
}

impl fmt::Display for TooWeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the provider sent ", lacks(&self.wanted, self.shortfall))?;
        match (self.shortfall, &self.acr) {
            (Shortfall::Age, _) => f.write_str("an older auth_time, or none"),
            (Shortfall::Acr, Some(acr)) => write!(f, "acr {acr:?}"),
            (Shortfall::Acr, None) => f.write_str("no acr"),
        }
    }
}

/// Sends a signed-in person to the provider that they signed in with, and back to where they are now.
///
/// # Errors
/// As [`login::begin`].
pub async fn begin(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    fit: Fit,
    person: Option<&Person>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let strength = app.settings.rules.strength(fit).cloned();
    let return_to = facts.target().into_owned();
    let wish = Wish { strength, ..Wish::to(app, return_to) };
    match person.and_then(|person| app.provider_named(&person.live.data().provider)) {
        Some(provider) => login::begin(worker, app, provider, facts, wish, trail).await,
        None => login::start(worker, app, facts, wish, trail).await,
    }
}

/// What a script gets.
pub fn needed(app: &Protected, facts: &Facts<'_>, person: Option<&Person>) -> Failure {
    Failure::StepUpNeeded { sign_in: address(app, facts, person) }
}

/// Where the login begins anew that came back too weak: this time the provider is to ask, whatever it remembers.
pub fn once_more(app: &Protected, return_to: &str, provider: &str) -> String {
    with(login::again(app, return_to), &[("provider", provider), ("prompt", "login")])
}

/// Where a person signs in for this request, and ends on the page that it was sent from.
pub fn address(app: &Protected, facts: &Facts<'_>, person: Option<&Person>) -> String {
    let mut further = Vec::with_capacity(2);
    let data = person.map(|person| person.live.data());
    if let Some(data) = &data {
        further.push(("provider", data.provider.as_str()));
    }
    let path = facts.path.as_str();
    if path.len() <= LONGEST {
        further.push(("step_up", path));
    }
    with(login::from_page(app, facts.headers), &further)
}

/// An address that has a query, and these parameters.
fn with(address: String, parameters: &[(&str, &str)]) -> String {
    let query = address.find('?').map_or(address.len(), |mark| mark + 1);
    form_urlencoded::Serializer::for_suffix(address, query).extend_pairs(parameters).finish()
}
