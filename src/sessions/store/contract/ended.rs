//! Who ends sessions from outside is told whose they were, in one process of all.

use std::sync::{Arc, Mutex};

use super::World;
use crate::sessions::store::StoreError;
use crate::sessions::{Ended, SessionData, SessionId, Sessions};

/// What a process is told from now on.
fn listen(sessions: &Arc<Sessions>) -> Arc<Mutex<Vec<Ended>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    sessions.tell_of_ends(move |ended| hears.lock().unwrap().push(ended.clone()));
    told
}

pub(in crate::sessions) async fn who_ends_sessions_from_outside_is_told_whose_they_were(world: World) {
    let (here, there) = (world.process(), world.process());
    let (by_here, by_there) = (listen(&here), listen(&there));
    world.sign_in(&here).await;
    world.sign_in(&here).await;
    if world.browser_keeps() {
        let refused = there.end_by_provider_session("trusted", "sid-1").await;
        assert!(matches!(refused, Err(StoreError::Unsupported)));
        return;
    }
    let another = SessionData { subject: "another".into(), provider_session: None, ..world.data() };
    let (live, _) = world.sign_in_as(&here, another, None).await;
    let ended = |subject: &str| Ended {
        provider: "trusted".to_owned(),
        subject: subject.to_owned(),
        app: Some("lms".to_owned()),
    };
    let take = |told: &Mutex<Vec<Ended>>| std::mem::take(&mut *told.lock().unwrap());
    // By a process that had none of them open, once for a person.
    assert_eq!(there.end_by_provider_session("trusted", "sid-1").await.unwrap(), 2);
    assert_eq!(take(&by_there), [ended("7d0e2a56")]);
    assert_eq!(there.end_by_provider_session("trusted", "sid-1").await.unwrap(), 0);
    assert_eq!(there.end_by_subject("trusted", "another").await.unwrap(), 1);
    assert_eq!(take(&by_there), [ended("another")], "and of nobody whose sessions were over");
    let (named, _) = world.sign_in(&here).await;
    let id = SessionId::of(&named);
    let listed = there.end_by_id(id).await.unwrap().unwrap();
    assert_eq!(listed.card.map(|card| (card.subject, card.app)), Some(("7d0e2a56".into(), "lms".into())));
    assert_eq!(take(&by_there), [ended("7d0e2a56")], "one that was ended by its name");
    assert!(there.end_by_id(id).await.unwrap().is_none() && take(&by_there).is_empty());
    // By the person's own sign-out nobody is told: whoever lets them out knows.
    here.end(&live).await.unwrap();
    assert!(take(&by_here).is_empty() && take(&by_there).is_empty());
}
