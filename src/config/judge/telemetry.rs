//! `[log]` and `[pages]`: what operators read, and how our own pages look.

use tracing::Level;

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{Log, Pages};
use crate::gateway::Branding;
use crate::telemetry::{AccessLog, LogFormat, Settings, SubjectInLogs};

impl Judge<'_> {
    /// `[log]`.
    pub(super) fn telemetry(&mut self, at: &KeyPath, raw: &Log) -> Option<Settings> {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = self.choice(&at.key("format"), raw.format.as_deref(), LogFormat::Text, &formats);
        let levels = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        let level = self.choice(&at.key("level"), raw.level.as_deref(), Level::INFO, &levels);
        Some(Settings {
            format: format?,
            level: level?,
            access: if raw.access.unwrap_or(true) { AccessLog::On } else { AccessLog::Off },
            subject: if raw.subject { SubjectInLogs::Named } else { SubjectInLogs::Omitted },
        })
    }

    /// `[pages]`.
    pub(super) fn pages(&mut self, at: &KeyPath, raw: &Pages) -> Option<Branding> {
        let name = raw.name.as_ref().map(|name| {
            let length = name.chars().count();
            if name.trim().is_empty() || length > 100 || name.chars().any(char::is_control) {
                let finding = Finding::invalid("can't stand on a page").found(format!("{length} characters"));
                return self.refuse(&at.key("name"), finding.expected("1 to 100 characters on one line"));
            }
            Some(name.clone())
        });
        let logo = raw.logo.as_ref().map(|file| self.logo(&at.key("logo"), file));
        // A name or logo that is there must be right; one that is not there is none.
        Some(Branding {
            name: name.map_or(Some(None), |name| name.map(Some))?,
            logo: logo.map_or(Some(None), |logo| logo.map(Some))?,
        })
    }
}
