//! What an operator chooses of our cookies.
//!
//! Whether a choice can work is judged with the configuration; what a browser is sent is made of it in `mod`.

/// What an operator chooses of our cookies.
#[derive(Clone, Debug, Default)]
pub struct CookieSettings {
    /// The session cookie's own name, instead of the default.
    pub name: Option<String>,
    /// The domain whose apps share one session, folded; `None`: each origin has sessions of its own.
    pub domain: Option<String>,
    /// The session cookie's `SameSite`.
    pub same_site: SameSite,
    /// Whether a frame in another site's page has cookies of its own.
    pub partitioned: Partitioned,
}

/// The `SameSite` attribute of a cookie (RFC 6265bis section 4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on top-level navigation from other sites.
    #[default]
    Lax,
    /// Never sent from other sites.
    Strict,
    /// Always sent; needs `Secure`.
    None,
}

/// The `Partitioned` attribute of our cookies (CHIPS): browsers keep them apart for each site whose page the app
/// is framed in, and so need not refuse them there as a third party's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioned {
    /// Without.
    #[default]
    No,
    /// With it; needs `SameSite=None` and `Secure`.
    Yes,
}
