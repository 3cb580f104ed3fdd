//! Floor 3: what operators see: logs, access lines, audit events, metrics.

pub mod access;
pub mod history;
pub mod log;
pub mod metrics;
pub mod output;
mod text;

/// How the process tells what it does, as the configuration describes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How log lines are written.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: tracing::Level,
    /// Whether access lines are written.
    pub access: AccessLog,
    /// Whether access lines and audit events name the subject.
    pub subject: SubjectInLogs,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether access lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// One line a request.
    On,
    /// None.
    Off,
}

/// Whether logs name the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectInLogs {
    /// They do.
    Named,
    /// They don't.
    Omitted,
}
