//! One accepted connection: the facts about it, and its HTTP/1 life from the first byte to the last.
//!
//! `hyper` reads and writes the messages. Refused here is what only the connection can see; what a request
//! means is the service's business.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::patience::{Glance, Memory};
use super::stream::{Stream, Upgraded, Wire};
use crate::foundation::body::{Body, BodyError};
use crate::foundation::peer::Peer;

/// After a drain began, how long an idle connection is still listened to: a request may be on its way.
const LINGER: Duration = Duration::from_millis(200);

/// How long, and how much, is still read from a client after the last answer, so that the answer reaches it.
const LAST_READ: (Duration, usize) = (Duration::from_secs(2), 1 << 20);

type Then = Box<dyn FnOnce(Upgraded) -> Pin<Box<dyn Future<Output = ()>>>>;

/// The facts about one connection, made once when it was accepted.
pub struct Connection {
    /// The other end.
    pub peer: Peer,
    /// The address that the connection came to.
    pub local: SocketAddr,
    /// `None`: plain HTTP.
    pub tls: Option<TlsFacts>,
    state: State,
    kept: OnceCell<Box<dyn Any>>,
}

/// What is known of a connection's TLS.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
}

#[derive(Default)]
struct State {
    wire: Rc<Wire>,
    requests: Cell<u64>,
    in_flight: Cell<bool>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    memory: Cell<Memory>,
    then: RefCell<Option<Then>>,
}

/// What the worker wants of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    #[default]
    Serve,
    /// Answer what is in flight, or arrives just now, and close.
    Finish,
    /// Close if nothing is in flight, else after that.
    Close,
    Cut,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, local: SocketAddr, tls: Option<TlsFacts>, wire: Rc<Wire>) -> Self {
        let state = State { wire, ..State::default() };
        Self { peer: Peer::new(peer), local, tls, state, kept: OnceCell::new() }
    }

    /// What the service keeps for this connection, made at the first call: so that what is the same for all
    /// its requests is worked out once. `None` when something of another type is kept already.
    pub fn kept<T: 'static>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.kept.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// Gives the connection's bytes to `then` once the answer to the request in hand, which must be a 101,
    /// was written. With another answer `then` is dropped.
    pub fn upgrade<F: Future<Output = ()> + 'static>(&self, then: impl FnOnce(Upgraded) -> F + 'static) {
        *self.state.then.borrow_mut() = Some(Box::new(move |upgraded| Box::pin(then(upgraded))));
    }

    /// Whether the process is ending: answers go out with `Connection: close`.
    pub fn is_draining(&self) -> bool {
        self.state.order.get() != Order::Serve
    }

    pub(super) fn glance(&self) -> (Glance, Memory) {
        let wire = &self.state.wire;
        let glance = Glance {
            requests: self.state.requests.get(),
            in_flight: self.state.in_flight.get() || wire.raw.get(),
            owes_body: wire.read_blocked.get() && wire.framing.borrow().is_mid_body() && !wire.raw.get(),
            takes_nothing: wire.write_blocked.get() && !wire.raw.get(),
            moved: wire.read.get().wrapping_add(wire.written.get()),
        };
        (glance, self.state.memory.get())
    }

    pub(super) fn remember(&self, memory: Memory) {
        self.state.memory.set(memory);
    }

    /// Lets the connection finish what is in flight; an idle one closes after a moment.
    pub(super) fn finish(self: &Rc<Self>) {
        self.command(Order::Finish);
        let connection = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(LINGER).await;
            connection.command(Order::Close);
        });
    }

    /// Closes the connection now, whatever is in flight.
    pub(super) fn cut(&self) {
        self.command(Order::Cut);
    }

    fn command(&self, order: Order) {
        if order > self.state.order.get() {
            self.state.order.set(order);
            if let Some(waker) = self.state.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    /// Resolves when the connection is to be cut.
    pub(super) async fn cut_ordered(&self) {
        poll_fn(|cx| {
            if self.state.order.get() == Order::Cut {
                return Poll::Ready(());
            }
            *self.state.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Serves one connection until it is closed, by either side, or has become a tunnel that has ended.
pub(super) async fn serve<S, F>(
    stream: Stream,
    connection: Rc<Connection>,
    http: &http1::Builder,
    service: Rc<S>,
) where
    S: Fn(Box<Request<Incoming>>, Rc<Connection>) -> F + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let facts = Rc::clone(&connection);
    // The service is called inside the future, so that its own, larger one is made where it stays.
    let service = service_fn(move |request: Request<Incoming>| {
        let refused = facts.receive(&request);
        // Boxed, because it is handed through many futures and is large itself.
        let request = Box::new(request);
        let (service, facts) = (Rc::clone(&service), Rc::clone(&facts));
        async move {
            let answer = if refused { refusal() } else { service(request, Rc::clone(&facts)).await };
            Ok::<_, Infallible>(facts.send(answer))
        }
    });
    let mut conn = http.serve_connection(TokioIo::new(stream), service);
    let state = &connection.state;
    let mut closing = false;
    let ended = poll_fn(|cx| {
        match state.order.get() {
            Order::Cut => return Poll::Ready(false),
            Order::Close if !closing => {
                closing = true;
                // Once more: what has arrived is still answered.
                if Pin::new(&mut conn).poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                // SECURITY: a head that was begun and not finished is nothing in flight: waiting for it would let a
                // stranger put off the end of the process.
                let half_a_head = state.wire.framing.borrow().is_mid_head();
                if half_a_head && !state.in_flight.get() && !state.wire.write_blocked.get() {
                    return Poll::Ready(false);
                }
                Pin::new(&mut conn).graceful_shutdown();
            }
            _ => {}
        }
        if state.waker.borrow().is_none() {
            *state.waker.borrow_mut() = Some(cx.waker().clone());
        }
        // An error is the client's: it has gone, or has sent what is no HTTP, and `hyper` has said so.
        Pin::new(&mut conn).poll(cx).map(|_| true)
    })
    .await;
    if !ended {
        return;
    }
    let parts = conn.into_parts();
    let stream = parts.io.into_inner();
    state.in_flight.set(false);
    let then = state.then.borrow_mut().take();
    match then {
        Some(then) if state.wire.raw.get() => {
            let tunnel = then(Upgraded::new(stream, parts.read_buf));
            tokio::select! {
                () = tunnel => {}
                () = connection.cut_ordered() => {}
            }
        }
        _ => last_read(stream).await,
    }
}

/// Closing while the client still sends would make the kernel throw away the answer it has not read yet.
async fn last_read(mut stream: Stream) {
    let (time, mut bytes) = LAST_READ;
    if !stream.wire.framing.borrow().is_cut_short() {
        return;
    }
    let rest = async {
        stream.shutdown().await?;
        let mut buffer = [0; 4096];
        while bytes > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => bytes = bytes.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    drop(tokio::time::timeout(time, rest).await);
}

fn refusal() -> Response<Body> {
    let mut answer = Response::new(Body::full("Bad Request\n"));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(http::header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    answer
}

impl Connection {
    /// Notes that a request has come; says whether its framing is refused.
    fn receive<B>(&self, request: &Request<B>) -> bool {
        let number = self.state.requests.get();
        self.state.requests.set(number + 1);
        self.state.in_flight.set(true);
        // SECURITY: `hyper` takes any list of encodings that ends in chunked, and drops a Content-Length
        // beside one. Another reader on the way may have taken the other reading (request smuggling): neither
        // gets to the app, and the connection ends.
        let framing = self.state.wire.framing.borrow();
        if !framing.is_suspicious() {
            return false;
        }
        let mut encodings = request.headers().get_all(TRANSFER_ENCODING).iter();
        if let Some(encoding) = encodings.next() {
            let exact = encoding.as_bytes().eq_ignore_ascii_case(b"chunked") && encodings.next().is_none();
            if !exact {
                return true;
            }
        }
        framing.is_contradictory(number)
    }

    /// Notes what kind of answer goes out, and watches for its end.
    fn send(self: Rc<Self>, mut answer: Response<Body>) -> Response<Outgoing> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.state.wire.raw.set(self.state.then.borrow().is_some());
        } else {
            self.state.then.borrow_mut().take();
            if self.is_draining() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        answer.map(|body| Outgoing { body, connection: self })
    }
}

/// An answer's body on its way out; when it is gone the connection is idle again.
struct Outgoing {
    body: Body,
    connection: Rc<Connection>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.connection.state.in_flight.set(false);
    }
}
