//! What was found out about access tokens: kept for a short time, bounded in number, found out once for all who
//! present the same token at the same moment.
//!
//! Knows neither tokens, which are kept by their hash alone, nor how one is found out about.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use lru::LruCache;
use tokio::sync::{OnceCell, Semaphore};

use super::access_token::{AccessToken, TokenRefused};
use super::error::OidcError;
use crate::foundation::clock::{Clock, Timestamp};

/// How many good tokens are kept.
const GOOD: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// How many tokens are kept that are being asked about, or were refused. SECURITY: apart from the good ones, so
/// that invented tokens can't push them out.
const OTHERS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// How long a refusal is kept: so long somebody waits at most whose token became good.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// How many tokens are asked about at the same time.
const AT_ONCE: usize = 16;

/// What is known of a token: that it is good, or why not.
type Found = Result<Arc<AccessToken>, TokenRefused>;

/// Why a token can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// It is not good.
    #[error("{0}")]
    Refused(#[from] TokenRefused),
    /// Whether it is good can't be told now.
    #[error("{0}")]
    Unknown(#[from] OidcError),
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Believed {
    good: Mutex<LruCache<Name, Arc<AccessToken>>>,
    others: Mutex<LruCache<Name, Arc<OnceCell<Refused>>>>,
    calls: Semaphore,
}

type Name = [u8; 32];

#[derive(Clone, Debug)]
struct Refused {
    why: TokenRefused,
    until: Timestamp,
}

/// What ends the wait of all who asked about one token.
enum Ended {
    Good(Arc<AccessToken>),
    Unknown(OidcError),
}

impl Believed {
    pub(super) fn new() -> Self {
        Self {
            good: Mutex::new(LruCache::new(GOOD)),
            others: Mutex::new(LruCache::new(OTHERS)),
            calls: Semaphore::new(AT_ONCE),
        }
    }

    /// What is known of `token`, else what `find_out` tells.
    pub(super) async fn ask(
        &self,
        token: &str,
        clock: &Clock,
        find_out: impl AsyncFnOnce() -> Result<Found, OidcError>,
    ) -> Result<Arc<AccessToken>, Disbelief> {
        let name = name(token);
        if let Some(good) = self.good(&name, clock.now()) {
            return Ok(good);
        }
        let cell = self.cell(name, clock.now());
        let refused = cell.get_or_try_init(|| async {
            let Ok(_turn) = self.calls.acquire().await else { return Err(Ended::closed()) };
            // Another may have found out meanwhile.
            if let Some(good) = self.good(&name, clock.now()) {
                return Err(Ended::Good(good));
            }
            match find_out().await {
                Ok(Ok(good)) => {
                    lock(&self.good).put(name, Arc::clone(&good));
                    Err(Ended::Good(good))
                }
                Ok(Err(why)) => Ok(Refused { why, until: clock.now().plus(REFUSED_FOR) }),
                Err(error) => Err(Ended::Unknown(error)),
            }
        });
        match refused.await {
            Ok(refused) => Err(refused.why.clone().into()),
            Err(Ended::Good(good)) => Ok(good),
            Err(Ended::Unknown(error)) => Err(error.into()),
        }
    }

    fn good(&self, name: &Name, now: Timestamp) -> Option<Arc<AccessToken>> {
        let mut good = lock(&self.good);
        if good.get(name)?.believed_until <= now {
            good.pop(name);
        }
        good.get(name).cloned()
    }

    /// Where those meet who ask about one token; a refusal that is too old is forgotten.
    fn cell(&self, name: Name, now: Timestamp) -> Arc<OnceCell<Refused>> {
        let mut others = lock(&self.others);
        let old = others.get(&name).and_then(|cell| cell.get()).is_some_and(|refused| refused.until <= now);
        if old {
            others.pop(&name);
        }
        Arc::clone(others.get_or_insert(name, Arc::default))
    }
}

impl Ended {
    fn closed() -> Self {
        Self::Unknown(OidcError::Address { call: super::message::Call::Introspection })
    }
}

fn name(token: &str) -> Name {
    let mut name = [0; 32];
    for (to, from) in name.iter_mut().zip(digest::digest(&digest::SHA256, token.as_bytes()).as_ref()) {
        *to = *from;
    }
    name
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
