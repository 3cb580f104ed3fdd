//! Sessions opened from settings, and what goes on beside the requests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use http::header::COOKIE;

use super::store::contract::{IDLE, START, World};
use super::*;

fn settings(dir: &tempfile::TempDir, store: StoreKind) -> Settings {
    settings_in(&dir.path().join("state"), store)
}

fn settings_in(state_dir: &Path, store: StoreKind) -> Settings {
    Settings {
        keys: Vec::new(),
        store,
        state_dir: state_dir.to_owned(),
        idle_timeout: IDLE,
        lifetime: 3 * IDLE,
        cookie: CookieSettings::default(),
        max_sessions: 100_000,
        outage_grace: Duration::from_secs(10),
    }
}

fn open(settings: &Settings) -> Result<Arc<Sessions>, SessionsError> {
    Sessions::open(settings, Clock::manual(START), Handle::current())
}

fn memory() -> World {
    World::new(&|limit| Arc::new(MemoryStore::new(limit)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_signed_out_by_a_restart_that_has_nothing_but_the_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    for (store, stays) in [(StoreKind::File, true), (StoreKind::Cookie, true), (StoreKind::Memory, false)] {
        let settings = settings(&dir, store.clone());
        let world = memory();
        let before = open(&settings).unwrap();
        let (_, jar) = world.sign_in(&before).await;
        before.close().await.unwrap();
        drop(before);
        let after = open(&settings).unwrap();
        assert_eq!(world.find(&after, &jar).await.is_some(), stays, "{store:?}");
    }
}

/// What makes this test binary, started in such a directory, the process that is killed.
const TO_BE_KILLED: &str = "to-be-killed";

/// Signs people in as fast as it can and tells of each that is in.
async fn sign_in_until_killed() {
    let here = settings_in(Path::new("."), StoreKind::File);
    let (sessions, world) = (open(&here).unwrap(), Arc::new(memory()));
    let (signed_in, mut told) = tokio::sync::mpsc::channel(1);
    for _ in 0..4 {
        let (sessions, world, signed_in) = (Arc::clone(&sessions), Arc::clone(&world), signed_in.clone());
        tokio::spawn(async move {
            for _ in 0..2_000 {
                let (_, jar) = world.sign_in(&sessions).await;
                signed_in.send(jar).await.unwrap();
            }
        });
    }
    drop(signed_in);
    while let Some(jar) = told.recv().await {
        let mut line = jar[COOKIE].as_bytes().to_vec();
        line.push(b'\n');
        std::io::stdout().write_all(&line).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_that_was_reported_made_survives_a_kill() {
    if Path::new(TO_BE_KILLED).exists() {
        return sign_in_until_killed().await;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(TO_BE_KILLED), "").unwrap();
    let this = "sessions::tests::every_session_that_was_reported_made_survives_a_kill";
    for round in 1..=3 {
        let mut gateway = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", this])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The pipe stays open until the kill, which is then the only thing that ends the process.
        let lines = BufReader::new(gateway.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut cookies = lines.filter(|line| line.starts_with("__Host-vestibule="));
        let told: Vec<_> = cookies.by_ref().take(20 * round).collect();
        gateway.kill().unwrap();
        gateway.wait().unwrap();
        drop(cookies);
        assert_eq!(told.len(), 20 * round);

        let sessions = open(&settings_in(dir.path(), StoreKind::File)).unwrap();
        for cookie in told {
            let jar = [(COOKIE, HeaderValue::from_str(&cookie).unwrap())].into_iter().collect();
            assert!(memory().find(&sessions, &jar).await.is_some());
        }
        sessions.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_keeps_the_gateway_from_starting_says_where_and_how_to_mend_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = settings(&dir, StoreKind::File);
    let running = open(&file).unwrap();
    let error = open(&file).err().unwrap();
    assert!(error.to_string().ends_with("state/sessions.redb is in use by another process"), "{error}");
    assert!(error.mend().contains("state_dir"));
    running.close().await.unwrap();
    std::fs::write(file.state_dir.join(FILE), "text").unwrap();
    assert!(matches!(open(&file), Err(SessionsError::Damaged { .. })));
    std::fs::write(file.state_dir.join("session.key"), "text").unwrap();
    assert!(matches!(open(&file), Err(SessionsError::BadKey { .. })));
    let occupied = Settings { state_dir: file.state_dir.join("session.key"), ..file.clone() };
    assert!(matches!(open(&occupied), Err(SessionsError::Unusable { .. })));
    let named =
        Settings { cookie: CookieSettings { name: Some("a;b".into()), ..Default::default() }, ..file };
    assert!(matches!(open(&named), Err(SessionsError::CookieName { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_session_that_nobody_uses_is_let_go_without_losing_its_last_use() {
    let world = memory();
    let sessions = world.process();
    let (live, jar) = world.sign_in(&sessions).await;
    world.clock.advance(Duration::from_secs(10));
    live.touch(world.clock.now());
    let last_seen = live.last_seen();
    sessions.tidy().await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    sessions.tidy().await.unwrap();
    assert_eq!(sessions.registry.open(), 1, "held by a worker");
    drop(live);
    sessions.tidy().await.unwrap();
    assert_eq!(sessions.registry.open(), 0);
    assert_eq!(world.find(&sessions, &jar).await.unwrap().last_seen(), last_seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upkeep_ends_what_nobody_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START);
    let brief = Settings { idle_timeout: Duration::from_secs(2), ..settings(&dir, StoreKind::Memory) };
    let sessions = Sessions::open(&brief, clock.clone(), Handle::current()).unwrap();
    let keeping = tokio::spawn(Arc::clone(&sessions).keep());
    let (live, _) = memory().sign_in(&sessions).await;
    clock.advance(Duration::from_secs(2));
    live.ended().await;
    keeping.abort();
}
