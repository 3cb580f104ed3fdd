//! Floor 3: what a session is, its cookie, its lifetime, and the stores it is kept in.

use std::path::PathBuf;
use std::time::Duration;

use crate::foundation::sealing::RootKey;

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
    /// The session cookie's own name, instead of the default.
    pub cookie_name: Option<String>,
    /// The session cookie's `SameSite`.
    pub same_site: SameSite,
    /// How many sessions a store on this machine may hold; the longest unused are ended beyond it.
    pub max_sessions: usize,
}

/// The stores of this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Embedded and durable, in the state directory.
    File,
    /// Gone with the process.
    Memory,
    /// Sealed into the browser's cookie; nothing is kept here.
    Cookie,
}

/// The `SameSite` attribute of a cookie (RFC 6265bis section 4.1.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on top-level navigation from other sites.
    Lax,
    /// Never sent from other sites.
    Strict,
    /// Always sent; needs `Secure`.
    None,
}
