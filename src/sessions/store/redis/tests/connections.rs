//! What the store does when a connection is lost, falls silent, or loses an answer: by themselves these are no
//! faults of the servers, and nobody who asks should notice more than they must.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::failing::{START, end, put};
use super::*;

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

/// The ids of the connections of this kind.
pub(super) fn connections(server: &Server, kind: &str) -> Vec<String> {
    let list = server.ask(&["CLIENT", "LIST", "TYPE", kind]);
    let ids =
        list.lines().filter(|line| !line.contains("cmd=client")).filter_map(|line| line.strip_prefix("id="));
    ids.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn whether_all_can_be_read_is_one_question_for_each_part() {
    let (alone, cluster) = (Server::start(&[]), Cluster::start());
    let asked = |server: &Server| {
        let stats = server.ask(&["INFO", "commandstats"]);
        let calls = stats.split_once("cmdstat_zcard:calls=").map(|(_, rest)| rest.split(',').next().unwrap());
        calls.map_or(0, |calls| calls.parse::<u32>().unwrap())
    };
    open(at(alone.port)).probe().await.unwrap();
    assert_eq!(asked(&alone), 1);
    open(clustered(&cluster)).probe().await.unwrap();
    let mut each: Vec<u32> = cluster.nodes.iter().map(asked).collect();
    each.sort_unstable();
    assert_eq!(each, [0, 0, 0, 1, 1, 1], "each master once");
}

#[tokio::test]
async fn either_connection_may_be_lost_alone() {
    let server = Server::start(&[]);
    let store = open(at(server.port));
    put(&*store, 1).await.unwrap();
    for round in 0..4 {
        let ids = connections(&server, "normal");
        assert_eq!(ids.len(), 2, "none is left over");
        server.ask(&["CLIENT", "KILL", "ID", &ids[round % 2]]);
        put(&*store, 2).await.unwrap();
        assert!(store.get([2; 32], None).await.unwrap().is_some());
        let until = START.plus(Duration::from_secs(60));
        assert!(store.put_note([u8::try_from(round).unwrap(); 32], vec![1], START, until).await.unwrap());
    }
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_changed_for_long_stays() {
    let server = Server::start(&["timeout 1".to_owned()]);
    let store = open(at(server.port));
    put(&*store, 1).await.unwrap();
    let before = connections(&server, "normal");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(connections(&server, "normal"), before);
}

#[tokio::test]
async fn either_connection_may_fall_silent_alone() {
    let server = Server::start(&[]);
    let (port, ways) = a_way_to(server.port).await;
    let store = open(RedisSettings { timeout: Duration::from_millis(300), ..at(port) });
    put(&*store, 1).await.unwrap();
    for which in 0..2 {
        let newest = ways.lock().unwrap().last_chunk::<2>().cloned().unwrap();
        newest[which].store(SILENT, Ordering::Relaxed);
        let started = Instant::now();
        while put(&*store, 2).await.is_err() || store.get([2; 32], None).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn what_was_done_and_whose_answer_was_lost_is_not_taken_for_done_by_another() {
    let server = Server::start(&[]);
    let (port, ways) = a_way_to(server.port).await;
    let store = open(at(port));
    put(&*store, 1).await.unwrap();
    let until = START.plus(Duration::from_secs(60));
    for round in 0..5 {
        let newest = ways.lock().unwrap().last_chunk::<2>().cloned().unwrap();
        newest.iter().for_each(|way| way.store(LOSES_AN_ANSWER, Ordering::Relaxed));
        assert!(store.put_note([round; 32], vec![1], START, until).await.unwrap(), "round {round}");
        assert!(!store.put_note([round; 32], vec![1], START, until).await.unwrap(), "another");
    }
    let newest = ways.lock().unwrap().last_chunk::<2>().cloned().unwrap();
    newest.iter().for_each(|way| way.store(LOSES_AN_ANSWER, Ordering::Relaxed));
    assert_eq!(end(&*store, 1).await.unwrap(), [[1; 32]]);
    assert!(store.get([1; 32], None).await.unwrap().is_none());
}

/// What a proxy does with a connection.
const OPEN: u8 = 0;
const SILENT: u8 = 1;
const LOSES_AN_ANSWER: u8 = 2;

/// A proxy before a server, and what it does with each of its connections.
async fn a_way_to(port: u16) -> (u16, Arc<Mutex<Vec<Arc<AtomicU8>>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (own, ways) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let opened = Arc::clone(&ways);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let way = Arc::new(AtomicU8::new(OPEN));
            opened.lock().unwrap().push(Arc::clone(&way));
            let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
            tokio::spawn(async move {
                tokio::select! {
                    () = carry(near_reads, far_writes, &way, false) => {}
                    () = carry(far_reads, near_writes, &way, true) => {}
                }
            });
        }
    });
    (own, ways)
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: &AtomicU8, answers: bool) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        match way.load(Ordering::Relaxed) {
            SILENT => {}
            LOSES_AN_ANSWER if answers => return,
            _ if to.write_all(&bytes[..count]).await.is_err() => return,
            _ => {}
        }
    }
}
