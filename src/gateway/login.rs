//! The beginning of a login: to the provider, with a sealed cookie that only this browser can bring back.

use std::sync::Arc;

use http::header::REFERER;
use http::{HeaderMap, Method, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::Worker;
use super::answer::redirect;
use super::apps::{Endpoint, Protected};
use super::failure::Failure;
use super::negotiation::{is_for_a_frame, is_in_a_foreign_frame, is_speculative};
use super::request::Facts;
use super::routing::fit;
use super::trail::Trail;
use super::{authentication, choice, return_to, rounds};
use crate::foundation::body::Body;
use crate::identity::access::Strength;
use crate::identity::readings::Path;
use crate::oidc::{Carrier, LoginRequest, PendingLogin, Provider};
use crate::sessions::{Gone, Return, Rounds};

/// What a login's cookie carries from the redirect to the callback.
#[derive(Debug, Serialize, Deserialize)]
pub struct Login {
    /// The app's name: apps of one origin share cookies.
    pub app: String,
    /// Where the person wanted to go, on the app's origin.
    pub return_to: String,
    /// Provider, state, nonce and code verifier.
    pub pending: PendingLogin,
    /// The session that the browser had, where its cookie will not come with the callback.
    pub previous: Option<Gone>,
    /// How the person was to sign in for where they wanted to go. Sealed, so nobody takes it out.
    #[serde(default)]
    pub strength: Option<Strength>,
    /// A login in a hidden frame.
    #[serde(default)]
    pub silent: Option<Silent>,
    /// What began it.
    #[serde(default)]
    pub occasion: Occasion,
    /// The sign-ins before it that led nowhere.
    #[serde(default)]
    pub rounds: Rounds,
}

/// What begins a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// A page that only people may see who are signed in.
    #[default]
    Page,
    /// The address of our endpoint for that.
    Link,
}

/// A login in a hidden frame, which renews a session.
#[derive(Debug, Serialize, Deserialize)]
pub struct Silent {
    /// Whose session it was when the login began.
    pub subject: Option<String>,
}

/// What a login is to come to.
#[derive(Debug)]
pub struct Wish {
    /// Where the person wants to go, on the app's origin.
    pub return_to: String,
    /// How they have to sign in for that.
    pub strength: Option<Strength>,
    /// `prompt` of this login, in place of the provider's setting.
    pub prompt: Option<&'static str>,
    /// Whom the provider should propose, by e-mail address or name.
    pub login_hint: Option<String>,
    /// Whether it happens in a hidden frame.
    pub silent: Option<Silent>,
    /// What begins it.
    pub occasion: Occasion,
}

impl Wish {
    /// To arrive there, signed in as the rule asks that decides about it: at once, instead of once more there.
    pub fn to(app: &Protected, return_to: String) -> Self {
        let strength = strength_at(app, return_to::path_of(&return_to));
        let occasion = Occasion::Page;
        Self { return_to, strength, prompt: None, login_hint: None, silent: None, occasion }
    }
}

/// How a person has to sign in for a path of the app's.
pub fn strength_at(app: &Protected, path: &str) -> Option<Strength> {
    if !app.settings.rules.ask_for_strength() {
        return None;
    }
    let fit = fit(app, Some(&Method::GET), &Path::parse(path).ok()?).ok()?;
    app.settings.rules.strength(fit).cloned()
}

/// Starts a login with the app's provider, or sends the browser to the page where one is chosen.
///
/// # Errors
/// As [`begin`].
pub async fn start(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    wish: Wish,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let settled = choice::settled(app, facts.headers);
    if !may_sign_in_here(app, facts.headers) || settled.is_none() && is_for_a_frame(facts.headers) {
        return Err(Failure::InFrame { open: app.address(&wish.return_to) });
    }
    match settled {
        Some(provider) => begin(worker, app, provider, facts, wish, trail).await,
        None if is_speculative(facts.headers) => Err(Failure::SignInNeeded),
        None => redirect(StatusCode::FOUND, &app.address(&again(app, &wish.return_to))),
    }
}

/// Whether a session made in this frame could come back in it. Browsers withhold all but `SameSite=None` from another
/// site's page, so that a sign-in there could never end.
pub fn may_sign_in_here(app: &Protected, headers: &HeaderMap) -> bool {
    app.cookies.goes_into_frames() || !is_in_a_foreign_frame(headers)
}

/// Sends a browser to a provider of the app's. The answer sets the login's cookie.
///
/// # Errors
/// When nothing is known of the provider yet and it cannot be reached now either; when the login would lead nowhere,
/// by its frame or as those before it did. 401 when the browser only asks in advance: a login is for somebody who is
/// there.
pub async fn begin(
    worker: &Worker,
    app: &Protected,
    provider: &Arc<Provider>,
    facts: &Facts<'_>,
    wish: Wish,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    if is_speculative(facts.headers) {
        return Err(Failure::SignInNeeded);
    }
    if wish.silent.is_none() && !may_sign_in_here(app, facts.headers) {
        return Err(Failure::InFrame { open: app.address(&again_with(app, provider, &wish.return_to)) });
    }
    trail.provider = Some(Arc::clone(provider));
    let rounds = rounds::check(worker, app, facts, &wish, trail).await?;
    let Wish { return_to, strength, prompt, login_hint, silent, occasion } = wish;
    trail.retry = Some(again(app, &return_to));
    let callback = if silent.is_some() { app.silent_callback(provider) } else { app.callback_of(provider) };
    let redirect_uri = callback.ok_or(Failure::Internal("the callback is no address"))?;
    let provider = Arc::clone(provider);
    let request = LoginRequest {
        prompt: prompt.map(str::to_owned),
        login_hint,
        acr_values: strength.as_ref().and_then(Strength::acr).map(str::to_owned),
        max_age: strength.as_ref().and_then(Strength::max_age),
        requests: app.url_of(Endpoint::RequestObject),
        ..LoginRequest::new(redirect_uri)
    };
    let begun = worker.gateway.control.spawn(async move { provider.begin(request).await });
    let begun = begun.await.map_err(|_| Failure::Internal("a call to the provider was cut off"))?;
    let (address, pending) = begun.map_err(Failure::SignIn)?;
    let state = pending.state().to_owned();
    let returns = match pending.carrier() {
        Carrier::Query => Return::ByLink,
        Carrier::Form => Return::ByForm,
    };
    let previous = previous(worker, app, facts.headers, returns).await?;
    let app_name = app.settings.name.clone();
    let mut login = Login { app: app_name, return_to, pending, previous, strength, silent, occasion, rounds };
    let logins = worker.gateway.sessions.logins();
    let carried = logins.begin(&app.cookies, facts.headers, &state, &login, returns).or_else(|_| {
        // An address that no cookie can carry: better to arrive at the front page than not at all.
        login.return_to = app.front_page();
        logins.begin(&app.cookies, facts.headers, &state, &login, returns)
    });
    trail.cookies.extend(carried.map_err(|_| Failure::Internal("a login does not fit into a cookie"))?);
    // What was posted must not be posted on.
    let status = if *facts.method == Method::POST { StatusCode::SEE_OTHER } else { StatusCode::FOUND };
    redirect(status, address.as_str())
}

/// The session that the callback could not see: `SameSite=Strict` withholds its cookie there, and `Lax` from
/// another site's form.
async fn previous(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    returns: Return,
) -> Result<Option<Gone>, Failure> {
    if returns == Return::ByLink && !app.cookies.is_withheld_after_redirects() {
        return Ok(None);
    }
    let person = authentication::leaving_person(worker, app, headers, &mut Vec::new()).await?;
    Ok(person.map(|person| person.live.gone()))
}

/// Where a login is begun that ends on the page which a form was sent from, or at the front page.
pub fn from_page(app: &Protected, headers: &HeaderMap) -> String {
    let page = headers.get(REFERER).and_then(|page| return_to::on_origin(app, page.to_str().ok()?));
    let page = page.filter(|page| matches!(app.endpoint(return_to::path_of(page)), Ok(None)));
    app.address(&again(app, &page.unwrap_or_else(|| app.front_page())))
}

/// Where a login that wants to end at `return_to` is begun, with a choice where there is one.
pub fn again(app: &Protected, return_to: &str) -> String {
    sign_in_address(app, &[("return_to", return_to)])
}

/// Where a login with this provider is begun that wants to end at `return_to`.
pub fn again_with(app: &Protected, provider: &Provider, return_to: &str) -> String {
    sign_in_address(app, &[("provider", provider.name()), ("return_to", return_to)])
}

fn sign_in_address(app: &Protected, query: &[(&str, &str)]) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{}?{query}", app.path_of(Endpoint::SignIn))
}
