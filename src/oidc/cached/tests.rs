//! One fetch at a time, the pauses between them, and how long things keep.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;

use super::*;
use crate::oidc::Call;

const DOWN: OidcError = OidcError::Status { call: Call::Keys, status: 503 };
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    cached: Arc<Cached<usize>>,
    clock: Clock,
    calls: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        Self { cached: Arc::new(Cached::empty(clock.now())), clock, calls: Arc::default() }
    }

    async fn fetch(&self, why: Why<'_, usize>, well: bool) -> Result<Arc<usize>, OidcError> {
        let call = async {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            if well { Ok(Fetched { value: call, lifetime: HOUR }) } else { Err(DOWN) }
        };
        self.cached.fetch(why, &self.clock, call).await
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn all_who_wait_share_one_fetch_and_its_failure() {
    let world = World::new();
    let (a, b, c) = tokio::join!(
        world.fetch(Why::Needed, true),
        world.fetch(Why::Needed, true),
        world.fetch(Why::Due, true)
    );
    assert_eq!((*a.unwrap(), *b.unwrap(), *c.unwrap(), world.calls()), (0, 0, 0, 1));

    let world = World::new();
    let (a, b) = tokio::join!(world.fetch(Why::Needed, false), world.fetch(Why::Needed, false));
    assert!(a.is_err() && b.is_err());
    assert!(world.fetch(Why::Needed, true).await.is_err(), "a failure is shared by those who come soon");
    assert_eq!(world.calls(), 1);
    world.later(2);
    assert!(world.fetch(Why::Needed, true).await.is_ok(), "and not by those who come later");
}

#[tokio::test]
async fn a_fetch_that_was_given_up_leaves_the_way_free() {
    let world = World::new();
    tokio::time::timeout(Duration::from_millis(1), world.fetch(Why::Needed, true)).await.unwrap_err();
    assert!(world.fetch(Why::Needed, true).await.is_ok());
}

#[tokio::test]
async fn what_did_not_fit_is_fetched_again_but_seldom() {
    let world = World::new();
    let first = world.fetch(Why::Needed, true).await.unwrap();
    let second = world.fetch(Why::Unfit(&first), true).await.unwrap();
    assert_eq!((*second, world.calls()), (1, 2), "at once the first time");
    assert_eq!(*world.fetch(Why::Unfit(&first), true).await.unwrap(), 1, "who saw the old gets the new");
    for _ in 0..10 {
        assert!(Arc::ptr_eq(&world.fetch(Why::Unfit(&second), true).await.unwrap(), &second));
        world.later(2);
    }
    assert_eq!(world.calls(), 2);
    world.later(10);
    assert_eq!(*world.fetch(Why::Unfit(&second), true).await.unwrap(), 2);
}

#[tokio::test]
async fn what_is_held_is_kept_through_failures_and_tried_again_with_growing_pauses() {
    let world = World::new();
    let now = || world.clock.now();
    assert_eq!(world.cached.due_in(now()), Duration::ZERO);
    assert!(matches!(world.cached.readiness(now()), Readiness::Waiting { attempts: 0, .. }));
    world.fetch(Why::Due, true).await.unwrap();
    let fresh = world.cached.due_in(now());
    assert!(fresh <= HOUR && fresh >= HOUR * 9 / 10, "{fresh:?}");
    assert_eq!(world.cached.readiness(now()), Readiness::Ready);

    world.later(3600);
    assert_eq!(world.cached.due_in(now()), Duration::ZERO);
    for (failures, longest) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        world.fetch(Why::Due, false).await.unwrap_err();
        let pause = world.cached.due_in(now()).as_secs();
        assert!(pause <= longest && pause >= longest * 3 / 4 && pause >= 1, "{failures}: {pause}");
        world.later(pause);
        assert_eq!(world.cached.due_in(now()), Duration::ZERO);
    }
    assert!(matches!(world.cached.readiness(now()), Readiness::Stale { attempts: 8, last: Some(_), .. }));
    assert_eq!(*world.fetch(Why::Needed, false).await.unwrap(), 0);
    world.fetch(Why::Due, true).await.unwrap();
    assert_eq!(world.cached.readiness(now()), Readiness::Ready);
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_the_fetching() {
    let held = Cached::holding(Some(Arc::new(1)), Timestamp::from_secs(9_000_000));
    held.record().fresh_until = Some(Timestamp::from_secs(9_003_600));
    assert_eq!(held.due_in(Timestamp::from_secs(1_000_000)), Duration::ZERO);
    assert!(!within(Timestamp::from_secs(10), Timestamp::from_secs(90), HOUR));
    let fixed = Cached::fixed(1, Timestamp::from_secs(0));
    assert!(fixed.due_in(Timestamp::from_secs(u64::MAX)) > HOUR);
    assert_eq!(fixed.readiness(Timestamp::from_secs(u64::MAX)), Readiness::Ready);
}

#[test]
fn cache_control_is_followed_within_bounds() {
    for (cache_control, age, seconds) in [
        (None, None, 3600),
        (Some("public, max-age=7200"), None, 7200),
        (Some("Max-Age=\"7200\""), None, 7200),
        (Some("max-age=7200"), Some("1200"), 6000),
        (Some("max-age=1"), None, 300),
        (Some("max-age=99999999"), None, 86_400),
        (Some("max-age=7200, no-store"), None, 300),
        (Some("no-cache"), None, 300),
        (Some("max-age=soon"), None, 3600),
        (Some("max-age=7200"), Some("99999"), 300),
    ] {
        let mut headers = HeaderMap::new();
        let mut set = |name, value: Option<&'static str>| {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        };
        set(header::CACHE_CONTROL, cache_control);
        set(header::AGE, age);
        assert_eq!(lifetime(&headers), Duration::from_secs(seconds), "{cache_control:?} {age:?}");
    }
    assert_eq!(jittered(HOUR, [0]), HOUR);
    assert_eq!(jittered(HOUR, [255]), HOUR * 9 / 10);
}
