//! Our own endpoints, below the operator's prefix on every app: one file each.

pub mod backchannel_logout;
pub mod callback;
pub mod client_jwks;
pub mod device;
pub mod frontchannel_logout;
pub mod initiate;
pub mod jwks;
pub mod request_object;
pub mod resend;
pub mod session;
pub mod session_script;
pub mod sign_in;
pub mod sign_out;
pub mod silent;

use http::{Request, Response};
use hyper::body::Incoming;

use super::apps::{Endpoint, Protected};
use super::failure::Failure;
use super::negotiation::{Intent, Sender};
use super::request::Facts;
use super::trail::Trail;
use super::visitor::Visitor;
use super::{Worker, forward_auth};
use crate::foundation::body::Body;

/// What is said to who names a provider that the app does not have.
const NO_SUCH_PROVIDER: &str = "the app has no provider of that name";

/// That a page of this site, or nobody's, asks for a navigation.
///
/// # Errors
/// 400, with these words, for scripts and for other sites' links and frames.
fn is_own_sites(app: &Protected, facts: &Facts<'_>, refusal: &'static str) -> Result<(), Failure> {
    let sender = Sender::of(facts.headers, &app.settings.origin);
    if facts.intent() != Intent::Navigation || matches!(sender, Sender::Stranger | Sender::Neighbour) {
        return Err(Failure::BadRequest(refusal));
    }
    Ok(())
}

/// That somebody opens one of our pages, by a link or an address.
///
/// # Errors
/// 401 for a script, which could not follow where the page leads.
fn is_opened(facts: &Facts<'_>) -> Result<(), Failure> {
    if facts.intent() == Intent::Navigation { Ok(()) } else { Err(Failure::SignInNeeded) }
}

/// Answers for one of our endpoints.
///
/// # Errors
/// 405 for a method that it does not take; else as the endpoint.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    endpoint: Endpoint,
    request: Request<Incoming>,
    visitor: &Visitor,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let facts = Facts::of(request.method(), request.uri(), request.headers())?;
    endpoint.takes(facts.method)?;
    match endpoint {
        Endpoint::SignIn => sign_in::answer(worker, app, &facts, trail).await,
        Endpoint::Initiate => initiate::answer(worker, app, request, trail).await,
        Endpoint::Callback => callback::answer(worker, app, request, visitor, trail).await,
        Endpoint::SignOut => sign_out::sign_out(worker, app, request, trail).await,
        Endpoint::SignedOut => sign_out::signed_out(worker, app, &facts),
        Endpoint::BackchannelLogout => backchannel_logout::answer(worker, app, request, trail).await,
        Endpoint::FrontchannelLogout => frontchannel_logout::answer(worker, app, &facts, trail).await,
        Endpoint::Session => session::answer(worker, app, &facts, &mut trail.cookies).await,
        Endpoint::SessionScript => Ok(session_script::answer()),
        Endpoint::Resend => resend::answer(worker, app, &facts, trail).await,
        Endpoint::Jwks => jwks::answer(worker),
        Endpoint::Device => device::answer(worker, app, &facts, trail).await,
        Endpoint::Silent => silent::answer(worker, app, &facts, trail).await,
        Endpoint::ClientJwks => Ok(client_jwks::answer(app)),
        Endpoint::RequestObject => request_object::answer(app, &facts),
        Endpoint::Verify => forward_auth::answer(worker, app, &request, visitor, trail).await,
    }
}
