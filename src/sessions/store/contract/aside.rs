//! What every store promises of notes, asked as the gateway asks it.

use std::time::Duration;

use super::World;
use crate::foundation::sealing::RecordSecret;
use crate::sessions::{Once, Sessions, StoreError};

const MINUTE: Duration = Duration::from_secs(60);

pub(in crate::sessions) async fn a_claim_is_granted_once_and_again_when_its_time_is_over(world: World) {
    let (here, there) = (world.process(), world.process());
    let first = async |what| here.claim("jti", what, MINUTE).await.unwrap();
    assert!(first("one").await);
    assert!(!there.claim("jti", "one", MINUTE).await.unwrap(), "another process");
    assert!(first("two").await && there.claim("another field", "one", MINUTE).await.unwrap());
    let both = tokio::join!(here.claim("jti", "three", MINUTE), there.claim("jti", "three", MINUTE));
    assert_ne!(both.0.unwrap(), both.1.unwrap(), "one of two at once");
    world.clock.advance(MINUTE);
    assert!(first("one").await);
}

pub(in crate::sessions) async fn what_is_laid_aside_is_taken_up_once_by_who_holds_its_secret(world: World) {
    let (here, there) = (world.process(), world.process());
    let (secret, late) = (RecordSecret::generate(), RecordSecret::generate());
    here.lay_aside(&secret, "Иванов".as_bytes(), MINUTE).await.unwrap();
    assert_eq!(there.take_up(&RecordSecret::generate()).await.unwrap(), None);
    assert_eq!(there.take_up(&secret).await.unwrap().as_deref(), Some("Иванов".as_bytes()));
    assert_eq!(here.take_up(&secret).await.unwrap(), None);
    here.lay_aside(&late, b"late", MINUTE).await.unwrap();
    world.clock.advance(MINUTE);
    assert_eq!(there.take_up(&late).await.unwrap(), None);
}

pub(in crate::sessions) async fn work_is_done_once_and_again_where_it_failed(world: World) {
    let (here, there) = (world.process(), world.process());
    let fails = async { Err::<(), _>(StoreError::unreachable("a test says so")) };
    assert!(here.once("f", "a", MINUTE, fails).await.is_err());
    let works =
        async |process: &Sessions, what| process.once("f", what, MINUTE, async { Ok(()) }).await.unwrap();
    assert_eq!(works(&there, "a").await, Once::Now(()), "who asks again has it done");
    world.clock.advance(MINUTE - Duration::from_secs(1));
    assert_eq!([works(&here, "a").await, works(&there, "a").await], [Once::Before; 2]);
    world.clock.advance(MINUTE);
    assert_eq!(works(&here, "a").await, Once::Now(()));
    // A process that dies in the midst of it.
    let dies = here.once("f", "b", MINUTE, std::future::pending::<Result<(), StoreError>>());
    assert!(tokio::time::timeout(Duration::from_millis(200), dies).await.is_err());
    assert_eq!(works(&there, "b").await, Once::AtWork, "perhaps it is still at it");
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(works(&there, "b").await, Once::Now(()));
}

pub(in crate::sessions) async fn a_provider_session_that_is_over_is_remembered_for_minutes(world: World) {
    let (here, there) = (world.process(), world.process());
    let over = async |provider, session| there.is_over(provider, session).await.unwrap();
    assert!(!over("trusted", "sid").await);
    here.remember_over("trusted", "sid").await.unwrap();
    assert!(over("trusted", "sid").await && over("trusted", "sid").await, "asking does not forget it");
    for _ in 0..20 {
        let both = tokio::join!(here.is_over("trusted", "sid"), there.is_over("trusted", "sid"));
        assert!(both.0.unwrap() && both.1.unwrap(), "two who ask at once");
    }
    assert!(!over("trusteds", "id").await && !over("trusted", "other").await);
    world.clock.advance(10 * MINUTE);
    assert!(!over("trusted", "sid").await);
}

pub(in crate::sessions) async fn a_person_who_signed_out_everywhere_is_remembered_with_the_time_for_minutes(
    world: World,
) {
    let (here, there, start) = (world.process(), world.process(), world.clock.now());
    let at = |seconds| start.plus(Duration::from_secs(seconds));
    let over = async |subject, since| there.is_person_over("trusted", subject, since).await.unwrap();
    assert!(!over("anna", start).await);
    for seconds in [10, 20, 15] {
        here.remember_person_over("trusted", "anna", at(seconds)).await.unwrap();
    }
    assert!(over("anna", start).await && over("anna", at(20)).await, "answered before it, or in that second");
    assert!(!over("anna", at(21)).await, "answered after it");
    assert!(!over("boris", start).await && !there.is_over("trusted", "anna").await.unwrap());
    world.clock.advance(11 * MINUTE);
    assert!(!over("anna", start).await);
}
