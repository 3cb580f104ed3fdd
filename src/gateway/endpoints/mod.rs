//! Our own endpoints, below the operator's prefix on every app: one file each.

pub mod callback;
pub mod client_jwks;
pub mod device;
pub mod initiate;
pub mod jwks;
pub mod request_object;
pub mod session;
pub mod sign_in;
pub mod sign_out;
pub mod silent;

use http::{Request, Response};
use hyper::body::Incoming;

use super::apps::{Endpoint, Protected};
use super::failure::Failure;
use super::request::Facts;
use super::trail::Trail;
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
        Endpoint::SignIn => sign_in::answer(worker, app, &facts, trail).await,
        Endpoint::Initiate => initiate::answer(worker, app, request, trail).await,
        Endpoint::Callback => callback::answer(worker, app, request, trail).await,
        Endpoint::SignOut => sign_out::sign_out(worker, app, request, trail).await,
        Endpoint::SignedOut => sign_out::signed_out(worker, app, &facts),
        Endpoint::Session => session::answer(worker, app, &facts, &mut trail.cookies).await,
        Endpoint::Jwks => jwks::answer(worker, &facts),
        Endpoint::Device => device::answer(worker, app, &facts, trail).await,
        Endpoint::Silent => silent::answer(worker, app, &facts, trail).await,
        Endpoint::ClientJwks => client_jwks::answer(app, &facts),
        Endpoint::RequestObject => request_object::answer(app, &facts),
        Endpoint::Verify => forward_auth::answer(worker, app, &request, visitor, trail).await,
    }
}
