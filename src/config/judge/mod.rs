//! The one place that judges values: from what was written to `Settings`, one file a table.
//!
//! Every judgement reports what is wrong and goes on; a part of the settings is made when nothing it needs is
//! wrong, so one run tells all problems.

mod app;
mod apps;
mod choice;
mod client;
mod cookie;
mod files;
mod headers;
mod own_session;
mod profile;
mod protocol;
mod provider;
mod request;
mod rules;
mod server;
mod session;
mod store;
mod telemetry;
mod values;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::Settings;
use super::place::KeyPath;
use super::problem::{Fault, Finding};
use super::raw::Raw;
use super::report::Report;

/// The length of time that a text in the notation of the configuration stands for, such as "90s", "15m" or "30d".
pub fn duration(text: &str) -> Option<Duration> {
    values::parse_duration(text)
}

/// What judgements need besides the value.
pub(super) struct Judge<'a> {
    /// Where problems go.
    pub(super) report: &'a mut Report,
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    /// The environment, for secrets that are kept there.
    pub(super) environment: &'a BTreeMap<String, String>,
    /// Whether `http://` is allowed beyond this machine.
    pub(super) plain_http: PlainHttp,
}

/// Whether addresses without TLS may be used beyond this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlainHttp {
    /// Only on loopback and `*.localhost`.
    Loopback,
    /// Anywhere: `server.danger_allow_http`.
    Anywhere,
}

/// Judges everything; `None` when something is wrong.
pub(super) fn judge(judge: &mut Judge<'_>, raw: &Raw) -> Option<Settings> {
    let root = KeyPath::root();
    if raw.server.danger_allow_http {
        judge.plain_http = PlainHttp::Anywhere;
    }
    let server = judge.server(&root.key("server"), &raw.server);
    let network = judge.network(&root, raw);
    let sessions = judge.session(&root.key("session"), raw);
    let form_limit = judge.form_limit(&root.key("session").key("form_limit"), &raw.session);
    let telemetry = judge.telemetry(&root.key("log"), &raw.log);
    let pages = judge.pages(&root.key("pages"), &raw.pages);
    let providers = judge.providers(&root.key("providers"), &raw.providers);
    let apps = judge.apps(&root.key("apps"), raw, providers.as_deref());
    let network = network?;
    Some(Settings {
        server: server?,
        admin: network.admin,
        sessions: sessions?,
        providers: providers?,
        gateway: crate::gateway::Settings {
            apps: apps?,
            endpoints: network.endpoints,
            trusted_proxies: network.trusted_proxies,
            pages: pages?,
            form_limit: form_limit?,
        },
        telemetry: telemetry?,
    })
}

impl Judge<'_> {
    /// Reports what is wrong with the value at `path`.
    fn refuse<T>(&mut self, path: &KeyPath, finding: Finding) -> Option<T> {
        self.report.add(path, finding);
        None
    }

    /// A value that must be there.
    fn required<'v, T: ?Sized>(
        &mut self,
        path: &KeyPath,
        value: Option<&'v T>,
        expected: &str,
        mend: &str,
    ) -> Option<&'v T> {
        if value.is_none() && !self.report.is_blamed(path) {
            self.report.add(path, Finding::new(Fault::Missing).expected(expected).mend(mend));
        }
        value
    }

    /// A name of the administrator's choosing, fit to stand in a log line or an address.
    fn name(&mut self, path: &KeyPath, name: &str) -> Option<String> {
        let length = name.chars().count();
        if (1..=64).contains(&length) && name.trim() == name && !name.chars().any(char::is_control) {
            return Some(name.to_owned());
        }
        let finding = Finding::invalid("is not a name to use").expected("1 to 64 characters, no line breaks");
        self.refuse(path, finding.mend("give it a short name"))
    }

    /// The entries of a table in the order of the file.
    fn in_order<'v, T>(
        &self,
        at: &KeyPath,
        table: &'v BTreeMap<String, T>,
    ) -> Vec<(KeyPath, &'v str, &'v T)> {
        let mut entries: Vec<_> =
            table.iter().map(|(name, value)| (at.key(name), name.as_str(), value)).collect();
        entries.sort_by_key(|(path, ..)| self.report.order(path));
        entries
    }
}
