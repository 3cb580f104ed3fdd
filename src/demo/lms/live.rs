//! What stays open: a WebSocket that gives back what it is told, and a clock as server-sent events.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Lms;
use crate::demo::serving;
use crate::foundation::body::{Body, BodyError};
use crate::foundation::clock::{Clock, Timestamp};

const MAX_MESSAGE_BYTES: usize = 4 * 1024;
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an open WebSocket is told the time, which also finds out whether anybody is still there.
const GREETING: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);

impl Lms {
    /// `GET /live/socket` (RFC 6455). The gateway has checked the origin and who is there.
    pub(super) fn socket(&self, request: Request<Incoming>) -> Response<Body> {
        let Ok(permit) = std::sync::Arc::clone(&self.sockets).try_acquire_owned() else {
            return serving::empty(StatusCode::SERVICE_UNAVAILABLE);
        };
        let (parts, _) = request.into_parts();
        let mut handshake = Request::from_parts(parts, ());
        let Ok(response) = create_response(&handshake) else {
            return serving::empty(StatusCode::BAD_REQUEST);
        };
        let upgrade = hyper::upgrade::on(&mut handshake);
        tokio::spawn(talk(upgrade, self.clock.clone(), permit));
        response.map(|()| Body::empty())
    }
}

async fn talk(upgrade: OnUpgrade, clock: Clock, _permit: OwnedSemaphorePermit) {
    let Ok(upgraded) = upgrade.await else { return };
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let stream = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits)).await;
    let mut greeting = ticks(GREETING);
    loop {
        let echo = tokio::select! {
            received = socket.next() => match received {
                Some(Ok(Message::Text(text))) => Some(text),
                // Pings are answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => break,
            },
            _ = greeting.tick() => None,
        };
        let seconds = clock.now().as_secs();
        let message = json!({ "seconds": seconds, "echo": echo.as_deref() }).to_string();
        if !matches!(timeout(SEND_TIMEOUT, socket.send(Message::text(message))).await, Ok(Ok(()))) {
            return;
        }
    }
    match timeout(SEND_TIMEOUT, socket.close(None)).await {
        Ok(Ok(()) | Err(Error::ConnectionClosed)) => {}
        ended => tracing::debug!(?ended, "a WebSocket of the demo did not close in order"),
    }
}

/// `GET /events`: the time, once a second, for as long as somebody listens.
pub(super) fn events(clock: &Clock) -> Response<Body> {
    let body = Body::boxed(Box::pin(ClockBody { clock: clock.clone(), ticks: ticks(TICK) }));
    let mut answer = Response::new(body);
    serving::set(&mut answer, CONTENT_TYPE, "text/event-stream");
    serving::set(&mut answer, CACHE_CONTROL, "no-store");
    answer
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// A body that never ends: one event a tick.
struct ClockBody {
    clock: Clock,
    ticks: Interval,
}

impl HttpBody for ClockBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ticks.poll_tick(cx).map(|_| Some(Ok(Frame::data(event(self.clock.now()).into()))))
    }
}

fn event(now: Timestamp) -> String {
    let seconds = now.as_secs();
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let data = json!({ "seconds": seconds, "utc": format!("{hour:02}:{minute:02}:{second:02}") });
    format!("event: tick\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_the_time_to_people_and_programs() {
        let expected = "event: tick\ndata: {\"seconds\":86399,\"utc\":\"23:59:59\"}\n\n";
        assert_eq!(event(Timestamp::from_secs(86_399)), expected);
    }
}
