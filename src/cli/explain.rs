//! `vestibule explain`: what would be decided about a request, and the headers that the app would get.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;

use super::{ConfigFile, Exit, answer, cannot_start, complain};
use crate::foundation::clock::Clock;
use crate::gateway::explanation::{Address, Explanation, explain};
use crate::gateway::routing::Routes;
use crate::identity::claims::Claims;
use crate::lifecycle::assemble;

const LARGEST_CLAIMS: u64 = 1 << 20;

/// Say what would be decided about a request and why, and the headers that the app would get
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    config: ConfigFile,
    /// The address that a request is for; its path is judged as it is written
    #[arg(long)]
    url: Address,
    /// The method of the request
    #[arg(long, default_value = "GET")]
    method: Method,
    /// A JSON file with the person's claims; left out: nobody is signed in
    #[arg(long, value_name = "FILE.json")]
    claims: Option<PathBuf>,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Explains a request without sending it; the exit code is 0 whatever would be decided.
    pub(super) fn run(self) -> Exit {
        let settings = match self.config.load() {
            Ok(settings) => settings,
            Err(exit) => return exit,
        };
        let claims = match self.claims.as_deref().map(read_claims).transpose() {
            Ok(claims) => claims,
            Err(problem) => return complain(problem, Exit::Wrong),
        };
        let clock = Clock::system();
        let apps = match assemble::apps_alone(settings, &clock) {
            Ok(apps) => apps,
            Err(error) => return cannot_start(&error),
        };
        let told = explain(&apps, &Routes::new(&apps), &self.url, &self.method, claims.as_ref(), clock.now());
        if !self.json {
            return answer(text(&told));
        }
        match serde_json::to_string_pretty(&told) {
            Ok(json) => answer(json),
            Err(error) => complain(error, Exit::Failed),
        }
    }
}

fn read_claims(path: &Path) -> Result<Claims, String> {
    let problem = |what: String| {
        format!(
            "{}: {what} (expected: a JSON object of claims, as the provider's userinfo gives it)",
            path.display()
        )
    };
    let size = fs::metadata(path).map_err(|error| problem(error.to_string()))?.len();
    if size > LARGEST_CLAIMS {
        return Err(problem(format!("{size} bytes are more than claims may have ({LARGEST_CLAIMS})")));
    }
    let text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| problem(error.to_string()))
}

fn text(told: &Explanation) -> String {
    let mut lines = vec![
        format!("app       {}", told.app.as_deref().unwrap_or("none")),
        format!("rule      {}", told.rule.as_deref().unwrap_or("none")),
        match told.status {
            Some(status) => format!("decision  {} ({status})", told.decision),
            None => format!("decision  {}", told.decision),
        },
        format!("reason    {}", told.reason),
    ];
    lines.extend(told.headers.iter().map(|header| format!("header    {}: {}", header.name, header.value)));
    lines.extend(told.omitted.iter().map(|header| format!("left out  {}: {}", header.name, header.value)));
    lines.join("\n")
}
