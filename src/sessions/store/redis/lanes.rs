//! The connections that all requests share, and what a change waits for before it counts as made.
//!
//! There are two: on one, replicas are waited for (`WAIT` holds up what comes behind it on its connection); on
//! the other, nothing is. `docs/decisions/a-change-waits-for-a-replica.md` says when that is done.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::{Cmd, FromRedisValue, Pipeline, Value, cmd, from_redis_value};
use tokio::time::timeout;

use super::fault::Fault;
use super::replicas::{Confirmation, Pace, Replicas};
use super::servers::{self, Role};
use super::settings::{Address, RedisSettings, Topology};
use super::slots::{self, Range};

/// How many nodes of a cluster are asked before it counts as down.
const OTHERS: usize = 3;

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
    replicas: Mutex<Vec<Replicas>>,
    pace: Mutex<Pace>,
    /// When anything was answered last on the connection for changes; or by the cluster, how it stands.
    answered: Mutex<Instant>,
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

    /// Asks all nodes of a cluster at once, and gives the first answer: one that hangs holds up nobody.
    async fn ask_any(&self, command: &Cmd, limit: Duration) -> Result<Value, Fault> {
        let Self::Cluster(connection) = self else { return self.ask(command, limit).await };
        let everywhere = (MultipleNodeRoutingInfo::AllNodes, Some(ResponsePolicy::OneSucceeded));
        let mut connection = connection.clone();
        let asking = connection.route_command(command.clone(), RoutingInfo::MultiNode(everywhere));
        let answer = timeout(limit, asking).await.map_err(|_| Fault::Slow)?;
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
        ranges: Vec<Range>,
    ) -> Self {
        let mut replicas: Vec<_> = ranges.into_iter().map(Replicas::new).collect();
        if matches!(settings.topology, Topology::Sentinel { .. }) {
            replicas.iter_mut().for_each(|replicas| replicas.expect(1));
        }
        Self {
            asks,
            changes,
            limit: settings.timeout,
            address,
            expects_replicas: !matches!(settings.topology, Topology::Standalone(_)),
            replicas: Mutex::new(replicas),
            pace: Mutex::default(),
            answered: Mutex::new(Instant::now()),
        }
    }

    /// The server; of a cluster, one that was named.
    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Takes over what was known of the replicas before the same server was lost: those that left it meanwhile may
    /// have left it for another master. Another server has just been made master, and all but itself are to follow it.
    pub(super) fn remember(&self, before: &Self) {
        if self.address == before.address {
            let known = before.replicas().clone();
            let now: Vec<Range> =
                std::mem::replace(&mut *self.replicas(), known).iter().map(|now| now.range).collect();
            self.note(now);
        } else {
            let followed = before.replicas().iter().map(Replicas::needed).max().unwrap_or_default();
            self.replicas().iter_mut().for_each(|replicas| replicas.expect(followed.saturating_sub(1)));
        }
    }

    /// Asks for something of one key, or makes a change that needs no confirmation.
    pub(super) async fn ask(&self, key: &str, command: &Cmd) -> Result<Value, Fault> {
        self.confirmation(key)?;
        self.asks.ask(command, self.limit).await
    }

    /// Makes a change of one key, and answers when the replicas have it, too, where there are any.
    pub(super) async fn change(&self, key: &str, command: &Cmd) -> Result<Value, Fault> {
        match self.confirmation(key)? {
            Confirmation::None => self.heed(self.changes.ask(command, self.limit).await),
            Confirmation::Impossible => Err(Fault::Unconfirmed),
            Confirmation::By(needed) => {
                let patience = (self.limit / 2).as_millis().try_into().unwrap_or(u64::MAX);
                let mut both = Pipeline::new();
                both.add_command(command.clone()).cmd("WAIT").arg(needed).arg(patience.max(1));
                let answers = self.heed(self.changes.ask_all(&both, 2, self.limit).await)?;
                let Ok([made, confirmed]) = <[Value; 2]>::try_from(answers) else {
                    return Err(Fault::Unreadable);
                };
                if read::<usize>(confirmed)? < needed {
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
            Lane::Single(_) => self.ask(key, command).await,
            Lane::Cluster(_) => self.change(key, command).await,
        }
    }

    /// Whether the servers still are what they were, and which replicas they have now.
    pub(super) async fn check(&self) -> Result<(), Fault> {
        match &self.asks {
            Lane::Single(_) => {
                match self.asks.ask(&cmd("PING"), self.limit).await {
                    // It refuses this as it does a change, and is read from as ever.
                    Ok(_) | Err(Fault::CannotSave) => {}
                    Err(fault) => return Err(fault),
                }
                match servers::role(&self.asks, self.limit).await? {
                    Role::Replica => return Err(Fault::Replica),
                    Role::Master { offset, replicas } => {
                        let keeping_up = self.pace().keeping_up(offset, &replicas, Instant::now());
                        self.note(vec![Range::whole(replicas.len(), keeping_up)]);
                    }
                    Role::Unsaid => {}
                }
                self.knock().await?;
            }
            Lane::Cluster(_) => match self.heed(self.ranges().await) {
                Ok(ranges) => self.note(ranges),
                // Its connections come back by themselves: what is known is gone by until it is too old.
                Err(Fault::Slow) if self.answered().elapsed() <= self.limit * 3 => {}
                Err(fault) => return Err(fault),
            },
        }
        Ok(())
    }

    /// Whether the connection for changes is there. It may be lost alone, as nothing may be changed for long; and it
    /// is not lost while it only waits for replicas.
    async fn knock(&self) -> Result<(), Fault> {
        match self.heed(self.changes.ask(&cmd("PING"), self.limit / 2).await) {
            Err(fault) if fault.is_lost() => Err(fault),
            Err(Fault::Slow) if self.answered().elapsed() > self.limit * 3 => Err(Fault::Slow),
            _ => Ok(()),
        }
    }

    /// Notes that the connection for changes answers, where it did.
    fn heed<T>(&self, answer: Result<T, Fault>) -> Result<T, Fault> {
        if !matches!(answer, Err(Fault::Slow | Fault::Unreachable(_))) {
            *self.answered() = Instant::now();
        }
        answer
    }

    /// The masters of the cluster, and their replicas.
    pub(super) async fn nodes(&self) -> Result<(Vec<Address>, Vec<Address>), Fault> {
        Ok(slots::nodes(&self.map().await?))
    }

    /// The parts of the cluster now.
    async fn ranges(&self) -> Result<Vec<Range>, Fault> {
        let failed = if self.is_up().await? {
            let nodes: String = read(self.asks.ask_any(cmd("CLUSTER").arg("NODES"), self.limit).await?)?;
            slots::failed(&nodes)
        } else {
            vec![(0, slots::LAST)]
        };
        Ok(slots::ranges(&self.map().await?, &failed))
    }

    async fn map(&self) -> Result<slots::Map, Fault> {
        slots::read(self.asks.ask_any(cmd("CLUSTER").arg("SLOTS"), self.limit).await?, &self.address.host)
    }

    /// Whether the cluster takes commands at all.
    async fn is_up(&self) -> Result<bool, Fault> {
        let asks = cmd("CLUSTER").arg("INFO").clone();
        let mut answer = Ok(self.asks.ask_any(&asks, self.limit).await?);
        // One that is cut off from the others does not speak for them: some of them are asked, too.
        for _ in 0..OTHERS {
            let info: String = answer.and_then(read).unwrap_or_default();
            if info.lines().any(|line| line == "cluster_state:ok") {
                return Ok(true);
            }
            answer = self.asks.ask(&asks, self.limit / 2).await;
        }
        Ok(false)
    }

    /// Of these keys one for each part of the store; not for parts that are too small to hold any.
    pub(super) fn one_of_each_part(&self, keys: impl Iterator<Item = String>) -> Result<Vec<String>, Fault> {
        let mut parts: Vec<Range> = self.replicas().iter().map(|known| known.range).collect();
        let served: usize = parts.iter().filter(|part| !part.has_failed).map(Range::len).sum();
        if served < Range::whole(0, 0).len() {
            return Err(Fault::ClusterDown);
        }
        let mut found = Vec::new();
        for key in keys {
            if parts.is_empty() {
                break;
            }
            let slot = slots::of(key.as_bytes());
            if let Some(part) = parts.iter().position(|part| part.holds(slot)) {
                parts.swap_remove(part);
                found.push(key);
            }
        }
        Ok(found)
    }

    /// What a change of this key waits for. Nobody is asked for keys that no node serves: the client would try for
    /// as long as it may, and keep others waiting meanwhile.
    fn confirmation(&self, key: &str) -> Result<Confirmation, Fault> {
        let slot = slots::of(key.as_bytes());
        let replicas = self.replicas();
        let known = replicas.iter().find(|known| known.range.holds(slot) && !known.range.has_failed);
        known.map(Replicas::confirmation).ok_or(Fault::ClusterDown)
    }

    fn note(&self, ranges: Vec<Range>) {
        let now = Instant::now();
        let mut replicas = self.replicas();
        let known = ranges.into_iter().map(|range| {
            let before = replicas.iter().find(|known| known.range.holds(range.first));
            let mut known = before.cloned().unwrap_or_else(|| Replicas::new(range));
            if known.observe(range, now) && self.expects_replicas {
                tracing::warn!(
                    store = %self.address,
                    slots = format_args!("{}-{}", range.first, range.last),
                    "no replica of the session store is connected; a fail-over now would lose the last changes"
                );
            }
            known
        });
        *replicas = known.collect();
    }

    fn replicas(&self) -> MutexGuard<'_, Vec<Replicas>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) -> MutexGuard<'_, Instant> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer as what it should be.
pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    from_redis_value(value).map_err(|_| Fault::Unreadable)
}
