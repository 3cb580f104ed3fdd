//! Why the shared store did not do what it was asked, told apart by the kinds and codes of the protocol, and
//! what the operator should do.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::sessions::store::StoreError;

/// The longest text of a server that is repeated.
const LONGEST: usize = 200;

/// What went wrong between us and the servers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::sessions) enum Fault {
    /// No connection, or it was lost.
    #[error("it is out of reach: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("it did not answer in time")]
    Slow,
    /// The server reads its data after a start.
    #[error("it is loading its data (LOADING)")]
    Loading,
    /// The server is a replica, or has become one.
    #[error("it is a replica, which takes no changes (READONLY)")]
    Replica,
    /// No memory is left for a new record.
    #[error("its memory is full (OOM)")]
    Full,
    /// The password is wrong or missing.
    #[error("it does not accept the user name and password (WRONGPASS, NOAUTH)")]
    WrongPassword,
    /// So it is at the Sentinels, who have users of their own.
    #[error("the Sentinels do not accept the user name and password (WRONGPASS, NOAUTH)")]
    WrongSentinelPassword,
    /// The user may not do what is needed.
    #[error("its user lacks a permission (NOPERM): {0}")]
    NotPermitted(String),
    /// The server stopped taking changes because it can't write its own files.
    #[error("it can't save its data and takes no changes (MISCONF)")]
    CannotSave,
    /// The server wants more replicas than are connected before it takes changes.
    #[error("it has too few replicas to take changes (NOREPLICAS)")]
    NoReplicas,
    /// A change was made, and no replica has confirmed it.
    #[error("no replica confirmed the change in time, so that a fail-over could lose it")]
    Unconfirmed,
    /// A script of somebody else's does not end.
    #[error("it is busy with a script (BUSY)")]
    Busy,
    /// A part of the cluster has no master.
    #[error("its cluster is down, or a part of it is (CLUSTERDOWN)")]
    ClusterDown,
    /// The nodes send us to each other.
    #[error("the nodes of its cluster do not agree on who has the record (MOVED, ASK, TRYAGAIN)")]
    Redirected,
    /// The server is no cluster, or is one where none was expected.
    #[error("it is not what session.store says: {0}")]
    OtherTopology(&'static str),
    /// No sentinel answered.
    #[error("no Sentinel can be asked: {0}")]
    NoSentinel(String),
    /// No sentinel knows a master of that name that says it is one.
    #[error("the Sentinels name no server that is the master now")]
    NoMaster,
    /// The TLS handshake failed.
    #[error("TLS with it fails: {0}")]
    Tls(String),
    /// The database number is too high.
    #[error("it has no such database")]
    NoDatabase,
    /// Anything else the server said.
    #[error("it answered {code}: {detail}")]
    Answered {
        /// The first word of the answer.
        code: String,
        /// The rest of it.
        detail: String,
    },
    /// An answer of another shape than the command has.
    #[error("it gave an answer that can't be read")]
    Unreadable,
}

impl Fault {
    /// A word that stays the same between versions.
    pub(in crate::sessions) const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "store_out_of_reach",
            Self::Slow => "store_slow",
            Self::Loading => "store_loading",
            Self::Replica => "store_read_only",
            Self::Full => "store_full",
            Self::WrongPassword | Self::WrongSentinelPassword => "store_wrong_password",
            Self::NotPermitted(_) => "store_not_permitted",
            Self::CannotSave => "store_cannot_save",
            Self::NoReplicas => "store_no_replicas",
            Self::Unconfirmed => "store_unconfirmed",
            Self::Busy => "store_busy",
            Self::ClusterDown => "store_cluster_down",
            Self::Redirected => "store_redirected",
            Self::OtherTopology(_) => "store_other_topology",
            Self::NoSentinel(_) => "store_no_sentinel",
            Self::NoMaster => "store_no_master",
            Self::Tls(_) => "store_tls",
            Self::NoDatabase => "store_no_database",
            Self::Answered { .. } => "store_answered",
            Self::Unreadable => "store_unreadable",
        }
    }

    /// What the operator should do.
    pub(in crate::sessions) const fn mend(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "start Redis, and let the gateway reach the address in session.store",
            Self::Slow => {
                "look at Redis' load and at the network between; raise session.redis.timeout where it is far"
            }
            Self::Loading => "wait until Redis has read its data",
            Self::Replica => {
                "name the master in session.store, or the Sentinels, which follow a fail-over: redis+sentinel://"
            }
            Self::Full => "give Redis more memory (maxmemory), with maxmemory-policy noeviction",
            Self::WrongPassword => "correct session.redis.username and password, or what stands before the @",
            Self::WrongSentinelPassword => "correct session.redis.sentinel_username and sentinel_password",
            Self::NotPermitted(_) => "give the user the permissions that docs/sessions.md lists",
            Self::CannotSave => "make room on the disk of Redis, and look at its log",
            Self::NoReplicas => "start the replicas, or lower min-replicas-to-write in Redis",
            Self::Unconfirmed => "start the replicas, and look at the network between them and the master",
            Self::Busy => "end the script: SCRIPT KILL",
            Self::ClusterDown | Self::Redirected => "look at CLUSTER INFO and CLUSTER NODES on its nodes",
            Self::OtherTopology(_) => {
                "begin session.store with redis://, redis+sentinel:// or redis+cluster:// as it fits"
            }
            Self::NoSentinel(_) => {
                "start the Sentinels, and let the gateway reach their addresses in session.store"
            }
            Self::NoMaster => {
                "compare the master's name in session.store with SENTINEL MASTERS, and wait for a fail-over to end"
            }
            Self::Tls(_) => {
                "compare session.redis.ca and tls_client, and the names in the server's certificate, with session.store"
            }
            Self::NoDatabase => "name a database that Redis has; a cluster has only 0",
            Self::Answered { .. } | Self::Unreadable => {
                "look at Redis' log and version: it should be 7 or later, or Valkey"
            }
        }
    }

    /// Whether the connection is gone, so that a new one may be all that is needed.
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Whether it speaks against the connection, or the server at its end, rather than the one command.
    pub(super) const fn is_doubtful(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Slow
                | Self::Replica
                | Self::Loading
                | Self::ClusterDown
                | Self::Redirected
        )
    }

    /// The fault that the server's first word stands for.
    fn answered(code: &str, detail: Option<&str>) -> Self {
        let detail =
            || detail.unwrap_or_default().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        match code {
            "LOADING" => Self::Loading,
            "READONLY" | "MASTERDOWN" | "UNBLOCKED" => Self::Replica,
            "OOM" => Self::Full,
            "NOAUTH" | "WRONGPASS" => Self::WrongPassword,
            "NOPERM" => Self::NotPermitted(detail()),
            "MISCONF" => Self::CannotSave,
            "NOREPLICAS" => Self::NoReplicas,
            "BUSY" => Self::Busy,
            "CLUSTERDOWN" => Self::ClusterDown,
            "MOVED" | "ASK" | "TRYAGAIN" | "CROSSSLOT" => Self::Redirected,
            code => Self::Answered { code: code.chars().take(40).collect(), detail: detail() },
        }
    }
}

impl From<&RedisError> for Fault {
    fn from(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io if error.is_timeout() => Self::Slow,
            ErrorKind::Io => match tls_error(error) {
                Some(error) => Self::Tls(error.to_string()),
                None => Self::Unreachable(said(error)),
            },
            ErrorKind::AuthenticationFailed => Self::WrongPassword,
            ErrorKind::ClusterConnectionNotFound => Self::ClusterDown,
            ErrorKind::Server(ServerErrorKind::ResponseError) => Self::answered("ERR", error.detail()),
            ErrorKind::Server(_) | ErrorKind::Extension => {
                // A pipeline holds the errors of its commands: the first is the reason.
                let errors = error.clone().into_server_errors();
                match errors.as_deref().and_then(<[_]>::first) {
                    Some((_, first)) => Self::answered(first.code(), first.details()),
                    None => Self::answered(error.code().unwrap_or("?"), error.detail()),
                }
            }
            _ => Self::Unreadable,
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        Self::from(&error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::unreachable(fault)
    }
}

/// What the system said, without what the client puts around it.
fn said(error: &RedisError) -> String {
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// The error of TLS, where it is one: also later than the handshake, when the server refuses our certificate.
fn tls_error(error: &RedisError) -> Option<&rustls::Error> {
    let shared = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    let inner = shared.downcast_ref::<io::Error>().and_then(io::Error::get_ref)?;
    inner.downcast_ref()
}
