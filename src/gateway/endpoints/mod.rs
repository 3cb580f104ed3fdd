//! Our own endpoints, below the operator's prefix on every app: one file each.

pub mod callback;
pub mod session;
pub mod sign_in;
pub mod sign_out;

use http::{Request, Response};
use hyper::body::Incoming;

use super::apps::Protected;
use super::failure::Failure;
use super::request::Facts;
use super::response::Trail;
use super::visitor::Visitor;
use super::{Worker, forward_auth};
use crate::foundation::body::Body;

/// Answers for one of our endpoints.
///
/// # Errors
/// As the endpoint.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    endpoint: Endpoint,
    request: Request<Incoming>,
    visitor: &Visitor,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let facts = Facts::of(request.method(), request.uri(), request.headers())?;
    match endpoint {
        Endpoint::SignIn => sign_in::answer(worker, app, &facts, &mut trail.cookies).await,
        Endpoint::Callback => callback::answer(worker, app, &facts, trail).await,
        Endpoint::SignOut => sign_out::sign_out(worker, app, request, trail).await,
        Endpoint::SignedOut => sign_out::signed_out(worker, app, &facts),
        Endpoint::Session => session::answer(worker, app, &facts, &mut trail.cookies).await,
        Endpoint::Verify => forward_auth::answer(worker, app, &request, visitor, trail).await,
    }
}

/// One of our endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Starts a login.
    SignIn,
    /// Takes the authorization response.
    Callback,
    /// Ends the session, here and at the provider.
    SignOut,
    /// Where a sign-out lands.
    SignedOut,
    /// The caller's own session as JSON.
    Session,
    /// The decision for another proxy.
    Verify,
}

const NAMES: [(Endpoint, &str); 6] = [
    (Endpoint::SignIn, "sign-in"),
    (Endpoint::Callback, "callback"),
    (Endpoint::SignOut, "sign-out"),
    (Endpoint::SignedOut, "signed-out"),
    (Endpoint::Session, "session"),
    (Endpoint::Verify, "verify"),
];

impl Endpoint {
    /// The endpoint of that name below the prefix.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(endpoint, _)| *endpoint)
    }

    /// Its name below the prefix.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(endpoint, _)| *endpoint == self).map_or("", |(_, name)| name)
    }
}
