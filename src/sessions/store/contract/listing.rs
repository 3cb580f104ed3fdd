//! What every store promises of its list of sessions.

use super::*;
use crate::sessions::listing::{Listing, Person, SessionId, Wanted};

impl World {
    /// The card that lies beside a session's record; empty where there is none.
    pub(in crate::sessions) async fn card_of(&self, live: &Live) -> Vec<u8> {
        let Ok(page) = self.store.page(None, None, 100).await else { return Vec::new() };
        page.records
            .into_iter()
            .find(|filed| filed.name == *live.name())
            .map(|filed| filed.card)
            .unwrap_or_default()
    }
}

fn id(live: &Live) -> String {
    SessionId::of(live).to_string()
}

fn ids(listing: &Listing) -> Vec<String> {
    listing.sessions.iter().map(|listed| listed.id.to_string()).collect()
}

/// All pages of this size, one after the other.
async fn all(sessions: &Sessions, wanted: &Wanted, limit: usize) -> Vec<String> {
    let (mut found, mut place) = (Vec::new(), None);
    for _ in 0..100 {
        let page = sessions.list(wanted, place, limit).await.unwrap();
        assert!(page.sessions.len() <= limit);
        found.extend(ids(&page));
        match page.next {
            // As it travels.
            Some(next) => place = Some(next.to_string().parse().unwrap()),
            None => return found,
        }
    }
    panic!("the list has no end");
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

pub(in crate::sessions) async fn every_session_is_on_one_page_of_the_list_and_shows_who_it_is_to_who_has_the_keys(
    world: World,
) {
    let (here, there) = (world.process(), world.process());
    if world.browser_keeps() {
        let refused = here.list(&Wanted::default(), None, 10).await;
        assert!(matches!(refused, Err(StoreError::Unsupported)));
        return;
    }
    assert!(all(&here, &Wanted::default(), 10).await.is_empty());
    let mut lives = Vec::new();
    for _ in 0..LIMIT {
        // Two in one second, two in the next.
        world.clock.advance(Duration::from_secs(lives.len() as u64 % 2));
        lives.push(world.sign_in(&here).await.0);
    }
    let expected = sorted(lives.iter().map(|live| id(live)).collect());
    for limit in [1, 3, LIMIT, 10] {
        assert_eq!(sorted(all(&there, &Wanted::default(), limit).await), expected, "by {limit}");
    }
    let page = there.list(&Wanted::default(), None, 10).await.unwrap();
    for listed in page.sessions {
        let card = listed.card.unwrap();
        assert_eq!(
            (&*card.provider, &*card.subject, card.name.as_deref()),
            ("trusted", "7d0e2a56", Some("Иванов Иван"))
        );
        assert_eq!(
            (&*card.app, card.address, listed.expires_at),
            ("lms", ENTRANCE.client, here.expiry(card.signed_in_at))
        );
    }
    // A renewal and a use leave it as it is.
    let before = world.card_of(&lives[0]).await;
    world.renew_only(&here, &lives[0], "r1").await.unwrap();
    world.clock.advance(10 * MINUTE);
    lives[0].touch(world.clock.now());
    here.tidy().await.unwrap();
    assert_eq!(world.card_of(&lives[0]).await, before);
    let page = there.list(&Wanted::default(), None, 10).await.unwrap();
    let used = page.sessions.iter().find(|listed| listed.id.to_string() == id(&lives[0])).unwrap();
    assert_eq!(used.last_seen, world.clock.now());

    let stranger = world.process_with(&Arc::new(KeyRing::new(&RootKey::generate(), &[])));
    let page = stranger.list(&Wanted::default(), None, 10).await.unwrap();
    assert!(page.sessions.len() == LIMIT && page.sessions.iter().all(|listed| listed.card.is_none()));
    let of_app = Wanted { app: Some("lms".into()), ..Wanted::default() };
    assert!(all(&stranger, &of_app, 10).await.is_empty());
    // Over, and not swept yet.
    world.clock.advance(IDLE - 5 * MINUTE);
    let alive = all(&there, &Wanted::default(), 10).await;
    assert_eq!(alive, [id(&lives[0])]);
}

pub(in crate::sessions) async fn who_goes_from_page_to_page_meets_each_that_stands_once_whatever_comes_and_goes(
    world: World,
) {
    let here = world.process();
    if world.browser_keeps() {
        return;
    }
    let mut lives = Vec::new();
    for _ in 0..LIMIT {
        lives.push(world.sign_in(&here).await.0);
        world.clock.advance(Duration::from_secs(1));
    }
    let first = here.list(&Wanted::default(), None, 2).await.unwrap();
    // The last one given is the place of the next page: it goes, another comes, and the rest are used.
    let last = ids(&first)[1].clone();
    let (gone, stay): (Vec<_>, Vec<_>) = lives.iter().partition(|live| id(live) == last);
    here.end(gone[0]).await.unwrap();
    world.clock.advance(10 * MINUTE);
    stay.iter().for_each(|live| live.touch(world.clock.now()));
    here.tidy().await.unwrap();
    let (new, _) = world.sign_in(&here).await;
    let mut met = vec![ids(&first)[0].clone()];
    let mut place = first.next;
    while let Some(after) = place {
        let page = here.list(&Wanted::default(), Some(after), 2).await.unwrap();
        met.extend(ids(&page));
        place = page.next;
    }
    met.retain(|met| *met != id(&new));
    assert_eq!(sorted(met), sorted(stay.iter().map(|live| id(live)).collect()));
}

pub(in crate::sessions) async fn the_list_of_one_person_holds_their_sessions_alone(world: World) {
    let (here, there) = (world.process(), world.process());
    if world.browser_keeps() {
        return;
    }
    let (first, _) = world.sign_in(&here).await;
    let (second, _) = world.sign_in(&here).await;
    let another = SessionData { subject: "another".into(), ..world.data() };
    world.sign_in_as(&here, another, None).await;
    let elsewhere = SessionData { provider: "legacy".into(), ..world.data() };
    let (elsewhere, _) = world.sign_in_as(&here, elsewhere, None).await;
    let of = |subject: &str, providers: &[&str]| {
        let providers = providers.iter().map(|&name| name.to_owned()).collect();
        Wanted { person: Some(Person { subject: subject.to_owned(), providers }), ..Wanted::default() }
    };
    let both = sorted(vec![id(&first), id(&second)]);
    for limit in [1, 2, 10] {
        assert_eq!(sorted(all(&there, &of("7d0e2a56", &["trusted"]), limit).await), both, "by {limit}");
        let everywhere = all(&there, &of("7d0e2a56", &["trusted", "legacy"]), limit).await;
        assert_eq!(sorted(everywhere), sorted([&both[..], &[id(&elsewhere)]].concat()));
    }
    assert!(all(&there, &of("nobody", &["trusted"]), 1).await.is_empty());
    assert!(all(&there, &of("7d0e2a56", &[]), 1).await.is_empty());
    // Found also where a new key seals.
    let keys = Arc::new(KeyRing::new(&RootKey::generate(), std::slice::from_ref(&world.key)));
    let newer = world.process_with(&keys);
    assert_eq!(sorted(all(&newer, &of("7d0e2a56", &["trusted"]), 1).await), both);
    here.end(&first).await.unwrap();
    assert_eq!(all(&there, &of("7d0e2a56", &["trusted"]), 10).await, [id(&second)]);
}

pub(in crate::sessions) async fn a_session_is_ended_by_the_name_that_the_list_gives_it(world: World) {
    let (here, there) = (world.process(), world.process());
    let (live, jar) = world.sign_in(&here).await;
    let (other, _) = world.sign_in(&here).await;
    let named = id(&live).parse().unwrap();
    if world.browser_keeps() {
        assert!(matches!(here.end_by_id(named).await, Err(StoreError::Unsupported)));
        return;
    }
    assert!(here.end_by_id(named).await.unwrap().is_some());
    assert!(live.is_ended() && !other.is_ended());
    assert!(world.find(&there, &jar).await.is_none());
    assert!(here.end_by_id(named).await.unwrap().is_none(), "there is none any more");
    assert_eq!(all(&there, &Wanted::default(), 10).await, [id(&other)]);
}
