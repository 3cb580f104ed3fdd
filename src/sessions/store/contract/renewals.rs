//! What every store promises of a session that gets new content.

use super::*;
use crate::foundation::secret::Secret;
use crate::identity::claims::Tokens;
use crate::sessions::{News, Standing};

impl World {
    /// Gives a session a new refresh token, and its browser what the next answer does.
    pub(in crate::sessions) async fn renew(
        &self,
        sessions: &Arc<Sessions>,
        live: &Live,
        jar_held: &mut Jar,
        token: &str,
    ) -> Standing {
        let before = live.mark().version();
        let standing = self.renew_only(sessions, live, token).await.unwrap();
        let set = sessions.reissue(&self.names, live, before);
        assert_eq!(set.is_empty(), !self.browser_keeps() || live.is_ended());
        if !set.is_empty() {
            *jar_held = jar(&set);
        }
        standing
    }

    pub(in crate::sessions) async fn renew_only(
        &self,
        sessions: &Arc<Sessions>,
        live: &Live,
        token: &str,
    ) -> Result<Standing, StoreError> {
        let tokens = Tokens { refresh: Some(Secret::new(token)), ..live.data().tokens.clone() };
        sessions.renew(live, News::Tokens { tokens, from: self.clock.now(), access_expires_at: None }).await
    }
}

/// The refresh token that a session has.
pub(in crate::sessions) fn refresh_token(live: &Live) -> String {
    live.data().tokens.refresh.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default()
}

pub(in crate::sessions) async fn a_renewed_session_has_its_new_content_everywhere_and_is_the_same_session(
    world: World,
) {
    let here = world.process();
    let (live, mut jar_held) = world.sign_in(&here).await;
    let held = world.find(&here, &jar_held).await.unwrap();
    let before = live.mark().version();
    for token in ["r1", "r2"] {
        assert_eq!(world.renew(&here, &live, &mut jar_held, token).await, Standing::Stands);
        assert_eq!(refresh_token(&held), token);
    }
    assert_ne!(held.mark().version(), before);
    let mut claims = live.data().claims.clone();
    claims.0.insert("email".into(), "new@example.org".into());
    let version = live.mark().version();
    here.renew(&live, News::Claims(claims.clone())).await.unwrap();
    let set = here.reissue(&world.names, &live, version);
    if world.browser_keeps() {
        jar_held = jar(&set);
    }
    assert!(held.is_alive(START), "whoever holds it notices nothing of an end");
    assert!(Arc::ptr_eq(&world.find(&here, &jar_held).await.unwrap(), &live));
    assert!(here.reissue(&world.names, &live, live.mark().version()).is_empty(), "it has the newest");

    let there = world.process();
    let found = world.find(&there, &jar_held).await.unwrap();
    assert_eq!((found.name(), found.expires_at()), (live.name(), live.expires_at()));
    assert_eq!((refresh_token(&found).as_str(), &found.data().claims), ("r2", &claims));
    if !world.browser_keeps() {
        assert_eq!(there.end_by_subject("trusted", "7d0e2a56").await.unwrap(), 1);
        assert!(found.is_ended());
    }
}

pub(in crate::sessions) async fn a_renewal_brings_no_ended_session_back(world: World) {
    let (here, there) = (world.process(), world.process());
    let (live, mut jar_held) = world.sign_in(&here).await;
    // Also where it was ended by another process, and this one does not know.
    there.end(&live).await.unwrap();
    assert_eq!(world.renew(&here, &live, &mut jar_held, "r1").await, Standing::Over);
    assert!(live.is_ended());
    for process in [&here, &there, &world.process()] {
        assert!(world.find(process, &jar_held).await.is_none());
    }
    assert!(matches!(here.count().await.unwrap(), None | Some(0)));
}

pub(in crate::sessions) async fn a_browser_that_missed_the_new_cookie_finds_the_new_content_all_the_same(
    world: World,
) {
    let here = world.process();
    let (live, old) = world.sign_in(&here).await;
    let mut new = old.clone();
    world.renew(&here, &live, &mut new, "r1").await;
    drop(live);
    world.clock.advance(10 * MINUTE);
    here.tidy().await.unwrap();
    let found = world.find(&here, &old).await.unwrap();
    assert_eq!(refresh_token(&found), "r1", "a spent refresh token would end the grant");
    // After a restart the older cookie may come first.
    let there = world.process();
    let first = world.find(&there, &old).await.unwrap();
    let second = world.find(&there, &new).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(refresh_token(&first), "r1");
}
