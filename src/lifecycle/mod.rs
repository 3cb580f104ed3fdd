//! Floor 6: the process: load, assemble, bind, serve, drain.
//!
//! Threads: one worker for each core, which serves requests and nothing else; one control thread for all that
//! may be slow (providers, stores, the admin listener); the thread that called, which waits for signals.

pub mod admin;
pub mod assemble;
pub mod workers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config;
use crate::foundation::clock::Clock;
use crate::foundation::trust::TrustError;
use crate::gateway::Gateway;
use crate::server::Drain;
use crate::sessions::{Sessions, SessionsError};
use crate::telemetry::output::Output;
use crate::telemetry::{access, log};
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
    Bind(#[from] server::BindError),
    /// The admin address could not be listened on.
    #[error("the admin listener {address} can't be opened: {source} (set admin.listen to a free address)")]
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

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen(control: &Runtime) -> io::Result<Self> {
        let _entered = control.enter();
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// A gateway that serves.
pub struct Running {
    control: Runtime,
    signals: Signals,
    gateway: Arc<Gateway>,
    drain: Drain,
    workers: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

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
        let admin = settings.admin.map(admin::bind).transpose()?;
        let drain = Drain::new();
        let (gateway, providers) = assemble::gateway(settings, clock, control.handle())?;
        let addresses = bound.local_addrs().to_vec();
        let serve = |listener| admin::serve(listener, &gateway, providers, drain.clone(), control.handle());
        let admin = admin.map(serve).transpose()?;
        let workers = workers::start(bound, &gateway, &drain)?;
        for address in &addresses {
            tracing::info!(%address, "listening");
        }
        if let Some(address) = admin {
            tracing::info!(%address, "admin listening");
        }
        Ok(Self { control, signals, gateway, drain, workers, addresses, admin })
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

    /// Waits until the process is asked to end (SIGTERM, SIGINT).
    pub fn wait_for_signal(&mut self) {
        let Signals { terminate, interrupt } = &mut self.signals;
        self.control.block_on(async {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
                _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            }
        });
    }

    /// Stops: takes no new connections, lets requests in flight finish within the grace time, and writes down
    /// when each session was last used.
    pub fn stop(self) {
        self.drain.begin();
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a worker ended badly");
            }
        }
        if let Err(error) = self.control.block_on(self.gateway.sessions.close()) {
            tracing::error!(%error, "the last use of some sessions could not be written");
        }
        self.control.shutdown_timeout(std::time::Duration::from_secs(1));
        tracing::info!("stopped");
        access::flush();
        Output::get().flush();
    }
}
