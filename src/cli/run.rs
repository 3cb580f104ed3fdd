//! `vestibule run`: runs the gateway until it is asked to end.

use clap::Args;

use super::{ConfigFile, Exit, cannot_start};
use crate::foundation::clock::Clock;
use crate::lifecycle::{Ending, Running, Stopped};

/// Run the gateway; SIGTERM and SIGINT end it, and requests in flight are let finish; a second one cuts them
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
            Err(error) => return cannot_start(&error),
        };
        let ending = running.wait();
        match (ending, running.stop()) {
            (Ending::Asked, Stopped::Drained) => Exit::Well,
            _ => Exit::Failed,
        }
    }
}
