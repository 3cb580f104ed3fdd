//! Servers with TLS both ways under an authority of their own, and an ACL user with no more rights than the guide
//! gives it: one alone, a master whose Sentinels have a user of theirs, a cluster. What is said to who is refused, and
//! that a fail-over among them loses nothing.

use super::failing::nothing_acknowledged_is_lost;
use super::*;

/// The user of the Sentinels, as the guide describes it.
const OF_THE_SENTINELS: &str =
    "user watcher on >s3nt1nel -@all +sentinel|get-master-addr-by-name +sentinel|master";

pub(super) static PROTECTED: LazyLock<Protected> = LazyLock::new(Protected::start);

/// The servers, and what a gateway needs to reach them.
pub(super) struct Protected {
    alone: Server,
    guarded: Guarded,
    cluster: Cluster,
    tls: Tls,
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
        let (own, own_key) = made("gateway");
        // They are read once, when a server starts.
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let certified = |name: &str, line: &str| {
            let (cert, key) = made(name);
            vec![
                format!("tls-cert-file {}", put(&format!("{name}.cert"), &cert)),
                format!("tls-key-file {}", put(&format!("{name}.key"), &key)),
                format!("tls-ca-cert-file {}", put("ca.pem", &ca)),
                "tls-replication yes".to_owned(),
                line.to_owned(),
            ]
        };
        let user = format!("user vestibule on >s3cret ~sso:* &sso:* {PERMISSIONS}");
        let lines = certified("127.0.0.1", &user);
        let alone = Server::start(&certified("localhost", &user));
        alone.ask(&["CONFIG", "SET", "requirepass", "only for the tests"]);
        let guarded = Guarded::start_with(&lines, &certified("127.0.0.1", OF_THE_SENTINELS));
        for sentinel in &guarded.sentinels {
            let nobody_else = ["-sentinel|get-master-addr-by-name", "-sentinel|master"];
            sentinel.ask(&["ACL", "SETUSER", "default", nobody_else[0], nobody_else[1]]);
        }
        let cluster = Cluster::start_with(&[&lines[..], &["tls-cluster yes".to_owned()]].concat());
        let tls = Tls { ca: Some(ca.into_bytes()), client: Some((own.into_bytes(), Secret::new(own_key))) };
        Self { alone, guarded, cluster, tls }
    }

    /// The one server, by its name, with a database of ours.
    pub(super) fn alone(&self) -> RedisSettings {
        let address = Address { host: "localhost".into(), port: self.alone.way };
        RedisSettings { database: 3, ..self.settings(Topology::Standalone(address)) }
    }

    pub(super) fn guarded(&self) -> RedisSettings {
        let login = Login { username: Some("watcher".into()), password: Some(Secret::new("s3nt1nel")) };
        self.settings(self.sentinels(login))
    }

    pub(super) fn clustered(&self) -> RedisSettings {
        self.settings(Topology::Cluster(
            self.cluster.nodes.iter().take(2).map(|node| local(node.way)).collect(),
        ))
    }

    fn sentinels(&self, login: Login) -> Topology {
        let sentinels = self.guarded.sentinels.iter().map(|sentinel| local(sentinel.way)).collect();
        Topology::Sentinel { sentinels, master: "mymaster".into(), login }
    }

    fn settings(&self, topology: Topology) -> RedisSettings {
        let login = Login { username: Some("vestibule".into()), password: Some(Secret::new("s3cret")) };
        let prefix = format!("sso:{}:", random::reference());
        RedisSettings { topology, login, prefix, tls: Some(self.tls.clone()), ..at(0) }
    }
}

#[tokio::test]
async fn each_refusal_at_the_door_is_told_by_its_reason() {
    let (right, behind) = (PROTECTED.alone(), PROTECTED.guarded());
    let password = |text: &str| Login { password: Some(Secret::new(text)), ..right.login.clone() };
    let without_certificate = |settings: RedisSettings| {
        let tls = settings.tls.map(|tls| Tls { client: None, ..tls });
        RedisSettings { tls, ..settings }
    };
    let behind_sentinels_as =
        |login| RedisSettings { topology: PROTECTED.sentinels(login), ..PROTECTED.guarded() };
    let nobody = Topology::Standalone(local(running::free_port()));
    let somebody_else = Topology::Standalone(local(PROTECTED.alone.way));
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
        (without_certificate(right.clone()), "store_tls"),
        (without_certificate(behind.clone()), "store_tls"),
        (without_certificate(PROTECTED.clustered()), "store_tls"),
        (RedisSettings { tls: None, ..behind.clone() }, "store_no_sentinel"),
        (behind_sentinels_as(Login::default()), "store_not_permitted"),
        (behind_sentinels_as(password("wrong")), "store_wrong_password"),
        (RedisSettings { login: password("wrong"), ..behind.clone() }, "store_wrong_password"),
        (RedisSettings { login: password("wrong"), ..PROTECTED.clustered() }, "store_wrong_password"),
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
async fn a_wrong_password_at_the_sentinels_is_told_from_one_at_the_server() {
    let at_server = Login { password: Some(Secret::new("wrong")), ..PROTECTED.guarded().login };
    let at_sentinels = Login { username: Some("watcher".into()), password: Some(Secret::new("wrong")) };
    for (settings, key) in [
        (RedisSettings { login: at_server, ..PROTECTED.guarded() }, "session.redis.username and password"),
        (
            RedisSettings { topology: PROTECTED.sentinels(at_sentinels), ..PROTECTED.guarded() },
            "session.redis.sentinel_username and sentinel_password",
        ),
    ] {
        let error = open(settings).get([1; 32], None).await.unwrap_err();
        assert!(error.mend().unwrap().contains(key), "{error}: {:?}", error.mend());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_loses_nothing_that_was_acknowledged() {
    let servers = Arc::new(Protected::start());
    let harmed = Arc::clone(&servers);
    nothing_acknowledged_is_lost(open(servers.guarded()), move || harmed.guarded.kill_the_master()).await;
    let harmed = Arc::clone(&servers);
    nothing_acknowledged_is_lost(open(servers.clustered()), move || harmed.cluster.kill_a_master()).await;
}

#[test]
fn the_guides_and_the_example_give_the_users_what_was_tried_here() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, text) in [
        ("docs/sessions.md", include_str!("../../../../../docs/sessions.md")),
        ("docs/ru/sessions.md", include_str!("../../../../../docs/ru/sessions.md")),
        ("deploy/compose", include_str!("../../../../../deploy/compose/redis-users.example")),
    ] {
        let text = words(text);
        let of_ours = text.split("~vestibule:* &vestibule:* ").nth(1).unwrap();
        assert!(of_ours.starts_with(&words(PERMISSIONS)), "{name}: {of_ours:.400}");
        let (_, of_theirs) = OF_THE_SENTINELS.split_once("-@all ").unwrap();
        assert!(name.starts_with("deploy") || text.contains(of_theirs), "{name}");
    }
}

#[tokio::test]
async fn a_server_with_too_many_clients_is_not_taken_for_one_without_our_database() {
    let server = Server::start(&["maxclients 1".to_owned()]);
    let _other = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let error = open(RedisSettings { database: 3, ..at(server.port) }).get([1; 32], None).await.unwrap_err();
    assert!(error.to_string().contains("max number of clients"), "{error}");
}
