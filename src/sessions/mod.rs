//! Floor 3: what a session is, its cookie, its lifetime, and the stores it is kept in.
//!
//! A browser holds a sealed cookie with a secret; a store holds the record that this secret names and opens; a
//! process holds each session that is in use open, as one [`Live`] that all workers share. So a request of
//! somebody who is signed in needs no store, a copy of the store signs nobody in, and what is ended anywhere
//! in the process is over everywhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::foundation::clock::{Clock, Timestamp};
use crate::foundation::origin::Origin;
use crate::foundation::random;
use crate::foundation::sealing::{KeyRing, RecordSecret, RootKey};

mod aside;
mod card;
mod confirming;
mod cookie;
mod data;
mod ended;
mod ending;
mod error;
mod examination;
mod keys;
mod lease;
mod link;
mod listing;
mod live;
mod login;
mod packing;
mod registry;
mod renewal;
mod replacing;
mod store;
#[cfg(test)]
mod tests;
mod ticket;
mod upkeep;
mod whose;

pub use aside::Once;
pub use card::{Card, Entrance};
pub use confirming::Confirmations;
pub use cookie::{
    Chosen, CookieNames, CookieSettings, Malformed, OPERATOR_COOKIE, Partitioned, Presented, Rounds,
    SameSite, is_cookie_name,
};
pub use data::SessionData;
pub use ended::Ended;
pub use error::SessionsError;
pub use examination::examine;
pub use lease::{Lease, Way};
pub use listing::{LARGEST_PAGE, Listed, Listing, NotFromTheList, Person, Place, SessionId, Wanted};
pub use live::Live;
pub use login::{LoginError, Logins, Return};
pub use renewal::{Mark, Renewal, Turn, Version};
pub use replacing::{News, Standing};
pub use store::{
    Address, Gone, Login, Operation, Operations, Outcome, RedisSettings, StoreError, Tls, Topology,
};
pub use whose::Whose;

use link::Link;
use registry::{Known, Registry};
use store::{BrowserStore, Change, Custody, Entry, FileStore, Guarded, Kept, MemoryStore, RedisStore, Store};
use ticket::Ticket;

/// The file store's file in the state directory.
const FILE: &str = "sessions.redb";

/// How sessions are kept, as the configuration describes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The keys that seal cookies: the first seals, all open. Empty: one is made and kept in `state_dir`.
    pub keys: Vec<RootKey>,
    /// Where sessions are kept.
    pub store: StoreKind,
    /// What outlives a restart: made with mode 0700 when first needed.
    pub state_dir: PathBuf,
    /// A session that nobody used for this long is over.
    pub idle_timeout: Duration,
    /// A session is over this long after sign-in, however it was used.
    pub lifetime: Duration,
    /// The cookies.
    pub cookie: CookieSettings,
    /// How many sessions a store on this machine may hold; the longest unused are ended beyond it.
    pub max_sessions: usize,
    /// How long a session that was known to stand is served while a shared store can't be used.
    pub outage_grace: Duration,
}

/// The stores of this gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Embedded and durable, in the state directory.
    File,
    /// Gone with the process.
    Memory,
    /// Sealed into the browser's cookie; nothing is kept here.
    Cookie,
    /// Redis or Valkey, shared by many gateways.
    Redis(Box<RedisSettings>),
}

impl StoreKind {
    /// Whether sessions can be ended by person or by provider session, without the browser's cookie.
    pub const fn ends_unseen(&self) -> bool {
        !matches!(self, Self::Cookie)
    }
}

/// A session that a cookie opened.
#[derive(Debug)]
pub struct Found {
    /// The session.
    pub live: Arc<Live>,
    /// The content that the cookie itself holds; where it holds none, the session's own.
    pub carried: Version,
}

/// All sessions of this process: finds, makes and ends them.
pub struct Sessions {
    idle_timeout: Duration,
    lifetime: Duration,
    cookie: CookieSettings,
    clock: Clock,
    keys: Arc<KeyRing>,
    store: Arc<dyn Store>,
    operations: Arc<Operations>,
    registry: Registry,
    /// Who is told of sessions that others end.
    told: ended::Told,
    link: Link,
    outage_grace: Duration,
    confirmations: Confirmations,
    /// Told when a round of the upkeep should not wait.
    round: Notify,
    logins: Logins,
    control: Handle,
}

impl Sessions {
    /// Reads the keys, or makes one, and opens the store. Blocks on files; the store's input and output runs on
    /// `control` or on threads of its own from then on.
    ///
    /// # Errors
    /// When the state directory, the key or the store can't be used.
    pub fn open(settings: &Settings, clock: Clock, control: Handle) -> Result<Arc<Self>, SessionsError> {
        if let Some(name) = settings.cookie.name.as_deref().filter(|name| !is_cookie_name(name)) {
            return Err(SessionsError::CookieName { name: name.to_owned() });
        }
        let keys = keys::ring(&settings.keys, &settings.state_dir)?;
        let store: Arc<dyn Store> = match &settings.store {
            StoreKind::File => {
                keys::make_state_dir(&settings.state_dir)?;
                let path = settings.state_dir.join(FILE);
                let opened = FileStore::open(&path, settings.max_sessions, control.clone());
                Arc::new(opened.map_err(|error| SessionsError::of_file(&path, error))?)
            }
            StoreKind::Memory => Arc::new(MemoryStore::new(settings.max_sessions)),
            StoreKind::Cookie => Arc::new(BrowserStore::new(settings.max_sessions)),
            StoreKind::Redis(redis) => {
                let redis = RedisSettings::clone(redis);
                Arc::new(RedisStore::open(redis, settings.idle_timeout, control.clone()))
            }
        };
        Ok(Self::over(store, Arc::new(keys), settings, clock, control))
    }

    fn over(
        store: Arc<dyn Store>,
        keys: Arc<KeyRing>,
        settings: &Settings,
        clock: Clock,
        control: Handle,
    ) -> Arc<Self> {
        let store = Guarded::new(store);
        let sessions = Arc::new(Self {
            idle_timeout: settings.idle_timeout,
            lifetime: settings.lifetime,
            cookie: settings.cookie.clone(),
            logins: Logins::new(Arc::clone(&keys), clock.clone()),
            link: Link::new(clock.clone()),
            clock,
            keys,
            operations: Arc::clone(store.operations()),
            store: Arc::new(store),
            registry: Registry::default(),
            told: ended::Told::default(),
            outage_grace: settings.outage_grace,
            confirmations: Confirmations::default(),
            round: Notify::new(),
            control,
        });
        confirming::listen(&sessions);
        sessions
    }

    /// The cookies on one origin; made once at start.
    pub fn cookies_on(&self, origin: &Origin) -> CookieNames {
        CookieNames::for_origin(origin, &self.cookie)
    }

    /// The logins that browsers carry.
    pub const fn logins(&self) -> &Logins {
        &self.logins
    }

    /// The keys that seal, for what else leaves the process and must come back unchanged.
    pub const fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// When a session ends that is made at `signed_in_at`.
    pub fn expiry(&self, signed_in_at: Timestamp) -> Timestamp {
        signed_in_at.plus(self.lifetime)
    }

    /// The session that a request presents; `None` when there is none or it is over. A session that is open in
    /// this process is found without the store, with the newest content that is known here: a cookie that holds
    /// older content finds that, too.
    ///
    /// # Errors
    /// When the store can't be used: nobody is signed out by that.
    pub async fn find(
        &self,
        names: &CookieNames,
        presented: &Presented<'_>,
    ) -> Result<Option<Found>, StoreError> {
        let Some(ticket) = Ticket::open(&self.keys, names.realm(), presented.as_bytes()) else {
            return Ok(None);
        };
        let live = self.open_session(&ticket).await?;
        Ok(live.map(|live| {
            let carried = ticket.carried.as_ref().and_then(|kept| self.read_record(&ticket.secret, kept));
            let carried = carried.map_or_else(|| live.mark().version(), |data| live.is_shown(data));
            Found { live, carried }
        }))
    }

    async fn open_session(&self, ticket: &Ticket) -> Result<Option<Arc<Live>>, StoreError> {
        let name = ticket.secret.name();
        loop {
            let epoch = match self.registry.look_up(&name) {
                Known::Open(live) => return Ok(self.stands(&live).await?.then_some(live)),
                Known::Not(epoch) => epoch,
            };
            let (now, moment) = (self.clock.now(), self.link.moment());
            let Some(kept) = self.store.get(name, ticket.carried.clone()).await? else { return Ok(None) };
            let Some(data) = self.read_record(&ticket.secret, &kept) else { return Ok(None) };
            let live = Live::new(ticket.secret.clone(), data, kept.last_seen, self.idle_timeout);
            if !live.is_alive(now) {
                return Ok(None);
            }
            live.confirm(moment, 0);
            if let Some(live) = self.registry.admit(live, epoch) {
                self.notice_crowd();
                return Ok(Some(live));
            }
        }
    }

    /// Makes a session, with a new identifier, and ends the one that the browser had before. Gives the
    /// `Set-Cookie` values; older pieces that the browser may still hold are deleted by [`CookieNames::clear`].
    ///
    /// # Errors
    /// When the session can't be kept: then there is none, and the one before may have ended.
    pub async fn create(
        self: &Arc<Self>,
        names: &CookieNames,
        mut data: SessionData,
        entrance: Entrance<'_>,
        replacing: Option<Gone>,
    ) -> Result<(Arc<Live>, Vec<HeaderValue>), StoreError> {
        data.expires_at = data.expires_at.min(self.expiry(data.signed_in_at));
        let now = self.clock.now();
        let encoded = data::encode(&data)
            .map_err(|unfit| StoreError::TooLarge { bytes: unfit.bytes, limit: data::LARGEST })?;
        // SECURITY: an identifier that was known before the sign-in must not name the session after it.
        let secret = RecordSecret::generate();
        let card = Card::new(&data, entrance).seal(&self.keys, &secret.name());
        let live = Arc::new(Live::new(secret, data, now, self.idle_timeout));
        let record = match self.store.custody() {
            Custody::Store => live.secret().seal(&encoded),
            Custody::Browser => encoded,
        };
        let kept = Kept { record, last_seen: now };
        let cookies = self.cookies_of(names, &live, &kept)?;
        let entry = Entry {
            name: *live.name(),
            indexes: self.indexes_of(&live.data()),
            expires_at: live.expires_at(),
            kept,
            card,
        };
        let change = Change::Put { entry, replacing };
        live.confirm(self.link.moment(), 0);
        let (sessions, made) = (Arc::clone(self), Arc::clone(&live));
        self.complete(async move {
            // SECURITY: known here before it is in the store, so that whatever ends it there finds it here.
            sessions.registry.add(Arc::clone(&made));
            sessions.apply(change).await.inspect_err(|_| sessions.registry.end(made.name()))
        })
        .await?;
        self.notice_crowd();
        Ok((live, cookies))
    }

    /// Whether sessions can be ended by person or by provider session, without the browser's cookie.
    pub fn ends_unseen(&self) -> bool {
        self.store.custody() == Custody::Store
    }

    /// How many sessions this process has open.
    pub fn in_use(&self) -> usize {
        self.registry.open()
    }

    /// Whether sessions can be read and, by the last change, written. A store that can't be written, on a full
    /// disk, says so until a change succeeds.
    ///
    /// # Errors
    /// When they can't.
    pub async fn check(&self) -> Result<(), StoreError> {
        let probed = self.store.probe().await;
        if probed.is_err() {
            // Not for its answer: where only a part of a cluster is down, people of the others are not put off.
            self.store.get(random::bytes(), None).await.ok();
        }
        probed?;
        match self.operations.unwritable() {
            // A shared store is asked for something small, as nobody may be writing while nobody is let in.
            Some(_) if self.link.is_shared() => {
                self.store.lock(random::bytes(), random::bytes(), Duration::from_secs(1)).await.map(drop)
            }
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether people who are signed in are put off: the store was never read, or not for so long that what was known
    /// of their sessions counts no more. By what was asked of it last.
    pub fn puts_off(&self) -> bool {
        let unreadable_for = self.operations.unreadable_for();
        !unreadable_for.is_zero() && unreadable_for >= self.outage_grace
    }

    /// Whether what other gateways do is heard; `None` where there are no others.
    pub fn hears(&self) -> Option<bool> {
        self.link.is_shared().then(|| self.link.hears())
    }

    /// What was asked of the store.
    pub const fn operations(&self) -> &Arc<Operations> {
        &self.operations
    }

    /// How often the store was asked for what is open here.
    pub const fn confirmations(&self) -> &Confirmations {
        &self.confirmations
    }

    /// How many sessions there are; `None` with the cookie store, which can't know.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn count(&self) -> Result<Option<u64>, StoreError> {
        self.store.count().await
    }

    fn read_record(&self, secret: &RecordSecret, kept: &Kept) -> Option<SessionData> {
        match self.store.custody() {
            Custody::Store => data::decode(&secret.open(&kept.record)?),
            Custody::Browser => data::decode(&kept.record),
        }
    }

    fn cookies_of(
        &self,
        names: &CookieNames,
        live: &Live,
        kept: &Kept,
    ) -> Result<Vec<HeaderValue>, StoreError> {
        let carried = (self.store.custody() == Custody::Browser).then(|| kept.clone());
        let whose = self.mark(live);
        let ticket = Ticket { secret: live.secret().clone(), carried, whose };
        let lasts = live.expires_at().since(self.clock.now());
        names.set_session(&ticket.seal(&self.keys, names.realm()), lasts)
    }
}
