//! How apps are told that sessions ended: in the background, by the operator's request ([`OnEnd`]) to the app's
//! upstream and nowhere else.
//!
//! Ends wait in a bounded queue for each app, so that one that hangs holds up no other. One thread empties them, a few
//! at once; each end is tried a few times. When the process stops, what waits is told first, within its time.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Map, Value};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use url::Url;

use super::on_end::OnEnd;
use super::way::is_another_spelling;
use crate::foundation::body::Body;
use crate::gateway::Gateway;
use crate::gateway::apps::Protected;
use crate::identity::claims::{Claims, Tokens};
use crate::sessions::{Ended, LARGEST_PAGE, Person, SessionData, Wanted};
use crate::telemetry::SubjectInLogs;
use crate::upstream::{Fields, Upstream, UpstreamError};

/// The most ends that wait for one app.
const QUEUE: usize = 10_000;

/// How many requests to one app are on their way at once.
const AT_ONCE: usize = 8;

/// The pauses before each try but the first.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// How long one try may take, whatever the app's own limits.
const LONGEST: Duration = Duration::from_secs(30);

/// How much of the app's answer is read.
const ANSWER: usize = 64 * 1024;

/// Ends that apps are to be told of. One for the whole process.
#[derive(Debug)]
pub struct Ends(Vec<Option<Queue>>);

/// What waits for one app.
#[derive(Debug)]
struct Queue {
    /// `None` once nothing more is taken.
    sender: Mutex<Option<Sender<Ended>>>,
    /// `None` once somebody empties it.
    receiver: Mutex<Option<Receiver<Ended>>>,
    /// Taken, and not told yet.
    left: AtomicUsize,
}

impl Ends {
    /// Nothing yet, for these apps.
    pub fn of(apps: &[Protected]) -> Self {
        let queue = || {
            let (sender, receiver) = mpsc::channel(QUEUE);
            let (sender, receiver) = (Mutex::new(Some(sender)), Mutex::new(Some(receiver)));
            Queue { sender, receiver, left: AtomicUsize::new(0) }
        };
        Self(apps.iter().map(|app| app.settings.own_session.on_end.is_some().then(queue)).collect())
    }

    /// Whether any app wants to be told.
    pub fn are_told(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    /// Takes nothing more: [`carry_out`] comes to its end when all that waits is told.
    pub fn close(&self) {
        self.0.iter().flatten().for_each(|queue| drop(lock(&queue.sender).take()));
    }

    /// How many wait for an app, or are on their way to it.
    pub fn left(&self, app: &Protected) -> usize {
        self.queue(app).map_or(0, |queue| queue.left.load(Ordering::Relaxed))
    }

    fn put(&self, app: &Protected, ended: &Ended) {
        let Some(queue) = self.queue(app) else { return };
        let name = &app.settings.name;
        queue.left.fetch_add(1, Ordering::Relaxed);
        let why = match lock(&queue.sender).as_ref().map(|sender| sender.try_send(ended.clone())) {
            Some(Ok(())) => return,
            Some(Err(_)) => "too many ends wait to be told",
            None => "the process stops",
        };
        queue.left.fetch_sub(1, Ordering::Relaxed);
        tracing::error!(app = %name, why, "the app is not told of a session's end; the person's session there may go on");
    }

    fn queue(&self, app: &Protected) -> Option<&Queue> {
        self.0.get(app.number)?.as_ref()
    }
}

/// Tells the apps that a session is over which ended at `at`, but not by a person's own will: all apps that share its
/// sessions; all that it may have been used for, where it is not known where it ended. Returns at once.
pub fn tell(gateway: &Gateway, at: Option<&Protected>, data: &SessionData) {
    let (provider, subject) = (data.provider.clone(), data.subject.clone());
    let app = at.map(|app| app.settings.name.clone());
    tell_of(gateway, &Ended { provider, subject, app });
}

/// The same of a session of which only this is known.
pub fn tell_of(gateway: &Gateway, ended: &Ended) {
    let at = ended.app.as_deref().and_then(|name| named(gateway, name));
    for app in gateway.apps.iter().filter(|app| at.is_none_or(|at| shares_sessions(at, app))) {
        if app.provider_named(&ended.provider).is_some() {
            gateway.ends.put(app, ended);
        }
    }
}

/// What `at`, where a person has signed out, knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtHome {
    /// It signed them out itself.
    Done,
    /// Nothing.
    Unknown,
}

/// Tells the apps that a person has signed out at `at`, whose answer clears the cookies of its origin's apps.
///
/// What is told names the person, so that an app may end their sessions in other browsers as well. Where the app's
/// cookies are cleared its session in this browser is over without that: it is told only when the person has no session
/// there any more.
pub async fn tell_of_sign_out(gateway: &Gateway, at: &Protected, home: AtHome, data: &SessionData) {
    let mut elsewhere = None;
    for app in gateway.apps.iter().filter(|app| shares_sessions(at, app)) {
        if gateway.ends.queue(app).is_none()
            || app.provider_named(&data.provider).is_none()
            || app.number == at.number && home == AtHome::Done
        {
            continue;
        }
        let is_cleared = app.origin == at.origin && !app.settings.own_session.cookies.is_empty();
        if is_cleared {
            if elsewhere.is_none() {
                elsewhere = Some(stands_elsewhere(gateway, at, data).await);
            }
            if elsewhere == Some(true) {
                continue;
            }
        }
        let (provider, subject) = (data.provider.clone(), data.subject.clone());
        gateway.ends.put(app, &Ended { provider, subject, app: Some(at.settings.name.clone()) });
    }
}

/// Whether the person has another session that `at` shares; not where that can't be found out.
async fn stands_elsewhere(gateway: &Gateway, at: &Protected, data: &SessionData) -> bool {
    let person = Person { subject: data.subject.clone(), providers: vec![data.provider.clone()] };
    let wanted = Wanted { person: Some(person), ..Wanted::default() };
    let Ok(standing) = gateway.sessions.list(&wanted, None, LARGEST_PAGE).await else { return false };
    let mut cards = standing.sessions.iter().filter_map(|listed| listed.card.as_ref());
    cards.any(|card| named(gateway, &card.app).is_some_and(|app| shares_sessions(at, app)))
}

fn named<'g>(gateway: &'g Gateway, name: &str) -> Option<&'g Protected> {
    gateway.apps.iter().find(|app| app.settings.name == name)
}

/// Whether a session at the one is one at the other.
fn shares_sessions(one: &Protected, other: &Protected) -> bool {
    one.cookies.realm() == other.cookies.realm()
}

/// Tells the apps, each by its own `upstreams`, until the queues are closed and empty. Must run where
/// [`tokio::task::spawn_local`] can; a second time it has nothing to do.
pub async fn carry_out(gateway: Arc<Gateway>, upstreams: Vec<Rc<Upstream>>) {
    let mut queues = JoinSet::new();
    for (number, upstream) in upstreams.into_iter().enumerate() {
        queues.spawn_local(empty(Arc::clone(&gateway), number, upstream));
    }
    queues.join_all().await;
}

async fn empty(gateway: Arc<Gateway>, number: usize, upstream: Rc<Upstream>) {
    let Some(Some(queue)) = gateway.ends.0.get(number) else { return };
    let Some(mut ends) = lock(&queue.receiver).take() else { return };
    let mut under_way = JoinSet::new();
    while let Some(ended) = ends.recv().await {
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= AT_ONCE {
            under_way.join_next().await;
        }
        let (gateway, upstream) = (Arc::clone(&gateway), Rc::clone(&upstream));
        under_way.spawn_local(async move {
            if let Some(app) = gateway.apps.get(number) {
                insist(&gateway, app, &upstream, &ended).await;
            }
            if let Some(Some(queue)) = gateway.ends.0.get(number) {
                queue.left.fetch_sub(1, Ordering::Relaxed);
            }
        });
    }
    under_way.join_all().await;
}

/// How one try ended that brought nothing.
enum Failed {
    /// The app could not be reached, or was not able.
    Later(String),
    /// It does not want this request.
    Refused(StatusCode),
}

async fn insist(gateway: &Gateway, app: &Protected, upstream: &Upstream, ended: &Ended) {
    let Some(on_end) = &app.settings.own_session.on_end else { return };
    let name = &app.settings.name;
    let subject = (gateway.subject_in_logs == SubjectInLogs::Named).then_some(&*ended.subject);
    let Some(target) = on_end.target(ended) else {
        tracing::error!(app = %name, subject, "the app is not told of a session's end: the person's identifier does not fit into the path of logout.on_end");
        return;
    };
    let mut pauses = PAUSES.iter();
    loop {
        match ask(app, upstream, on_end, target.clone(), ended).await {
            Ok(status) => {
                tracing::debug!(app = %name, subject, status = status.as_u16(), "the app was told of a session's end");
                return;
            }
            Err(Failed::Refused(status)) => {
                tracing::error!(app = %name, subject, status = status.as_u16(), mend = "correct logout.on_end, or what the app answers there", "the app refuses to be told of a session's end");
                return;
            }
            Err(Failed::Later(error)) => match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => {
                    tracing::error!(app = %name, subject, error, "the app could not be told of a session's end; the person's session there may go on");
                    return;
                }
            },
        }
    }
}

async fn ask(
    app: &Protected,
    upstream: &Upstream,
    on_end: &OnEnd,
    target: Uri,
    ended: &Ended,
) -> Result<StatusCode, Failed> {
    let at = Url::parse(&app.address(target.path_and_query().map_or("/", |target| target.as_str())));
    let mut request = Request::new(Body::empty());
    *request.method_mut() = on_end.method().clone();
    *request.uri_mut() = target;
    *request.headers_mut() = headers(app, on_end.method()).ok_or(Failed::Refused(StatusCode::BAD_REQUEST))?;
    let fields = identity(app, ended);
    let asked = tokio::time::timeout(LONGEST, async {
        let (head, body) = upstream.exchange(request, &fields).await?.into_parts();
        // Whatever it says, the connection may serve again when it is read.
        Limited::new(body, ANSWER).collect().await.map(drop).unwrap_or_default();
        Ok::<_, UpstreamError>(Response::from_parts(head, ()))
    });
    let answer = match asked.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Failed::Later(error.to_string())),
        Err(_) => return Err(Failed::Later(format!("no answer within {LONGEST:?}"))),
    };
    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    let only_tidies =
        |at: Url| to.is_some_and(|to| at.join(to).is_ok_and(|to| is_another_spelling(&at, &to)));
    match answer.status() {
        // Nobody is signed in there: that is what was wanted.
        status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(status),
        status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
            Err(Failed::Later(status.to_string()))
        }
        status if status.is_client_error() => Err(Failed::Refused(status)),
        status if status.is_server_error() => Err(Failed::Later(status.to_string())),
        // It has not happened yet: the app wants the request at the address with a slash, or by https.
        status if status.is_redirection() && at.is_ok_and(only_tidies) => Err(Failed::Refused(status)),
        status => Ok(status),
    }
}

/// What the request says besides the person: as a browser's would come, so that an app that wants https is content.
fn headers(app: &Protected, method: &Method) -> Option<HeaderMap> {
    let (origin, mut headers) = (&app.settings.origin, HeaderMap::new());
    let authority = HeaderValue::try_from(origin.authority()).ok()?;
    headers.insert(HOST, authority.clone());
    headers.insert(HeaderName::from_static("x-forwarded-host"), authority);
    let scheme = HeaderValue::from_static(origin.scheme().as_str());
    headers.insert(HeaderName::from_static("x-forwarded-proto"), scheme);
    headers.insert(HeaderName::from_static("x-forwarded-port"), HeaderValue::from(origin.port()));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Vestibule/", env!("CARGO_PKG_VERSION"))));
    if !matches!(*method, Method::GET | Method::DELETE) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    Some(headers)
}

/// The identity headers that follow from the person's identifier alone: nothing else is known of somebody whose
/// session may have ended on another machine.
fn identity(app: &Protected, ended: &Ended) -> Fields {
    let claims = Claims(Map::from_iter([("sub".to_owned(), Value::from(ended.subject.as_str()))]));
    let nothing = Tokens { access: None, id: None, refresh: None, proof_key: None };
    let rendered = app.settings.headers.render(&claims, &nothing);
    Fields::written(rendered.headers.iter().map(|(name, value)| (name, value)))
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
