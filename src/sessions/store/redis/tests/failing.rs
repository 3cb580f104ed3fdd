//! What the store does while its servers fail, and after: nothing that was acknowledged is lost, nothing that
//! was ended comes back, and what can't be done is refused soon and by its reason.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::connections::connections;
use super::*;
use crate::foundation::clock::Timestamp;
use crate::sessions::store::{Change, Entry, Gone, News};

pub(super) const START: Timestamp = Timestamp::from_secs(1_763_750_000);

pub(super) fn entry(name: u8) -> Entry {
    Entry {
        name: [name; 32],
        indexes: vec![[name ^ 0xff; 32]],
        expires_at: START.plus(Duration::from_secs(3600)),
        kept: Kept { record: vec![name; 500], last_seen: START },
        card: vec![1, 2, 3],
    }
}

pub(super) async fn put(store: &dyn Store, name: u8) -> Result<Vec<RecordName>, StoreError> {
    store.apply(Change::Put { entry: entry(name), replacing: None }).await
}

pub(super) async fn end(store: &dyn Store, name: u8) -> Result<Vec<RecordName>, StoreError> {
    store.apply(Change::Remove(Gone { name: [name; 32], expires_at: START })).await
}

pub(super) fn code(error: &StoreError) -> &'static str {
    let StoreError::Unreachable(fault) = error else { panic!("{error}") };
    fault.downcast_ref::<Fault>().unwrap().code()
}

/// Whether there is a record of this name; asks until the store says so, as a refusal says nothing.
async fn is_there(store: &dyn Store, name: RecordName) -> bool {
    let started = Instant::now();
    loop {
        match store.get(name, None).await {
            Ok(found) => return found.is_some(),
            Err(error) => assert!(started.elapsed() < Duration::from_secs(30), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
async fn a_server_that_cannot_save_is_read_from_and_heard_and_takes_no_change() {
    let server = Server::start(&[]);
    let (store, diary) = (open(at(server.port)), Arc::new(Diary::default()));
    put(&*store, 1).await.unwrap();
    store.watch(Arc::clone(&diary) as _);
    diary.until(Told::Hears).await;
    diary.0.lock().unwrap().clear();
    server.ask(&["CONFIG", "SET", "save", "3600 1"]);
    std::fs::remove_dir_all(server.dir()).unwrap();
    server.ask(&["BGSAVE"]);
    server
        .until("it can't save", |server| server.ask(&["INFO", "persistence"]).contains("bgsave_status:err"));
    let before = connections(&server, "normal");
    for _ in 0..30 {
        assert!(store.get([1; 32], None).await.unwrap().is_some());
        assert_eq!(code(&put(&*store, 2).await.unwrap_err()), "store_cannot_save");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(connections(&server, "normal"), before);
    assert!(!diary.0.lock().unwrap().contains(&Told::Deaf), "{:?}", diary.0.lock().unwrap());
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
    let _server = Server::start_again(port, &[]);
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
    let change = Change::Replace { name: [1; 32], record: vec![7; 600], renewals: 1 };
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

/// Notes what it is told.
#[derive(Default)]
struct Diary(Mutex<Vec<Told>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    News(News),
    Hears,
    Deaf,
}

impl Listener for Diary {
    fn heard(&self, news: News) {
        self.0.lock().unwrap().push(Told::News(news));
    }

    fn hears(&self, _: Instant, _: Instant) {
        self.0.lock().unwrap().push(Told::Hears);
    }

    fn deaf(&self) {
        self.0.lock().unwrap().push(Told::Deaf);
    }
}

impl Diary {
    fn last(&self) -> Option<Told> {
        self.0.lock().unwrap().iter().rev().find(|told| !matches!(told, Told::News(_))).copied()
    }

    async fn until(&self, what: Told) {
        let started = Instant::now();
        while !self.0.lock().unwrap().contains(&what) {
            assert!(started.elapsed() < Duration::from_secs(30), "{what:?} in {:?}", self.0.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it is deaf, and then until it hears again.
    async fn recovers(&self) {
        self.0.lock().unwrap().clear();
        self.until(Told::Deaf).await;
        self.until(Told::Hears).await;
    }
}

#[tokio::test]
async fn what_one_store_does_is_heard_at_the_other_wherever_it_is_done() {
    let protected = [PROTECTED.alone(), PROTECTED.guarded(), PROTECTED.clustered()];
    for settings in [at(ALONE.port), guarded(&GUARDED), clustered(&CLUSTER)].into_iter().chain(protected) {
        let (here, there, diary) = (open(settings.clone()), open(settings), Arc::new(Diary::default()));
        assert_eq!(there.watch(Arc::clone(&diary) as _), Reach::Shared);
        diary.until(Told::Hears).await;
        for name in 0..20 {
            put(&*here, name).await.unwrap();
            here.apply(Change::Replace { name: [name; 32], record: vec![1], renewals: 1 }).await.unwrap();
            end(&*here, name).await.unwrap();
        }
        for name in 0..20 {
            diary.until(Told::News(News::Changed([name; 32]))).await;
            diary.until(Told::News(News::Ended([name; 32]))).await;
        }
        assert_eq!(diary.last(), Some(Told::Hears), "all the time");
    }
}

#[tokio::test]
async fn who_listens_knows_when_something_may_go_unheard() {
    let server = Server::start(&[]);
    let (store, diary) = (open(at(server.port)), Arc::new(Diary::default()));
    store.watch(Arc::clone(&diary) as _);
    diary.until(Told::Hears).await;
    let recovered = diary.recovers();
    tokio::pin!(recovered);
    tokio::select! {
        () = &mut recovered => panic!("nothing happened yet"),
        () = tokio::time::sleep(Duration::from_millis(1500)) => {}
    }
    server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    recovered.await;
    server.signal("-STOP");
    diary.0.lock().unwrap().clear();
    diary.until(Told::Deaf).await;
    server.signal("-CONT");
    diary.until(Told::Hears).await;
    let woken = Instant::now();
    while let Err(error) = end(&*store, 1).await {
        assert!(woken.elapsed() < Duration::from_secs(30), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    diary.until(Told::News(News::Ended([1; 32]))).await;
}

/// What was acknowledged: as made, of those that nobody tried to end, and as ended.
#[derive(Default)]
struct Acknowledged {
    made: Vec<RecordName>,
    ended: Vec<RecordName>,
}

/// Makes and ends sessions until told to stop.
async fn busy(store: Arc<dyn Store>, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut done = Acknowledged::default();
    while !stop.load(Ordering::Relaxed) {
        let (stays, goes) = (random::bytes::<32>(), random::bytes::<32>());
        for name in [stays, goes] {
            let entry = Entry { name, indexes: vec![random::bytes()], ..entry(0) };
            let put = store.apply(Change::Put { entry, replacing: None }).await;
            done.made.extend((put.is_ok() && name == stays).then_some(stays));
        }
        let end = store.apply(Change::Remove(Gone { name: goes, expires_at: START })).await;
        done.ended.extend(end.is_ok().then_some(goes));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    done
}

/// Lets several work at once while `harm` is done, and then looks for all that was acknowledged.
pub(super) async fn nothing_acknowledged_is_lost(
    store: Arc<dyn Store>,
    harm: impl FnOnce() + Send + 'static,
) {
    recovered(&*store).await;
    let (diary, stop) = (Arc::new(Diary::default()), Arc::new(AtomicBool::new(false)));
    store.watch(Arc::clone(&diary) as _);
    let work: Vec<_> = (0..8).map(|_| tokio::spawn(busy(Arc::clone(&store), Arc::clone(&stop)))).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::spawn_blocking(harm).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let started = Instant::now();
    while put(&*store, 1).await.is_err() || diary.last() != Some(Told::Hears) {
        assert!(started.elapsed() < Duration::from_secs(30), "it takes changes again, and hears");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut counts = (0, 0);
    for work in work {
        let Acknowledged { made, ended } = work.await.unwrap();
        for name in &ended {
            assert!(!is_there(&*store, *name).await, "an ended session came back");
        }
        for name in &made {
            assert!(is_there(&*store, *name).await, "a session that was made is lost");
        }
        counts = (counts.0 + made.len(), counts.1 + ended.len());
    }
    // What docs count: `cargo test -- --nocapture` shows it.
    writeln!(std::io::stderr(), "{counts:?} sessions made and ended, none lost, none back").unwrap();
    assert!(counts.0 > 50 && counts.1 > 50, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_loses_nothing_that_was_acknowledged() {
    let servers = Arc::new(Guarded::start());
    let harmed = Arc::clone(&servers);
    nothing_acknowledged_is_lost(open(guarded(&servers)), move || harmed.kill_the_master()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_steps_down_or_hangs_loses_nothing_that_was_acknowledged() {
    let servers = Arc::new(Guarded::start());
    let store = open(RedisSettings { timeout: Duration::from_secs(1), ..guarded(&servers) });
    let harmed = Arc::clone(&servers);
    nothing_acknowledged_is_lost(Arc::clone(&store), move || {
        let old = harmed.master();
        harmed.sentinels[0].ask(&["SENTINEL", "FAILOVER", "mymaster"]);
        harmed.sentinels[0].until("another is the master", |_| harmed.master() != old);
    })
    .await;
    let harmed = Arc::clone(&servers);
    nothing_acknowledged_is_lost(store, move || {
        let old = harmed.master();
        let hung = harmed.servers.iter().find(|server| server.port == old).unwrap();
        hung.signal("-STOP");
        harmed.sentinels[0].until("another is the master", |_| harmed.master() != old);
        hung.signal("-CONT");
    })
    .await;
}

/// Kills the master, and has its successor replaced at once.
fn replace_twice(servers: &Guarded) {
    let (sentinel, killed) = (&servers.sentinels[0], servers.master());
    servers.servers.iter().find(|server| server.port == killed).unwrap().signal("-KILL");
    sentinel.until("another is the master", |_| servers.master() != killed);
    let first = servers.master();
    sentinel.until("it takes orders", |sentinel| {
        sentinel.ask(&["SENTINEL", "FAILOVER", "mymaster"]).contains("OK")
    });
    sentinel.until("the third is the master", |_| servers.master() != first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_replaced_when_it_was_just_made_one_takes_nothing_with_it() {
    let servers = Arc::new(Guarded::start());
    let harmed = Arc::clone(&servers);
    nothing_acknowledged_is_lost(open(guarded(&servers)), move || replace_twice(&harmed)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_made_the_others_find_though_they_may_ask_another_server() {
    let servers = Arc::new(Guarded::start());
    let settings = guarded(&servers);
    let stores = [(); 2].map(|()| open(settings.clone()));
    for store in &stores {
        recovered(&**store).await;
    }
    let harmed = Arc::clone(&servers);
    let harm = tokio::task::spawn_blocking(move || replace_twice(&harmed));
    let (started, [mut here, mut there], mut found) = (Instant::now(), stores, 0);
    while !harm.is_finished() || found == 0 || started.elapsed() < Duration::from_secs(12) {
        assert!(started.elapsed() < Duration::from_secs(120), "nobody can sign in any more");
        let name = random::bytes();
        let entry = Entry { name, indexes: vec![random::bytes()], ..entry(0) };
        if here.apply(Change::Put { entry, replacing: None }).await.is_ok()
            && let Ok(there) = there.get(name, None).await
        {
            assert!(there.is_some(), "nobody knows who signed in, after {:?}", started.elapsed());
            found += 1;
        }
        std::mem::swap(&mut here, &mut there);
    }
    harm.await.unwrap();
    drop(servers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_a_cluster_that_is_killed_loses_nothing_that_was_acknowledged() {
    let cluster = Arc::new(Cluster::start());
    let harmed = Arc::clone(&cluster);
    nothing_acknowledged_is_lost(open(clustered(&cluster)), move || harmed.kill_a_master()).await;
}

#[tokio::test]
async fn a_change_that_no_replica_has_is_not_called_made() {
    let servers = Guarded::start();
    let store = open(guarded(&servers));
    put(&*store, 1).await.unwrap();
    servers.servers[1..].iter().for_each(|replica| replica.signal("-STOP"));
    let started = Instant::now();
    assert_eq!(code(&put(&*store, 2).await.unwrap_err()), "store_unconfirmed");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(store.get([1; 32], None).await.unwrap().is_some(), "reads go on beside it");
    servers.servers[1..].iter().for_each(|replica| replica.signal("-CONT"));
    put(&*store, 2).await.unwrap();
    // A master that both have left may be one that was replaced: it is doubted for a while, and then believed.
    servers.servers[1..].iter().for_each(|replica| replica.signal("-KILL"));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(code(&end(&*store, 1).await.unwrap_err()), "store_unconfirmed");
    let started = Instant::now();
    while end(&*store, 1).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(15));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_just_made_master_is_told_nothing_alone() {
    let servers = Guarded::start();
    let store = open(guarded(&servers));
    put(&*store, 1).await.unwrap();
    servers.servers.iter().take(2).for_each(|server| server.signal("-KILL"));
    let (started, mut refused) = (Instant::now(), None);
    while let Err(error) = put(&*store, 2).await {
        assert!(started.elapsed() < Duration::from_secs(60), "{error}");
        if code(&error) == "store_unconfirmed" {
            refused.get_or_insert(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused.expect("refused at first").elapsed() > Duration::from_secs(3));
}
