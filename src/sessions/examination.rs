//! An examination of where sessions are kept, which changes nothing: what is not there yet is not made.

use tokio::runtime::Handle;

use super::store::{FileStore, examine_redis};
use super::{FILE, SessionsError, Settings, StoreKind, keys};
use crate::foundation::clock::Timestamp;
use crate::foundation::finding::Finding;

/// Whether a gateway could keep sessions with these settings. Needs a runtime around it.
pub async fn examine(settings: &Settings, now: Timestamp) -> Vec<Finding> {
    match &settings.store {
        StoreKind::Redis(redis) => examine_redis(redis, now).await,
        _ => vec![examine_here(settings)],
    }
}

fn examine_here(settings: &Settings) -> Finding {
    match open(settings) {
        Ok(message) => Finding::ok("sessions", message),
        // A gateway that runs has its file; that is as it should be.
        Err(SessionsError::Busy { path }) => {
            Finding::ok("sessions", format!("{} is in use, by a gateway that runs", path.display()))
        }
        Err(error) => Finding::failed("sessions_unusable", error.to_string()).mend(error.mend()),
    }
}

fn open(settings: &Settings) -> Result<String, SessionsError> {
    let Settings { state_dir, .. } = settings;
    if settings.keys.is_empty() {
        keys::examine(state_dir)?;
    }
    let path = match &settings.store {
        StoreKind::Memory => return Ok("they are kept in memory, and end with the process".to_owned()),
        StoreKind::Cookie => return Ok("they are kept in the browsers' cookies".to_owned()),
        StoreKind::Redis(redis) => return Ok(redis.to_string()),
        StoreKind::File => state_dir.join(FILE),
    };
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(format!("{} is made at the first start", path.display())),
        Err(source) => return Err(SessionsError::Unusable { path, source }),
    }
    FileStore::open(&path, settings.max_sessions, Handle::current())
        .map_err(|error| SessionsError::of_file(&path, error))?;
    Ok(format!("{} can be opened", path.display()))
}
