//! The workers: one thread a core, each with its own runtime, listeners and connections to the apps.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use http::{Response, StatusCode};
use rustls::ClientConfig;
use tokio::runtime::{self, Runtime};
use tokio::task::LocalSet;

use super::StartError;
use crate::foundation::body::Body;
use crate::foundation::origin::Scheme;
use crate::foundation::trust;
use crate::gateway::apps::Protected;
use crate::gateway::visitor::Visitor;
use crate::gateway::{Gateway, Worker};
use crate::server::{self, Bound, Connection, Drain};
use crate::telemetry::access;
use crate::upstream::Upstream;

/// Starts all workers.
///
/// # Errors
/// When the system gives no thread, or TLS towards an upstream cannot be set up.
pub fn start(bound: Bound, gateway: &Arc<Gateway>, drain: &Drain) -> Result<Vec<JoinHandle<()>>, StartError> {
    let tls = tls_of_apps(gateway)?;
    let mut threads = Vec::new();
    for (number, worker) in bound.into_workers().into_iter().enumerate() {
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let (gateway, drain, tls) = (Arc::clone(gateway), drain.clone(), tls.clone());
        let work = move || {
            if let Err(error) = work(&runtime, worker, gateway, &tls, drain) {
                tracing::error!(%error, "a worker can't serve");
            }
            access::flush();
        };
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(work);
        threads.push(thread.map_err(StartError::Thread)?);
    }
    Ok(threads)
}

fn work(
    runtime: &Runtime,
    worker: server::Worker,
    gateway: Arc<Gateway>,
    tls: &[Arc<ClientConfig>],
    drain: Drain,
) -> Result<(), StartError> {
    let upstreams =
        gateway.apps.iter().zip(tls).map(|(app, tls)| upstream(app, tls)).collect::<Result<_, _>>()?;
    let serving = Rc::new(Worker::new(gateway, upstreams));
    let service = move |request, connection: Rc<Connection>| {
        let serving = Rc::clone(&serving);
        async move {
            // What is worked out once for a connection is kept with it.
            let visitor = connection.kept(|| {
                let scheme = if connection.tls.is_some() { Scheme::Https } else { Scheme::Http };
                Visitor::new(connection.peer, scheme, &serving.gateway.trusted_proxies)
            });
            let Some(visitor) = visitor else { return broken() };
            let answer = serving.serve(request, visitor).await;
            if let Some(tunnel) = visitor.take_tunnel() {
                connection.upgrade(|browser| tunnel.carry(browser));
            }
            answer
        }
    };
    LocalSet::new().block_on(runtime, worker.serve(drain, service)).map_err(StartError::Thread)
}

/// When something else than a visitor were kept with a connection, which nothing does.
fn broken() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

fn upstream(app: &Protected, tls: &Arc<ClientConfig>) -> Result<Rc<Upstream>, StartError> {
    let made = Upstream::new(&app.settings.upstream, Arc::clone(tls));
    made.map_err(|source| StartError::Upstream { app: app.settings.name.clone(), source })
}

/// The trust of each app's upstream; the system's roots are loaded once for all apps without a CA of their own.
fn tls_of_apps(gateway: &Gateway) -> Result<Vec<Arc<ClientConfig>>, StartError> {
    let mut usual: Option<Arc<ClientConfig>> = None;
    let mut all = Vec::with_capacity(gateway.apps.len());
    for app in &gateway.apps {
        let ca = &app.settings.upstream.ca;
        let config = match &usual {
            Some(usual) if ca.is_empty() => Arc::clone(usual),
            _ => Arc::new(trust::client_config(ca.clone())?),
        };
        if ca.is_empty() {
            usual = Some(Arc::clone(&config));
        }
        upstream(app, &config)?;
        all.push(config);
    }
    Ok(all)
}
