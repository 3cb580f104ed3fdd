//! Step 5 for most requests: to the app and back, streaming.
//!
//! Order: what `Connection` lists goes first, then every spelling of an identity or forwarding header, then our
//! own cookies; our own headers are sent beside what is left. So nothing that a client sends can remove or forge them.

use std::rc::Rc;

use http::header::ORIGIN;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Uri};
use hyper::body::Incoming;

use super::apps::Protected;
use super::authentication::Person;
use super::authorization::Admission;
use super::failure::Failure;
use super::kept_forms::Instead;
use super::outliving::{self, right_end, token_end};
use super::request::Marks;
use super::visitor::{Trust, Tunnel, Visitor};
use super::{StripPrefix, Worker, negotiation};
use crate::foundation::body::Body;
use crate::upstream::upgrade::{self, Switch};
use crate::upstream::{Fields, headers};

/// What goes on to the app.
pub struct Onward {
    /// The request, as it came.
    pub request: Box<Request<Incoming>>,
    /// What takes the place of its body, where it stands for a form that was kept.
    pub instead: Option<Box<Instead>>,
    /// What the request holds.
    pub marks: Marks,
}

/// Sends an admitted request to the app.
///
/// # Errors
/// When the app cannot be reached or does not answer in time, or a WebSocket comes from a foreign origin.
pub async fn forward(
    worker: &Rc<Worker>,
    app: &Protected,
    visitor: &Visitor,
    admission: Admission,
    person: Option<Person>,
    onward: Onward,
) -> Result<Response<Body>, Failure> {
    let Onward { request, instead, marks } = onward;
    if marks.upgrade && upgrade::is_websocket(&request) {
        check_origin(app, request.headers())?;
        // Boxed, as all that is rare, to keep the usual path's future small.
        return Box::pin(open_websocket(worker, app, visitor, &admission, person, request, marks)).await;
    }
    let mut request = request.map(Body::incoming);
    if let Some(instead) = instead {
        instead.put_into(&mut request);
    }
    let fields = rewrite(worker, app, visitor, &admission, &mut request, marks)?;
    let answer = worker.upstream(app)?.exchange(request, &fields).await;
    let mut answer = answer.map_err(Failure::Upstream)?;
    app.cookies.strip_set(answer.headers_mut());
    if admission.profile().is_some() && outliving::is_stream(&answer) {
        let ended = right_end(Rc::clone(worker), person, token_end(&admission));
        return Ok(answer.map(|body| outliving::until(ended, body)));
    }
    Ok(answer)
}

/// Refuses a WebSocket that a page of another origin opens in a signed-in person's browser.
///
/// # Errors
/// When `Origin` is absent, doubled, or neither the app's nor listed.
pub fn check_origin(app: &Protected, headers: &HeaderMap) -> Result<(), Failure> {
    let mut origins = headers.get_all(ORIGIN).iter();
    // SECURITY: browsers send cookies with any page's WebSocket (cross-site WebSocket hijacking), and always
    // name the page's origin. RFC 6455 section 10.2.
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return Err(Failure::ForeignOrigin);
    };
    let own = std::iter::once(&app.settings.origin);
    let known =
        own.chain(&app.settings.websocket_origins).any(|known| negotiation::is_at(origin.as_bytes(), known));
    if known { Ok(()) } else { Err(Failure::ForeignOrigin) }
}

async fn open_websocket(
    worker: &Rc<Worker>,
    app: &Protected,
    visitor: &Visitor,
    admission: &Admission,
    person: Option<Person>,
    request: Box<Request<Incoming>>,
    marks: Marks,
) -> Result<Response<Body>, Failure> {
    let mut request = request.map(|_| Body::empty());
    let fields = rewrite(worker, app, visitor, admission, &mut request, marks)?;
    let token_end = token_end(admission);
    let switched = worker.upstream(app)?.switch(request, &fields).await;
    match switched.map_err(Failure::Upstream)? {
        Switch::Answer(mut answer) => {
            app.cookies.strip_set(answer.headers_mut());
            Ok(answer)
        }
        Switch::Tunnel(mut answer, end) => {
            app.cookies.strip_set(answer.headers_mut());
            visitor.tunnels(Tunnel {
                app: end,
                ended: Box::pin(right_end(Rc::clone(worker), person, token_end)),
            });
            Ok(answer)
        }
    }
}

/// Makes of a browser's request the app's; gives the fields that go with it.
fn rewrite(
    worker: &Worker,
    app: &Protected,
    visitor: &Visitor,
    admission: &Admission,
    request: &mut Request<Body>,
    marks: Marks,
) -> Result<Fields, Failure> {
    let headers = request.headers_mut();
    if marks.hop_by_hop {
        headers::remove_hop_by_hop(headers);
    }
    app.settings.headers.strip(headers, marks.initials);
    visitor.strip_own(app, headers, marks.cookies);
    // SECURITY: a rule for GET alone must not let a POST pass that the app takes for a DELETE, nor the reverse.
    if app.depends_on_methods {
        headers::remove_method_override(headers, marks.initials);
    }
    let told = admission.profile().map(|profile| profile.told(&worker.gateway)).transpose()?;
    let fields = match visitor.trust {
        Trust::Stranger => {
            headers::remove_forwarding(headers, marks.initials);
            visitor.fields(app, told)?
        }
        Trust::Proxy => {
            visitor.extend_forwarded(app, headers)?;
            told.unwrap_or_default()
        }
    };
    if app.settings.strip_prefix == StripPrefix::Strip {
        *request.uri_mut() = stripped(app, request.uri())?;
    }
    Ok(fields)
}

fn stripped(app: &Protected, uri: &Uri) -> Result<Uri, Failure> {
    let path = app.seen_by_app(uri.path());
    let target = match uri.query() {
        None => PathAndQuery::try_from(path),
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
    };
    target.map(Uri::from).map_err(|_| Failure::TargetForm)
}
