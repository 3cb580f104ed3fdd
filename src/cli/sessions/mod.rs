//! `vestibule sessions`: lists and ends sessions, through the admin listener of a running gateway.

mod end;
mod list;

use clap::{Args, Subcommand};
use http::StatusCode;
use serde::Serialize;
use url::form_urlencoded::Serializer;

use super::{ConfigFile, Exit, answer, complain};
use crate::config;
use crate::lifecycle::admin::client::{Client, ClientError};

/// List or end sessions of a running gateway
#[derive(Debug, Args)]
pub(super) struct Sessions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    End(end::End),
}

impl Sessions {
    pub(super) fn run(self) -> Exit {
        match self.command {
            Command::List(list) => list.run(),
            Command::End(end) => end.run(),
        }
    }
}

/// The gateway that runs with this configuration, of which only `[admin]` is judged.
fn client(file: &ConfigFile) -> Result<Client, Exit> {
    let admin = config::load_admin(&file.config, config::environment())
        .map_err(|problems| complain(problems, Exit::Wrong))?;
    Client::of(admin).map_err(|error| failed(&error))
}

/// Prints why the gateway did not do what it was asked.
fn failed(error: &ClientError) -> Exit {
    let exit = match error {
        ClientError::Off
        | ClientError::AnyPort
        | ClientError::NoToken
        | ClientError::Refused { status: StatusCode::BAD_REQUEST, .. } => Exit::Wrong,
        ClientError::Nobody { .. } | ClientError::Stranger { .. } | ClientError::Refused { .. } => {
            Exit::Failed
        }
    };
    let mend = error.mend().map(|mend| format!("\n   mend: {mend}")).unwrap_or_default();
    complain(format_args!("{error}{mend}"), exit)
}

/// A path with a query of what there is.
fn with_query(path: &str, members: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(members.iter().filter_map(|(name, value)| Some((name, (*value)?))));
    format!("{path}?{}", query.finish())
}

/// Prints a document for programs.
fn json(document: &impl Serialize) -> Exit {
    match serde_json::to_string_pretty(document) {
        Ok(json) => answer(json),
        Err(error) => complain(error, Exit::Failed),
    }
}
