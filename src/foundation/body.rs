//! The body of every request and response that passes through or is made here.
//!
//! An enum instead of a boxed trait object: what passes through from a connection is not allocated anew. A
//! body stays on the worker that made it: it is not `Send`, because the connection it is read from is not.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

/// Why a body could not be read to its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body made elsewhere: a stream of our own, a body with a limit.
pub type BoxedBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// A streaming body, and what has to happen once it is over.
pub struct Body {
    kind: Kind,
    sent: u64,
    on_end: Option<Box<dyn BodyEnd>>,
}

enum Kind {
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Carried(Box<dyn Carrier>),
    Boxed(BoxedBody),
    /// It broke off; the error is still to be told.
    Broken(Option<BodyError>),
}

/// A body together with the connection it is read from, when that has no task of its own: whoever reads the
/// body moves the connection.
pub trait Carrier {
    /// As [`HttpBody::poll_frame`].
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;
    /// As [`HttpBody::is_end_stream`].
    fn is_end_stream(&self) -> bool;
    /// As [`HttpBody::size_hint`].
    fn size_hint(&self) -> SizeHint;
    /// The body was read to its end without an error: the connection may serve again.
    fn finished(self: Box<Self>);
}

/// What is told how much of a body was sent, once, when the body is over or its connection is gone.
pub trait BodyEnd {
    /// `bytes` of data were sent; `complete` says whether that was all of it.
    fn ended(self: Box<Self>, bytes: u64, complete: bool);
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self::of(Kind::Empty)
    }

    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) })
    }

    /// A body that arrives from a connection.
    pub const fn incoming(body: Incoming) -> Self {
        Self::of(Kind::Incoming(body))
    }

    /// A body that arrives from a connection which its reader moves.
    pub const fn carried(carrier: Box<dyn Carrier>) -> Self {
        Self::of(Kind::Carried(carrier))
    }

    /// A body made elsewhere.
    pub const fn boxed(body: BoxedBody) -> Self {
        Self::of(Kind::Boxed(body))
    }

    /// Tells `end` when this body is over.
    #[must_use]
    pub fn on_end(mut self, end: Box<dyn BodyEnd>) -> Self {
        self.on_end = Some(end);
        self
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, sent: 0, on_end: None }
    }

    fn finish(&mut self, complete: bool) {
        if let Some(end) = self.on_end.take() {
            end.ended(self.sent, complete);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.kind {
            Kind::Empty => None,
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                Some(Ok(Frame::data(bytes)))
            }
            Kind::Incoming(body) => match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame.map(|frame| frame.map_err(BodyError::from)),
            },
            Kind::Carried(carrier) => match carrier.poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => {
                    let failed = matches!(frame, Some(Err(_)));
                    if failed || frame.is_none() || carrier.is_end_stream() {
                        let over = std::mem::replace(&mut self.kind, Kind::Empty);
                        if let (Kind::Carried(carrier), false) = (over, failed) {
                            carrier.finished();
                        }
                    }
                    frame
                }
            },
            Kind::Boxed(body) => match body.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            },
            Kind::Broken(error) => {
                let error = error.take();
                self.finish(false);
                return Poll::Ready(error.map(Err));
            }
        };
        if let Some(Err(error)) = frame {
            // What was read before it broke off is written first: on an error `hyper` closes at once.
            self.kind = Kind::Broken(Some(error));
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match frame.as_ref().and_then(|frame| frame.as_ref().ok()) {
            Some(frame) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.sent += u64::try_from(bytes).unwrap_or(u64::MAX);
            }
            None => self.finish(true),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Carried(carrier) => carrier.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
            Kind::Broken(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Carried(carrier) => carrier.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
            Kind::Broken(_) => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let complete = self.is_end_stream();
        self.finish(complete);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("sent", &self.sent).finish_non_exhaustive()
    }
}
