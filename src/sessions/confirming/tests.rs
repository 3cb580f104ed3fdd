//! Two processes over a store that goes wrong: what is served, what is not, and that nobody is signed out by it.

use std::sync::atomic::Ordering;

use super::*;
use crate::foundation::secret::Secret;
use crate::sessions::store::Store as _;
use crate::sessions::store::contract::{ENTRANCE, Fault, Jar, PATIENCE, SharedStore, World, refresh_token};
use crate::sessions::{News as Content, Renewal, SessionData, Turn, Way};

struct Two {
    store: Arc<SharedStore>,
    world: World,
    here: Arc<Sessions>,
    there: Arc<Sessions>,
    live: Arc<Live>,
    other: Arc<Live>,
    jar: Jar,
}

/// Two processes that have a session open.
async fn two() -> Two {
    let store = SharedStore::new(1000);
    let shared = Arc::clone(&store);
    let world = World::new(&move |_| Arc::clone(&shared) as _);
    let (here, there) = (world.process(), world.process());
    let (live, jar) = world.sign_in(&here).await;
    let other = world.find(&there, &jar).await.unwrap();
    Two { store, world, here, there, live, other, jar }
}

impl Two {
    fn reads(&self) -> u64 {
        self.store.reads.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn who_hears_serves_from_memory_and_asks_nobody() {
    let two = two().await;
    let reads = two.reads();
    for _ in 0..100 {
        assert!(two.there.is_sure_of(&two.other, two.world.clock.now()));
        assert!(two.world.find(&two.there, &two.jar).await.is_some());
    }
    assert_eq!(two.reads(), reads);
}

#[tokio::test]
async fn what_was_ended_in_a_gap_is_over_at_the_first_request_after_it() {
    let two = two().await;
    let (kept, kept_jar) = two.world.sign_in(&two.there).await;
    two.store.has(Fault::IsDeaf);
    two.here.end(&two.live).await.unwrap();
    assert!(!two.other.is_ended(), "nobody was told");
    two.store.has(Fault::None);
    assert!(
        !two.there.is_sure_of(&two.other, two.world.clock.now()),
        "what was known before the gap is not enough"
    );
    assert!(!two.there.stands(&two.other).await.unwrap());
    assert!(two.other.is_ended(), "for everybody who holds it, a WebSocket as well");
    let reads = two.reads();
    assert!(two.there.stands(&kept).await.unwrap() && two.there.is_sure_of(&kept, two.world.clock.now()));
    assert!(two.world.find(&two.there, &kept_jar).await.is_some());
    assert_eq!(two.reads(), reads + 1, "each is asked for once");
}

#[tokio::test]
async fn who_is_deaf_asks_the_store_for_each_request() {
    let two = two().await;
    two.store.has(Fault::IsDeaf);
    assert!(two.there.stands(&two.other).await.unwrap());
    two.here.end(&two.live).await.unwrap();
    assert!(!two.there.stands(&two.other).await.unwrap());
    assert!(two.world.find(&two.there, &two.jar).await.is_none());
}

#[tokio::test]
async fn a_store_that_is_away_signs_nobody_out_and_what_was_known_moments_ago_is_served() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let two = two().await;
        two.store.has(fault);
        assert!(two.there.stands(&two.other).await.unwrap(), "{fault:?}");
        assert!(two.world.find(&two.there, &two.jar).await.is_some());
        assert_eq!(two.there.confirmations().graced(), 2);
        let strict = two.world.process_without_grace();
        two.store.has(Fault::None);
        let known = two.world.find(&strict, &two.jar).await.unwrap();
        two.store.has(fault);
        let unknown = strict.stands(&known).await.unwrap_err();
        assert!(unknown.is_outage() && !known.is_ended(), "{fault:?}");
        two.store.has(Fault::None);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(strict.stands(&known).await.unwrap(), "when the store is back so is the session");
    }
}

#[tokio::test]
async fn the_grace_begins_when_the_store_was_asked_and_not_when_it_answered() {
    let two = two().await;
    let ear = Ear(Arc::downgrade(&two.there));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let now = Instant::now();
    ear.hears(now - Duration::from_millis(300), now + Duration::from_secs(4));
    two.store.has(Fault::Fails);
    assert!(two.there.link.knew_within(&two.other, Duration::from_secs(10)));
    assert!(!two.there.link.knew_within(&two.other, Duration::from_millis(250)));
}

#[tokio::test]
async fn an_idle_session_is_not_served_by_what_is_known_here_alone() {
    let two = two().await;
    two.world.clock.advance(crate::sessions::store::contract::IDLE);
    two.store.has(Fault::Fails);
    assert!(two.there.stands(&two.other).await.unwrap_err().is_outage(), "it may be in use elsewhere");
    two.there.tidy().await.ok();
    assert!(!two.other.is_ended());
}

#[tokio::test]
async fn those_who_ask_at_once_share_an_answer_and_one_waits_for_a_store_that_hangs() {
    let two = two().await;
    two.store.has(Fault::IsDeaf);
    let reads = two.reads();
    let asked = (0..50).map(|_| {
        let (there, other) = (Arc::clone(&two.there), Arc::clone(&two.other));
        tokio::spawn(async move { there.stands(&other).await.unwrap() })
    });
    for asked in asked.collect::<Vec<_>>() {
        assert!(asked.await.unwrap());
    }
    assert!(two.reads() - reads <= 3, "{}", two.reads() - reads);
    two.store.has(Fault::Hangs);
    let (begun, reads) = (Instant::now(), two.reads());
    for _ in 0..50 {
        assert!(two.there.stands(&two.other).await.unwrap());
    }
    assert!(begun.elapsed() < 3 * PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(two.reads() - reads, 1);
}

#[tokio::test]
async fn who_asks_alone_and_goes_away_holds_up_nobody() {
    let store = SharedStore::new(10);
    let guarded = crate::sessions::store::Guarded::new(Arc::clone(&store) as _);
    let ask = async || guarded.get([1; 32], None).await;
    let brief = Duration::from_millis(20);
    store.has(Fault::Hangs);
    tokio::time::timeout(brief, ask()).await.unwrap_err();
    store.has(Fault::None);
    ask().await.expect("nothing is known against a store that somebody did not wait for");

    store.has(Fault::Hangs);
    assert!(ask().await.unwrap_err().is_outage());
    tokio::time::sleep(Duration::from_millis(1050)).await;
    tokio::time::timeout(brief, ask()).await.unwrap_err();
    store.has(Fault::None);
    assert!(ask().await.is_err(), "it is left alone for a moment");
    tokio::time::sleep(Duration::from_millis(1050)).await;
    ask().await.unwrap();
}

#[tokio::test]
async fn a_change_that_fails_is_told_and_what_was_stays() {
    for fault in [Fault::Fails, Fault::IsReadOnly, Fault::Hangs] {
        let two = two().await;
        two.store.has(fault);
        let data = SessionData::clone(&two.live.data());
        let made = two.here.create(&two.world.names, data, ENTRANCE, None).await;
        assert!(made.is_err_and(|error| error.is_outage()), "{fault:?}");
        assert!(two.here.end(&two.live).await.unwrap_err().is_outage(), "{fault:?}");
        assert!(two.here.check().await.is_err(), "{fault:?}");
        assert!(!two.live.is_ended(), "{fault:?}");
        two.store.has(Fault::None);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        two.here.check().await.unwrap();
        assert!(two.here.stands(&two.live).await.unwrap(), "{fault:?}");
        two.here.end(&two.live).await.unwrap();
        assert!(two.other.is_ended());
    }
}

#[tokio::test]
async fn news_that_come_early_late_or_of_nobody_do_no_harm() {
    let two = two().await;
    let name = *two.live.name();
    two.store.tell(News::Ended([7; 32]));
    two.store.tell(News::Changed([7; 32]));
    // Before anything changed.
    two.store.tell(News::Changed(name));
    assert!(two.there.stands(&two.other).await.unwrap());
    assert!(two.there.is_sure_of(&two.other, two.world.clock.now()));
    let mut jar = two.jar.clone();
    two.world.renew(&two.here, &two.live, &mut jar, "r1").await;
    two.store.tell(News::Changed(name));
    assert!(two.there.stands(&two.other).await.unwrap() && two.here.stands(&two.live).await.unwrap());
    assert_eq!((refresh_token(&two.other), refresh_token(&two.live)), ("r1".to_owned(), "r1".to_owned()));
    two.here.end(&two.live).await.unwrap();
    two.store.tell(News::Changed(name));
    two.store.tell(News::Ended(name));
    assert!(two.world.find(&two.there, &two.jar).await.is_none());
}

#[tokio::test]
async fn a_record_read_before_its_change_was_heard_is_read_again() {
    let two = two().await;
    let (doubts, moment) = (two.other.doubts(), two.there.link.moment());
    two.other.doubt();
    two.other.confirm(moment, doubts);
    assert!(!two.there.is_sure_of(&two.other, two.world.clock.now()));
}

#[tokio::test]
async fn trust_ends_with_the_stores_word_and_comes_back_with_it() {
    let two = two().await;
    let ear = Ear(Arc::downgrade(&two.there));
    let now = || two.world.clock.now();
    let hears = |span| ear.hears(Instant::now(), Instant::now() + Duration::from_secs(span));
    hears(0);
    assert!(!two.there.is_sure_of(&two.other, now()));
    hears(5);
    assert!(two.there.is_sure_of(&two.other, now()), "late is not lost");
    two.world.clock.advance(Duration::from_secs(10));
    assert!(!two.there.is_sure_of(&two.other, now()), "a process that slept");
    hears(5);
    assert!(two.there.is_sure_of(&two.other, now()));
    ear.deaf();
    assert!(!two.there.is_sure_of(&two.other, now()));
    hears(5);
    assert!(!two.there.is_sure_of(&two.other, now()), "another epoch");
}

#[tokio::test]
async fn a_process_that_stood_still_brings_no_old_content_back_and_takes_over_what_is_there() {
    for ahead in [2, 1] {
        let two = two().await;
        two.store.has(Fault::IsDeaf);
        for token in ["r1", "r2"].into_iter().take(ahead) {
            assert_eq!(two.world.renew_only(&two.there, &two.other, token).await.unwrap(), Standing::Stands);
        }
        let newest = refresh_token(&two.other);
        assert_eq!(two.world.renew_only(&two.here, &two.live, "late").await.unwrap(), Standing::Stands);
        two.store.has(Fault::None);
        for (process, live) in [(&two.here, &two.live), (&two.there, &two.other)] {
            assert!(process.stands(live).await.unwrap());
            assert_eq!(refresh_token(live), newest, "{ahead}");
        }
        let fresh = two.world.find(&two.world.process(), &two.jar).await.unwrap();
        assert_eq!(refresh_token(&fresh), newest);
    }
}

#[tokio::test]
async fn content_that_comes_while_other_content_is_written_is_read_after_that() {
    let two = two().await;
    let writing = two.other.writing().lock().await;
    two.world.renew_only(&two.here, &two.live, "r1").await.unwrap();
    assert!(two.there.stands(&two.other).await.unwrap());
    assert_ne!(refresh_token(&two.other), "r1");
    drop(writing);
    assert!(two.there.stands(&two.other).await.unwrap());
    assert_eq!(refresh_token(&two.other), "r1");
}

#[tokio::test]
async fn whoever_is_signed_in_is_put_off_once_the_store_was_away_for_longer_than_the_grace_or_was_never_there()
 {
    let two = two().await;
    let strict = two.world.process_without_grace();
    assert!(strict.puts_off(), "nothing is known yet");
    for process in [&two.there, &strict] {
        process.check().await.unwrap();
        assert!(!process.puts_off());
    }
    two.store.has(Fault::IsReadOnly);
    assert!(two.here.end(&two.live).await.is_err() && strict.check().await.is_ok());
    assert!(!strict.puts_off(), "who is signed in is served");
    two.store.has(Fault::IsInPart);
    assert!(strict.check().await.is_err() && !strict.puts_off(), "the others are served");
    two.store.has(Fault::Fails);
    for process in [&two.there, &strict] {
        process.check().await.unwrap_err();
    }
    assert!(strict.puts_off() && !two.there.puts_off());
    two.store.has(Fault::None);
    strict.check().await.unwrap();
    assert!(!strict.puts_off());
}

fn due(live: &Arc<Live>, two: &Two) -> Renewal {
    let Turn::Yours(renewal) = live.begin_renewal(two.world.clock.now()) else { panic!("not due") };
    renewal
}

/// Makes the tokens of the session due in both processes.
async fn expire(two: &Two) {
    let tokens = crate::identity::claims::Tokens {
        refresh: Some(Secret::new("r0")),
        ..two.live.data().tokens.clone()
    };
    let from = two.world.clock.now();
    let access_expires_at = Some(from.plus(Duration::from_secs(600)));
    two.here.renew(&two.live, Content::Tokens { tokens, from, access_expires_at }).await.unwrap();
    assert!(two.there.stands(&two.other).await.unwrap());
    two.world.clock.advance(Duration::from_secs(601));
    assert!(two.other.mark().is_due(two.world.clock.now()));
}

async fn renew(two: &Two, sessions: &Arc<Sessions>, live: &Live, token: &str) {
    let tokens =
        crate::identity::claims::Tokens { refresh: Some(Secret::new(token)), ..live.data().tokens.clone() };
    let from = two.world.clock.now();
    let access_expires_at = Some(from.plus(Duration::from_secs(600)));
    sessions.renew(live, Content::Tokens { tokens, from, access_expires_at }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_processes_renews_and_the_other_takes_its_result_over() {
    let two = two().await;
    expire(&two).await;
    let (first, second) = (due(&two.live, &two), due(&two.other, &two));
    let patience = Duration::from_secs(5);
    let Way::Free(lease) = two.here.way_to_renew(&two.live, patience).await.unwrap() else { panic!() };
    let waiting = tokio::spawn({
        let (there, other) = (Arc::clone(&two.there), Arc::clone(&two.other));
        async move { there.way_to_renew(&other, patience).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!waiting.is_finished(), "it waits");
    renew(&two, &two.here, &two.live, "r1").await;
    first.succeeded();
    drop(lease);
    assert!(matches!(waiting.await.unwrap(), Way::Renewed));
    second.succeeded();
    assert_eq!(refresh_token(&two.other), "r1");
    assert!(!two.other.mark().is_due(two.world.clock.now()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_was_made_unheard_is_found_before_the_provider_is_asked() {
    let two = two().await;
    expire(&two).await;
    two.store.has(Fault::IsDeaf);
    renew(&two, &two.here, &two.live, "r1").await;
    assert_eq!(refresh_token(&two.other), "r0");
    let renewal = due(&two.other, &two);
    let way = two.there.way_to_renew(&two.other, Duration::from_secs(5)).await.unwrap();
    assert!(matches!(way, Way::Renewed), "{way:?}");
    renewal.succeeded();
    assert_eq!(refresh_token(&two.other), "r1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_died_at_it_loses_the_lock_and_a_store_that_lends_none_forbids_it() {
    let two = two().await;
    expire(&two).await;
    assert!(two.store.lock(*two.live.name(), [9; 16], Duration::from_millis(600)).await.unwrap());
    let renewal = due(&two.other, &two);
    let (begun, patience) = (Instant::now(), Duration::from_secs(5));
    let way = two.there.way_to_renew(&two.other, patience).await.unwrap();
    assert!(matches!(way, Way::Free(_)) && begun.elapsed() >= Duration::from_millis(500));
    drop((way, renewal));
    two.store.has(Fault::IsReadOnly);
    assert!(two.there.way_to_renew(&two.other, patience).await.unwrap_err().is_outage());
    two.store.has(Fault::None);
    two.here.end(&two.live).await.unwrap();
    assert!(matches!(two.there.way_to_renew(&two.other, patience).await.unwrap(), Way::Over));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_renews_again_before_it_has_given_the_lock_back_waits_for_itself() {
    let two = two().await;
    let (brief, patience) = (Duration::from_millis(300), Duration::from_secs(5));
    let Way::Free(first) = two.here.way_to_renew(&two.live, patience).await.unwrap() else { panic!() };
    assert!(two.here.way_to_renew(&two.live, brief).await.unwrap_err().is_outage());
    drop(first);
    let Way::Free(second) = two.here.way_to_renew(&two.live, patience).await.unwrap() else { panic!() };
    assert!(two.there.way_to_renew(&two.other, brief).await.unwrap_err().is_outage(), "it has it");
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_could_not_be_written_are_written_when_the_store_is_back() {
    let two = two().await;
    expire(&two).await;
    let Way::Free(lease) = two.here.way_to_renew(&two.live, Duration::from_secs(5)).await.unwrap() else {
        panic!()
    };
    two.store.has(Fault::Fails);
    assert!(two.world.renew_only(&two.here, &two.live, "r1").await.is_err());
    let (here, live) = (Arc::clone(&two.here), Arc::clone(&two.live));
    let saving = tokio::spawn(async move { here.save_at_last(&live, lease).await });
    tokio::time::sleep(Duration::from_millis(1200)).await;
    two.store.has(Fault::None);
    saving.await.unwrap();
    assert!(two.there.stands(&two.other).await.unwrap());
    assert_eq!(refresh_token(&two.other), "r1");
}
