//! `vestibule check`: reads everything, judges everything, prints every problem.

use clap::Args;

use super::{ConfigFile, Exit, answer};

/// Read the configuration, judge it, and print every problem
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
}

/// What the cookie store can't do.
fn unheard(endpoints: &str) -> String {
    format!(
        "\nnote: session.store = \"cookie\" keeps sessions in the browsers, where no provider can end them: \
         {endpoints}/backchannel-logout answers 501, and after a restart a copy of a cookie that was signed out opens \
         its session again; any other store ends them for good"
    )
}

impl Check {
    pub(super) fn run(self) -> Exit {
        match self.config.load() {
            Ok(settings) => {
                let providers = counted(settings.providers.len(), "provider");
                let apps = counted(settings.gateway.apps.len(), "app");
                let note = match settings.sessions.store.ends_unseen() {
                    true => String::new(),
                    false => unheard(&settings.gateway.endpoints),
                };
                answer(format_args!("configuration is good: {providers}, {apps}{note}"))
            }
            Err(exit) => exit,
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
