//! The signals that the process listens to.
//!
//! SIGTERM and SIGINT end it. SIGHUP, which asks many servers to read their configuration anew, must not: it is
//! told in the log and does nothing.

use std::io;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, from when they are listened to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Listens: from here on no signal of these kills the process.
    pub(super) fn listen(control: &Runtime) -> io::Result<Self> {
        let _entered = control.enter();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next signal that asks the process to end.
    pub(super) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: there is no reload yet; restart to have the configuration read");
                }
            }
        }
    }
}
