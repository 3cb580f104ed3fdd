//! The marker of a kept form on its way to the app: the content takes its place, once. An app that could not be reached
//! has seen nothing of it: then it is kept again.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::room::Writer;
use super::slip::{self, Slip};
use super::stored::Instead;
use super::{Goes, lay_aside, sign_in_as_sender};
use crate::gateway::Worker;
use crate::gateway::apps::Protected;
use crate::gateway::authentication::Person;
use crate::gateway::failure::Failure;
use crate::gateway::negotiation::Sender;
use crate::gateway::pages::Unsent;
use crate::gateway::request::Facts;
use crate::gateway::trail::Trail;

/// Whether a request may hold a marker in place of a kept form. Asked of every request that is admitted.
pub fn may_be_marker(request: &Request<Incoming>) -> bool {
    let is = |name, value: &str| request.headers().get(name).is_some_and(|found| found == value);
    *request.method() == Method::POST
        && is(CONTENT_TYPE, slip::MARKER_KIND)
        && is(CONTENT_LENGTH, slip::MARKER_LENGTH)
}

/// What is needed to keep a form again that was taken.
pub struct Spare {
    slip: Slip,
    stored: Bytes,
}

/// Takes the kept form that the marker of this request stands for: it is gone by that. What is no marker after all
/// goes on as it came.
///
/// # Errors
/// When the form was sent before or is too old, or somebody else has signed in.
pub async fn take(
    worker: &Worker,
    app: &Protected,
    request: &mut Request<Incoming>,
    person: Option<&Person>,
    trail: &mut Trail,
) -> Result<(Box<Instead>, Option<Box<Spare>>), Failure> {
    let content = Limited::new(request.body_mut(), slip::MARKER_BYTES).collect().await;
    let content: Bytes = content.map_err(|_| Failure::BadRequest("a form broke off"))?.to_bytes();
    let Some(id) = slip::marked(&content) else { return Ok((Box::new(Instead::unchanged(content)), None)) };
    let facts = Facts::of(request.method(), request.uri(), request.headers())?;
    trail.retry = Some(app.address(&app.front_page()));
    let gone = || Failure::NothingSent(Unsent::Gone);
    // SECURITY: another site can't have it sent, nor to another address.
    let own = Sender::of(facts.headers, &app.settings.origin) == Sender::App;
    let slip = Slip::open(worker, app, facts.headers, id).filter(|slip| own && slip.target == facts.target());
    let slip = slip.ok_or_else(gone)?;
    // SECURITY: what one person wrote is not sent in another's name.
    if slip.is_anothers(worker, person) {
        trail.retry = Some(sign_in_as_sender(app, id));
        return Err(Failure::NothingSent(Unsent::AnotherPerson));
    }
    let secret = slip.secret().ok_or_else(gone)?;
    let stored = worker.gateway.sessions.take_up(&secret).await.map_err(|error| {
        // The slip stays: when the store is back, the form most likely is.
        trail.retry = Some(app.address(&slip::address(app, id)));
        Failure::Store(error)
    })?;
    worker.gateway.forms.leave(&secret.name());
    trail.cookies.extend(app.cookies.drop_aside(id));
    let stored = Bytes::from(stored.ok_or_else(gone)?);
    let instead = Instead::of(stored.clone()).ok_or_else(gone)?;
    trail.retry = None;
    tracing::info!(app = %app.settings.name, client = %trail.record.client, bytes = instead.len(), "a kept form is sent on");
    Ok((Box::new(instead), Some(Box::new(Spare { slip, stored }))))
}

impl Spare {
    /// Keeps the form again, of which the app has seen nothing, for as long as at first: the page of the failure leads
    /// to it.
    pub async fn keep(self, worker: &Worker, app: &Protected, trail: &mut Trail) {
        let gateway = &worker.gateway;
        let place =
            gateway.forms.enter(trail.record.client, Writer::of(self.slip.whose), gateway.clock.now());
        let Some(mut place) = place.ok().filter(|_| !self.stored.is_empty()) else { return };
        if place.grow(self.stored.len()).is_err() {
            return;
        }
        let Slip { target, whose, .. } = self.slip;
        let goes = Goes { target, whose };
        if let Ok(id) = lay_aside(worker, app, &HeaderMap::new(), goes, &self.stored, place, trail).await {
            trail.retry = Some(app.address(&slip::address(app, &id)));
        }
    }
}
