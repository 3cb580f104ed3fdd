//! `GET E/resend?form=…`: where a sign-in comes to that was needed for a form. A page that sends the form which was
//! kept, at once where it is known that the sender has come back, and else by a button.
//!
//! Whether the person may send it is decided here as it will be decided about the form itself
//! ([`kept_forms`](crate::gateway::kept_forms)), so that nobody presses a button in vain.

use http::header::COOKIE;
use http::{Method, Response, Uri};

use super::is_opened;
use crate::foundation::body::Body;
use crate::gateway::apps::Protected;
use crate::gateway::authentication::{self, Person};
use crate::gateway::authorization::{Decision, decide};
use crate::gateway::bearer::TokenProblem;
use crate::gateway::failure::Failure;
use crate::gateway::kept_forms::{FIELD, Slip, sign_in_as_sender};
use crate::gateway::login::{self, Wish};
use crate::gateway::negotiation::is_for_a_frame;
use crate::gateway::pages::{Language, Page, Sending, Unsent, frame};
use crate::gateway::request::Facts;
use crate::gateway::routing::fit;
use crate::gateway::trail::Trail;
use crate::gateway::{Worker, query, step_up};

/// Shows the page, or lets the person sign in first.
///
/// # Errors
/// When this browser has no such form, or it is somebody else's, or the person may not send it.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    is_opened(facts)?;
    trail.retry = Some(app.address(&app.front_page()));
    let id = query::value(facts.query, "form").unwrap_or_default();
    let slip = Slip::open(worker, app, facts.headers, &id).ok_or_else(|| {
        // Not every browser tells beforehand that it keeps no cookie in a frame.
        let no_cookies = is_for_a_frame(facts.headers) && !facts.headers.contains_key(COOKIE);
        Failure::NothingSent(if no_cookies { Unsent::InFrame } else { Unsent::Gone })
    })?;
    let person = authentication::person(worker, app, facts.headers, &mut trail.cookies).await?;
    let uri: Uri = slip.target.parse().map_err(|_| Failure::TargetForm)?;
    let form = Facts::of(&Method::POST, &uri, facts.headers)?;
    let fit = fit(app, Some(form.method), &form.path)?;
    let profile = person.as_ref().map(|person| &person.profile);
    match decide(&app.settings.rules, fit, profile, || worker.gateway.clock.now()) {
        Decision::SignIn => {
            let strength = app.settings.rules.strength(fit).cloned();
            let return_to = facts.target().into_owned();
            let wish = Wish { strength, ..Wish::to(app, return_to) };
            login::start(worker, app, facts, wish, trail).await
        }
        _ if slip.is_anothers(worker, person.as_ref()) => {
            trail.retry = Some(sign_in_as_sender(app, &id));
            Err(Failure::NothingSent(Unsent::AnotherPerson))
        }
        Decision::StepUp(_) => step_up::begin(worker, app, facts, fit, person.as_ref(), trail).await,
        Decision::Token => Err(Failure::Token(TokenProblem::None)),
        Decision::Deny(denial) => {
            let person = person.as_ref().and_then(Person::display_name);
            Err(Failure::Denied { denial, person })
        }
        Decision::Admit(_) => {
            // Whose it is may be unknown, at a computer that several people share: then who is there is asked.
            let how = if slip.whose.is_some() { Sending::AtOnce } else { Sending::WhenAsked };
            let (to, leave) = (app.address(&slip.target), app.address(&app.front_page()));
            let name = person.as_ref().and_then(Person::display_name);
            let page =
                Page::SendForm { how, to: &to, marker: (FIELD, &id), person: name.as_deref(), leave: &leave };
            let answer = worker.gateway.pages.render(&page, Language::of(facts.headers));
            // SECURITY: its button can be pressed under somebody else's picture by nobody who does not know its address.
            Ok(frame::allow(answer, &app.embedders))
        }
    }
}
