//! What a store that many processes share tells each of them, so that all of them act as one: which sessions
//! others ended, which have new content, and whether anything may go unheard.
//!
//! A store that one process has alone tells nothing, and nothing has to be told.

use std::time::Instant;

use super::RecordName;

/// Who wants to be told. Each of these returns at once.
pub(in crate::sessions) trait Listener: Send + Sync {
    /// Something happened to a record, wherever it was done; this process's own changes may be told or not.
    fn heard(&self, news: News);

    /// Whatever is done from now on will be heard, and what was done before a question that was sent at `asked`, and
    /// that the store has just answered, was. That holds until `until`, or until this is called again.
    ///
    /// SECURITY: to be called only after everything was handed over that came before that answer, and with a time
    /// that counts from when the question was sent: sessions are served from memory on the strength of it.
    fn hears(&self, asked: Instant, until: Instant);

    /// Something may have gone unheard: the connection is new, or gone. Nothing is trusted until [`Listener::hears`].
    fn deaf(&self);
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sessions) enum News {
    /// It is gone: removed, ended by an index, replaced by a new session, or swept.
    Ended(RecordName),
    /// It has other content.
    Changed(RecordName),
}

/// Who else may change what a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sessions) enum Reach {
    /// Nobody: what this process knows is so.
    Alone,
    /// Other processes: what this one knows is so while it hears.
    Shared,
}
