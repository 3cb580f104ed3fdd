//! The contract on real servers: one alone, a master that Sentinels name, a cluster of six; and each of them with
//! TLS both ways and an ACL user. Each test has a prefix of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::*;
use crate::foundation::random;
use crate::foundation::secret::Secret;
use crate::sessions::store::contract::{IDLE, keeps_the_contract};

mod cluster;
mod connections;
mod failing;
mod protected;
#[path = "../../../../tests/servers/redis.rs"]
pub(super) mod running;

use protected::PROTECTED;
use running::{Cluster, Guarded, Server};

/// What the guide tells administrators to allow.
pub(super) const PERMISSIONS: &str = "-@all +eval +get +getrange +set +setrange +del +expire +ttl +pttl +publish \
    +subscribe +zadd +zrem +zrange +zrangebyscore +zremrangebyscore +zcard +ping +role +wait +select \
    +cluster|slots +cluster|nodes +cluster|info +info +config|get";

static ALONE: LazyLock<Server> = LazyLock::new(|| Server::start(&[]));
static GUARDED: LazyLock<Guarded> = LazyLock::new(Guarded::start);
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// A server on this machine, under a prefix of its own.
pub(super) fn at(port: u16) -> RedisSettings {
    RedisSettings {
        topology: Topology::Standalone(local(port)),
        login: Login::default(),
        database: 0,
        prefix: format!("{}:", random::reference()),
        tls: None,
        timeout: Duration::from_secs(2),
    }
}

pub(super) fn guarded(servers: &Guarded) -> RedisSettings {
    let sentinels = servers.sentinels.iter().map(|sentinel| local(sentinel.port)).collect();
    let login = Login::default();
    RedisSettings { topology: Topology::Sentinel { sentinels, master: "mymaster".into(), login }, ..at(0) }
}

pub(super) fn clustered(cluster: &Cluster) -> RedisSettings {
    RedisSettings {
        topology: Topology::Cluster(vec![local(cluster.nodes[0].port), local(cluster.nodes[1].port)]),
        ..at(0)
    }
}

fn local(port: u16) -> Address {
    Address { host: "127.0.0.1".into(), port }
}

pub(super) fn open(settings: RedisSettings) -> Arc<dyn Store> {
    Arc::new(RedisStore::open(settings, IDLE, Handle::current()))
}

mod alone {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(at(ALONE.port)));
}

mod alone_with_tls {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(PROTECTED.alone()));
}

mod behind_sentinels {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(guarded(&GUARDED)));
}

mod in_a_cluster {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(clustered(&CLUSTER)));
}

mod behind_sentinels_with_tls {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(PROTECTED.guarded()));
}

mod in_a_cluster_with_tls {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(PROTECTED.clustered()));
}

#[tokio::test]
async fn an_examination_tries_all_that_is_needed_and_names_settings_that_lose_sessions() {
    let now = crate::foundation::clock::Timestamp::from_secs(1_763_750_000);
    let codes = async |settings: &RedisSettings| {
        let findings = examine(settings, now).await;
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    let server = Server::start(&[]);
    assert_eq!(codes(&at(server.port)).await, ["sessions", "store_forgets"]);
    server.ask(&["CONFIG", "SET", "appendonly", "yes"]);
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert_eq!(codes(&at(server.port)).await, ["sessions", "store_evicts"]);
    assert_eq!(codes(&PROTECTED.alone()).await, ["sessions", "store_forgets"]);
    assert_eq!(codes(&guarded(&GUARDED)).await, ["sessions", "store_forgets"]);
    assert_eq!(codes(&clustered(&CLUSTER)).await, ["sessions", "store_forgets"].repeat(3));
    let servers = Guarded::start();
    servers.servers[1..].iter().for_each(|replica| replica.signal("-KILL"));
    servers.servers[0].until("it has none", |master| master.ask(&["ROLE"]).lines().any(|line| line == "*0"));
    assert_eq!(codes(&guarded(&servers)).await, ["sessions", "store_forgets", "store_unreplicated"]);
    for lacking in ["zrange", "publish", "subscribe", "setrange", "getrange"] {
        let allowed = format!("user vestibule on nopass ~* &* {PERMISSIONS} -{lacking}");
        let server = Server::start(&[allowed]);
        let login = Login { username: Some("vestibule".into()), password: Some(Secret::new("any")) };
        let findings = examine(&RedisSettings { login, ..at(server.port) }, now).await;
        assert_eq!(findings[0].code, "store_unusable", "without {lacking}: {findings:?}");
    }
}
