//! Which provider a login is begun with where an app has several: the one whose domain an e-mail address has, the
//! one that the browser remembers, or the one that the person chooses on a page.
//!
//! An app with one provider leaves nothing to choose. Whatever a browser says here is a wish: it picks among the
//! app's providers and says nothing of who the person is.

use std::sync::Arc;

use http::header::HeaderValue;
use http::{HeaderMap, Response};

use super::Worker;
use super::apps::{Endpoint, Protected};
use super::login::again_with;
use super::pages::{ByEmail, Language, Offer, Page, Provider as Onward};
use crate::foundation::body::Body;
use crate::foundation::origin::{Scheme, fold_domain};
use crate::oidc::Provider;
use crate::sessions::Chosen;

/// The field of the e-mail address on the page.
pub const EMAIL: &str = "email";

/// The longest e-mail address (RFC 5321 section 4.5.3.1, with the errata of RFC 3696).
const LONGEST_EMAIL: usize = 254;

/// The provider that a login goes to without a question: the app's only one, or the one that this browser
/// remembers and nobody has signed out of since.
pub fn settled<'a>(app: &'a Protected, headers: &HeaderMap) -> Option<&'a Arc<Provider>> {
    match (&*app.providers, app.cookies.chosen(headers)) {
        ([only], _) => Some(only),
        (_, Some(Chosen::InUse(name))) => app.provider_named(name),
        (_, Some(Chosen::SignedOut(_)) | None) => None,
    }
}

/// The provider that this browser's last sign-in was with, as far as that is known.
pub fn last_used<'a>(app: &'a Protected, headers: &HeaderMap) -> Option<&'a Arc<Provider>> {
    match &*app.providers {
        [only] => Some(only),
        // SECURITY: anybody could have written the cookie; the name counts only among the app's own.
        _ => app.provider_named(app.cookies.chosen(headers)?.name()),
    }
}

/// Lets the browser remember a sign-in with this provider, where there is a choice.
pub fn remember(app: &Protected, provider: &Provider) -> Option<HeaderValue> {
    is_open(app).then(|| app.cookies.remember(Chosen::InUse(provider.name()))).flatten()
}

/// Lets the browser remember that the person has signed out: the next one may be somebody else.
pub fn remember_leaving(app: &Protected, provider: &Provider) -> Option<HeaderValue> {
    is_open(app).then(|| app.cookies.remember(Chosen::SignedOut(provider.name()))).flatten()
}

/// Whether there is anything to choose.
pub fn is_open(app: &Protected) -> bool {
    app.providers.len() > 1
}

/// The provider whose domain an e-mail address has. Subdomains are other domains.
pub fn by_email<'a>(providers: &'a [Arc<Provider>], email: &str) -> Option<&'a Arc<Provider>> {
    let (name, domain) = email.rsplit_once('@').filter(|_| email.len() <= LONGEST_EMAIL)?;
    let domain = fold_domain(domain).filter(|_| !name.is_empty())?;
    providers.iter().find(|provider| provider.settings().domains.contains(&domain))
}

/// The page with everything that can be chosen; `unknown` is an e-mail address that leads nowhere.
pub fn page(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    return_to: &str,
    unknown: Option<&str>,
) -> Response<Body> {
    let action = app.path_of(Endpoint::SignIn);
    let asks = app.providers.iter().any(|provider| !provider.settings().domains.is_empty());
    let unknown = unknown.map(|email| if email.len() <= LONGEST_EMAIL { email } else { "" });
    let by_email = asks.then(|| ByEmail { action: &action, return_to, unknown, onward: onward(app) });
    offers(worker, app, headers, |provider| again_with(app, provider, return_to), by_email)
}

/// The page with the providers, each at its address.
pub fn offers(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    address: impl Fn(&Provider) -> String,
    by_email: Option<ByEmail<'_>>,
) -> Response<Body> {
    let last = last_used(app, headers);
    let is_last = |provider: &Arc<Provider>| last.is_some_and(|last| Arc::ptr_eq(last, provider));
    let addresses: Vec<String> = app.providers.iter().map(|provider| address(provider)).collect();
    let offers = app.providers.iter().zip(&addresses).map(|(provider, address)| {
        let settings = provider.settings();
        let label = settings.label.as_deref().unwrap_or(&settings.name);
        (is_last(provider), Offer { label, address })
    });
    let (first, others): (Vec<_>, Vec<_>) = offers.partition(|(is_last, _)| *is_last);
    let others: Vec<Offer<'_>> = others.into_iter().map(|(_, offer)| offer).collect();
    let page = Page::Choose { last: first.first().map(|(_, offer)| *offer), others: &others, by_email };
    worker.gateway.pages.render(&page, Language::of(headers))
}

/// Where the form of e-mail addresses goes on to: browsers hold the redirects behind a form against its policy.
fn onward(app: &Protected) -> Onward {
    let plain = app.providers.iter().any(|provider| provider.sign_in_scheme() == Scheme::Http);
    if plain { Onward::Http } else { Onward::Https }
}
