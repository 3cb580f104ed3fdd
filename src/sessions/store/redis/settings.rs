//! Where the shared store is and how it is asked: what the configuration says, judged. No address in here
//! holds a password, so each may be shown.

use std::fmt;
use std::time::Duration;

use crate::foundation::secret::Secret;

/// The shared store, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// The servers.
    pub topology: Topology,
    /// Who we are to them.
    pub login: Login,
    /// The database; 0 in a cluster.
    pub database: u16,
    /// What each of our keys and channels begins with.
    pub prefix: String,
    /// How connections are protected; `None`: they are not.
    pub tls: Option<Tls>,
    /// The most that one command may take.
    pub timeout: Duration,
}

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server, or one address for it.
    Standalone(Address),
    /// Sentinels that know who the master is.
    Sentinel {
        /// Any of them answers.
        sentinels: Vec<Address>,
        /// The master's name there.
        master: String,
        /// Who we are to the sentinels.
        login: Login,
    },
    /// Some nodes of a cluster; the others are learnt from them.
    Cluster(Vec<Address>),
}

/// A server's host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// An ACL user and its password; without a name it is `default`'s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

/// Whom we trust to be the server, and what we prove ourselves with. All texts are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificates that alone are trusted; `None`: the system's.
    pub ca: Option<Vec<u8>>,
    /// Our certificate and its key.
    pub client: Option<(Vec<u8>, Secret)>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |addresses: &[Address]| addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(",");
        match &self.topology {
            Topology::Standalone(address) => write!(f, "Redis at {address}"),
            Topology::Sentinel { sentinels, master, .. } => {
                write!(f, "Redis master {master:?} of the Sentinels at {}", list(sentinels))
            }
            Topology::Cluster(nodes) => write!(f, "Redis Cluster at {}", list(nodes)),
        }
    }
}
