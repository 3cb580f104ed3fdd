//! Floor 3: sockets, TLS, HTTP connections and their limits, drain. Knows nothing of apps or sessions.
//!
//! [`bind()`] opens everything once; each [`Worker`] is then taken to a thread of its own and serves there,
//! with a service that need not be `Send`. HTTP/1 today; another version has its place beside `connection`.

mod bind;
mod connection;
mod drain;
mod framing;
mod patience;
mod stream;
pub mod tls;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use bind::{BindError, Bound, bind};
pub use connection::{Connection, TlsFacts};
pub use drain::Drain;
pub use stream::Upgraded;
pub use worker::Worker;

/// The listeners and their limits, as the configuration describes them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Certificates, chosen by the name that the browser asks for; empty: plain HTTP.
    pub tls: Vec<CertificateFiles>,
    /// The limits that a stranger meets.
    pub limits: Limits,
    /// How many worker threads serve; one for each core unless set.
    pub workers: usize,
    /// How long requests in flight may go on once the process was asked to end.
    pub drain_timeout: Duration,
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What a stranger may ask of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The size of a request's head, in bytes; beyond it 431.
    pub head_bytes: usize,
    /// The number of header fields; beyond it 431.
    pub headers: usize,
    /// How long a request's head may take, and how long an idle connection is kept.
    pub head_timeout: Duration,
    /// How many connections are open at once, over all workers; further ones wait to be accepted.
    pub connections: usize,
}

#[cfg(test)]
mod tests;
