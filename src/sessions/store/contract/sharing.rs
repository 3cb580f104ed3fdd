//! What every store that is shared promises the processes over it: what one does the others know soon. A store
//! that one process has alone has nothing to promise here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::renewals::refresh_token;
use super::{Change, IDLE, MINUTE, World};
use crate::sessions::{Live, Sessions, Standing};

/// Waits until something is so, as news take their time.
async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = Instant::now();
    while !is_so().await {
        assert!(waited.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A session that two processes have open, once both hear; nothing where the store is not shared.
async fn open_in_two(world: &World) -> Option<([Arc<Sessions>; 2], [Arc<Live>; 2], super::Jar)> {
    let (here, there) = (world.process(), world.process());
    for process in [&here, &there] {
        process.hears()?;
        soon("it hears", async || process.hears() == Some(true)).await;
    }
    let (live, jar) = world.sign_in(&here).await;
    let other = world.find(&there, &jar).await.unwrap();
    for (process, live) in [(&here, &live), (&there, &other)] {
        soon("it is sure", async || {
            process.stands(live).await.unwrap() && process.is_sure_of(live, world.clock.now())
        })
        .await;
    }
    Some(([here, there], [live, other], jar))
}

pub(in crate::sessions) async fn what_is_ended_in_one_process_is_over_in_every_other_that_holds_it_open(
    world: World,
) {
    for way in ["one", "person", "provider session", "replaced"] {
        let Some(([here, there], [live, other], jar)) = open_in_two(&world).await else { return };
        let heard = tokio::spawn({
            let other = Arc::clone(&other);
            async move { other.ended().await }
        });
        match way {
            "one" => here.end(&live).await.unwrap(),
            "person" => drop(here.end_by_subject("trusted", "7d0e2a56").await.unwrap()),
            "provider session" => drop(here.end_by_provider_session("trusted", "sid-1").await.unwrap()),
            _ => drop(world.sign_in_as(&here, world.data(), Some(&live)).await),
        }
        tokio::time::timeout(Duration::from_secs(10), heard).await.expect(way).unwrap();
        assert!(!there.stands(&other).await.unwrap() && world.find(&there, &jar).await.is_none(), "{way}");
        here.end_by_subject("trusted", "7d0e2a56").await.unwrap();
    }
}

pub(in crate::sessions) async fn a_renewal_in_one_process_is_seen_by_the_other_that_holds_it_open(
    world: World,
) {
    let Some(([here, there], [live, other], mut jar)) = open_in_two(&world).await else { return };
    for (token, by, by_live, seen_by) in
        [("r1", &here, &live, &other), ("r2", &there, &other, &live), ("r3", &here, &live, &other)]
    {
        assert_eq!(world.renew(by, by_live, &mut jar, token).await, Standing::Stands);
        let mark = || by_live.mark().version() == seen_by.mark().version();
        soon(token, async || refresh_token(seen_by) == token && mark()).await;
    }
}

pub(in crate::sessions) async fn a_session_that_is_used_in_one_process_is_idle_in_none(world: World) {
    let Some(([here, there], [live, other], jar)) = open_in_two(&world).await else { return };
    for _ in 0..3 {
        world.clock.advance(IDLE - MINUTE);
        live.touch(world.clock.now());
        here.tidy().await.unwrap();
        there.tidy().await.unwrap();
    }
    assert!(!other.is_ended() && there.stands(&other).await.unwrap());
    assert!(world.find(&there, &jar).await.is_some());
    world.clock.advance(IDLE);
    assert!(!there.stands(&other).await.unwrap());
    there.tidy().await.unwrap();
    assert!(other.is_ended());
}

pub(in crate::sessions) async fn what_was_renewed_less_often_never_takes_the_place_of_what_was_oftener(
    world: World,
) {
    let here = world.process();
    if here.hears().is_none() {
        return;
    }
    let (live, _) = world.sign_in(&here).await;
    let name = *live.name();
    for (renewals, there) in
        [(2, 2), (1, 2), (2, 2), (3, 3), (4_000_000_000, 4_000_000_000), (0, 4_000_000_000)]
    {
        let record = u32::to_be_bytes(renewals).to_vec();
        assert!(world.store.apply(Change::Replace { name, record, renewals }).await.unwrap().is_empty());
        let kept = world.store.get(name, None).await.unwrap().unwrap();
        assert_eq!(kept.record, u32::to_be_bytes(there), "{renewals}");
    }
}

pub(in crate::sessions) async fn who_comes_back_after_a_rest_is_known_to_every_process_at_once(world: World) {
    // The browser's cookie tells of it there.
    if world.browser_keeps() {
        return;
    }
    let (here, there) = (world.process(), world.process());
    let (live, jar) = world.sign_in(&here).await;
    assert!(live.is_in_use(world.clock.now()));
    for rest in [IDLE - MINUTE, IDLE / 2, IDLE / 7] {
        world.clock.advance(rest);
        here.note_return(&live, world.clock.now()).await;
        assert_eq!(live.last_seen(), world.clock.now());
    }
    // Without a round of the upkeep, as if `here` were killed.
    world.clock.advance(IDLE - MINUTE);
    let known = world.find(&there, &jar).await.expect("it was used a moment ago");
    world.clock.advance(MINUTE);
    here.note_return(&live, world.clock.now()).await;
    assert!(
        world.find(&there, &jar).await.is_none() && !known.is_alive(world.clock.now()),
        "what is idle stays so"
    );
}

pub(in crate::sessions) async fn a_lock_has_one_holder_who_prolongs_it_and_loses_it_with_its_time(
    world: World,
) {
    let here = world.process();
    if here.hears().is_none() {
        assert!(world.store.lock([1; 32], [1; 16], MINUTE).await.unwrap(), "one process needs none");
        return;
    }
    let lasts = Duration::from_millis(700);
    let lock = async |name: u8, holder: u8| world.store.lock([name; 32], [holder; 16], lasts).await.unwrap();
    assert!(lock(1, 1).await && !lock(1, 2).await && lock(2, 2).await);
    for _ in 0..4 {
        tokio::time::sleep(lasts / 2).await;
        assert!(lock(1, 1).await, "prolonged");
    }
    assert!(!lock(1, 2).await && lock(2, 1).await, "the other's time was over");
    world.store.unlock([1; 32], [2; 16]).await.unwrap();
    assert!(!lock(1, 2).await, "only who holds it gives it back");
    world.store.unlock([1; 32], [1; 16]).await.unwrap();
    assert!(lock(1, 2).await);
    let both = tokio::join!(lock(3, 1), lock(3, 2));
    assert_ne!(both.0, both.1);
}
