//! One connection to an app: sends a request, reads the answer's head, then carries the answer's body.
//!
//! It has no task of its own. Whoever waits for the answer, and then whoever reads its body, moves it: so an
//! exchange stays within the task of the browser's connection and wakes nobody else.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::deadline::Deadline;
use super::error::UpstreamError;
use super::fields::Fields;
use super::gate::Gate;
use super::pool::Pool;
use super::stream::{Stream, Wire};
use crate::foundation::body::{Body, BodyError, Carrier};

/// The most of an answer's body that is held in memory for one connection, and of its head.
const BUFFER: usize = 64 * 1024;

/// From this idle time on the kernel is asked whether the app has closed. Before it the reactor's word is
/// enough, which is as old as the worker's present turn: apps close connections after seconds, or at once.
const PROBE_AFTER: Duration = Duration::from_millis(50);

pub(super) struct Line {
    sender: http1::SendRequest<Body>,
    connection: Option<http1::Connection<TokioIo<Stream>, Body>>,
    /// The connection has ended, or has become something else than HTTP.
    over: bool,
    wire: Rc<Wire>,
    gate: Gate,
    deadline: Deadline,
    pool: Weak<Pool>,
    /// When the last request was sent.
    used: Instant,
    /// The answer's body that is being carried, and what of it was read already.
    body: Option<Incoming>,
    first: Option<Bytes>,
}

/// A request that was not answered. `unsent` is the request itself when nothing of it was written.
pub(super) struct Unanswered {
    pub(super) error: UpstreamError,
    pub(super) unsent: Option<Box<Request<Body>>>,
}

impl Line {
    pub(super) async fn new(
        stream: Stream,
        wire: Rc<Wire>,
        pool: Weak<Pool>,
    ) -> Result<Box<Self>, hyper::Error> {
        let builder_io = TokioIo::new(stream);
        let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(builder_io).await?;
        let now = Instant::now();
        Ok(Box::new(Self {
            sender,
            connection: Some(connection),
            over: false,
            wire,
            gate: Gate::new(),
            deadline: Deadline::new(now),
            pool,
            used: now,
            body: None,
            first: None,
        }))
    }

    /// Sends `request` and reads the answer's head. The limit runs from the last byte written, so that a
    /// long upload is not taken for a slow app.
    pub(super) fn send(
        &mut self,
        request: Request<Body>,
        fields: &Fields,
        limit: Duration,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> {
        let Self { sender, connection, over, wire, gate, deadline, used, .. } = self;
        wire.insertion.borrow_mut().prepare(&request, fields);
        // Handed over at once: the future need not hold the request.
        let mut answer = Box::pin(sender.try_send_request(request));
        async move {
            let mut written = 0;
            let mut waiting = false;
            poll_fn(|cx| {
                if let Some(connection) = connection {
                    *over = *over || gate.poll(Pin::new(connection), cx).is_ready();
                }
                let mut silent = Context::from_waker(Waker::noop());
                let mut answered = answer.as_mut().poll(&mut silent);
                if *over && answered.is_pending() {
                    // Dropping it hands back what was not sent.
                    *connection = None;
                    answered = answer.as_mut().poll(&mut silent);
                }
                if let Poll::Ready(answered) = answered {
                    return Poll::Ready(answered.map_err(|mut failed| {
                        let unsent = failed.take_message().map(Box::new);
                        Unanswered { error: UpstreamError::of(failed.into_error()), unsent }
                    }));
                }
                if !waiting {
                    waiting = true;
                    written = wire.written.get();
                    deadline.set(after(*used, limit), gate.waker());
                }
                while deadline.is_over(gate.waker()) {
                    let progress = wire.written.get();
                    if progress == written {
                        let error = UpstreamError::ResponseTimeout { limit };
                        return Poll::Ready(Err(Unanswered { error, unsent: None }));
                    }
                    written = progress;
                    deadline.set(after(Instant::now(), limit), gate.waker());
                }
                gate.open();
                Poll::Pending
            })
            .await
        }
    }

    /// Joins the answer's body to this connection. A body that has arrived already, as small ones have,
    /// becomes plain bytes, and the connection is free at once.
    pub(super) fn body(mut self: Box<Self>, mut body: Incoming) -> Body {
        let exact = body.size_hint().exact();
        if exact == Some(0) {
            self.finished();
            return Body::empty();
        }
        let mut silent = Context::from_waker(Waker::noop());
        if exact.is_some()
            && let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut silent)
        {
            self.first = frame.into_data().ok();
        }
        match self.first.take() {
            Some(bytes) if body.is_end_stream() => {
                self.finished();
                Body::full(bytes)
            }
            first => {
                self.first = first;
                self.body = Some(body);
                Body::carried(self)
            }
        }
    }

    /// Whether a request may be tried. That the app has closed is found out in [`Line::send`], which reads
    /// before it writes; here only the kernel's word is asked for.
    pub(super) fn is_fit(&mut self, now: Instant, idle_limit: Duration) -> bool {
        let idle = now.saturating_duration_since(self.used);
        self.wire.probe.set(idle >= PROBE_AFTER);
        if idle < idle_limit {
            self.used = now;
            return true;
        }
        false
    }

    /// Whether an idle connection is worth keeping: not for too long, and the app has kept it open and quiet.
    pub(super) fn is_worth_keeping(&mut self, now: Instant, idle_limit: Duration) -> bool {
        if now.saturating_duration_since(self.used) >= idle_limit {
            return false;
        }
        self.wire.probe.set(true);
        self.carry(&Context::from_waker(Waker::noop()));
        self.wire.probe.set(false);
        !self.over
    }

    /// Gives up HTTP for the bytes themselves, after the app has switched protocols: the socket, and what
    /// was read beyond the answer's head.
    pub(super) async fn into_stream(self) -> Option<(Stream, Bytes)> {
        let mut connection = self.connection?;
        if !self.over {
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await.ok()?;
        }
        let parts = connection.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

impl Line {
    /// Does for the task of `cx` what input and output can be done now.
    fn carry(&mut self, cx: &Context<'_>) {
        if let Some(connection) = &mut self.connection
            && !self.over
        {
            self.over = self.gate.poll(Pin::new(connection), cx).is_ready();
        }
    }
}

/// A limit of centuries is no limit, and no overflow.
fn after(start: Instant, limit: Duration) -> Instant {
    start.checked_add(limit).unwrap_or_else(|| start + Duration::from_secs(60 * 60 * 24 * 365))
}

impl Carrier for Line {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        // Moving the connection alone brings the body on, so the body itself need not wake anybody.
        let mut silent = Context::from_waker(Waker::noop());
        for carried in [false, true] {
            if carried {
                self.carry(cx);
            }
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            if let Poll::Ready(frame) = Pin::new(body).poll_frame(&mut silent) {
                return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
            }
        }
        self.gate.open();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| u64::try_from(first.len()).unwrap_or(u64::MAX));
        match self.body.as_ref().map(|body| body.size_hint().exact()) {
            Some(Some(rest)) => SizeHint::with_exact(rest.saturating_add(first)),
            Some(None) => SizeHint::default(),
            None => SizeHint::with_exact(first),
        }
    }

    fn finished(mut self: Box<Self>) {
        self.body = None;
        if !self.sender.is_ready() {
            self.carry(&Context::from_waker(Waker::noop()));
        }
        // SECURITY: an app that has not taken the whole request, or has said more than one answer, would
        // shift the answers of the requests after it (desynchronisation): such a connection is dropped.
        if !self.over
            && self.sender.is_ready()
            && self.wire.insertion.borrow().is_done()
            && let Some(pool) = self.pool.upgrade()
        {
            pool.put(self);
        }
    }
}
