//! How an app is told that somebody's session ended elsewhere: by a request of ours to it, in the background.
//!
//! The request is the operator's, with the person's identifier filled in; it goes to the app's upstream and nowhere
//! else. What ends wait in a bounded queue that one worker empties, a few at once; each is tried a few times.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::foundation::body::Body;
use crate::gateway::apps::Protected;
use crate::gateway::{Gateway, Worker};
use crate::identity::access::{Ambiguous, Paths};
use crate::identity::claims::{Claims, Tokens};
use crate::identity::readings::Path;
use crate::sessions::{Ended, SessionData};
use crate::telemetry::SubjectInLogs;
use crate::upstream::{Fields, UpstreamError};

/// The most ends that wait.
const QUEUE: usize = 10_000;

/// How many requests are on their way at once.
const AT_ONCE: usize = 8;

/// The pauses before each try but the first.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// How long one try may take, whatever the app's own limits.
const LONGEST: Duration = Duration::from_secs(30);

/// How much of the app's answer is read.
const ANSWER: usize = 64 * 1024;

/// What stands as it is in a path or query (RFC 3986 section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands for the person's identifier, and for the provider's name.
const SUBJECT: &str = "sub";
const PROVIDER: &str = "provider";

/// The request that ends a person's session in an app.
#[derive(Debug)]
pub struct OnEnd {
    method: Method,
    target: Vec<Piece>,
    closed: Paths,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Subject,
    Provider,
}

/// Why a request can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnEndError {
    /// It names a place elsewhere, or none.
    #[error("it is not a path of the app's")]
    NotAPath,
    /// A brace without its partner, or a name that is none.
    #[error("it can hold {{sub}} and {{provider}}, and no other brace")]
    Braces,
    /// A character that no address can hold.
    #[error("it holds a character that an address can't; write it with % and two hexadecimal digits")]
    Character,
    /// A path that can be read in more than one way.
    #[error("{0}")]
    Path(String),
}

impl OnEnd {
    /// Reads a request: a path of the app's, perhaps with a query, in which `{sub}` and `{provider}` are filled in.
    ///
    /// # Errors
    /// When it can't be used.
    pub fn compile(method: Method, url: &str) -> Result<Self, OnEndError> {
        if !url.starts_with('/') || url.starts_with("//") {
            return Err(OnEndError::NotAPath);
        }
        let fits =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'#' | b'*');
        if !url.bytes().all(fits) {
            return Err(OnEndError::Character);
        }
        let mut target = Vec::new();
        let mut rest = url;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(OnEndError::Braces)?;
            target.push(Piece::Text(text.to_owned()));
            target.push(match name {
                SUBJECT => Piece::Subject,
                PROVIDER => Piece::Provider,
                _ => return Err(OnEndError::Braces),
            });
            rest = after;
        }
        target.push(Piece::Text(rest.to_owned()));
        if target.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('}'))) {
            return Err(OnEndError::Braces);
        }
        let path = url.split('?').next().unwrap_or(url);
        let pattern = path.replace(&format!("{{{SUBJECT}}}"), "*").replace(&format!("{{{PROVIDER}}}"), "*");
        let closed = Paths::compile(vec![pattern]).map_err(|error| OnEndError::Path(error.to_string()))?;
        Ok(Self { method, target, closed })
    }

    /// Whether a path is this one, with whatever filled in.
    ///
    /// # Errors
    /// When it is by some of its readings only.
    pub fn is_at(&self, path: &Path<'_>) -> Result<bool, Ambiguous> {
        self.closed.hold(path)
    }

    /// The target for one person; `None` when the app could read another path in it.
    fn target(&self, ended: &Ended) -> Option<Uri> {
        let mut filled = String::new();
        for piece in &self.target {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Subject => filled.extend(utf8_percent_encode(&ended.subject, ENCODED)),
                Piece::Provider => filled.extend(utf8_percent_encode(&ended.provider, ENCODED)),
            }
        }
        let target: PathAndQuery = filled.parse().ok()?;
        // SECURITY: an identifier such as `../admin` must not make another request of this one.
        let held = Path::parse(target.path()).is_ok_and(|path| self.is_at(&path) == Ok(true));
        held.then(|| Uri::from(target))
    }
}

/// Ends that apps are to be told of. One for the whole process.
#[derive(Debug)]
pub struct Ends {
    sender: Sender<Task>,
    receiver: Mutex<Option<Receiver<Task>>>,
}

#[derive(Debug)]
struct Task {
    app: usize,
    ended: Ended,
}

impl Default for Ends {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Ends {
    fn take(&self) -> Option<Receiver<Task>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Tells the apps of an origin that this session is over; all apps that it may have been used for, where it is not
/// known for which. Returns at once.
pub fn tell(gateway: &Gateway, at: Option<&Protected>, data: &SessionData) {
    let (provider, subject) = (data.provider.clone(), data.subject.clone());
    let app = at.map(|app| app.settings.name.clone());
    tell_of(gateway, &Ended { provider, subject, app });
}

/// The same of a session of which only this is known.
pub fn tell_of(gateway: &Gateway, ended: &Ended) {
    let at = ended.app.as_ref().and_then(|name| gateway.apps.iter().find(|app| app.settings.name == *name));
    for app in &gateway.apps {
        let told = app.settings.own_session.on_end.is_some()
            && app.provider_named(&ended.provider).is_some()
            && at.is_none_or(|at| at.origin == app.origin);
        if told && gateway.ends.sender.try_send(Task { app: app.number, ended: ended.clone() }).is_err() {
            let name = &app.settings.name;
            tracing::error!(app = %name, "too many ends of sessions wait to be told to the app; this one is not");
        }
    }
}

/// Empties the queue, on one worker: the first that comes. Returns when there is nothing to be done here.
pub async fn carry_out(worker: Rc<Worker>) {
    if worker.gateway.apps.iter().all(|app| app.settings.own_session.on_end.is_none()) {
        return;
    }
    let Some(mut ends) = worker.gateway.ends.take() else { return };
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(task) = ends.recv().await {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            if let Some(app) = worker.gateway.apps.get(task.app)
                && let Some(on_end) = &app.settings.own_session.on_end
            {
                insist(&worker, app, on_end, &task.ended).await;
            }
            drop(place);
        });
    }
}

/// How one try ended that brought nothing.
enum Failed {
    /// The app could not be reached, or was not able.
    Later(String),
    /// It does not want this request.
    Refused(StatusCode),
}

async fn insist(worker: &Worker, app: &Protected, on_end: &OnEnd, ended: &Ended) {
    let name = &app.settings.name;
    let subject = (worker.gateway.subject_in_logs == SubjectInLogs::Named).then_some(&*ended.subject);
    let Some(target) = on_end.target(ended) else {
        tracing::error!(app = %name, subject, "the app is not told of a session's end: the person's identifier does not fit into the path of logout.on_end");
        return;
    };
    let mut pauses = PAUSES.iter();
    loop {
        match ask(worker, app, on_end, target.clone(), ended).await {
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
    worker: &Worker,
    app: &Protected,
    on_end: &OnEnd,
    target: Uri,
    ended: &Ended,
) -> Result<StatusCode, Failed> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = on_end.method.clone();
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    let host = HeaderValue::try_from(app.settings.origin.authority());
    headers.insert(HOST, host.map_err(|error| Failed::Later(error.to_string()))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Vestibule/", env!("CARGO_PKG_VERSION"))));
    if !matches!(on_end.method, Method::GET | Method::DELETE) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    let fields = identity(app, ended);
    let upstream = worker.upstream(app).map_err(|failure| Failed::Later(failure.to_string()))?;
    let asked = tokio::time::timeout(LONGEST, async {
        let answer = upstream.exchange(request, &fields).await?;
        let status = answer.status();
        // Whatever it says, the connection may serve again when it is read.
        Limited::new(answer.into_body(), ANSWER).collect().await.map(drop).unwrap_or_default();
        Ok::<_, UpstreamError>(status)
    });
    let status = match asked.await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(Failed::Later(error.to_string())),
        Err(_) => return Err(Failed::Later(format!("no answer within {LONGEST:?}"))),
    };
    match status {
        // Nobody is signed in there: that is what was wanted.
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(status),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Failed::Later(status.to_string())),
        _ if status.is_client_error() => Err(Failed::Refused(status)),
        _ if status.is_server_error() => Err(Failed::Later(status.to_string())),
        _ => Ok(status),
    }
}

/// The identity headers that follow from the person's identifier alone: nothing else is known of somebody whose
/// session may have ended on another machine.
fn identity(app: &Protected, ended: &Ended) -> Fields {
    let claims = Claims(Map::from_iter([(SUBJECT.to_owned(), Value::from(ended.subject.as_str()))]));
    let nothing = Tokens { access: None, id: None, refresh: None, proof_key: None };
    let rendered = app.settings.headers.render(&claims, &nothing);
    Fields::written(rendered.headers.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, subject: &str) -> Option<String> {
        let ended = Ended { provider: "school".to_owned(), subject: subject.to_owned(), app: None };
        OnEnd::compile(Method::POST, url).unwrap().target(&ended).map(|uri| uri.to_string())
    }

    #[test]
    fn a_person_is_filled_in_encoded_and_cannot_change_the_path() {
        for (url, subject, expected) in [
            ("/internal/logout?user={sub}", "5f-6d", Some("/internal/logout?user=5f-6d")),
            ("/internal/logout?user={sub}&by={provider}", "a&b=c d/é", {
                Some("/internal/logout?user=a%26b%3Dc%20d%2F%C3%A9&by=school")
            }),
            ("/users/{sub}/sessions", "5f", Some("/users/5f/sessions")),
            ("/users/{sub}/sessions", "a@b.example", Some("/users/a%40b.example/sessions")),
            ("/users/{sub}/sessions", "a/b", None),
            ("/users/{sub}/sessions", "..", None),
            ("/users/{sub}/sessions", ".", None),
            ("/users/{sub}/sessions", "a;b", Some("/users/a%3Bb/sessions")),
            ("/users/{sub}/sessions", "%2e%2e", None),
            ("/logout-all", "x", Some("/logout-all")),
        ] {
            assert_eq!(target(url, subject).as_deref(), expected, "{url} {subject}");
        }
    }

    #[test]
    fn a_request_that_leads_elsewhere_or_reads_in_two_ways_is_refused() {
        for (url, error) in [
            ("https://other.example/", OnEndError::NotAPath),
            ("//other.example/", OnEndError::NotAPath),
            ("logout", OnEndError::NotAPath),
            ("/logout?user={email}", OnEndError::Braces),
            ("/logout?user={sub", OnEndError::Braces),
            ("/logout?user=sub}", OnEndError::Braces),
            ("/log out", OnEndError::Character),
            ("/logout#x", OnEndError::Character),
            ("/выход", OnEndError::Character),
        ] {
            assert_eq!(OnEnd::compile(Method::POST, url).unwrap_err(), error, "{url}");
        }
        assert!(matches!(OnEnd::compile(Method::POST, "/a/../b"), Err(OnEndError::Path(_))));
    }
}
