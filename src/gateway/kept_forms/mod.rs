//! Forms that come without a session: kept until their sender has signed in, and then sent once, byte for byte.
//!
//! [`keep`] lays what was sent aside, sealed, and gives the browser a [`Slip`] in a cookie, without which nobody can
//! find or read it. After the sign-in `E/resend` shows a page whose form goes to the very address of the first one; it
//! holds a marker in place of the content. The marker takes the way of every request, so that rules and headers are
//! those of a form that this person sends now, and [`take`] finds the content where it is admitted.

mod room;
mod sending;
mod slip;
mod stored;

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, REFERER, REFRESH};
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

pub use self::room::Room;
pub use self::sending::{Spare, may_be_marker, take};
pub use self::slip::{FIELD, Slip, address, sign_in_as_sender};
pub use self::stored::Instead;

use self::room::{Full, Place, Writer};
use super::apps::Protected;
use super::failure::Failure;
use super::negotiation::Sender;
use super::pages::{Language, Page, Unsent};
use super::request::Facts;
use super::trail::Trail;
use super::{Worker, login, return_to, unwanted};
use crate::foundation::body::Body;
use crate::foundation::sealing::RecordSecret;
use crate::sessions::Whose;

/// How large a form may be that is kept, in bytes, unless the operator says otherwise.
pub const DEFAULT_FORM_LIMIT: usize = 256 * 1024;

/// The most that the operator may say.
pub const LARGEST_FORM: usize = 8 << 20;

/// How long a form waits for its sender.
const LASTS: Duration = Duration::from_secs(30 * 60);

/// How long it may take to arrive.
const SLOWEST: Duration = Duration::from_secs(60);

/// The longest target, in bytes: it travels in a cookie.
const LONGEST_TARGET: usize = 2048;

/// The longest `Content-Type`, in bytes.
const LONGEST_KIND: usize = 256;

/// What a form can be sent as (HTML section 4.10.21.8), and what a page of an app may send like one.
const KINDS: [&str; 4] =
    ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "application/json"];

/// A form that needs its sender to sign in, or to sign in again.
pub struct Sent<'a> {
    /// The facts of the request.
    pub facts: Facts<'a>,
    /// Its body, of which nothing was read.
    pub body: Incoming,
    /// Who sent it, as far as that is known.
    pub whose: Option<Whose>,
    /// Why it was not sent on.
    pub unsent: Unsent,
}

/// Keeps a form until its sender has signed in, and sends the browser there.
///
/// # Errors
/// [`Failure::NothingSent`] when it can't be kept: it is not a form, not of the app's own, too large, too slow, there is
/// no room, or nobody can sign in where it was sent from. 400 when it broke off.
pub async fn keep(
    worker: &Worker,
    app: &Protected,
    sent: Sent<'_>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let Sent { facts, mut body, whose, unsent } = sent;
    let kept = try_to_keep(worker, app, &facts, &mut body, whose, unsent, trail).await;
    if kept.is_err() {
        unwanted::read_off(body, facts.headers);
    }
    kept
}

async fn try_to_keep(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    body: &mut Incoming,
    whose: Option<Whose>,
    unsent: Unsent,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let gateway = &worker.gateway;
    if !login::may_sign_in_here(app, facts.headers) {
        return Err(match Sender::of(facts.headers, &app.settings.origin) {
            Sender::App => Failure::NothingSent(Unsent::InFrame),
            // A page around the frame that sends somebody there, as an LMS does: nobody wrote anything.
            _ => Failure::InFrame { open: app.address(&app.front_page()) },
        });
    }
    let kind = kind(app, facts).filter(|_| gateway.form_limit > 0);
    let kind = kind.ok_or(Failure::NothingSent(unsent))?;
    let limit = gateway.form_limit;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit || facts.target().len() > LONGEST_TARGET {
        return Err(Failure::NothingSent(Unsent::TooLarge));
    }
    let no_room = |_: Full| Failure::NothingSent(Unsent::NotKept);
    let mut place =
        gateway.forms.enter(trail.record.client, Writer::of(whose), gateway.clock.now()).map_err(no_room)?;
    let mut stored = stored::head(kind, page_before(app, facts.headers));
    let head = stored.len();
    let received = tokio::time::timeout(SLOWEST, receive(body, limit, &mut place, &mut stored)).await;
    received.map_err(|_| Failure::NothingSent(Unsent::NotKept))??;
    // The session ended once more, between the page that sends a kept form and its marker.
    let marked = stored.get(head..).and_then(slip::marked).filter(|_| kind == slip::MARKER_KIND);
    if let Some(id) = marked.filter(|id| Slip::open(worker, app, facts.headers, id).is_some()) {
        return kept(worker, app, facts.headers, id, unsent);
    }
    let goes = Goes { target: facts.target().into_owned(), whose };
    let id = lay_aside(worker, app, facts.headers, goes, &stored, place, trail).await;
    let id = id.map_err(Failure::NothingSent)?;
    let bytes = stored.len() - head;
    tracing::info!(app = %app.settings.name, client = %trail.record.client, bytes, "a form is kept until its sender has signed in");
    kept(worker, app, facts.headers, &id, unsent)
}

/// Where a form goes, and whose it is.
struct Goes {
    target: String,
    whose: Option<Whose>,
}

/// Lays a form aside, as it is stored, and gives the browser the slip for it. Its identifier.
async fn lay_aside(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    goes: Goes,
    stored: &[u8],
    place: Place<'_>,
    trail: &mut Trail,
) -> Result<String, Unsent> {
    let gateway = &worker.gateway;
    let (secret, until) = (RecordSecret::generate(), gateway.clock.now().plus(LASTS));
    let slip = Slip::new(app, goes.target, &secret, goes.whose, until);
    // SECURITY: a slip first, and counted first: what no cookie can carry, or whose sender hangs up meanwhile, would
    // lie in the store uncounted, and fill it.
    let (id, cookies) = slip.hand_out(worker, app, headers, LASTS).ok_or(Unsent::TooLarge)?;
    place.wait(secret.name(), until);
    if let Err(error) = gateway.sessions.lay_aside(&secret, stored, LASTS).await {
        gateway.forms.leave(&secret.name());
        tracing::warn!(app = %app.settings.name, %error, "a form could not be kept");
        return Err(Unsent::NotKept);
    }
    trail.cookies.extend(cookies);
    Ok(id)
}

/// The `Content-Type` of a form that may be kept.
fn kind<'a>(app: &Protected, facts: &Facts<'a>) -> Option<&'a HeaderValue> {
    // SECURITY: what another site had this browser send is never sent on later, in the name of who signs in
    // (cross-site request forgery).
    let own = Sender::of(facts.headers, &app.settings.origin) == Sender::App;
    if *facts.method != Method::POST || !own || facts.headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let mut kinds = facts.headers.get_all(CONTENT_TYPE).iter();
    let only = kinds.next().filter(|_| kinds.next().is_none())?;
    let essence = only.to_str().ok()?.split(';').next()?.trim();
    let known = KINDS.iter().any(|kind| essence.eq_ignore_ascii_case(kind));
    (known && only.len() <= LONGEST_KIND).then_some(only)
}

/// The app's own page that a form was sent from: some apps go back there.
fn page_before<'a>(app: &Protected, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let page = headers.get(REFERER)?;
    let local = return_to::on_origin(app, page.to_str().ok()?)?;
    matches!(app.endpoint(return_to::path_of(&local)), Ok(None)).then_some(page)
}

/// Reads a form, within the limit and the room that there is.
async fn receive(
    body: &mut Incoming,
    limit: usize,
    place: &mut Place<'_>,
    into: &mut Vec<u8>,
) -> Result<(), Failure> {
    let mut rest = limit;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::BadRequest("a form broke off"))?;
        let Some(data) = frame.data_ref() else { continue };
        rest = rest.checked_sub(data.len()).ok_or(Failure::NothingSent(Unsent::TooLarge))?;
        place.grow(data.len()).map_err(|Full| Failure::NothingSent(Unsent::NotKept))?;
        into.extend_from_slice(data);
    }
    Ok(())
}

/// The page that sends a browser on to sign in. Not a redirect: browsers hold those that follow a form against the
/// `form-action` of the app's page, which knows nothing of a provider.
fn kept(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    id: &str,
    unsent: Unsent,
) -> Result<Response<Body>, Failure> {
    let there = app.address(&address(app, id));
    let page = Page::FormKept { why: unsent, sign_in: &there };
    let mut answer = worker.gateway.pages.render(&page, Language::of(headers));
    let refresh = HeaderValue::try_from(format!("0;url={there}"));
    answer
        .headers_mut()
        .insert(REFRESH, refresh.map_err(|_| Failure::Internal("an address is no header value"))?);
    Ok(answer)
}
