//! What the store does while a part of a cluster is down: who asks for that part is refused at once, and whoever
//! asks for the others is served, where the cluster serves them.

use std::time::Instant;

use super::failing::{code, put};
use super::*;

/// How many records there are, over all parts.
const RECORDS: u8 = 40;

/// What became of a question for each record, and the longest that one took.
async fn ask_for_all(store: &dyn Store) -> (Vec<Result<(), &'static str>>, Duration) {
    let (mut told, mut longest) = (Vec::new(), Duration::ZERO);
    for name in 0..RECORDS {
        let asked = Instant::now();
        let answer = store.get([name; 32], None).await;
        longest = longest.max(asked.elapsed());
        told.push(answer.map(|found| assert!(found.is_some(), "lost")).map_err(|error| code(&error)));
    }
    (told, longest)
}

/// Stops the node that has the first slot, and its replicas; waits until the others hold it for failed.
fn stop_a_part(cluster: &Cluster) -> Vec<&Server> {
    let slots = cluster.nodes[0].ask(&["CLUSTER", "SLOTS"]);
    let first = slots.split("\r\n:0\r\n").nth(1).unwrap().split("\r\n*4\r\n:").next().unwrap().to_owned();
    let is_of_it = |node: &&Server| first.contains(&format!(":{}\r\n", node.port));
    let (stopped, others): (Vec<_>, Vec<_>) = cluster.nodes.iter().partition(is_of_it);
    assert_eq!(stopped.len(), 2, "{slots}");
    stopped.iter().for_each(|node| node.signal("-STOP"));
    for node in others {
        node.until("the part has failed", |node| {
            node.ask(&["CLUSTER", "NODES"]).lines().filter(|line| line.contains(",fail ")).count() == 2
        });
    }
    stopped
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_down_is_refused_at_once_and_the_others_are_served_where_the_cluster_serves_them() {
    for (covers, served) in [("yes", false), ("no", true)] {
        let cluster = Cluster::start_with(&[format!("cluster-require-full-coverage {covers}")]);
        let store = open(RedisSettings { timeout: Duration::from_secs(1), ..clustered(&cluster) });
        for name in 0..RECORDS {
            put(&*store, name).await.unwrap();
        }
        let stopped = stop_a_part(&cluster);
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let mut late = 0;
        for _ in 0..20 {
            let (told, longest) = ask_for_all(&*store).await;
            let down = told.iter().filter(|told| **told == Err("store_cluster_down")).count();
            let up = told.iter().filter(|told| told.is_ok()).count();
            let as_known = down + up == told.len() && (up > 20 && down > 5) == served;
            late += usize::from(!as_known || longest > Duration::from_millis(300));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(late <= 3, "{late} of 20 rounds were late, or not as is known");
        assert_eq!(code(&store.probe().await.unwrap_err()), "store_cluster_down", "of the part that is down");
        stopped.iter().for_each(|node| node.signal("-CONT"));
        let started = Instant::now();
        while ask_for_all(&*store).await.0.iter().any(Result::is_err) {
            assert!(started.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        store.probe().await.unwrap();
        // The replicas of that part are waited for when they follow again.
        while put(&*store, RECORDS).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
