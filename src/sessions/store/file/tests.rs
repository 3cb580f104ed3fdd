//! The file: kept through a restart and a kill, guarded from a second process, never written over when it is
//! damaged, and usable again after an error of the disk.

use std::fs;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;
use tempfile::TempDir;

mod power;

use super::disk::{Absent, database};
use super::*;
use crate::sessions::store::contract::{ENTRANCE, World, keeps_the_contract, refresh_token};

fn fresh(limit: usize) -> Arc<dyn Store> {
    let dir = tempfile::tempdir().unwrap();
    // The file is open, so it outlives its name.
    Arc::new(FileStore::open(&dir.path().join("sessions.redb"), limit, Handle::current()).unwrap())
}

keeps_the_contract!(fresh);

fn open(dir: &TempDir) -> Result<FileStore, OpenError> {
    FileStore::open(&dir.path().join("sessions.redb"), 100, Handle::current())
}

/// The processes that follow each other over one directory, with one key.
fn world(dir: &TempDir) -> World {
    World::new(&|_| Arc::new(open(dir).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_reported_made_survives_a_kill_and_one_reported_ended_does_not_come_back() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut world = world(&dir);
    let before = world.process();
    let (live, jar) = world.sign_in(&before).await;
    let (ended, old) = world.sign_in(&before).await;
    before.end(&ended).await.unwrap();
    // What is in the file at this moment is what a kill would leave.
    fs::copy(dir.path().join("sessions.redb"), killed.path().join("sessions.redb")).unwrap();
    assert!(live.is_alive(world.clock.now()));

    world.replace(Arc::new(open(&killed).unwrap()));
    let after = world.process();
    assert!(world.find(&after, &jar).await.is_some());
    assert!(world.find(&after, &old).await.is_none());
    assert_eq!(after.count().await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_a_renewal_leaves_the_newest_refresh_token() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut world = world(&dir);
    let before = world.process();
    let (live, mut jar) = world.sign_in(&before).await;
    for token in ["r1", "r2", "r3"] {
        world.renew(&before, &live, &mut jar, token).await;
    }
    fs::copy(dir.path().join("sessions.redb"), killed.path().join("sessions.redb")).unwrap();
    world.replace(Arc::new(open(&killed).unwrap()));
    let found = world.find(&world.process(), &jar).await.unwrap();
    assert_eq!(refresh_token(&found), "r3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = world(&dir);
    let before = world.process();
    let (live, jar) = world.sign_in(&before).await;
    live.touch(world.clock.now().plus(std::time::Duration::from_secs(1)));
    before.close().await.unwrap();
    world.replace(Arc::new(open(&dir).unwrap()));
    let found = world.find(&world.process(), &jar).await.unwrap();
    assert_eq!(found.last_seen(), live.last_seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_from_before_there_were_cards_is_listed_without_them_and_takes_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = world(&dir);
    let before = world.process();
    let (live, jar) = world.sign_in(&before).await;
    before.close().await.unwrap();
    let path = dir.path().join("sessions.redb");
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let disk = Disk::with(Box::new(move |_| database(FileBackend::new(file.try_clone()?)?))).unwrap();
    assert!(disk.write(|txn| Ok(txn.delete_table(super::tables::CARDS)?)).unwrap());
    drop(disk);

    world.replace(Arc::new(open(&dir).unwrap()));
    let after = world.process();
    let page = after.list(&crate::sessions::Wanted::default(), None, 10).await.unwrap();
    assert!(page.sessions.iter().all(|listed| listed.card.is_none()) && page.sessions.len() == 1);
    assert!(world.find(&after, &jar).await.is_some());
    let (newer, _) = world.sign_in(&after).await;
    assert!(!world.card_of(&newer).await.is_empty());
    assert!(world.card_of(&live).await.is_empty());
}

#[tokio::test]
async fn the_file_is_its_owners_only_and_a_second_process_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.redb");
    fs::write(&path, "").unwrap();
    let first = open(&dir).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(open(&dir), Err(OpenError::Busy)));
    first.close().await.unwrap();
    drop(open(&dir).unwrap());
}

#[tokio::test]
async fn a_file_that_is_not_ours_or_damaged_is_an_error_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.redb");
    open(&dir).unwrap().close().await.unwrap();
    let good = fs::read(&path).unwrap();
    let header = [&good[..9], &[0xff; 400], &good[409..]].concat();
    let cases = [b"text".to_vec(), vec![0; 8192], good[..5000].to_vec(), good[..100].to_vec(), header];
    for bad in cases {
        fs::write(&path, &bad).unwrap();
        let error = open(&dir).err().unwrap();
        assert!(matches!(error, OpenError::Damaged(_)), "{error:?}");
        assert!(fs::read(&path).unwrap() == bad, "written over");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(open(&dir), Err(OpenError::Io(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_is_never_a_session_made_and_when_it_is_back_so_are_the_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let (path, fails) = (dir.path().join("sessions.redb"), Arc::clone(&broken));
    let disk = Disk::with(Box::new(move |absent| {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(absent == Absent::Made).open(&path)?;
        database(Fragile { file: FileBackend::new(file)?, fails: Arc::clone(&fails) })
    }))
    .unwrap();
    let store: Arc<dyn Store> = Arc::new(FileStore::on(disk, 100, Handle::current()).unwrap());
    let world = World::new(&|_| Arc::clone(&store));
    let sessions = world.process();
    let (live, jar) = world.sign_in(&sessions).await;

    broken.store(true, Ordering::SeqCst);
    let data = crate::sessions::SessionData::clone(&live.data());
    let made = sessions.create(&world.names, data, ENTRANCE, Some(live.gone())).await;
    assert!(matches!(made, Err(super::StoreError::Unreachable(_))));
    assert!(matches!(sessions.end(&live).await, Err(super::StoreError::Unreachable(_))));
    assert!(world.find(&sessions, &jar).await.is_some(), "who is known stays signed in");
    assert!(sessions.check().await.is_err(), "reading works, and is not enough");

    let unwritten = world.renew_only(&sessions, &live, "r1").await;
    assert!(matches!(unwritten, Err(super::StoreError::Unreachable(_))));
    assert_eq!(refresh_token(&live), "r1", "the old one is spent at the provider");

    broken.store(false, Ordering::SeqCst);
    sessions.flush().await.unwrap();
    assert_eq!(refresh_token(&world.find(&world.process(), &jar).await.unwrap()), "r1", "written late");
    assert!(world.find(&world.process(), &jar).await.is_some());
    sessions.end(&live).await.unwrap();
    sessions.check().await.unwrap();
    assert!(world.find(&world.process(), &jar).await.is_none());
    assert_eq!(sessions.count().await.unwrap(), Some(0));
}

/// A file on a disk that is full at times.
#[derive(Debug)]
struct Fragile {
    file: FileBackend,
    fails: Arc<AtomicBool>,
}

impl Fragile {
    fn full(&self) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Fragile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.full()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.full()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.full()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, redb::BackendError> {
        self.file.try_lock_range(start, end)
    }
}
