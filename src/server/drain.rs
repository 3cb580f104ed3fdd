//! The word that serving is to end, from wherever a signal was caught to every worker.

use std::sync::Arc;

use tokio::sync::watch;

/// A handle that begins the drain, or waits for it; its clones are the same drain. Usable from any thread.
#[derive(Clone, Debug)]
pub struct Drain(Arc<watch::Sender<bool>>);

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Begins it; a second time does nothing.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves once it has begun.
    pub async fn begun(&self) {
        // The sender lives as long as `self`, so this ends by the word alone.
        drop(self.0.subscribe().wait_for(|begun| *begun).await);
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}
