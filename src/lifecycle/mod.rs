//! Floor 6: the process: load, assemble, bind, serve, drain.
//!
//! Threads: one worker for each core, which serves requests and nothing else; one control thread for all that
//! may be slow (providers, stores, the admin listener); the thread that called, which waits for signals.

pub mod admin;
pub mod assemble;
pub mod examination;
pub mod registration;
mod signals;
pub mod workers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{self, Runtime};
use tokio::time::Instant;

use self::signals::Signals;
use self::workers::Workers;
use crate::config;
use crate::foundation::clock::Clock;
use crate::foundation::trust::TrustError;
use crate::gateway::Gateway;
use crate::server::{BindError, Drain};
use crate::sessions::{Sessions, SessionsError};
use crate::telemetry::log;
use crate::telemetry::output::Output;
use crate::upstream::UpstreamError;
use crate::{oidc, server};

/// Why the gateway could not start; each says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// No thread or runtime could be had.
    #[error("the system gave no thread: {0}")]
    Thread(#[source] io::Error),
    /// An address could not be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin address could not be listened on.
    #[error("the admin listener {address} can't be opened: {source}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Sessions cannot be kept.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// A provider cannot be set up.
    #[error("provider {name}: {source}")]
    Provider {
        /// The provider.
        name: String,
        /// What is wrong.
        source: oidc::SetupError,
    },
    /// An app names a provider that there is not.
    #[error("app {app}: there is no provider {provider}")]
    UnknownProvider {
        /// The app.
        app: String,
        /// What it names.
        provider: String,
    },
    /// An app's upstream cannot be set up.
    #[error("app {app}: {source}")]
    Upstream {
        /// The app.
        app: String,
        /// What is wrong.
        source: UpstreamError,
    },
    /// TLS towards an upstream cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl StartError {
    /// What the operator should do.
    pub const fn mend(&self) -> &'static str {
        match self {
            Self::Thread(_) => {
                "raise the limits on threads and open files (ulimit -u, ulimit -n), or lower server.workers"
            }
            Self::Bind(BindError::InUse { .. }) => "end the other process, or change server.listen",
            Self::Bind(BindError::Permission { .. }) => {
                "give the process CAP_NET_BIND_SERVICE (in systemd, AmbientCapabilities), or take a port from 1024 up"
            }
            Self::Bind(BindError::NotHere { .. } | BindError::Other { .. }) => {
                "set server.listen to an address of this machine, or to all: \"[::]:4180\""
            }
            Self::Bind(BindError::Tls(_)) => "mend cert and key in server.tls",
            Self::Admin { .. } => "set admin.listen to a free address, or to \"\" to go without it",
            Self::Sessions(error) => error.mend(),
            Self::Provider { .. } => "mend its table in the configuration; `vestibule check` reads it all",
            Self::UnknownProvider { .. } => "name one of the providers of the configuration",
            Self::Upstream { .. } => "mend upstream and upstream_tls of the app",
            Self::Trust(_) => {
                "install the system's CA certificates (the package ca-certificates), or set SSL_CERT_FILE"
            }
        }
    }
}

/// A gateway that serves.
pub struct Running {
    control: Runtime,
    signals: Signals,
    gateway: Arc<Gateway>,
    drain: Drain,
    drain_timeout: Duration,
    workers: Workers,
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

/// How long there is at least, after the last request, to tell apps of ended sessions.
const AT_LEAST: Duration = Duration::from_secs(1);

/// How long the store may take at the end.
const CLOSING: Duration = Duration::from_secs(5);

impl Running {
    /// Starts a gateway: binds, assembles, and serves on threads of its own.
    ///
    /// A provider that is down delays nothing: it is asked again in the background.
    ///
    /// # Errors
    /// When something that the gateway cannot do without is missing.
    pub fn start(settings: config::Settings, clock: Clock) -> Result<Self, StartError> {
        log::init(&settings.telemetry);
        let control = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        // Before anything is served: from the first request on a signal must drain, not kill.
        let signals = Signals::listen(&control).map_err(StartError::Thread)?;
        let bound = server::bind(&settings.server)?;
        let config::Admin { listen, token } = settings.admin.clone();
        let admin = listen.map(admin::bind).transpose()?;
        let (drain, drain_timeout) = (Drain::new(), settings.server.drain_timeout);
        let (gateway, providers) = assemble::gateway(settings, clock, control.handle())?;
        let addresses = bound.local_addrs().to_vec();
        let serve =
            |listener| admin::serve(listener, token, &gateway, providers, drain.clone(), control.handle());
        let admin = admin.map(serve).transpose()?;
        let workers = workers::start(bound, &gateway, &drain)?;
        for address in &addresses {
            tracing::info!(%address, "listening");
        }
        if let Some(address) = admin {
            tracing::info!(%address, "admin listening");
        }
        Ok(Self { control, signals, gateway, drain, drain_timeout, workers, addresses, admin })
    }

    /// The public addresses that are served.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The admin listener's address.
    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The sessions, for whoever ends them from outside.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.gateway.sessions
    }

    /// Waits until the process has to end: it is asked to (SIGTERM, SIGINT), or a worker is no more.
    pub fn wait(&mut self) -> Ending {
        let Self { control, signals, workers, .. } = self;
        control.block_on(ending(signals, workers))
    }

    /// As [`Running::wait`], on any runtime.
    pub async fn ending(&mut self) -> Ending {
        ending(&mut self.signals, &mut self.workers).await
    }

    /// Stops: takes no new connections, lets requests in flight finish and apps be told of ended sessions within the
    /// grace time or until the process is asked to end once more, and writes down when each session was last used.
    pub fn stop(self) -> Stopped {
        let Self { control, mut signals, gateway, drain, drain_timeout, mut workers, .. } = self;
        drain.begin();
        let stopped = control.block_on(async {
            let until = Instant::now() + drain_timeout;
            let finished = async {
                workers.ended().await;
                gateway.ends.close();
                let until = until.max(Instant::now() + AT_LEAST);
                // What is left is told of below.
                tokio::time::timeout_at(until, workers.all_told()).await.unwrap_or_default();
            };
            tokio::select! {
                () = finished => Stopped::Drained,
                signal = signals.next() => {
                    tracing::warn!(signal, "asked to end once more: what is in flight is cut");
                    Stopped::Cut
                }
            }
        });
        for app in &gateway.apps {
            let (name, ends) = (&app.settings.name, gateway.ends.left(app));
            if ends > 0 {
                tracing::error!(app = %name, ends, "the process stops before the app was told of so many ends of sessions; those sessions there may go on");
            }
        }
        if stopped == Stopped::Drained {
            control.block_on(close(&gateway.sessions));
            tracing::info!("stopped");
        }
        control.shutdown_background();
        Output::get().flush();
        stopped
    }
}

/// Why the process has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to.
    Asked,
    /// A worker is no more: what is left would serve a part of the connections only.
    WorkerLost,
}

/// How the process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Requests in flight had their time.
    Drained,
    /// A second signal cut them.
    Cut,
}

async fn ending(signals: &mut Signals, workers: &mut Workers) -> Ending {
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "draining");
            Ending::Asked
        }
        () = workers.one_ended() => {
            tracing::error!("a worker is no more: ending, so that the process can be started anew");
            Ending::WorkerLost
        }
    }
}

async fn close(sessions: &Sessions) {
    match tokio::time::timeout(CLOSING, sessions.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the last use of some sessions could not be written"),
        Err(_) => tracing::error!("the last use of some sessions could not be written in time"),
    }
}
