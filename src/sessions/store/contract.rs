//! What every store promises, one function a promise, asked through [`Sessions`] as the gateway asks it. Two
//! processes over one store tell what the store knows from what a process remembers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use tokio::runtime::Handle;
use url::Url;

use super::{Change, Custody, Entry, Gone, Kept, Store, StoreError};
use crate::foundation::clock::{Clock, Timestamp};
use crate::foundation::origin::Origin;
use crate::foundation::sealing::{KeyRing, RootKey};
use crate::sessions::data::tests::ivan;
use crate::sessions::{
    CookieNames, CookieSettings, Entrance, Live, SessionData, Sessions, Settings, StoreKind,
};

mod aside;
mod ended;
mod listing;
mod renewals;
mod shared;
mod sharing;
pub(in crate::sessions) use aside::*;
pub(in crate::sessions) use ended::*;
pub(in crate::sessions) use listing::*;
pub(in crate::sessions) use renewals::*;
pub(in crate::sessions) use shared::{Fault, PATIENCE, SharedStore};
pub(in crate::sessions) use sharing::*;

pub(in crate::sessions) const START: Timestamp = Timestamp::from_secs(1_763_750_000);
pub(in crate::sessions) const IDLE: Duration = Duration::from_secs(8 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Writes a test for each promise, for the stores that `$open` makes for a limit, or that have none.
macro_rules! keeps_the_contract {
    ($open:expr) => {
        $crate::sessions::store::contract::keeps_the_contract!(@ $open; beyond_the_limit_the_longest_unused_go);
        $crate::sessions::store::contract::keeps_the_contract!(without a limit: $open);
    };
    (without a limit: $open:expr) => {
        $crate::sessions::store::contract::keeps_the_contract!(@ $open;
            a_session_is_found_by_its_cookie_and_by_no_other
            a_session_is_opened_once_and_shared
            a_sign_in_gets_a_new_identifier_and_ends_the_session_before
            what_is_ended_is_over_for_every_holder_and_every_process
            an_end_wins_over_who_is_just_opening_the_session
            what_was_begun_is_completed_when_the_caller_goes_away
            all_sessions_of_a_person_end_together_and_nobody_elses
            all_sessions_of_a_provider_session_end_together_and_no_others
            the_last_use_is_kept_without_a_write_on_each_request
            an_unused_session_is_over_and_swept
            a_session_is_over_at_its_end_however_it_is_used
            a_late_touch_brings_nothing_back
            what_is_kept_shows_nobody
            a_new_first_key_signs_nobody_out
            a_renewed_session_has_its_new_content_everywhere_and_is_the_same_session
            a_renewal_brings_no_ended_session_back
            a_browser_that_missed_the_new_cookie_finds_the_new_content_all_the_same
            a_claim_is_granted_once_and_again_when_its_time_is_over
            what_is_laid_aside_is_taken_up_once_by_who_holds_its_secret
            every_session_is_on_one_page_of_the_list_and_shows_who_it_is_to_who_has_the_keys
            who_goes_from_page_to_page_meets_each_that_stands_once_whatever_comes_and_goes
            the_list_of_one_person_holds_their_sessions_alone
            a_session_is_ended_by_the_name_that_the_list_gives_it
            who_ends_sessions_from_outside_is_told_whose_they_were
            work_is_done_once_and_again_where_it_failed
            a_person_who_signed_out_everywhere_is_remembered_with_the_time_for_minutes
            a_provider_session_that_is_over_is_remembered_for_minutes
            what_is_ended_in_one_process_is_over_in_every_other_that_holds_it_open
            a_renewal_in_one_process_is_seen_by_the_other_that_holds_it_open
            a_session_that_is_used_in_one_process_is_idle_in_none
            who_comes_back_after_a_rest_is_known_to_every_process_at_once
            what_was_renewed_less_often_never_takes_the_place_of_what_was_oftener
            a_lock_has_one_holder_who_prolongs_it_and_loses_it_with_its_time
        );
    };
    (@ $open:expr; $($promise:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let world = $crate::sessions::store::contract::World::new(&$open);
            $crate::sessions::store::contract::$promise(world).await;
        }
    )* };
}
pub(in crate::sessions) use keeps_the_contract;

/// A store, the processes over it, and a clock to move.
pub(in crate::sessions) struct World {
    pub(in crate::sessions) clock: Clock,
    store: Arc<dyn Store>,
    key: RootKey,
    pub(in crate::sessions) names: CookieNames,
}

/// What a browser holds.
pub(in crate::sessions) type Jar = HeaderMap;

const LIMIT: usize = 4;

/// Where everybody signs in.
pub(in crate::sessions) const ENTRANCE: Entrance<'_> =
    Entrance { app: "lms", client: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)) };

impl World {
    pub(in crate::sessions) fn new(open: &dyn Fn(usize) -> Arc<dyn Store>) -> Self {
        let origin = Origin::of(&Url::parse("https://lms.example.org").unwrap()).unwrap();
        Self {
            clock: Clock::manual(START),
            store: open(LIMIT),
            key: RootKey::generate(),
            names: CookieNames::for_origin(&origin, &CookieSettings::default()),
        }
    }

    /// Puts another store in the place of this one, as a restart does.
    pub(in crate::sessions) fn replace(&mut self, store: Arc<dyn Store>) {
        self.store = store;
    }

    /// A process over the store.
    pub(in crate::sessions) fn process(&self) -> Arc<Sessions> {
        self.process_with(&KeyRing::new(&self.key, &[]).into())
    }

    fn process_with(&self, keys: &Arc<KeyRing>) -> Arc<Sessions> {
        let clock = self.clock.clone();
        Sessions::over(Arc::clone(&self.store), Arc::clone(keys), &settings(), clock, Handle::current())
    }

    /// One that serves nobody by what it knew moments ago.
    pub(in crate::sessions) fn process_without_grace(&self) -> Arc<Sessions> {
        let keys = KeyRing::new(&self.key, &[]).into();
        let strict = Settings { outage_grace: Duration::ZERO, ..settings() };
        Sessions::over(Arc::clone(&self.store), keys, &strict, self.clock.clone(), Handle::current())
    }

    pub(in crate::sessions) fn data(&self) -> SessionData {
        ivan(self.clock.now())
    }

    pub(in crate::sessions) async fn sign_in(&self, sessions: &Arc<Sessions>) -> (Arc<Live>, Jar) {
        self.sign_in_as(sessions, self.data(), None).await
    }

    pub(in crate::sessions) async fn sign_in_as(
        &self,
        sessions: &Arc<Sessions>,
        data: SessionData,
        replacing: Option<&Live>,
    ) -> (Arc<Live>, Jar) {
        let (live, set) =
            sessions.create(&self.names, data, ENTRANCE, replacing.map(Live::gone)).await.unwrap();
        (live, jar(&set))
    }

    pub(in crate::sessions) async fn find(&self, sessions: &Sessions, jar: &Jar) -> Option<Arc<Live>> {
        let presented = self.names.read(jar).unwrap()?;
        sessions.find(&self.names, &presented).await.unwrap().map(|found| found.live)
    }

    fn browser_keeps(&self) -> bool {
        self.store.custody() == Custody::Browser
    }
}

fn settings() -> Settings {
    Settings {
        keys: Vec::new(),
        store: StoreKind::Memory,
        state_dir: "/nowhere".into(),
        idle_timeout: IDLE,
        lifetime: Duration::from_secs(24 * 3600),
        cookie: CookieSettings::default(),
        max_sessions: LIMIT,
        outage_grace: Duration::from_secs(10),
    }
}

fn jar(set: &[HeaderValue]) -> Jar {
    let pair = |value: &HeaderValue| value.to_str().unwrap().split(';').next().unwrap().to_owned();
    let pairs = set.iter().map(pair).collect::<Vec<_>>().join("; ");
    [(COOKIE, HeaderValue::from_str(&pairs).unwrap())].into_iter().collect()
}

pub(in crate::sessions) async fn a_session_is_found_by_its_cookie_and_by_no_other(world: World) {
    let (here, there) = (world.process(), world.process());
    let (live, jar) = world.sign_in(&here).await;
    let (_, others) = world.sign_in(&here).await;
    let found = world.find(&there, &jar).await.unwrap();
    assert_eq!(found.data().claims, live.data().claims);
    assert_eq!(found.data().tokens.id, live.data().tokens.id);
    assert_ne!(world.find(&there, &others).await.unwrap().name(), live.name());
    let text = jar[COOKIE].to_str().unwrap().to_owned();
    let changed = text.replace(&text[40..41], if &text[40..41] == "A" { "B" } else { "A" });
    let changed = [(COOKIE, HeaderValue::from_str(&changed).unwrap())].into_iter().collect();
    assert!(world.find(&there, &changed).await.is_none());
    assert!(world.find(&here, &HeaderMap::new()).await.is_none());
}

pub(in crate::sessions) async fn a_session_is_opened_once_and_shared(world: World) {
    let (here, there) = (world.process(), world.process());
    let (live, jar) = world.sign_in(&here).await;
    assert!(Arc::ptr_eq(&live, &world.find(&here, &jar).await.unwrap()));
    let (one, two) = tokio::join!(world.find(&there, &jar), world.find(&there, &jar));
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
}

pub(in crate::sessions) async fn a_sign_in_gets_a_new_identifier_and_ends_the_session_before(world: World) {
    let (here, there) = (world.process(), world.process());
    let (before, old) = world.sign_in(&here).await;
    let (after, new) = world.sign_in_as(&here, world.data(), Some(&before)).await;
    assert!(before.is_ended() && after.is_alive(START));
    for process in [&here, &there] {
        assert!(world.find(process, &old).await.is_none());
        assert!(world.find(process, &new).await.is_some());
    }
}

pub(in crate::sessions) async fn what_is_ended_is_over_for_every_holder_and_every_process(world: World) {
    let (here, there) = (world.process(), world.process());
    let (live, jar) = world.sign_in(&here).await;
    let (other, _) = world.sign_in(&here).await;
    let held = world.find(&here, &jar).await.unwrap();
    let waiting = tokio::spawn(async move { held.ended().await });
    here.end(&live).await.unwrap();
    waiting.await.unwrap();
    assert!(!live.is_alive(START) && other.is_alive(START));
    assert!(world.find(&here, &jar).await.is_none());
    assert!(world.find(&there, &jar).await.is_none());
    here.end(&live).await.unwrap();
}

pub(in crate::sessions) async fn an_end_wins_over_who_is_just_opening_the_session(world: World) {
    let (here, there, world) = (world.process(), world.process(), Arc::new(world));
    for _ in 0..30 {
        let (live, jar) = world.sign_in(&here).await;
        let opening: Vec<_> = (0..4)
            .map(|_| {
                let (world, there, jar) = (Arc::clone(&world), Arc::clone(&there), jar.clone());
                tokio::spawn(async move { world.find(&there, &jar).await })
            })
            .collect();
        there.end(&live).await.unwrap();
        for opened in opening {
            let opened = opened.await.unwrap();
            assert!(opened.is_none_or(|opened| opened.is_ended()));
        }
        assert!(world.find(&there, &jar).await.is_none());
    }
}

pub(in crate::sessions) async fn what_was_begun_is_completed_when_the_caller_goes_away(world: World) {
    let here = world.process();
    let (live, jar) = world.sign_in(&here).await;
    {
        let mut ending = std::pin::pin!(here.end(&live));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        drop(ending.as_mut().poll(&mut context));
    }
    live.ended().await;
    assert!(world.find(&here, &jar).await.is_none());
}

pub(in crate::sessions) async fn all_sessions_of_a_person_end_together_and_nobody_elses(world: World) {
    let (here, there) = (world.process(), world.process());
    let (first, jar) = world.sign_in(&here).await;
    let (second, _) = world.sign_in(&here).await;
    let (other, _) =
        world.sign_in_as(&here, SessionData { subject: "another".into(), ..world.data() }, None).await;
    // A provider's and a subject's name run together to the same text.
    let (confused, _) = world
        .sign_in_as(
            &here,
            SessionData { provider: "trusted7".into(), subject: "d0e2a56".into(), ..world.data() },
            None,
        )
        .await;
    if world.browser_keeps() {
        let refused = here.end_by_subject("trusted", "7d0e2a56").await;
        assert!(matches!(refused, Err(StoreError::Unsupported)));
        return;
    }
    assert_eq!(here.end_by_subject("trusted", "7d0e2a56").await.unwrap(), 2);
    assert!(first.is_ended() && second.is_ended());
    assert!(other.is_alive(START) && confused.is_alive(START));
    assert!(world.find(&there, &jar).await.is_none());
    assert_eq!(here.end_by_subject("trusted", "7d0e2a56").await.unwrap(), 0);
    assert_eq!(here.count().await.unwrap(), Some(2));
}

pub(in crate::sessions) async fn all_sessions_of_a_provider_session_end_together_and_no_others(world: World) {
    let here = world.process();
    let (first, _) = world.sign_in(&here).await;
    let (second, _) = world.sign_in(&here).await;
    let other = SessionData { provider_session: Some("sid-2".into()), ..world.data() };
    let (other, _) = world.sign_in_as(&here, other, None).await;
    let (none, _) =
        world.sign_in_as(&here, SessionData { provider_session: None, ..world.data() }, None).await;
    if world.browser_keeps() {
        let refused = here.end_by_provider_session("trusted", "sid-1").await;
        assert!(matches!(refused, Err(StoreError::Unsupported)));
        return;
    }
    assert_eq!(here.end_by_provider_session("another", "sid-1").await.unwrap(), 0);
    assert_eq!(here.end_by_provider_session("trusted", "sid-1").await.unwrap(), 2);
    assert!(first.is_ended() && second.is_ended() && other.is_alive(START) && none.is_alive(START));
}

pub(in crate::sessions) async fn the_last_use_is_kept_without_a_write_on_each_request(world: World) {
    let here = world.process();
    let (live, mut jar_held) = world.sign_in(&here).await;
    world.clock.advance(MINUTE);
    live.touch(world.clock.now());
    here.tidy().await.unwrap();
    assert!(
        here.reissue(&world.names, &live, live.mark().version()).is_empty(),
        "a minute is not worth a write"
    );
    world.clock.advance(IDLE - 2 * MINUTE);
    live.touch(world.clock.now());
    here.tidy().await.unwrap();
    let set = here.reissue(&world.names, &live, live.mark().version());
    assert_eq!(set.is_empty(), !world.browser_keeps());
    assert!(here.reissue(&world.names, &live, live.mark().version()).is_empty(), "one answer is enough");
    if !set.is_empty() {
        jar_held = jar(&set);
    }
    world.clock.advance(IDLE - MINUTE);
    let there = world.process();
    let found = world.find(&there, &jar_held).await.unwrap();
    found.touch(world.clock.now());
    there.flush().await.unwrap();
    let set = there.reissue(&world.names, &found, found.mark().version());
    if !set.is_empty() {
        jar_held = jar(&set);
    }
    world.clock.advance(IDLE - MINUTE);
    there.tidy().await.unwrap();
    assert!(world.find(&world.process(), &jar_held).await.is_some());
}

pub(in crate::sessions) async fn an_unused_session_is_over_and_swept(world: World) {
    let (here, there) = (world.process(), world.process());
    let (live, jar) = world.sign_in(&here).await;
    world.clock.advance(IDLE);
    assert!(!live.is_alive(world.clock.now()));
    for process in [&here, &there] {
        assert!(world.find(process, &jar).await.is_none());
    }
    here.tidy().await.unwrap();
    live.ended().await;
    world.clock.advance(IDLE);
    there.tidy().await.unwrap();
    assert!(matches!(there.count().await.unwrap(), None | Some(0)));
    assert!(world.find(&there, &jar).await.is_none());
}

pub(in crate::sessions) async fn a_session_is_over_at_its_end_however_it_is_used(world: World) {
    let (here, there) = (world.process(), world.process());
    let forever = SessionData { expires_at: Timestamp::from_secs(u64::MAX), ..world.data() };
    let (live, jar) = world.sign_in_as(&here, forever, None).await;
    assert_eq!(live.data().expires_at, here.expiry(START));
    for _ in 0..23 {
        world.clock.advance(60 * MINUTE);
        live.touch(world.clock.now());
        here.tidy().await.unwrap();
        drop(here.reissue(&world.names, &live, live.mark().version()));
    }
    assert!(live.is_alive(world.clock.now()));
    world.clock.advance(60 * MINUTE);
    assert!(world.find(&here, &jar).await.is_none());
    assert!(world.find(&there, &jar).await.is_none());
    there.tidy().await.unwrap();
    assert!(matches!(there.count().await.unwrap(), None | Some(0)));
}

pub(in crate::sessions) async fn beyond_the_limit_the_longest_unused_go(world: World) {
    let here = world.process();
    if world.browser_keeps() {
        return;
    }
    let mut lives = Vec::new();
    for _ in 0..LIMIT {
        lives.push(world.sign_in(&here).await.0);
    }
    world.clock.advance(10 * MINUTE);
    for live in &lives[2..] {
        live.touch(world.clock.now());
    }
    here.tidy().await.unwrap();
    for _ in 0..2 {
        lives.push(world.sign_in(&here).await.0);
    }
    let ended: Vec<_> = lives.iter().map(|live| live.is_ended()).collect();
    assert_eq!(ended, [true, true, false, false, false, false]);
    for _ in 0..8 {
        assert!(!world.sign_in(&here).await.0.is_ended(), "the new one stays, also within one second");
    }
    assert_eq!(here.count().await.unwrap(), Some(4));
}

pub(in crate::sessions) async fn a_late_touch_brings_nothing_back(world: World) {
    let here = world.process();
    let (live, jar) = world.sign_in(&here).await;
    here.end(&live).await.unwrap();
    world.store.apply(Change::Touch(vec![(*live.name(), START.plus(MINUTE))])).await.unwrap();
    assert!(world.find(&here, &jar).await.is_none());
    assert!(world.store.get(*live.name(), None).await.unwrap().is_none());
    assert!(matches!(here.count().await.unwrap(), None | Some(0)));
}

pub(in crate::sessions) async fn what_is_kept_shows_nobody(world: World) {
    let here = world.process();
    let (live, jar) = world.sign_in(&here).await;
    let kept = world.store.get(*live.name(), None).await.unwrap();
    assert_eq!(kept.is_none(), world.browser_keeps());
    let record = kept.map(|kept| kept.record).unwrap_or_default();
    let card = world.card_of(&live).await;
    assert_eq!(card.is_empty(), world.browser_keeps());
    let shown = |kept: &[u8], text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["ivanov@", "7d0e2a56", "Иван", "trusted"] {
        assert!(!shown(&record, text) && !shown(&card, text));
    }
    assert!(!jar[COOKIE].to_str().unwrap().contains("ivanov"));
    assert_ne!(live.name(), live.secret().as_bytes());
    // The record alone does not open: not under its own name, and not put in another session's place.
    if !world.browser_keeps() {
        let (other, others) = world.sign_in(&here).await;
        let entry = Entry {
            name: *other.name(),
            indexes: Vec::new(),
            expires_at: here.expiry(START),
            kept: Kept { record, last_seen: START },
            card: Vec::new(),
        };
        let replacing = Some(Gone { name: *live.name(), expires_at: START });
        world.store.apply(Change::Put { entry, replacing }).await.unwrap();
        assert!(world.find(&world.process(), &others).await.is_none());
    }
}

pub(in crate::sessions) async fn a_new_first_key_signs_nobody_out(world: World) {
    let (live, jar) = world.sign_in(&world.process()).await;
    let keys = Arc::new(KeyRing::new(&RootKey::generate(), std::slice::from_ref(&world.key)));
    let here = world.process_with(&keys);
    let found = world.find(&here, &jar).await.unwrap();
    assert_eq!(found.name(), live.name());
    if !world.browser_keeps() {
        assert_eq!(here.end_by_subject("trusted", "7d0e2a56").await.unwrap(), 1);
        assert!(found.is_ended());
    }
    let stranger = world.process_with(&Arc::new(KeyRing::new(&RootKey::generate(), &[])));
    assert!(world.find(&stranger, &jar).await.is_none());
}
