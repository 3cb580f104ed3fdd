//! `config.toml.example` is kept true: it loads, names every key with its variable, and says what is later.

use std::collections::BTreeSet;

use super::super::schema::{KEYS, Key, Kind, ROOT};
use super::*;

const EXAMPLE: &str = include_str!("../../../config.toml.example");

/// The example with the keys of these marks in force.
fn in_force(marks: &[&str]) -> String {
    let line = |line: &str| {
        let uncommented = marks.iter().find_map(|mark| line.strip_prefix(mark));
        let is_key = |rest: &&str| !rest.is_empty() && !rest.starts_with([' ', '~']);
        uncommented.filter(is_key).unwrap_or(line).to_owned() + "\n"
    };
    let text: String = EXAMPLE.lines().map(line).collect();
    // What [session.redis] says is refused with the default store.
    assert!(text.contains("\nstore = \"file\"\n"), "the default");
    text.replace("\nstore = \"file\"\n", "\nstore = \"rediss+sentinel://h/mymaster\"\n")
}

/// Loads a text beside the files that the example names.
fn load_beside_files(text: &str) -> Result<Settings, Problems> {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    std::fs::create_dir(base.join("certs")).unwrap();
    std::fs::create_dir(base.join("secrets")).unwrap();
    let made = rcgen::generate_simple_self_signed(["lms.example.org".to_owned()]).unwrap();
    for name in ["gateway", "redis-ca", "provider-ca", "internal-ca", "client"] {
        std::fs::write(base.join(format!("certs/{name}.pem")), made.cert.pem()).unwrap();
    }
    let ours = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    std::fs::write(base.join("certs/decryption.key"), ours.serialize_pem()).unwrap();
    for name in ["gateway", "client"] {
        std::fs::write(base.join(format!("certs/{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    std::fs::write(base.join("secrets/legacy"), "secret\n").unwrap();
    std::fs::write(base.join("logo.svg"), "<svg/>").unwrap();
    let key = RootKey::generate().to_base64();
    let passwords = [
        ("REDIS_PASSWORD", "a"),
        ("SENTINEL_PASSWORD", "b"),
        ("ADMIN_TOKEN", "0123456789abcdef0123456789abcdef"),
    ];
    load_text(text, base, variables(&[&[("SESSION_KEY", key.as_str())][..], &passwords].concat()))
}

/// The keys that a text sets, by their paths in the schema.
fn keys_of(text: &str) -> BTreeSet<&'static str> {
    fn visit(key: &Key, value: &toml::Value, found: &mut BTreeSet<&'static str>) {
        match value {
            toml::Value::Table(table) => {
                for (name, value) in table {
                    // A secret's table has no keys in the schema.
                    let Some(child) = key.child(name) else { continue };
                    found.insert(child.path);
                    visit(child, value, found);
                }
            }
            toml::Value::Array(elements) => elements.iter().for_each(|element| visit(key, element, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    visit(&ROOT, &toml::Value::Table(text.parse().unwrap()), &mut found);
    found
}

#[test]
fn the_example_loads_as_it_is_and_with_every_key_in_force() {
    load_beside_files(EXAMPLE).unwrap_or_else(|problems| panic!("{problems}"));
    let settings = load_beside_files(&in_force(&["#"])).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((settings.providers.len(), settings.gateway.apps.len()), (2, 2));
}

#[test]
fn the_example_has_every_key() {
    let found = keys_of(&in_force(&["#"]));
    let missing: Vec<_> = KEYS.iter().map(|key| key.path).filter(|path| !found.contains(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_example_names_the_variable_of_every_key() {
    let mut named = BTreeSet::new();
    for word in EXAMPLE.split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_')) {
        let Some(name) = word.strip_prefix("VESTIBULE_") else { continue };
        let mut segments = name.split("__").map(str::to_lowercase);
        let key = segments.try_fold(&ROOT, |key, segment| key.child(&segment));
        named.insert(key.unwrap_or_else(|| panic!("{word} is no key's variable")).path);
    }
    let has_variable = |key: &&Key| {
        let is_table = matches!(key.kind, Kind::Table | Kind::Names);
        let is_element = ["apps.*.rules.", "apps.*.logout.clear_cookies."].iter();
        !is_table && !is_element.clone().any(|list| key.path.starts_with(list))
    };
    let missing: Vec<_> =
        KEYS.iter().filter(has_variable).map(|key| key.path).filter(|path| !named.contains(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_example_says_the_defaults() {
    // What the example shows for these tables is what holds without them.
    let (shown, silent) =
        (load_beside_files(&in_force(&["#"])).unwrap(), load_beside_files(EXAMPLE).unwrap());
    assert_eq!(shown.server.listen, silent.server.listen);
    assert_eq!(format!("{:?}", shown.server.limits), format!("{:?}", silent.server.limits));
    assert_eq!(shown.server.drain_timeout, silent.server.drain_timeout);
    assert_eq!(shown.admin.listen, silent.admin.listen);
    assert_eq!(shown.gateway.endpoints, silent.gateway.endpoints);
    assert_eq!(format!("{:?}", shown.telemetry), format!("{:?}", silent.telemetry));
    assert_eq!(silent.sessions.store, sessions::StoreKind::File);
    let sessions::StoreKind::Redis(redis) = &shown.sessions.store else { panic!("it is the shared one") };
    assert_eq!((redis.prefix.as_str(), redis.timeout), ("vestibule:", Duration::from_secs(2)));
    assert_eq!(shown.sessions.idle_timeout, silent.sessions.idle_timeout);
    assert_eq!(shown.sessions.lifetime, silent.sessions.lifetime);
    assert_eq!(shown.sessions.max_sessions, silent.sessions.max_sessions);
    assert_eq!(shown.sessions.outage_grace, silent.sessions.outage_grace);
    assert_eq!(shown.gateway.form_limit, silent.gateway.form_limit);
    assert_eq!(shown.sessions.cookie.same_site, silent.sessions.cookie.same_site);
    assert_eq!(shown.sessions.cookie.partitioned, silent.sessions.cookie.partitioned);
    let (legacy, trusted) = (&shown.providers[1], &silent.providers[0]);
    assert_eq!((legacy.clock_skew, legacy.timeout), (trusted.clock_skew, trusted.timeout));
    assert_eq!((&legacy.scopes, legacy.userinfo), (&trusted.scopes, trusted.userinfo));
    let (talk, lms) = (&shown.gateway.apps[1].upstream, &silent.gateway.apps[0].upstream);
    assert_eq!((talk.connect_timeout, talk.response_timeout), (lms.connect_timeout, lms.response_timeout));
    assert_eq!(talk.host_header, lms.host_header);
}
