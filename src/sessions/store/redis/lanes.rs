//! The connections that all requests share, and what a change waits for before it counts as made.
//!
//! There are two: on one, replicas are waited for (`WAIT` holds up what comes behind it on its connection); on
//! the other, nothing is. `docs/decisions/a-change-waits-for-a-replica.md` says when that is done.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue, Pipeline, Value, cmd, from_redis_value};
use tokio::time::timeout;

use super::fault::Fault;
use super::servers::{self, Role};
use super::settings::{Address, RedisSettings, Topology};
use super::slots::{self, Range};

/// How long a master whose last replica has just left is not believed to be the master still: in a fail-over it
/// is the old one, and nobody has told it yet.
const DOUBT: Duration = Duration::from_secs(5);

/// A connection that many requests share.
#[derive(Clone)]
pub(super) enum Lane {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all nodes of a cluster.
    Cluster(ClusterConnection),
}

/// Both connections, and what is known of the replicas.
pub(super) struct Lanes {
    asks: Lane,
    changes: Lane,
    limit: Duration,
    address: Address,
    /// Whether replicas are expected, so that their lack is worth a warning.
    expects_replicas: bool,
    standing: Mutex<Vec<Standing>>,
}

/// What is known of the replicas of one master.
#[derive(Clone, Debug)]
struct Standing {
    range: Range,
    doubted_until: Option<Instant>,
}

/// What a change must wait for.
enum Wait {
    Nobody,
    Replica,
}

impl Lane {
    /// Sends a command, and gives its answer within `limit`.
    pub(super) async fn ask(&self, command: &Cmd, limit: Duration) -> Result<Value, Fault> {
        let sending = async {
            match self {
                Self::Single(connection) => connection.clone().req_packed_command(command).await,
                Self::Cluster(connection) => connection.clone().req_packed_command(command).await,
            }
        };
        let answer = timeout(limit, sending).await.map_err(|_| Fault::Slow)?;
        Ok(answer.and_then(Value::extract_error)?)
    }

    /// Sends commands on one connection, one right behind the other.
    async fn ask_all(&self, commands: &Pipeline, count: usize, limit: Duration) -> Result<Vec<Value>, Fault> {
        let sending = async {
            match self {
                Self::Single(connection) => connection.clone().req_packed_commands(commands, 0, count).await,
                Self::Cluster(connection) => connection.clone().req_packed_commands(commands, 0, count).await,
            }
        };
        let answers = timeout(limit, sending).await.map_err(|_| Fault::Slow)??;
        Ok(answers.into_iter().map(Value::extract_error).collect::<Result<_, _>>()?)
    }
}

impl Lanes {
    pub(super) fn new(
        asks: Lane,
        changes: Lane,
        settings: &RedisSettings,
        address: Address,
        replicas: usize,
    ) -> Self {
        let standing =
            Standing { range: Range { first: 0, last: slots::LAST, replicas }, doubted_until: None };
        Self {
            asks,
            changes,
            limit: settings.timeout,
            address,
            expects_replicas: !matches!(settings.topology, Topology::Standalone(_)),
            standing: Mutex::new(vec![standing]),
        }
    }

    /// The server; of a cluster, one that was named.
    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Asks for something, or makes a change that needs no confirmation.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Fault> {
        self.asks.ask(command, self.limit).await
    }

    /// Makes a change of one key, and answers when a replica has it, too, where there is one.
    pub(super) async fn change(&self, key: &str, command: &Cmd) -> Result<Value, Fault> {
        match self.wait_for(key)? {
            Wait::Nobody => self.changes.ask(command, self.limit).await,
            Wait::Replica => {
                let patience = (self.limit / 2).as_millis().try_into().unwrap_or(u64::MAX);
                let mut both = Pipeline::new();
                both.add_command(command.clone()).cmd("WAIT").arg(1).arg(patience.max(1));
                let answers = self.changes.ask_all(&both, 2, self.limit).await?;
                let Ok([made, confirmed]) = <[Value; 2]>::try_from(answers) else {
                    return Err(Fault::Unreadable);
                };
                if read::<u64>(confirmed)? == 0 {
                    return Err(Fault::Unconfirmed);
                }
                Ok(made)
            }
        }
    }

    /// Makes a change that a [`Lanes::change`] of another key follows: where one server has both, that one's
    /// confirmation is this one's, too.
    pub(super) async fn prepare(&self, key: &str, command: &Cmd) -> Result<Value, Fault> {
        match &self.changes {
            Lane::Single(_) => self.ask(command).await,
            Lane::Cluster(_) => self.change(key, command).await,
        }
    }

    /// Whether the servers still are what they were, and which replicas they have now.
    pub(super) async fn check(&self) -> Result<(), Fault> {
        match &self.asks {
            Lane::Single(_) => {
                // SECURITY: a server that can't save refuses this as it would a change.
                self.ask(&cmd("PING")).await?;
                match servers::role(&self.asks, self.limit).await? {
                    Role::Replica => return Err(Fault::Replica),
                    Role::Master(replicas) => {
                        self.note(vec![Range { first: 0, last: slots::LAST, replicas }])
                    }
                    Role::Unsaid => {}
                }
            }
            Lane::Cluster(_) => self.note(slots::ranges(&self.map().await?)),
        }
        Ok(())
    }

    /// The masters of the cluster, and their replicas.
    pub(super) async fn nodes(&self) -> Result<(Vec<Address>, Vec<Address>), Fault> {
        Ok(slots::nodes(&self.map().await?))
    }

    async fn map(&self) -> Result<slots::Map, Fault> {
        // Any node answers: one that hangs must not speak for the others.
        let mut answer = Err(Fault::Slow);
        for _ in 0..3 {
            answer = self.asks.ask(cmd("CLUSTER").arg("SLOTS"), self.limit / 2).await;
            if answer.is_ok() {
                break;
            }
        }
        let map = slots::read(answer?)?;
        if slots::is_whole(&map) { Ok(map) } else { Err(Fault::ClusterDown) }
    }

    fn wait_for(&self, key: &str) -> Result<Wait, Fault> {
        let slot = slots::of(key.as_bytes());
        let standing = self.standing();
        let Some(known) = standing.iter().find(|known| known.range.holds(slot)) else {
            return Ok(Wait::Nobody);
        };
        match known.doubted_until {
            _ if known.range.replicas > 0 => Ok(Wait::Replica),
            // SECURITY: what an old master takes while another is made is lost, also an end.
            Some(until) if Instant::now() < until => Err(Fault::Unconfirmed),
            _ => Ok(Wait::Nobody),
        }
    }

    fn note(&self, ranges: Vec<Range>) {
        let now = Instant::now();
        let mut standing = self.standing();
        let before = std::mem::take(&mut *standing);
        let known = ranges.into_iter().map(|range| {
            let known = before.iter().find(|known| known.range.holds(range.first));
            let had = known.is_some_and(|known| known.range.replicas > 0);
            let has = range.replicas > 0;
            let doubted_until = match known {
                _ if has => None,
                _ if had => Some(now + DOUBT),
                known => known.and_then(|known| known.doubted_until),
            };
            if had && !has && self.expects_replicas {
                tracing::warn!(
                    store = %self.address,
                    slots = format_args!("{}-{}", range.first, range.last),
                    "no replica of the session store is connected; a fail-over now would lose the last changes"
                );
            }
            Standing { range, doubted_until }
        });
        *standing = known.collect();
    }

    fn standing(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer as what it should be.
pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    from_redis_value(value).map_err(|_| Fault::Unreadable)
}
