//! What every store promises of notes, asked as the gateway asks it.

use std::time::Duration;

use super::World;
use crate::foundation::sealing::RecordSecret;

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
    let secret = here.lay_aside("Иванов".as_bytes(), MINUTE).await.unwrap();
    assert_eq!(there.take_up(&RecordSecret::generate()).await.unwrap(), None);
    assert_eq!(there.take_up(&secret).await.unwrap().as_deref(), Some("Иванов".as_bytes()));
    assert_eq!(here.take_up(&secret).await.unwrap(), None);
    let late = here.lay_aside(b"late", MINUTE).await.unwrap();
    world.clock.advance(MINUTE);
    assert_eq!(there.take_up(&late).await.unwrap(), None);
}
