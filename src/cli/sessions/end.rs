//! `vestibule sessions end`: ends one session, or all of a person.

use clap::{ArgGroup, Args};
use http::Method;

use super::super::{ConfigFile, Exit, answer};
use super::{client, failed, json, with_query};
use crate::lifecycle::admin::documents::Ended;
use crate::sessions::SessionId;

/// End one session, or all sessions of a person
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["subject", "id"])))]
pub(super) struct End {
    #[command(flatten)]
    config: ConfigFile,
    /// The person whose sessions end, as the provider names them (`sub`)
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
    /// Only those with this provider, by its name in the configuration
    #[arg(long, value_name = "NAME", requires = "subject")]
    provider: Option<String>,
    /// The session that ends, as `vestibule sessions list` names it
    #[arg(long, allow_hyphen_values = true)]
    id: Option<SessionId>,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

impl End {
    /// The exit code is 1 where the session that was named is not there; a person without sessions is well.
    pub(super) fn run(self) -> Exit {
        let path = match self.id {
            Some(id) => format!("/sessions/{id}"),
            None => {
                let (subject, provider) = (self.subject.as_deref(), self.provider.as_deref());
                with_query("/sessions", &[("subject", subject), ("provider", provider)])
            }
        };
        let asked = match client(&self.config) {
            Ok(client) => client.ask(Method::DELETE, &path),
            Err(exit) => return exit,
        };
        match asked {
            Ok(ended) if self.json => json(&ended),
            Ok(Ended { ended: 1 }) => answer("1 session ended"),
            Ok(Ended { ended }) => answer(format_args!("{ended} sessions ended")),
            Err(error) => failed(&error),
        }
    }
}
