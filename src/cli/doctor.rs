//! `vestibule doctor`: asks each provider and upstream, and says what would fail and how to mend it.

use clap::Args;
use serde::Serialize;

use super::{ConfigFile, Exit, answer, cannot_start, complain};
use crate::foundation::clock::Clock;
use crate::foundation::finding::{Finding, Verdict};
use crate::lifecycle::examination::{self, Examined};

/// Ask each provider, each app and the session store, and say what would fail and how to mend it
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

/// One finding as programs read it.
#[derive(Serialize)]
struct Item<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

impl Doctor {
    /// Examines everything; the exit code is 1 where something would fail.
    pub(super) fn run(self) -> Exit {
        let settings = match self.config.load() {
            Ok(settings) => settings,
            Err(exit) => return exit,
        };
        let examined = match examination::examine(settings, &Clock::system()) {
            Ok(examined) => examined,
            Err(error) => return cannot_start(&error),
        };
        let told = if self.json {
            match serde_json::to_string_pretty(&items(&examined)) {
                Ok(json) => answer(json),
                Err(error) => return complain(error, Exit::Failed),
            }
        } else {
            answer(lines(&examined))
        };
        match (told, examined.iter().map(Examined::verdict).max()) {
            (Exit::Well, Some(Verdict::Failed)) => Exit::Failed,
            (told, _) => told,
        }
    }
}

fn items(examined: &[Examined]) -> Vec<Item<'_>> {
    let each = examined.iter().flat_map(|Examined { kind, name, findings }| {
        findings.iter().map(move |finding| Item { kind, name, finding })
    });
    each.collect()
}

/// One line a finding: how it is, about what, the sentence, and the mend.
fn lines(examined: &[Examined]) -> String {
    let about = |item: &Item<'_>| format!("{} {}", item.kind, item.name).trim_end().to_owned();
    let items = items(examined);
    let width = items.iter().map(|item| about(item).chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for item in &items {
        let verdict = match item.finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        };
        text += &format!("{verdict:<7}  {:<width$}  {}", about(item), item.finding.message);
        if let Some(mend) = &item.finding.mend {
            text += &format!("  mend: {mend}");
        }
        text.push('\n');
    }
    text
}
