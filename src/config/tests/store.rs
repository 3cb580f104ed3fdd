//! `session.store` and `[session.redis]`: what they become, and what is said of wrong ones.

use super::*;
use crate::foundation::secret::Secret;
use crate::sessions::{Address, Login, RedisSettings, StoreKind, Tls, Topology};

fn store(text: &str) -> String {
    let key = RootKey::generate().to_base64();
    with("", "", &format!("[session]\nkeys = [{:?}]\n{text}", key.as_str()))
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.into(), port }
}

#[test]
fn a_shared_store_is_named_by_an_address_and_what_stands_beside_it() {
    let plain = RedisSettings {
        topology: Topology::Standalone(address("r", 6379)),
        login: Login::default(),
        database: 0,
        prefix: "vestibule:".into(),
        tls: None,
        timeout: Duration::from_secs(2),
    };
    let login = |name: &str| Login { username: Some(name.into()), password: Some(Secret::new("hunter2")) };
    let sentinels = || vec![address("a", 26379), address("b", 1)];
    for (text, expected) in [
        ("store = \"redis://r\"", plain.clone()),
        (
            "store = \"rediss://sso:hunter2@r:7/3?prefix=sso:\"\n[session.redis]\ntimeout = \"5s\"",
            RedisSettings {
                topology: Topology::Standalone(address("r", 7)),
                login: login("sso"),
                database: 3,
                prefix: "sso:".into(),
                tls: Some(Tls::default()),
                timeout: Duration::from_secs(5),
            },
        ),
        (
            "store = \"redis+sentinel://a,b:1/mymaster/2\"\n[session.redis]\nusername = \"u\"\n\
             password = { env = \"LMS_CLIENT_SECRET\" }\nsentinel_password = \"other\"\nprefix = \"a/b:\"",
            RedisSettings {
                topology: Topology::Sentinel {
                    sentinels: sentinels(),
                    master: "mymaster".into(),
                    login: Login { username: None, password: Some(Secret::new("other")) },
                },
                login: login("u"),
                database: 2,
                prefix: "a/b:".into(),
                ..plain.clone()
            },
        ),
        (
            "store = \"redis+cluster://:hunter2@a,b:1\"",
            RedisSettings {
                topology: Topology::Cluster(vec![address("a", 6379), address("b", 1)]),
                login: Login { username: None, password: Some(Secret::new("hunter2")) },
                ..plain.clone()
            },
        ),
    ] {
        assert_eq!(good(&store(text)).sessions.store, StoreKind::Redis(Box::new(expected)), "{text}");
    }
}

#[test]
fn an_authority_and_a_certificate_of_our_own_are_read_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("ca.pem", &made.cert.pem());
    put("own.pem", &made.cert.pem());
    put("own.key", &made.signing_key.serialize_pem());
    let tls = "tls_client = { cert = \"own.pem\", key = \"own.key\" }";
    let text = store(&format!("store = \"rediss://r\"\n[session.redis]\nca = \"ca.pem\"\n{tls}"));
    let settings = load_text(&text, dir.path(), variables(&[])).unwrap();
    let StoreKind::Redis(redis) = &settings.sessions.store else { panic!("it is a Redis store") };
    let tls = redis.tls.as_ref().unwrap();
    assert_eq!(tls.ca.as_deref(), Some(made.cert.pem().as_bytes()));
    assert_eq!(tls.client.as_ref().unwrap().1.expose(), made.signing_key.serialize_pem());
    assert!(!format!("{redis:?}").contains("PRIVATE KEY"));
    put("own.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let told = load_text(&text, dir.path(), variables(&[])).unwrap_err();
    assert_eq!(told.iter().next().unwrap().key(), "session.redis.tls_client.key");
}

#[test]
fn what_is_wrong_with_a_shared_store_is_told_by_its_key_and_without_the_password() {
    for (text, key, why) in [
        ("store = \"redis://:hunter2@a,b\"", "session.store", "names several servers"),
        ("store = \"redis+sentinel://:hunter2@a\"", "session.store", "names no master"),
        ("store = \"redis+cluster://:hunter2@a/2\"", "session.store", "a cluster has only 0"),
        ("store = \"redis://:hunter2/x@a\"", "session.store", "has a / before the @"),
        ("store = \"redis://:hunter2@a?db=1\"", "session.store", "has a parameter that is not known"),
        ("store = \"redis://a?prefix=%20\"", "session.store", "is not a prefix to use"),
        ("store = \"redis+unix:///run/redis\"", "session.store", "does not know"),
        ("store = \"reids://u:hunter2@a\"", "session.store", "write the servers behind it: redis://host"),
        ("store = \"redis\"", "session.store", "write the servers behind it: redis://host"),
        ("store = \"fiel\"", "session.store", "did you mean \"file\"?"),
        ("store = \"rediss:/u:hunter2@a\"", "session.store", "does not know"),
        ("store = \"u:hunter2@a:6379\"", "session.store", "does not know"),
        ("store = \"redis://u:x hunter2@a\"", "session.store", "holds a # or a space"),
        ("store = 'redis://u:\"hunter2@a,b'", "session.store", "names several"),
        ("store = \"redis://u:\\\"hunter2@a,b\"", "session.store", "names several"),
        ("stor = \"redis://u:x hunter2@a\"", "session.stor", "is not a key"),
        ("store = [\"redis://u:x hunter2@a\"]", "session.store", "wrong type"),
        ("store = \"redis://u@a\"", "session.redis.password", "is missing"),
        (
            "store = \"redis://:hunter2@a\"\nredis = { password = \"b\" }",
            "session.redis.password",
            "is set twice",
        ),
        (
            "store = \"redis://u:hunter2@a\"\nredis = { username = \"b\" }",
            "session.redis.username",
            "is set twice",
        ),
        (
            "store = \"redis://a?prefix=b:\"\nredis = { prefix = \"c:\" }",
            "session.redis.prefix",
            "is set twice",
        ),
        ("store = \"redis://a\"\nredis = { prefix = \"a b\" }", "session.redis.prefix", "1 to 64 letters"),
        (
            "store = \"redis://a\"\nredis = { timeout = \"1m\" }",
            "session.redis.timeout",
            "expected: 1s to 30s",
        ),
        (
            "store = \"redis://a\"\nredis = { ca = \"ca.pem\" }",
            "session.redis.ca",
            "belongs to a store with TLS",
        ),
        ("store = \"rediss://a\"\nredis = { ca = \"no.pem\" }", "session.redis.ca", "can't be read"),
        (
            "store = \"redis://a\"\nredis = { sentinel_password = \"b\" }",
            "session.redis.sentinel_password",
            "belongs to a store with Sentinels",
        ),
        ("store = \"redis://a\"\nredis = { database = 1 }", "session.redis.database", "is not a key"),
    ] {
        let told = read_with(&store(text), &[]).unwrap_err();
        let problem = told.iter().next().unwrap();
        assert_eq!(problem.key(), key, "{text}: {problem}");
        assert!(problem.to_string().contains(why), "{text}: {problem}");
        assert!(!told.to_string().contains("hunter2"), "{told}");
    }
    let told =
        problems(&with("", "", "[session]\nstore = \"redis://a:x\"\n[session.redis]\ntimeout = \"1m\""));
    let keys: Vec<_> = told.iter().map(Problem::key).collect();
    assert_eq!(keys, ["session.keys", "session.store", "session.redis.timeout"]);
}
