//! The admin listener: `/healthz`, `/readyz`, `/metrics`. Never on the public address.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::runtime::Handle;

use super::StartError;
use crate::gateway::Gateway;
use crate::oidc::Provider;
use crate::server::Drain;

const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the store may take to say that it can be used.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
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
    gateway: &Arc<Gateway>,
    providers: Vec<Arc<Provider>>,
    drain: Drain,
    control: &Handle,
) -> Result<SocketAddr, StartError> {
    let _entered = control.enter();
    let address = listener.local_addr().map_err(StartError::Thread)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(StartError::Thread)?;
    let state = Arc::new(State { gateway: Arc::clone(gateway), providers, drain });
    control.spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(connection(TokioIo::new(stream), Arc::clone(&state)))),
                // Out of file descriptors, most often: wait for some to come back.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    });
    Ok(address)
}

struct State {
    gateway: Arc<Gateway>,
    providers: Vec<Arc<Provider>>,
    drain: Drain,
}

async fn connection(stream: TokioIo<tokio::net::TcpStream>, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(&request, &state).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(stream, service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "an admin connection ended badly");
    }
}

async fn answer(request: &Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET, HEAD\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "text/plain", "ok\n".into()),
        "/readyz" => ready(state).await,
        "/metrics" => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            text(StatusCode::OK, kind, state.gateway.metrics.render())
        }
        _ => text(StatusCode::NOT_FOUND, "text/plain", "/healthz /readyz /metrics\n".into()),
    }
}

/// Ready: the session store can be used, and the process is not about to end. A provider that is down is told,
/// and makes the gateway no less ready: people who are signed in, public paths and other providers' apps are
/// served.
async fn ready(state: &State) -> Response<Full<Bytes>> {
    let asked = tokio::time::timeout(STORE_PATIENCE, state.gateway.sessions.check()).await;
    let (usable, code, sessions) = match asked {
        // Who does not hear the others asks the store for each request, and serves all the same.
        Ok(Ok(())) if state.gateway.sessions.hears() == Some(false) => {
            (true, "store_unheard", "what other gateways do to sessions is not heard".to_owned())
        }
        Ok(Ok(())) => (true, "ok", "ok".to_owned()),
        Ok(Err(error)) => (false, error.code(), error.to_string()),
        Err(_) => (false, "store_late", "the session store does not answer".to_owned()),
    };
    let providers: serde_json::Map<String, serde_json::Value> = state
        .providers
        .iter()
        .map(|provider| (provider.name().to_owned(), json!(provider.readiness().to_string())))
        .collect();
    let ready = usable && !state.drain.has_begun();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = json!({
        "ready": ready,
        "draining": state.drain.has_begun(),
        "sessions": sessions,
        "sessions_code": code,
        "providers": providers,
    });
    text(status, "application/json", format!("{told}\n"))
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
