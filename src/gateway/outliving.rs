//! What outlives its request ends with its session, or its access token: WebSockets, and streams of events (`text/event-stream`).
//!
//! Other answers end by themselves, and pay nothing for this but a look at their length.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::{Body as _, Frame, SizeHint};

use super::Worker;
use super::authentication::Person;
use super::authorization::Admission;
use super::profile::Holder;
use crate::foundation::body::{Body, BodyError, Carrier};
use crate::foundation::clock::Timestamp;

/// How often it is looked whether a session was idle for too long.
const SESSION_CHECK: Duration = Duration::from_secs(5);

/// When the access token ends by which a request was let in, where that is said.
pub fn token_end(admission: &Admission) -> Option<Timestamp> {
    match admission.profile()?.holder() {
        Holder::Token(end) => end,
        Holder::Session => None,
    }
}

/// Resolves when what let a request in is over: a person's session, ended or run out, or an access token; never for
/// nobody's, and not because the store can't be asked.
pub async fn right_end(worker: Rc<Worker>, person: Option<Person>, token_end: Option<Timestamp>) {
    let Some(person) = person else {
        let Some(end) = token_end else { return std::future::pending().await };
        return tokio::time::sleep(end.since(worker.gateway.clock.now())).await;
    };
    loop {
        if matches!(worker.gateway.sessions.stands(&person.live).await, Ok(false)) {
            return;
        }
        let now = worker.gateway.clock.now();
        let rest = person.live.expires_at().since(now).min(SESSION_CHECK);
        tokio::select! {
            () = person.live.ended() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Whether an answer goes on for as long as somebody listens (Server-sent events).
pub fn is_stream(answer: &Response<Body>) -> bool {
    // What has a length has an end.
    answer.body().size_hint().exact().is_none()
        && answer.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        })
}

/// Ends a stream when `ended` resolves. It ends well, so that a browser asks again, and is told then.
pub fn until(ended: impl Future<Output = ()> + 'static, body: Body) -> Body {
    Body::carried(Box::new(Stream { body, ended: Box::pin(ended) }))
}

struct Stream {
    body: Body,
    ended: Pin<Box<dyn Future<Output = ()>>>,
}

impl Carrier for Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// The connection to the app serves again only if the stream itself came to its end; else it closes here.
    fn finished(self: Box<Self>) {}
}
