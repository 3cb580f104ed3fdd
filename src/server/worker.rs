//! One worker: accepts connections, serves them on its own thread, and lets them finish when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::Limits;
use super::connection::{self, Connection, TlsFacts};
use super::drain::Drain;
use super::patience::Patience;
use super::stream::{Socket, Stream, Wire};
use crate::foundation::body::Body;

/// What all workers share.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) drain_timeout: Duration,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// One permit for each connection that may be open.
    pub(super) slots: Arc<Semaphore>,
}

/// How long accepting rests when the process has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// After a drain began, how long the listeners stay open for connections that are on their way.
const LAST_CALL: Duration = Duration::from_millis(20);

/// The most that is held in memory of an answer that its client does not take.
const BUFFER: usize = 64 * 1024;

/// The number of header fields that `hyper` reads without allocating for them.
const USUAL_HEADERS: usize = 100;

/// A worker before it is started; it can be sent to the thread that it shall run on.
pub struct Worker {
    listeners: Vec<StdListener>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Worker {
    pub(super) const fn new(listeners: Vec<StdListener>, shared: Arc<Shared>) -> Self {
        Self { listeners, shared }
    }

    /// Serves until `drain` has begun and then until the last request is answered or the time for that is
    /// over. Must run where [`tokio::task::spawn_local`] can; `service` and what it returns never leave the thread.
    ///
    /// # Errors
    /// When the runtime can't take the listeners over.
    pub async fn serve<S, F>(self, drain: Drain, service: S) -> io::Result<()>
    where
        S: Fn(Box<Request<Incoming>>, Rc<Connection>) -> F + 'static,
        F: Future<Output = Response<Body>> + 'static,
    {
        // As a task of its own it is polled when it is woken; a runtime, or a `LocalSet`, polls the future
        // that it runs whenever anything happens.
        let serving = tokio::task::spawn_local(self.run(drain, service));
        serving.await.map_err(io::Error::other)?
    }

    async fn run<S, F>(self, drain: Drain, service: S) -> io::Result<()>
    where
        S: Fn(Box<Request<Incoming>>, Rc<Connection>) -> F + 'static,
        F: Future<Output = Response<Body>> + 'static,
    {
        let drain_timeout = self.shared.drain_timeout;
        let floor = Rc::new(Floor {
            http: http1(&self.shared.limits),
            shared: self.shared,
            service: Rc::new(service),
            open: RefCell::default(),
            next: Cell::new(0),
            taken: Cell::new(0),
            given_back: Notify::new(),
            draining: Cell::new(false),
        });
        let mut accepting = Vec::with_capacity(self.listeners.len());
        for listener in self.listeners {
            let listener = TcpListener::from_std(listener)?;
            accepting.push(tokio::task::spawn_local(accept(Rc::clone(&floor), listener, drain.clone())));
        }
        let looking = tokio::task::spawn_local(look(Rc::clone(&floor)));
        drain.begun().await;
        floor.draining.set(true);
        floor.each(|connection| connection.finish());
        for task in accepting {
            // A task that panicked has stopped accepting all the same.
            drop(task.await);
        }
        if tokio::time::timeout(drain_timeout, floor.emptied()).await.is_err() {
            floor.each(|connection| connection.cut());
            // They end at their next poll; what doesn't is dropped with the runtime.
            drop(tokio::time::timeout(EXHAUSTED_PAUSE, floor.emptied()).await);
        }
        looking.abort();
        Ok(())
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // Heads and idle connections are timed by `patience`, without a timer for each request. `half_close` stays
    // off: a client that closes has gone, and its request is abandoned. So does `pipeline_flush`: with it
    // `hyper` buffers a body without limit.
    http.header_read_timeout(None)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(BUFFER));
    if limits.headers != USUAL_HEADERS {
        http.max_headers(limits.headers);
    }
    http
}

/// Where the connections of one worker are.
struct Floor<S> {
    http: http1::Builder,
    shared: Arc<Shared>,
    service: Rc<S>,
    open: RefCell<HashMap<u64, Rc<Connection>>>,
    next: Cell<u64>,
    /// How many connections there are, those in their TLS handshake included.
    taken: Cell<usize>,
    given_back: Notify,
    draining: Cell<bool>,
}

/// A connection's place; given back when it is dropped, also when its task panics.
struct Place<S> {
    floor: Rc<Floor<S>>,
    number: u64,
    _slot: OwnedSemaphorePermit,
}

impl<S> Place<S> {
    fn take(floor: &Rc<Floor<S>>, slot: OwnedSemaphorePermit) -> Self {
        let number = floor.next.get();
        floor.next.set(number + 1);
        floor.taken.set(floor.taken.get() + 1);
        Self { floor: Rc::clone(floor), number, _slot: slot }
    }
}

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        self.floor.open.borrow_mut().remove(&self.number);
        self.floor.taken.set(self.floor.taken.get() - 1);
        self.floor.given_back.notify_one();
    }
}

impl<S> Floor<S> {
    fn each(&self, act: impl Fn(&Rc<Connection>)) {
        let open: Vec<Rc<Connection>> = self.open.borrow().values().cloned().collect();
        open.iter().for_each(act);
    }

    async fn emptied(&self) {
        while self.taken.get() != 0 {
            self.given_back.notified().await;
        }
    }
}

async fn accept<S, F>(floor: Rc<Floor<S>>, listener: TcpListener, drain: Drain)
where
    S: Fn(Box<Request<Incoming>>, Rc<Connection>) -> F + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.begun() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Beyond the limit nothing more is accepted until a connection closes, here or elsewhere.
                let slot = tokio::select! {
                    // In this order: a drain that begins just now does not drop what was accepted.
                    biased;
                    slot = Arc::clone(&floor.shared.slots).acquire_owned() => slot,
                    () = drain.begun() => return,
                };
                let Ok(slot) = slot else { return };
                begin(&floor, stream, peer, slot);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
        }
    }
    // The kernel has completed handshakes, or is about to, that closing the listener now would cut off.
    tokio::time::sleep(LAST_CALL).await;
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, peer)) = listener.accept() {
        let Ok(slot) = Arc::clone(&floor.shared.slots).try_acquire_owned() else { return };
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            begin(&floor, stream, peer, slot);
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn begin<S, F>(floor: &Rc<Floor<S>>, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit)
where
    S: Fn(Box<Request<Incoming>>, Rc<Connection>) -> F + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let place = Place::take(floor, slot);
    tokio::task::spawn_local(async move {
        let floor = Rc::clone(&place.floor);
        let Ok(local) = stream.local_addr() else { return };
        let Some((socket, tls)) = greet(&floor.shared, stream).await else { return };
        let wire = Rc::new(Wire::default());
        let connection = Rc::new(Connection::new(peer, local, tls, Rc::clone(&wire)));
        floor.open.borrow_mut().insert(place.number, Rc::clone(&connection));
        if floor.draining.get() {
            connection.finish();
        }
        connection::serve(Stream { socket, wire }, connection, &floor.http, Rc::clone(&floor.service)).await;
    });
}

/// The TLS handshake, where there is one. A client that fails at it or takes too long is dropped.
async fn greet(shared: &Shared, stream: TcpStream) -> Option<(Socket, Option<TlsFacts>)> {
    stream.set_nodelay(true).ok()?;
    let Some(tls) = &shared.tls else { return Some((Socket::Plain(stream), None)) };
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    let stream = tokio::time::timeout(shared.limits.head_timeout, handshake).await.ok()?.ok()?;
    let server_name = stream.get_ref().1.server_name().map(str::to_owned);
    Some((Socket::Tls(Box::new(stream)), Some(TlsFacts { server_name })))
}

/// Looks after the connections' patience.
async fn look<S>(floor: Rc<Floor<S>>) {
    let patience = Patience::new(&floor.shared.limits);
    loop {
        tokio::time::sleep(patience.pause).await;
        for connection in floor.open.borrow().values() {
            let (glance, mut memory) = connection.glance();
            if patience.is_over(&mut memory, glance) {
                connection.cut();
            }
            connection.remember(memory);
        }
    }
}
