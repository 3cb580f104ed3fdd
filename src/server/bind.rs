//! Opens the listening sockets: one for each address and worker, all on the same port (`SO_REUSEPORT`), so
//! that the kernel spreads connections over the workers and no worker waits for another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::Settings;
use super::tls::{self, TlsError};
use super::worker::{Shared, Worker};

/// How many connections the kernel keeps for a worker that has not accepted them yet.
const BACKLOG: i32 = 1024;

/// Serving can't begin.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("{address} is in use by another process")]
    InUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The process may not listen there.
    #[error("no permission to listen on {address}: ports below 1024 need CAP_NET_BIND_SERVICE")]
    Permission {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The machine does not have this address.
    #[error("{address} is not an address of this machine")]
    NotHere {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("can't listen on {address}: {source}")]
    Other {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificates can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Everything that serving needs, opened and loaded: from here on nothing of the configuration can fail.
#[derive(Debug)]
pub struct Bound {
    local_addrs: Vec<SocketAddr>,
    workers: Vec<Worker>,
}

impl Bound {
    /// The addresses listened on, with the ports that the kernel chose where port 0 was asked for.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// The workers, each to be taken to a thread of its own.
    pub fn into_workers(self) -> Vec<Worker> {
        self.workers
    }
}

/// Opens the listeners of all workers and loads the certificates.
///
/// # Errors
/// When an address can't be listened on, or a certificate can't be used; names which and why.
pub fn bind(settings: &Settings) -> Result<Bound, BindError> {
    let tls = if settings.tls.is_empty() { None } else { Some(tls::load(&settings.tls)?) };
    let shared = Arc::new(Shared {
        limits: settings.limits,
        drain_timeout: settings.drain_timeout,
        tls,
        slots: Arc::new(Semaphore::new(settings.limits.connections.clamp(1, Semaphore::MAX_PERMITS))),
    });
    let workers = settings.workers.max(1);
    let mut local_addrs = Vec::with_capacity(settings.listen.len());
    let mut listeners: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for &wanted in &settings.listen {
        // SECURITY: another process of this user could share the port by `SO_REUSEPORT` too and take some of
        // the connections; a first try without it finds out whether somebody listens there already.
        let mut address = wanted;
        if wanted.port() != 0 {
            drop(open(wanted, Sharing::Alone).map_err(|source| refused(wanted, source))?);
        }
        for own in &mut listeners {
            let listener = open(address, Sharing::Workers).map_err(|source| refused(wanted, source))?;
            address = listener.local_addr().map_err(|source| refused(wanted, source))?;
            own.push(listener);
        }
        local_addrs.push(address);
    }
    let workers = listeners.into_iter().map(|own| Worker::new(own, Arc::clone(&shared))).collect();
    Ok(Bound { local_addrs, workers })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Workers,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the process before to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if sharing == Sharing::Workers {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if sharing == Sharing::Workers {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

fn refused(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::PermissionDenied => BindError::Permission { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { address },
        _ => BindError::Other { address, source },
    }
}
