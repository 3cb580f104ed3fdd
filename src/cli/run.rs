//! `vestibule run`: runs the gateway until it is asked to end.

use clap::Args;

use super::{ConfigFile, Exit, complain};
use crate::foundation::clock::Clock;
use crate::lifecycle::Running;

/// Run the gateway; SIGTERM and SIGINT end it, and requests in flight are let finish
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
}

impl Run {
    pub(super) fn run(self) -> Exit {
        let settings = match self.config.load() {
            Ok(settings) => settings,
            Err(exit) => return exit,
        };
        let mut running = match Running::start(settings, Clock::system()) {
            Ok(running) => running,
            Err(error) => return complain(format_args!("vestibule can't start: {error}"), Exit::Failed),
        };
        running.wait_for_signal();
        running.stop();
        Exit::Well
    }
}
