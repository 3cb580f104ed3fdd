//! What is wrong with a configuration, told so that the operator can mend it at once: where, what was found,
//! what is expected, and the mend. All problems are told together.

use std::fmt;

use super::place::{KeyPath, Nearness, Place, Places};
use super::source::{Excerpt, Position, Source};

/// Where a problem stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the file; without a position, the file as a whole.
    File(String, Option<Position>),
    /// In the environment variable of that name.
    Variable(String),
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file can't be read; the rest of the sentence says why.
    Unreadable(String),
    /// The text is no TOML; the sentence is the parser's.
    Syntax(String),
    /// There is no such key.
    UnknownKey,
    /// The value is of another type than the key has.
    WrongType,
    /// A key that must be there is not.
    Missing,
    /// A value that belongs to a version to come.
    NotSupportedYet(String),
    /// The value can't be used; the rest of the sentence says why.
    Invalid(String),
}

/// What is wrong with one value, before it is known where the value stands.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    fault: Fault,
    found: Option<String>,
    expected: Option<String>,
    mend: Option<String>,
}

impl Finding {
    /// A finding of this fault.
    pub(super) const fn new(fault: Fault) -> Self {
        Self { fault, found: None, expected: None, mend: None }
    }

    /// A value that can't be used; `why` continues a sentence that begins with the key.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::new(Fault::Invalid(why.into()))
    }

    /// A value that belongs to a version to come.
    pub(super) fn later(what: impl Into<String>) -> Self {
        Self::new(Fault::NotSupportedYet(what.into()))
    }

    /// What was found; never a secret.
    pub(super) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// What is expected.
    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What the operator should do.
    pub(super) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// This finding about the value at `path`.
    pub(super) fn about(self, path: &KeyPath, places: &Places, source: &Source) -> Problem {
        let place = places.nearest(path);
        let range = match (place, &self.fault) {
            (Some((Place::File { key, value }, nearness)), fault) => {
                let on_key = matches!(fault, Fault::UnknownKey | Fault::Missing);
                Some(if on_key || nearness == Nearness::Around { key.clone() } else { value.clone() })
            }
            _ => None,
        };
        let location = match place {
            Some((Place::Variable(name), _)) => Location::Variable(name.clone()),
            _ => {
                Location::File(source.name.clone(), range.as_ref().map(|range| source.position(range.start)))
            }
        };
        Problem {
            location,
            key: path.to_string(),
            heading: path.heading(),
            excerpt: range.map(|range| source.excerpt(&range)),
            finding: self,
        }
    }

    /// This finding about the file itself, at a byte of it where there is one.
    pub(super) fn about_file(self, source: &Source, at: Option<std::ops::Range<usize>>) -> Problem {
        let position = at.as_ref().map(|range| source.position(range.start));
        Problem {
            location: Location::File(source.name.clone(), position),
            key: String::new(),
            heading: String::new(),
            excerpt: at.map(|range| source.excerpt(&range)),
            finding: self,
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug)]
pub struct Problem {
    location: Location,
    key: String,
    heading: String,
    excerpt: Option<Excerpt>,
    finding: Finding,
}

impl Problem {
    /// Where it stands.
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// The dotted path of the key (`apps.lms.rules[0].allow`); empty when it is about the whole file.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong.
    pub const fn fault(&self) -> &Fault {
        &self.finding.fault
    }

    /// What was found there; never a secret.
    pub fn found(&self) -> Option<&str> {
        self.finding.found.as_deref()
    }

    /// What is expected there.
    pub fn expected(&self) -> Option<&str> {
        self.finding.expected.as_deref()
    }

    /// What the operator should do.
    pub fn mend(&self) -> Option<&str> {
        self.finding.mend.as_deref()
    }

    /// Whether it says the same of the same line.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        let line = |problem: &Self| match &problem.location {
            Location::File(_, position) => position.map(|position| position.line),
            Location::Variable(_) => None,
        };
        line(self) == line(other) && self.key == other.key && self.finding.fault == other.finding.fault
    }

    /// Problems are told in the order of the file; those of the environment come last.
    fn order(&self) -> (bool, Option<(usize, usize)>) {
        match &self.location {
            Location::File(_, position) => (false, position.map(|position| (position.line, position.column))),
            Location::Variable(_) => (true, None),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::File(name, None) => write!(f, "{name}: ")?,
            Location::File(name, Some(Position { line, column })) => write!(f, "{name}:{line}:{column}: ")?,
            Location::Variable(name) => write!(f, "{name} (environment): ")?,
        }
        let key = &self.heading;
        match &self.finding.fault {
            Fault::Unreadable(why) => write!(f, "the file {why}")?,
            Fault::Syntax(why) => write!(f, "this is not TOML: {why}")?,
            Fault::UnknownKey => write!(f, "{key} is not a key that Vestibule knows")?,
            Fault::WrongType => write!(f, "{key} has the wrong type")?,
            Fault::Missing => write!(f, "{key} is missing")?,
            Fault::NotSupportedYet(what) => write!(f, "{key}: {what} is not supported yet")?,
            Fault::Invalid(why) => write!(f, "{key} {why}")?,
        }
        if let Some(excerpt) = &self.excerpt {
            let Excerpt { line, text, before, length } = excerpt;
            let (gutter, mark) = (" ".repeat(line.to_string().len()), "^".repeat(*length));
            write!(f, "\n   {line} | {text}\n   {gutter} | {:before$}{mark}", "")?;
        }
        match (self.found(), self.expected()) {
            (Some(found), Some(expected)) if found.len() + expected.len() < 80 => {
                write!(f, "\n   found: {found}   expected: {expected}")?;
            }
            (found, expected) => {
                for (label, text) in [("found", found), ("expected", expected)] {
                    if let Some(text) = text {
                        write!(f, "\n   {label}: {text}")?;
                    }
                }
            }
        }
        self.mend().map_or(Ok(()), |mend| write!(f, "\n   mend: {mend}"))
    }
}

/// Everything that is wrong with a configuration: at least one problem.
#[derive(Clone, Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// These problems, in the order of the file.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::order);
        Self(problems)
    }

    /// The problems, in the order of the file, those of the environment last.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if number == 0 { "" } else { "\n\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
