//! Floor 3: the data plane towards the apps: connections, framing, forwarded headers, upgrades.
//!
//! Knows addresses and messages, never who is signed in.

use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::foundation::origin::Origin;

/// One upstream, as the configuration describes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the app runs.
    pub address: Address,
    /// What `Host` the app sees.
    pub host_header: HostHeader,
    /// The time limit for opening a connection, TLS included.
    pub connect_timeout: Duration,
    /// The time limit from sending a request until the answer's head.
    pub response_timeout: Duration,
    /// Certificates trusted for this upstream besides the system's.
    pub ca: Vec<CertificateDer<'static>>,
    /// The name that the upstream's certificate must prove, instead of its address's.
    pub server_name: Option<String>,
}

/// Where an app runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address, with TLS when the scheme is `https`.
    Origin(Origin),
    /// A unix socket.
    Unix(PathBuf),
}

/// What `Host` the app sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The one that the user asked for.
    Keep,
    /// The upstream's own authority.
    Upstream,
}
