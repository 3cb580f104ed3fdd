//! The session that an app keeps of its own, beside ours: how both end together.
//!
//! An app's own sign-out addresses end our session too ([`leaving`]); its cookies are cleared when another person
//! signs in with the same browser ([`cookies`]); and when a session ends elsewhere, the app is told ([`telling`]), by
//! the operator's request ([`on_end`]).

pub mod cookies;
pub mod leaving;
pub mod on_end;
pub mod telling;
pub mod unfinished;
mod way;

use std::sync::Arc;

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
    pub on_end: Option<Arc<OnEnd>>,
    /// That, and the same of other apps that run where this one does: their addresses lead there, too.
    pub closed: Vec<Arc<OnEnd>>,
}

impl OwnSession {
    /// Whether a path, as the app sees it, is one where people sign out of the app.
    ///
    /// # Errors
    /// When it is by some of its readings only.
    pub fn is_left_at(&self, path: &Path<'_>) -> Result<bool, Failure> {
        self.logout.hold(path).map_err(torn)
    }

    /// Refuses the paths where the gateway itself ends sessions of the app's, or of another that runs there.
    ///
    /// # Errors
    /// For that path, by any of its readings.
    pub fn keep_closed(&self, path: &Path<'_>) -> Result<(), Failure> {
        // SECURITY: what ends anybody's session without asking who wants it is no browser's to call.
        for on_end in &self.closed {
            if on_end.is_at(path).map_err(torn)? {
                return Err(Failure::Reserved);
            }
        }
        Ok(())
    }
}

fn torn(ambiguous: Ambiguous) -> Failure {
    Failure::AmbiguousPath(ambiguous.reading)
}
