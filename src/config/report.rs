//! What is known of a configuration while it is read: its text, the places of its values, and the problems so
//! far. The steps of reading hand it on.

use std::collections::BTreeSet;

use super::place::{KeyPath, Place, Places};
use super::problem::{Finding, Problem, Problems};
use super::source::Source;

/// More problems than anybody reads; a file of rubbish is not worth more time.
const MOST: usize = 500;

/// The text, the places and the problems.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The file.
    pub(super) source: Source,
    /// Where each value came from.
    pub(super) places: Places,
    problems: Vec<Problem>,
    blamed: BTreeSet<KeyPath>,
}

impl Report {
    /// A report on this file.
    pub(super) fn on(source: Source) -> Self {
        Self { source, ..Self::default() }
    }

    /// Adds a finding about the value at `path`.
    pub(super) fn add(&mut self, path: &KeyPath, finding: Finding) {
        if !self.is_full() {
            self.problems.push(finding.about(path, &self.places, &self.source));
            self.blamed.insert(path.clone());
        }
    }

    /// Adds a finding about the file itself.
    pub(super) fn add_to_file(&mut self, finding: Finding, at: Option<std::ops::Range<usize>>) {
        if !self.is_full() {
            let problem = finding.about_file(&self.source, at);
            // A line of a thousand brackets is one mistake.
            if self.problems.last().is_none_or(|last| !last.repeats(&problem)) {
                self.problems.push(problem);
            }
        }
    }

    /// Whether there is no use in looking for more.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= MOST
    }

    /// Notes that what is wrong elsewhere explains why the value at `path` is not there.
    pub(super) fn excuse(&mut self, path: KeyPath) {
        self.blamed.insert(path);
    }

    /// Whether a problem at, above or below `path` was told already, so that "missing" would only repeat it.
    pub(super) fn is_blamed(&self, path: &KeyPath) -> bool {
        self.blamed.iter().any(|blamed| blamed.is_in_line_with(path))
    }

    /// Drops the problems with environment variables that stand for something else.
    pub(super) fn forgive_variables(&mut self, names: &BTreeSet<String>) {
        self.problems.retain(|problem| match problem.location() {
            super::problem::Location::Variable(name) => {
                *problem.fault() != super::problem::Fault::UnknownKey || !names.contains(name)
            }
            super::problem::Location::File(..) => true,
        });
    }

    /// The byte at which the key at `path` stands in the file; those of the environment come last.
    pub(super) fn order(&self, path: &KeyPath) -> usize {
        match self.places.of(path) {
            Some(Place::File { key, .. }) => key.start,
            _ => usize::MAX,
        }
    }

    /// `value`, or all problems when there are any. Without a value there is always one.
    pub(super) fn conclude<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems::new(self.problems)),
        }
    }
}
