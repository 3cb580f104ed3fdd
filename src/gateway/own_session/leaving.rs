//! A request to an app's own sign-out address: the app answers first, and then the session ends here and at the
//! provider.
//!
//! The app's cookies reach the browser, its page does not: the browser goes on to the provider. Where the app did
//! not sign the person out (it asks first, or refuses), its answer goes through and nothing ends. Where it can't be
//! reached, the session here ends all the same.

use std::rc::Rc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use url::Url;

use super::cookies;
use super::telling::AtHome;
use super::unfinished::Leaver;
use super::way::{Said, Way};
use crate::foundation::body::Body;
use crate::gateway::answer::{own, redirect};
use crate::gateway::apps::{Endpoint, Protected};
use crate::gateway::authentication::{self, Person};
use crate::gateway::authorization::{Decision as Permission, decide};
use crate::gateway::endpoints::sign_out::{self, By};
use crate::gateway::failure::Failure;
use crate::gateway::forwarding::Onward;
use crate::gateway::pages::{Language, Page};
use crate::gateway::request::Marks;
use crate::gateway::response;
use crate::gateway::return_to;
use crate::gateway::routing;
use crate::gateway::trail::Trail;
use crate::gateway::visitor::Visitor;
use crate::gateway::{Worker, forwarding};
use crate::identity::access::{Access, Fit};
use crate::identity::readings::Path;
use crate::telemetry::metrics::Decision;

/// Where a script sends the person to end the provider's session too.
const ONWARD: HeaderName = HeaderName::from_static("vestibule-sign-out");

/// What of an app's answer goes with ours, besides its cookies.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// How much of an answer that nobody sees is read, so that its connection may serve again, in bytes and in time.
const UNSEEN: usize = 256 * 1024;
const UNSEEN_WAIT: Duration = Duration::from_secs(5);

/// The way by which a request comes to the app's sign-out address; `None` when it is to be served as any other.
pub fn way(app: &Protected, fit: Fit, method: &Method, headers: &HeaderMap) -> Option<Way> {
    // Whoever holds a token has no session to end.
    let way = Way::of(method, headers, &app.settings.origin);
    way.filter(|_| app.settings.rules.access(fit) != Access::Bearer)
}

/// Answers such a request.
///
/// # Errors
/// As forwarding, where the session goes on; and when the store cannot end it: then it is not reported as ended.
#[expect(clippy::too_many_arguments, reason = "what the path of a request has gathered when it comes here")]
pub async fn answer(
    worker: &Rc<Worker>,
    app: &Protected,
    fit: Fit,
    way: Way,
    request: Box<Request<Incoming>>,
    visitor: &Visitor,
    marks: Marks,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let headers = request.headers();
    if way == Way::InAdvance {
        // Nobody left: the browser asks again when somebody does.
        return Ok(own(StatusCode::FORBIDDEN, Body::empty()));
    }
    let person = authentication::leaving_person(worker, app, headers, &mut trail.cookies).await?;
    trail.record.subject = person.as_ref().and_then(|person| worker.subject(&person.profile));
    // SECURITY: another site must not be able to sign a person out by a link or a form (CSRF), of the app neither.
    if let Some(person) = person.as_ref().filter(|_| way == Way::FromElsewhere) {
        trail.record.decision = Decision::Endpoint;
        return Ok(ask(worker, app, person, &request));
    }
    let profile = person.as_ref().map(|person| &person.profile);
    let permission = decide(&app.settings.rules, fit, profile, || worker.gateway.clock.now());
    let Permission::Admit(admission) = permission else {
        if person.is_none() && way == Way::Script {
            return Err(Failure::SignInNeeded);
        }
        // Nobody signs in to sign out, nor does a rule hold anybody here: it is done without the app.
        trail.record.decision = Decision::Endpoint;
        let status = after(request.method());
        return redirect(status, &app.address(&app.path_of(Endpoint::SignOut)));
    };
    let Some(person) = person else {
        trail.record.decision = Decision::Public;
        let onward = Onward { request, instead: None, marks };
        return forwarding::forward(worker, app, visitor, admission, None, onward).await;
    };
    trail.record.decision = Decision::Admitted;
    let asked = Asked::of(app, &request)?;
    let onward = Onward { request, instead: None, marks };
    let answer = forwarding::forward(worker, app, visitor, admission, Some(person.clone()), onward).await;
    let said = match &answer {
        Ok(answer) => asked.said(worker, app, answer),
        // The request's own body broke off.
        Err(Failure::Upstream(error)) if error.status().is_client_error() => return answer,
        Err(Failure::Upstream(error)) => {
            let (name, cause) = (&app.settings.name, error.code());
            tracing::warn!(app = %name, cause, %error, "an app could not be asked to sign somebody out; the session here ends all the same");
            Said::Left(None)
        }
        Err(_) => return answer,
    };
    let Said::Left(to) = said else {
        return answer.inspect(|answer| keep_from_caches(answer.headers(), trail));
    };
    finish(worker, app, &person, &asked, way, answer, to, trail).await
}

/// What is known of the request once it has gone to the app.
struct Asked {
    method: Method,
    headers: HeaderMap,
    at: Url,
}

impl Asked {
    fn of(app: &Protected, request: &Request<Incoming>) -> Result<Self, Failure> {
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let at = Url::parse(&app.address(target)).map_err(|_| Failure::TargetForm)?;
        Ok(Self { method: request.method().clone(), headers: request.headers().clone(), at })
    }

    fn said(&self, worker: &Worker, app: &Protected, answer: &Response<Body>) -> Said {
        let goes_on = |to: &Url| {
            let local = return_to::on_origin(app, to.as_str());
            local.is_some_and(|to| matches!(place(app, return_to::path_of(&to)), Place::SignOut))
        };
        Said::of(&self.method, &self.at, &self.headers, answer, worker.gateway.clock.now(), goes_on)
    }
}

/// What an address of the app's is to somebody who has just left.
enum Place {
    /// The sign-out goes on there.
    SignOut,
    /// It is open to everybody.
    Open,
    /// One has to sign in for it.
    Closed,
}

fn place(app: &Protected, path: &str) -> Place {
    match app.endpoint(path) {
        Ok(None) => {}
        Ok(Some(Endpoint::SignOut)) => return Place::SignOut,
        Ok(Some(_)) | Err(_) => return Place::Closed,
    }
    let Ok(path) = Path::parse(path) else { return Place::Closed };
    let left = app.path_seen_by_app(&path).and_then(|seen| app.settings.own_session.is_left_at(&seen));
    match (left, routing::fit(app, Some(&Method::GET), &path)) {
        (Ok(true), _) => Place::SignOut,
        (Ok(false), Ok(fit)) if app.settings.rules.access(fit) == Access::Public => Place::Open,
        _ => Place::Closed,
    }
}

/// Ends the session and sends the browser on.
#[expect(clippy::too_many_arguments, reason = "the end of what `answer` has begun")]
async fn finish(
    worker: &Worker,
    app: &Protected,
    person: &Person,
    asked: &Asked,
    way: Way,
    answer: Result<Response<Body>, Failure>,
    to: Option<Url>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let set = answer.as_ref().ok().map(Response::headers);
    let theirs: Vec<HeaderValue> = set.into_iter().flat_map(|set| set.get_all(SET_COOKIE)).cloned().collect();
    let home = match &answer {
        Ok(answer) if !answer.status().is_server_error() => AtHome::Done,
        _ => AtHome::Unknown,
    };
    let mut ours = cookies::clear(&worker.gateway, app, &asked.headers, set);
    if let Err(failure) = sign_out::end(worker, app, person, By::App(home), trail).await {
        // What the app has done is done.
        trail.cookies.extend(theirs);
        return Err(failure);
    }
    ours.extend(sign_out::cookies_after(app, Some(person), &asked.headers));
    if way == Way::Script {
        // A script can't be sent to the provider: it gets what it asked for, and where to go on; else the next page goes.
        ours.extend(Leaver::of(app, &person.live.data()).and_then(|leaver| leaver.keep(worker, app)));
        trail.cookies = ours;
        let mut answer = answer?;
        if response::is_for_everybody(answer.headers()) {
            // SECURITY: a cache that kept this would sign others out.
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        let onward = app.address(&app.path_of(Endpoint::SignOut));
        if let Ok(onward) = HeaderValue::try_from(onward) {
            answer.headers_mut().insert(ONWARD, onward);
        }
        return Ok(answer);
    }
    trail.record.decision = Decision::Endpoint;
    trail.cookies = theirs;
    trail.cookies.extend(ours);
    trail.cookies.extend(app.cookies.finish(&asked.headers));
    let clears = answer.as_ref().ok().and_then(|answer| answer.headers().get(CLEAR_SITE_DATA).cloned());
    if let Ok(answer) = answer {
        discard(answer.into_body());
    }
    let back = to.and_then(|to| landing(app, &to));
    let mut onward = sign_out::leave(worker, app, Some(person), back, &asked.method, &asked.headers)?;
    if let Some(clears) = clears {
        onward.headers_mut().insert(CLEAR_SITE_DATA, clears);
    }
    Ok(onward)
}

/// Where the app wants the person to end: taken where the operator wants nothing else and nobody has to sign in
/// there, as that would undo the sign-out.
fn landing(app: &Protected, to: &Url) -> Option<String> {
    let wanted = app.settings.logout_redirect.is_none();
    let to = return_to::on_origin(app, to.as_str()).filter(|_| wanted)?;
    matches!(place(app, return_to::path_of(&to)), Place::Open).then_some(to)
}

/// The question whether the person wants what another site sent them to.
fn ask(worker: &Worker, app: &Protected, person: &Person, request: &Request<Incoming>) -> Response<Body> {
    let headers = request.headers();
    if *request.method() == Method::POST {
        // The form can't be asked for again; what we can do without it is to sign out here.
        return sign_out::ask(worker, app, Some(person), None, headers);
    }
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let (leave, stay) = (app.address(target), app.front_page());
    let page = Page::ConfirmLeaving { leave: &leave, stay: &stay };
    worker.gateway.pages.render(&page, Language::of(headers))
}

/// A redirect that is not followed with the form.
fn after(method: &Method) -> StatusCode {
    if *method == Method::POST { StatusCode::SEE_OTHER } else { StatusCode::FOUND }
}

/// SECURITY: as on every other path, a shared cache must not hand this person's cookie to others.
fn keep_from_caches(headers: &HeaderMap, trail: &mut Trail) {
    if response::is_for_everybody(headers) {
        trail.cookies.clear();
    }
}

/// Reads what nobody sees to its end, beside the answer, so that the connection to the app may serve again.
fn discard(body: Body) {
    tokio::task::spawn_local(async move {
        let rest = Limited::new(body, UNSEEN).collect();
        // However it ends, there is nothing to be told.
        tokio::time::timeout(UNSEEN_WAIT, rest).await.map(drop).unwrap_or_default();
    });
}
