//! The workers: one thread a core, each with its own runtime, listeners and connections to the apps.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use http::{Response, StatusCode};
use rustls::ClientConfig;
use tokio::runtime::{self, LocalOptions, LocalRuntime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::StartError;
use crate::foundation::body::Body;
use crate::foundation::origin::Scheme;
use crate::foundation::trust::{self, TrustError};
use crate::gateway::apps::Protected;
use crate::gateway::own_session::telling;
use crate::gateway::visitor::Visitor;
use crate::gateway::{Gateway, Worker};
use crate::server::{self, Bound, Connection, Drain};
use crate::telemetry::access;
use crate::upstream::Upstream;

/// The threads that serve, as the one that called sees them.
pub struct Workers {
    left: usize,
    ends: UnboundedReceiver<()>,
    /// Of the thread that tells apps of ended sessions, where one wants to be told.
    told_all: Option<UnboundedReceiver<()>>,
}

impl Workers {
    /// Waits for any of them to end, which none does before the drain unless something is broken.
    pub async fn one_ended(&mut self) {
        if self.left > 0 && self.ends.recv().await.is_some() {
            self.left -= 1;
        }
    }

    /// Waits for all of them to end.
    pub async fn ended(&mut self) {
        while self.left > 0 {
            self.one_ended().await;
        }
    }

    /// Waits until apps are told of all ends of sessions that wait, once nothing more is taken.
    pub async fn all_told(&mut self) {
        if let Some(told_all) = &mut self.told_all {
            told_all.recv().await;
        }
    }
}

/// Tells of a worker's end, however it ends.
struct End(UnboundedSender<()>);

impl Drop for End {
    fn drop(&mut self) {
        // When nobody listens any more, the process is ending anyway.
        self.0.send(()).unwrap_or_default();
    }
}

/// Starts all workers.
///
/// # Errors
/// When the system gives no thread, or TLS towards an upstream cannot be set up.
pub fn start(bound: Bound, gateway: &Arc<Gateway>, drain: &Drain) -> Result<Workers, StartError> {
    let tls = tls_of_apps(gateway)?;
    let (told, ends) = unbounded_channel();
    let mut left = 0;
    for worker in bound.into_workers() {
        let (gateway, drain, tls) = (Arc::clone(gateway), drain.clone(), tls.clone());
        thread(format!("worker-{left}"), told.clone(), move || work(worker, gateway, &tls, drain))?;
        left += 1;
    }
    let told_all = gateway.ends.are_told().then(|| tell_apps(Arc::clone(gateway), tls)).transpose()?;
    Ok(Workers { left, ends, told_all })
}

/// Starts the thread that tells apps of ended sessions.
fn tell_apps(
    gateway: Arc<Gateway>,
    tls: Vec<Arc<ClientConfig>>,
) -> Result<UnboundedReceiver<()>, StartError> {
    let (told, told_all) = unbounded_channel();
    thread("telling".to_owned(), told, move || {
        let upstreams = upstreams(&gateway, &tls)?;
        runtime()?.block_on(telling::carry_out(gateway, upstreams));
        Ok(())
    })?;
    Ok(told_all)
}

fn thread(
    name: String,
    told: UnboundedSender<()>,
    work: impl FnOnce() -> Result<(), StartError> + Send + 'static,
) -> Result<(), StartError> {
    let run = move || {
        let _end = End(told);
        if let Err(error) = work() {
            tracing::error!(%error, mend = error.mend(), "a thread can't serve");
        }
        access::flush();
    };
    let started = thread::Builder::new().name(name).spawn(run);
    started.map(drop).map_err(StartError::Thread)
}

fn work(
    worker: server::Worker,
    gateway: Arc<Gateway>,
    tls: &[Arc<ClientConfig>],
    drain: Drain,
) -> Result<(), StartError> {
    let upstreams = upstreams(&gateway, tls)?;
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
    runtime()?.block_on(worker.serve(drain, service)).map_err(StartError::Thread)
}

fn runtime() -> Result<LocalRuntime, StartError> {
    let made = runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    made.map_err(StartError::Thread)
}

/// When something else than a visitor were kept with a connection, which nothing does.
fn broken() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Connections to the apps, in their order, for one thread.
fn upstreams(gateway: &Gateway, tls: &[Arc<ClientConfig>]) -> Result<Vec<Rc<Upstream>>, StartError> {
    gateway.apps.iter().zip(tls).map(|(app, tls)| upstream(app, tls)).collect()
}

fn upstream(app: &Protected, tls: &Arc<ClientConfig>) -> Result<Rc<Upstream>, StartError> {
    let made = Upstream::new(&app.settings.upstream, Arc::clone(tls));
    made.map_err(|source| StartError::Upstream { app: app.settings.name.clone(), source })
}

/// The trust of each app's upstream. An app that is reached without TLS needs none.
fn tls_of_apps(gateway: &Gateway) -> Result<Vec<Arc<ClientConfig>>, StartError> {
    let mut without: Option<Arc<ClientConfig>> = None;
    let mut usual: Option<Arc<ClientConfig>> = None;
    let mut all = Vec::with_capacity(gateway.apps.len());
    for app in &gateway.apps {
        let settings = &app.settings.upstream;
        let config = match (settings.is_secured(), settings.ca.is_empty()) {
            (false, _) => shared(&mut without, trust::nobody)?,
            (true, true) => shared(&mut usual, || trust::client_config(Vec::new()))?,
            (true, false) => Arc::new(trust::client_config(settings.ca.clone())?),
        };
        upstream(app, &config)?;
        all.push(config);
    }
    Ok(all)
}

fn shared(
    made: &mut Option<Arc<ClientConfig>>,
    make: impl FnOnce() -> Result<ClientConfig, TrustError>,
) -> Result<Arc<ClientConfig>, TrustError> {
    if let Some(made) = made {
        return Ok(Arc::clone(made));
    }
    Ok(Arc::clone(made.insert(Arc::new(make()?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_or_cannot_serve_is_told_of() {
        let (told, ends) = unbounded_channel();
        thread("a".to_owned(), told.clone(), || panic!("a worker's own mistake")).unwrap();
        thread("b".to_owned(), told, || Err(StartError::Thread(std::io::Error::other("no listener"))))
            .unwrap();
        let mut workers = Workers { left: 2, ends, told_all: None };
        workers.one_ended().await;
        assert_eq!(workers.left, 1);
        workers.ended().await;
        assert_eq!(workers.left, 0);
    }
}
