//! `GET E/sign-in?return_to=/path&provider=NAME`: starts a login from a link in an app, and is the page where a
//! provider is chosen, by its name or by an e-mail address.
//!
//! `prompt=login` says that the provider shall ask even who is signed in there, and `step_up=/path` for which
//! path's rule the sign-in has to be strong enough, where `return_to` is not it.

use http::Response;

use super::{NO_SUCH_PROVIDER, is_opened};
use crate::foundation::body::Body;
use crate::gateway::Worker;
use crate::gateway::apps::Protected;
use crate::gateway::failure::Failure;
use crate::gateway::login::{self, Occasion, Wish};
use crate::gateway::negotiation::is_for_a_frame;
use crate::gateway::query;
use crate::gateway::request::Facts;
use crate::gateway::trail::Trail;
use crate::gateway::{choice, return_to};

/// Starts a login, or asks with which provider; a person who is signed in signs in again, perhaps as another.
///
/// # Errors
/// When the provider cannot be reached. 401 for a script, which could not follow.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    is_opened(facts)?;
    let wanted = query::value(facts.query, "return_to");
    let back =
        wanted.and_then(|wanted| return_to::on_origin(app, &wanted)).unwrap_or_else(|| app.front_page());
    let open_in_window = || Failure::InFrame { open: app.address(&facts.target()) };
    if !login::may_sign_in_here(app, facts.headers) {
        return Err(open_in_window());
    }
    let mut wish = Wish { occasion: Occasion::Link, ..Wish::to(app, back.clone()) };
    if let Some(path) = query::value(facts.query, "step_up") {
        wish.strength = login::strength_at(app, return_to::path_of(&path));
        // A rule asks for it, and how often that is, it says itself.
        wish.occasion = Occasion::Page;
    }
    wish.prompt = match query::value(facts.query, "prompt").as_deref() {
        None => None,
        Some("login") => Some("login"),
        Some(_) => return Err(Failure::BadRequest("prompt can be login and nothing else")),
    };
    if let Some(named) = query::value(facts.query, "provider") {
        let provider = app.provider_named(&named);
        let provider = provider.ok_or(Failure::BadRequest(NO_SUCH_PROVIDER))?;
        return login::begin(worker, app, provider, facts, wish, trail).await;
    }
    if let [only] = &*app.providers {
        return login::begin(worker, app, only, facts, wish, trail).await;
    }
    let email = query::value(facts.query, choice::EMAIL);
    let email = email.as_deref().map(str::trim).filter(|email| !email.is_empty());
    match email.and_then(|email| Some((choice::by_email(&app.providers, email)?, email))) {
        Some((provider, email)) => {
            wish.login_hint = Some(email.to_owned());
            login::begin(worker, app, provider, facts, wish, trail).await
        }
        // What is chosen by a press must not be pressed under somebody else's picture (clickjacking).
        None if is_for_a_frame(facts.headers) => Err(open_in_window()),
        None => Ok(choice::page(worker, app, facts.headers, &back, email)),
    }
}
