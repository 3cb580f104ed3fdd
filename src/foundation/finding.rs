//! What an examination finds: whether something is well, one sentence about it, and the mend.
//!
//! The parts that can be examined find; who puts the findings together and prints them stands above.

use serde::Serialize;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is to do.
    Ok,
    /// Nothing fails now; it may, or not all that was configured will come about.
    Warning,
    /// Something that people need would fail.
    Failed,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How well it is.
    pub verdict: Verdict,
    /// What was looked at or went wrong: a word that stays the same between versions.
    pub code: &'static str,
    /// What was found, for people. It never holds a secret.
    pub message: String,
    /// What the operator should do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// It is well.
    pub fn ok(code: &'static str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, code, message: message.into(), mend: None }
    }

    /// It deserves a look.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, ..Self::ok(code, message) }
    }

    /// It would fail.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, ..Self::ok(code, message) }
    }

    /// What to do about it.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}
