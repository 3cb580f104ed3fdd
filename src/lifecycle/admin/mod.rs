//! The admin listener: health and metrics for everybody who reaches it, sessions for operators. Never on the public
//! address. Who may see sessions is `access`; each endpoint is a file; `client` is the other end, for the command
//! line.

mod access;
mod answer;
mod asked;
pub mod client;
pub mod documents;
mod health;
mod page;
mod refusal;
mod sessions;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Handle;

use self::access::Access;
use self::answer::Answer;
use super::StartError;
use crate::foundation::peer::Peer;
use crate::foundation::secret::Secret;
use crate::gateway::Gateway;
use crate::oidc::Provider;
use crate::server::Drain;
use crate::telemetry::history::History;

const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the admin address.
///
/// # Errors
/// When it cannot be listened on.
pub fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address);
    let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|source| StartError::Admin { address, source })
}

/// Serves the admin endpoints on the control thread for as long as it lives.
///
/// # Errors
/// When the listener cannot be handed to the runtime.
pub fn serve(
    listener: TcpListener,
    token: Option<Secret>,
    gateway: &Arc<Gateway>,
    providers: Vec<Arc<Provider>>,
    drain: Drain,
    control: &Handle,
) -> Result<SocketAddr, StartError> {
    let _entered = control.enter();
    let address = listener.local_addr().map_err(StartError::Thread)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(StartError::Thread)?;
    let access = Access::new(token, Arc::clone(gateway.sessions.keys()), gateway.clock.clone());
    let history = Arc::new(History::default());
    control.spawn(Arc::clone(&history).keep(Arc::clone(&gateway.metrics)));
    let state = Arc::new(State { gateway: Arc::clone(gateway), providers, drain, access, history });
    control.spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let client = Peer::new(peer).ip();
                    drop(tokio::spawn(connection(TokioIo::new(stream), client, Arc::clone(&state))));
                }
                // Out of file descriptors, most often: wait for some to come back.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    });
    Ok(address)
}

/// What the endpoints look at.
struct State {
    gateway: Arc<Gateway>,
    providers: Vec<Arc<Provider>>,
    drain: Drain,
    access: Access,
    history: Arc<History>,
}

/// One request, without its body.
struct Call<'a> {
    state: &'a State,
    head: &'a Parts,
    client: IpAddr,
}

async fn connection(stream: TokioIo<tokio::net::TcpStream>, client: IpAddr, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(route(request, client, &state).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(stream, service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "an admin connection ended badly");
    }
}

async fn route(request: Request<Incoming>, client: IpAddr, state: &State) -> Answer {
    let (head, body) = request.into_parts();
    let call = Call { state, head: &head, client };
    let path = head.uri.path();
    match (path, &head.method) {
        ("/healthz" | "/readyz" | "/metrics" | "/", method)
            if !matches!(*method, Method::GET | Method::HEAD) =>
        {
            answer::method_not_allowed("GET, HEAD")
        }
        ("/healthz", _) => answer::text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        ("/readyz", _) => health::ready(state).await,
        ("/metrics", _) => health::metrics(state),
        ("/", _) => page::show(&call).await,
        ("/sign-in" | "/sign-out" | "/end", &Method::POST) => page::act(&call, body).await,
        ("/sign-in" | "/sign-out" | "/end", _) => answer::method_not_allowed("POST"),
        ("/sessions", _) => sessions::all(&call).await,
        (path, _) if let Some(id) = path.strip_prefix("/sessions/") => sessions::one(&call, id).await,
        _ => {
            let paths = "/ /sessions /healthz /readyz /metrics\n";
            answer::text(StatusCode::NOT_FOUND, "text/plain", paths.to_owned())
        }
    }
}
