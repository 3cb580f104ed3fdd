//! Access rules: which rule fits a request, and whether a person may enter by it.

use http::Method;

use super::claims::Claims;
use super::mapping::SpecError;
use super::readings::Path;

/// One rule, as the configuration describes it.
#[derive(Clone, Debug, Default)]
pub struct RuleSpec {
    /// The paths that it is for; empty: all.
    pub paths: Vec<String>,
    /// The methods that it is for; empty: all.
    pub methods: Vec<Method>,
    /// Who may enter.
    pub access: Access,
    /// A CEL expression over `claims` that a signed-in person must meet.
    pub allow: Option<String>,
}

/// Who may enter by a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Anyone who is signed in.
    #[default]
    SignedIn,
    /// Anyone.
    Public,
}

/// One compiled rule.
#[derive(Debug)]
pub struct Rule {}

impl Rule {
    /// Compiles one rule.
    ///
    /// # Errors
    /// When a pattern or the expression can't be read.
    pub fn compile(spec: RuleSpec) -> Result<Self, SpecError> {
        Err(SpecError(format!("{} paths", spec.paths.len())))
    }
}

/// The rules of an app, in order.
#[derive(Debug, Default)]
pub struct AccessRules {}

/// The rule that fits a request: its number from 0, or the rule behind all: any signed-in person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fit {
    /// The rule of that number.
    Rule(usize),
    /// No rule fits: any signed-in person may enter.
    Default,
}

/// A path has readings that meet different rules; the request is refused with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path can be read as {reading}, which another rule decides")]
pub struct Ambiguous {
    /// The other reading.
    pub reading: String,
}

/// Whether a signed-in person meets a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They do.
    Allowed,
    /// The expression said no.
    Refused,
    /// The expression could not be evaluated, which is a no; the reason is for the log and `explain`.
    Failed(String),
}

impl AccessRules {
    /// These rules, in order.
    pub fn new(rules: Vec<Rule>) -> Self {
        drop(rules);
        Self {}
    }

    /// The rule that fits this method and path. `None` for the method: it is not known, and rules that
    /// differ by method make the request ambiguous.
    ///
    /// # Errors
    /// When readings of the path, or methods, meet different rules.
    pub fn fit(&self, method: Option<&Method>, path: &Path<'_>) -> Result<Fit, Ambiguous> {
        Err(Ambiguous { reading: format!("{method:?} {}", path.as_str()) })
    }

    /// Who may enter by a rule.
    pub fn access(&self, fit: Fit) -> Access {
        let _never = fit;
        Access::SignedIn
    }

    /// The verdict of each rule on a person, by rule number: made once a session and app.
    pub fn verdicts(&self, claims: &Claims) -> Vec<Verdict> {
        drop(claims.0.len());
        Vec::new()
    }

    /// How a rule is named in logs: its number from 1 and its first path.
    pub fn label(&self, fit: Fit) -> &str {
        let _never = fit;
        "default"
    }
}
