//! `vestibule check`: reads everything, judges everything, prints every problem.

use clap::Args;

use super::{ConfigFile, Exit, answer};

/// Read the configuration, judge it, and print every problem
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(self) -> Exit {
        match self.config.load() {
            Ok(settings) => {
                let providers = counted(settings.providers.len(), "provider");
                let apps = counted(settings.gateway.apps.len(), "app");
                answer(format_args!("configuration is good: {providers}, {apps}"))
            }
            Err(exit) => exit,
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
