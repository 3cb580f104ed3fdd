//! Access rules: which rule fits a request, and whether a person may enter by it.
//!
//! The first rule that fits decides; none: any signed-in person may enter. Every reading of a path, and the
//! path without letter case, must meet the same rule, or the request is ambiguous. What is done about a
//! verdict (a sign-in, a page, a status) is the gateway's matter.

use http::Method;

use super::claims::Claims;
use super::expression::{Expression, Facts};
use super::mapping::SpecError;
use super::readings::{Path, fold};
use crate::foundation::clock::Timestamp;
pub use paths::Paths;
use pattern::{Meets, Pattern};
pub use strength::{Proof, Shortfall, Strength};

mod paths;
mod pattern;
mod strength;
#[cfg(test)]
mod tests;

/// How much of a reading an error shows.
const SHOWN: usize = 200;

/// One rule, as the configuration describes it.
#[derive(Clone, Debug, Default)]
pub struct RuleSpec {
    /// The paths that it is for; empty: all.
    pub paths: Vec<String>,
    /// The methods that it is for; empty: all. A rule for GET is for HEAD too.
    pub methods: Vec<Method>,
    /// Who may enter.
    pub access: Access,
    /// A CEL expression over `claims` that a signed-in person must meet.
    pub allow: Option<String>,
    /// How strongly and how lately they must have signed in.
    pub strength: Option<Strength>,
    /// The scopes that an access token must have.
    pub scopes: Vec<String>,
    /// The provider that an access token must come from; `None`: any that the app trusts.
    pub provider: Option<String>,
}

/// Who may enter by a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Anyone who is signed in.
    #[default]
    SignedIn,
    /// Anyone.
    Public,
    /// A client with an access token.
    Bearer,
}

/// One compiled rule.
#[derive(Debug)]
pub struct Rule {
    patterns: Vec<Pattern>,
    methods: Vec<Method>,
    access: Access,
    allow: Option<Expression>,
    strength: Option<Strength>,
    scopes: Vec<String>,
    provider: Option<String>,
    /// What it is for, for logs.
    subject: String,
}

impl Rule {
    /// Compiles one rule.
    ///
    /// # Errors
    /// When a pattern or the expression can't be read, or a condition stands beside public access.
    pub fn compile(spec: RuleSpec) -> Result<Self, SpecError> {
        if spec.access != Access::Bearer && !spec.scopes.is_empty() {
            let sentence = "only an access token has scopes; they need access = \"bearer\"";
            return Err(SpecError(sentence.to_owned()));
        }
        if spec.access == Access::Bearer && spec.strength.is_some() {
            let sentence = "access = \"bearer\" knows no sign-in, so acr and max_age would never be asked";
            return Err(SpecError(sentence.to_owned()));
        }
        if spec.access == Access::Public && spec.strength.is_some() {
            let sentence = "access = \"public\" asks for no sign-in, so acr and max_age would never be asked";
            return Err(SpecError(sentence.to_owned()));
        }
        if spec.access == Access::Public && spec.allow.is_some() {
            let sentence =
                "access = \"public\" lets everyone in, so allow would never be asked; leave one of them out";
            return Err(SpecError(sentence.to_owned()));
        }
        let compile = |path: &String| {
            Pattern::compile(path)
                .map_err(|error| SpecError(format!("the path {path:?} can't be matched: {error}")))
        };
        let allow =
            spec.allow.as_deref().map(Expression::compile).transpose().map_err(SpecError::from_error)?;
        if let Some(allow) = &allow {
            judge_constant(allow)?;
        }
        let subject = match spec.paths.as_slice() {
            [] => "every path".to_owned(),
            [path] => path.clone(),
            [path, ..] => format!("{path}, …"),
        };
        Ok(Self {
            patterns: spec.paths.iter().map(compile).collect::<Result<_, _>>()?,
            methods: spec.methods,
            access: spec.access,
            allow,
            strength: spec.strength,
            scopes: spec.scopes,
            provider: spec.provider,
            subject,
        })
    }

    fn meets(&self, exact: &[u8], folded: &[u8]) -> Meets {
        if self.patterns.is_empty() {
            return Meets::Exactly;
        }
        let mut met = Meets::Not;
        for pattern in &self.patterns {
            match pattern.meets(exact, folded) {
                Meets::Exactly => return Meets::Exactly,
                Meets::ButForCase => met = Meets::ButForCase,
                Meets::Not => {}
            }
        }
        met
    }

    /// How a method meets the rule's: methods are told apart by case (RFC 9110 section 9.1). What HEAD tells is
    /// what GET would.
    fn method(&self, method: &Method) -> Meets {
        let is = |ours: &Method| ours == method || *ours == Method::GET && *method == Method::HEAD;
        let like = |ours: &Method| {
            let (ours, theirs) = (ours.as_str(), method.as_str());
            ours.eq_ignore_ascii_case(theirs) || ours == "GET" && theirs.eq_ignore_ascii_case("HEAD")
        };
        if self.methods.is_empty() || self.methods.iter().any(is) {
            Meets::Exactly
        } else if self.methods.iter().any(like) {
            Meets::ButForCase
        } else {
            Meets::Not
        }
    }
}

/// An expression that never asks for claims has one value for everybody: it has to be a yes or a no.
fn judge_constant(allow: &Expression) -> Result<(), SpecError> {
    if allow.source().contains("claims") {
        return Ok(());
    }
    let found = match allow.evaluate(&Facts::new(&Claims::default())) {
        Ok(serde_json::Value::Bool(_)) => return Ok(()),
        Ok(value) => format!("it is always {value}"),
        Err(error) => format!("it can't be evaluated: {error}"),
    };
    Err(SpecError(format!(
        "{found}; an expression of a rule is true or false, such as claims.email_verified"
    )))
}

/// The rules of an app, in order.
#[derive(Debug, Default)]
pub struct AccessRules {
    rules: Vec<Rule>,
    labels: Vec<String>,
}

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
    /// The other reading, without control characters and cut when it is long.
    pub reading: String,
}

/// Whether a signed-in person meets a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They do.
    Allowed,
    /// They do until then; later they have to prove again who they are.
    AllowedUntil(Timestamp),
    /// They would, with another sign-in than theirs.
    Weak(Shortfall),
    /// The expression said no.
    Refused,
    /// The expression could not be evaluated, which is a no; the reason is for the log and `explain`.
    Failed(String),
}

impl Fit {
    /// The verdict of this rule among those of [`AccessRules::verdicts`].
    pub fn verdict(self, verdicts: &[Verdict]) -> &Verdict {
        match self {
            Self::Default => &Verdict::Allowed,
            // SECURITY: a rule without a verdict never happens, and would be a no.
            Self::Rule(number) => verdicts.get(number).unwrap_or(&Verdict::Refused),
        }
    }
}

impl AccessRules {
    /// These rules, in order.
    pub fn new(rules: Vec<Rule>) -> Self {
        let labels = (1..).zip(&rules).map(|(number, rule)| {
            let methods: String = rule.methods.iter().map(|method| format!("{method} ")).collect();
            format!("rule {number} ({methods}{})", rule.subject)
        });
        Self { labels: labels.collect(), rules }
    }

    /// The rule that fits this method and path. `None` for the method: it is not known, and rules that
    /// differ by method make the request ambiguous.
    ///
    /// # Errors
    /// When readings of the path, or methods, meet different rules.
    pub fn fit(&self, method: Option<&Method>, path: &Path<'_>) -> Result<Fit, Ambiguous> {
        let raw = path.as_str().as_bytes();
        if path.is_plain() || self.rules.iter().all(|rule| rule.patterns.is_empty()) {
            return self.first(method, raw, raw);
        }
        let readings = path.readings();
        let mut agreed = None;
        for reading in readings.iter() {
            let fit = self.first(method, reading, &fold(reading))?;
            // SECURITY: the app may read a path otherwise than we do; if that would be another rule's, no
            // rule decides.
            if *agreed.get_or_insert(fit) != fit {
                return Err(ambiguous(reading, ""));
            }
        }
        agreed.filter(|_| readings.is_complete()).ok_or_else(|| ambiguous(raw, " in too many ways"))
    }

    /// The first rule that one reading meets. `folded` may be the reading itself when it is ASCII.
    fn first(&self, method: Option<&Method>, exact: &[u8], folded: &[u8]) -> Result<Fit, Ambiguous> {
        for (number, rule) in self.rules.iter().enumerate() {
            let by_method = method.map_or(Meets::Exactly, |method| rule.method(method));
            if by_method == Meets::Not {
                continue;
            }
            match rule.meets(exact, folded) {
                Meets::Not => {}
                Meets::ButForCase => return Err(ambiguous(&fold(exact), " without letter case")),
                // SECURITY: some servers take `post` for POST; neither this rule nor the next may let it in.
                Meets::Exactly if by_method == Meets::ButForCase => {
                    return Err(ambiguous(exact, " by the method in capitals"));
                }
                Meets::Exactly if method.is_none() && !rule.methods.is_empty() => {
                    return Err(ambiguous(exact, " by another method"));
                }
                Meets::Exactly => return Ok(Fit::Rule(number)),
            }
        }
        Ok(Fit::Default)
    }

    /// Whether any rule is for some methods only.
    pub fn depend_on_methods(&self) -> bool {
        self.rules.iter().any(|rule| !rule.methods.is_empty())
    }

    /// How many rules there are.
    pub const fn count(&self) -> usize {
        self.rules.len()
    }

    /// Who may enter by a rule.
    pub fn access(&self, fit: Fit) -> Access {
        match fit {
            Fit::Rule(number) => self.rules.get(number).map_or(Access::SignedIn, |rule| rule.access),
            Fit::Default => Access::SignedIn,
        }
    }

    /// How strongly and how lately a person must have signed in for a rule.
    pub fn strength(&self, fit: Fit) -> Option<&Strength> {
        match fit {
            Fit::Rule(number) => self.rules.get(number)?.strength.as_ref(),
            Fit::Default => None,
        }
    }

    /// Whether any rule asks for a stronger or later sign-in.
    pub fn ask_for_strength(&self) -> bool {
        self.rules.iter().any(|rule| rule.strength.is_some())
    }

    /// The scopes that an access token must have for a rule.
    pub fn scopes(&self, fit: Fit) -> &[String] {
        match fit {
            Fit::Rule(number) => self.rules.get(number).map_or(&[], |rule| &rule.scopes),
            Fit::Default => &[],
        }
    }

    /// The provider that an access token must come from for a rule; `None`: any that the app trusts.
    pub fn provider(&self, fit: Fit) -> Option<&str> {
        match fit {
            Fit::Rule(number) => self.rules.get(number)?.provider.as_deref(),
            Fit::Default => None,
        }
    }

    /// The verdict of each rule on a person, by rule number: made once a session and app.
    pub fn verdicts(&self, claims: &Claims, proof: Proof<'_>) -> Vec<Verdict> {
        let mut facts = None;
        let verdict = |rule: &Rule| {
            let strong = || rule.strength.as_ref().map_or(Verdict::Allowed, |strength| strength.judge(proof));
            let Some(allow) = &rule.allow else { return strong() };
            match allow.evaluate(facts.get_or_insert_with(|| Facts::new(claims))) {
                Ok(serde_json::Value::Bool(true)) => strong(),
                Ok(serde_json::Value::Bool(false)) => Verdict::Refused,
                Ok(_) => Verdict::Failed("the expression gave neither true nor false".to_owned()),
                Err(error) => Verdict::Failed(error.to_string()),
            }
        };
        self.rules.iter().map(verdict).collect()
    }

    /// How a rule is named in logs and by `explain`: `rule 2 (GET /admin/*)`.
    pub fn label(&self, fit: Fit) -> &str {
        match fit {
            Fit::Rule(number) => self.labels.get(number).map_or("unknown rule", String::as_str),
            Fit::Default => "default (any signed-in user)",
        }
    }
}

fn ambiguous(reading: &[u8], how: &str) -> Ambiguous {
    let shown = String::from_utf8_lossy(reading);
    let shown: String =
        shown.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    Ambiguous { reading: format!("{shown}{how}") }
}
