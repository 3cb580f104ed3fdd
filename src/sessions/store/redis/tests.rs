//! The contract on real servers: one alone; one with TLS both ways, an ACL user, a database and a prefix; a
//! master that Sentinels name; a cluster of six. Each test has a prefix of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::*;
use crate::foundation::random;
use crate::foundation::secret::Secret;
use crate::sessions::store::contract::{IDLE, keeps_the_contract};

mod connections;
mod failing;
#[path = "../../../../tests/servers/redis.rs"]
pub(super) mod running;

use running::{Cluster, Guarded, Server};

/// What the guide tells administrators to allow.
pub(super) const PERMISSIONS: &str = "-@all +eval +get +getrange +set +setrange +del +expire +ttl +pttl +publish \
    +subscribe +zadd +zrem +zrange +zrangebyscore +zremrangebyscore +zcard +ping +role +wait +select +cluster|slots \
    +info +config|get";

static ALONE: LazyLock<Server> = LazyLock::new(|| Server::start(&[]));
static PROTECTED: LazyLock<Protected> = LazyLock::new(Protected::start);
static GUARDED: LazyLock<Guarded> = LazyLock::new(Guarded::start);
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// A server that wants a certificate and an ACL user.
struct Protected {
    _server: Server,
    port: u16,
    tls: Tls,
    /// The same without a certificate of ours.
    without_certificate: Tls,
}

impl Protected {
    fn start() -> Self {
        let issuer_key = rcgen::KeyPair::generate().unwrap();
        let mut issuer = rcgen::CertificateParams::new([]).unwrap();
        issuer.distinguished_name.push(rcgen::DnType::CommonName, "Tests");
        issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = issuer.self_signed(&issuer_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(issuer, issuer_key);
        let made = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (cert, key) = made("localhost");
        let (own, own_key) = made("gateway");
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let port = running::free_port();
        let server = Server::start(&[
            format!("tls-port {port}"),
            format!("tls-cert-file {}", put("cert.pem", &cert)),
            format!("tls-key-file {}", put("key.pem", &key)),
            format!("tls-ca-cert-file {}", put("ca.pem", &ca)),
            format!("user vestibule on >s3cret ~sso:* &sso:* {PERMISSIONS}"),
        ]);
        server.ask(&["CONFIG", "SET", "requirepass", "only for the tests"]);
        let tls = Tls { ca: Some(ca.into_bytes()), client: Some((own.into_bytes(), Secret::new(own_key))) };
        let without_certificate = Tls { client: None, ..tls.clone() };
        Self { _server: server, port, tls, without_certificate }
    }

    fn settings(&self) -> RedisSettings {
        let login = Login { username: Some("vestibule".into()), password: Some(Secret::new("s3cret")) };
        RedisSettings {
            topology: Topology::Standalone(Address { host: "localhost".into(), port: self.port }),
            login,
            database: 3,
            prefix: format!("sso:{}:", random::reference()),
            tls: Some(self.tls.clone()),
            ..at(self.port)
        }
    }
}

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

mod with_tls_and_acl {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(PROTECTED.settings()));
}

mod behind_sentinels {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(guarded(&GUARDED)));
}

mod in_a_cluster {
    use super::*;
    keeps_the_contract!(without a limit: |_| open(clustered(&CLUSTER)));
}

#[tokio::test]
async fn each_refusal_at_the_door_is_told_by_its_reason() {
    let right = PROTECTED.settings();
    let password = |text: &str| Login { password: Some(Secret::new(text)), ..right.login.clone() };
    let nobody = Topology::Standalone(local(running::free_port()));
    let somebody_else = Topology::Standalone(local(PROTECTED.port));
    let nowhere = Topology::Sentinel {
        sentinels: vec![local(GUARDED.sentinels[0].port)],
        master: "other".into(),
        login: Login::default(),
    };
    let replica = Topology::Standalone(local(
        GUARDED.servers.iter().map(|s| s.port).find(|port| *port != GUARDED.master()).unwrap(),
    ));
    for (settings, code) in [
        (RedisSettings { topology: nobody, tls: None, ..right.clone() }, "store_out_of_reach"),
        (RedisSettings { topology: somebody_else, ..right.clone() }, "store_tls"),
        (RedisSettings { tls: Some(PROTECTED.without_certificate.clone()), ..right.clone() }, "store_tls"),
        (RedisSettings { tls: Some(Tls::default()), ..right.clone() }, "store_tls"),
        (RedisSettings { login: password("wrong"), ..right.clone() }, "store_wrong_password"),
        (RedisSettings { login: Login::default(), ..right.clone() }, "store_wrong_password"),
        (RedisSettings { database: 99, ..right.clone() }, "store_no_database"),
        (RedisSettings { prefix: "elsewhere:".into(), ..right.clone() }, "store_not_permitted"),
        (RedisSettings { topology: nowhere, ..at(0) }, "store_no_master"),
        (RedisSettings { topology: replica, ..at(0) }, "store_read_only"),
        (
            RedisSettings { topology: Topology::Cluster(vec![local(ALONE.port)]), ..at(0) },
            "store_other_topology",
        ),
    ] {
        let error = open(settings).get([1; 32], None).await.unwrap_err();
        let StoreError::Unreachable(fault) = &error else { panic!("{error}") };
        assert_eq!(fault.downcast_ref::<Fault>().unwrap().code(), code, "{error}");
        assert!(!error.to_string().contains("s3cret"));
    }
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
    assert_eq!(codes(&PROTECTED.settings()).await, ["sessions", "store_forgets"]);
    assert_eq!(codes(&guarded(&GUARDED)).await, ["sessions", "store_forgets"]);
    assert_eq!(codes(&clustered(&CLUSTER)).await, ["sessions", "store_forgets"].repeat(3));
    for lacking in ["zrange", "publish", "subscribe", "setrange", "getrange"] {
        let allowed = format!("user vestibule on nopass ~* &* {PERMISSIONS} -{lacking}");
        let server = Server::start(&[allowed]);
        let login = Login { username: Some("vestibule".into()), password: Some(Secret::new("any")) };
        let findings = examine(&RedisSettings { login, ..at(server.port) }, now).await;
        assert_eq!(findings[0].code, "store_unusable", "without {lacking}: {findings:?}");
    }
}
