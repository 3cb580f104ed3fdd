//! What the store does while its servers fail, and after: nothing that was acknowledged is lost, nothing that
//! was ended comes back, and what can't be done is refused soon and by its reason.

use std::time::Instant;

use super::*;
use crate::foundation::clock::Timestamp;
use crate::sessions::store::{Change, Entry, Gone};

const START: Timestamp = Timestamp::from_secs(1_763_750_000);

fn entry(name: u8) -> Entry {
    Entry {
        name: [name; 32],
        indexes: vec![[name ^ 0xff; 32]],
        expires_at: START.plus(Duration::from_secs(3600)),
        kept: Kept { record: vec![name; 500], last_seen: START },
        card: vec![1, 2, 3],
    }
}

async fn put(store: &dyn Store, name: u8) -> Result<Vec<RecordName>, StoreError> {
    store.apply(Change::Put { entry: entry(name), replacing: None }).await
}

async fn end(store: &dyn Store, name: u8) -> Result<Vec<RecordName>, StoreError> {
    store.apply(Change::Remove(Gone { name: [name; 32], expires_at: START })).await
}

fn code(error: &StoreError) -> &'static str {
    let StoreError::Unreachable(fault) = error else { panic!("{error}") };
    fault.downcast_ref::<Fault>().unwrap().code()
}

/// Asks until the store answers.
async fn recovered(store: &dyn Store) -> Duration {
    let started = Instant::now();
    while store.get([0; 32], None).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

#[tokio::test]
async fn a_connection_that_is_cut_is_not_noticed_by_who_asks() {
    let server = Server::start(&[]);
    let store = open(at(server.port));
    put(&*store, 1).await.unwrap();
    for _ in 0..10 {
        server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        assert!(store.get([1; 32], None).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_refused_at_once_and_found_again() {
    let server = Server::start(&[]);
    let (port, store) = (server.port, open(at(server.port)));
    put(&*store, 1).await.unwrap();
    drop(server);
    assert_eq!(code(&store.get([1; 32], None).await.unwrap_err()), "store_out_of_reach");
    let started = Instant::now();
    for _ in 0..100 {
        assert!(put(&*store, 2).await.is_err());
    }
    assert!(started.elapsed() < Duration::from_secs(1), "known to be down");
    let _server = Server::start_as("server", port, &[]);
    assert!(recovered(&*store).await < Duration::from_secs(2));
    put(&*store, 2).await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time_and_found_again() {
    let server = Server::start(&[]);
    let store = open(RedisSettings { timeout: Duration::from_millis(500), ..at(server.port) });
    put(&*store, 1).await.unwrap();
    server.signal("-STOP");
    let started = Instant::now();
    assert_eq!(code(&store.get([1; 32], None).await.unwrap_err()), "store_slow");
    assert!(started.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    for _ in 0..10 {
        assert_eq!(code(&end(&*store, 1).await.unwrap_err()), "store_slow");
    }
    assert!(started.elapsed() < Duration::from_millis(500), "known to hang");
    server.signal("-CONT");
    recovered(&*store).await;
    assert!(store.get([1; 32], None).await.unwrap().is_some(), "a refused end was not made later");
}

#[tokio::test]
async fn in_a_full_server_sessions_are_used_renewed_and_ended_and_only_new_ones_refused() {
    let server = Server::start(&[]);
    let store = open(at(server.port));
    put(&*store, 1).await.unwrap();
    put(&*store, 2).await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(code(&put(&*store, 3).await.unwrap_err()), "store_full");
    let later = START.plus(Duration::from_secs(60));
    let change = Change::Replace { name: [1; 32], record: vec![7; 600] };
    assert!(store.apply(change).await.unwrap().is_empty());
    assert_eq!(store.get([1; 32], None).await.unwrap().unwrap().record, [7; 600]);
    drop(store.apply(Change::Touch(vec![([1; 32], later)])).await);
    assert_eq!(store.get([1; 32], None).await.unwrap().unwrap().last_seen, later);
    end(&*store, 2).await.unwrap();
    assert!(store.get([2; 32], None).await.unwrap().is_none());
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    put(&*store, 3).await.unwrap();
}

#[tokio::test]
async fn an_end_that_meets_a_sign_in_under_way_wins_over_it() {
    let store = open(at(ALONE.port));
    // As if it was listed, and its record still travels.
    assert_eq!(end(&*store, 5).await.unwrap(), [[5; 32]]);
    assert_eq!(put(&*store, 5).await.unwrap(), [[5; 32]], "the sign-in is told");
    assert!(store.get([5; 32], None).await.unwrap().is_none());
    assert_eq!(store.count().await.unwrap(), Some(0));
}

#[tokio::test]
async fn records_go_by_themselves_when_no_process_sweeps_them() {
    let settings = at(ALONE.port);
    let layout = Layout::new(settings.prefix.clone());
    let store: Arc<dyn Store> =
        Arc::new(RedisStore::open(settings, Duration::from_secs(60), Handle::current()));
    put(&*store, 1).await.unwrap();
    let ttl = |key: &str| ALONE.ask(&["TTL", key]).trim_start_matches(':').trim().parse::<u64>().unwrap();
    let (record, index) = (layout.record(&[1; 32]), layout.index(&[0xfe; 32]));
    let idle = 60 + 2 * BEHIND.as_secs();
    assert!((idle - 5..=idle).contains(&ttl(&record)), "{}", ttl(&record));
    assert!((3600..=3600 + BEHIND.as_secs()).contains(&ttl(&index)));
    let late = START.plus(Duration::from_secs(3590));
    store.apply(Change::Touch(vec![([1; 32], late)])).await.unwrap();
    let end = 10 + BEHIND.as_secs();
    assert!((end - 5..=end).contains(&ttl(&record)), "its end is nearer than its idle time");
}

#[tokio::test]
async fn a_lock_has_one_holder_and_is_free_when_its_time_is_over() {
    let store = open(at(ALONE.port));
    let (lasts, name) = (Duration::from_millis(400), [1; 32]);
    assert!(store.lock(name, [1; 16], lasts).await.unwrap());
    assert!(store.lock(name, [1; 16], lasts).await.unwrap(), "prolonged");
    assert!(!store.lock(name, [2; 16], lasts).await.unwrap());
    store.unlock(name, [2; 16]).await.unwrap();
    assert!(!store.lock(name, [2; 16], lasts).await.unwrap(), "not its own");
    store.unlock(name, [1; 16]).await.unwrap();
    assert!(store.lock(name, [2; 16], lasts).await.unwrap());
    tokio::time::sleep(lasts * 2).await;
    assert!(store.lock(name, [1; 16], lasts).await.unwrap());
}
