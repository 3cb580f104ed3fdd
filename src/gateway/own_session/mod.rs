//! The session that an app keeps of its own, beside ours: how both end together.
//!
//! An app's own sign-out addresses end our session too ([`leaving`]); its cookies are cleared when another person
//! signs in with the same browser ([`cookies`]); and when a session ends elsewhere, the app is told ([`telling`]), by
//! the operator's request ([`on_end`]).

pub mod cookies;
pub mod leaving;
pub mod on_end;
pub mod telling;
mod way;

use self::cookies::AppCookie;
use self::on_end::OnEnd;
use super::failure::Failure;
use crate::identity::access::{Ambiguous, Paths};
use crate::identity::readings::Path;

pub use way::{Said, Way};

/// What is to be done about an app's own session.
#[derive(Debug, Default)]
pub struct OwnSession {
    /// The app's sign-out addresses.
    pub logout: Paths,
    /// The app's cookies that go when another person signs in.
    pub cookies: Vec<AppCookie>,
    /// How the app is told that a session ended.
    pub on_end: Option<OnEnd>,
}

impl OwnSession {
    /// Whether a path, as the app sees it, is one where people sign out of the app.
    ///
    /// # Errors
    /// When it is by some of its readings only.
    pub fn is_left_at(&self, path: &Path<'_>) -> Result<bool, Failure> {
        self.logout.hold(path).map_err(torn)
    }

    /// Refuses the path where the gateway itself ends sessions of the app's.
    ///
    /// # Errors
    /// For that path, by any of its readings.
    pub fn keep_closed(&self, path: &Path<'_>) -> Result<(), Failure> {
        // SECURITY: what ends anybody's session without asking who wants it is no browser's to call.
        match self.on_end.as_ref().map(|on_end| on_end.is_at(path)) {
            None | Some(Ok(false)) => Ok(()),
            Some(Ok(true)) => Err(Failure::Reserved),
            Some(Err(ambiguous)) => Err(torn(ambiguous)),
        }
    }
}

fn torn(ambiguous: Ambiguous) -> Failure {
    Failure::AmbiguousPath(ambiguous.reading)
}
