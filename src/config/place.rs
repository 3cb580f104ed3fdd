//! Where a value stands: its path of keys, and the line of the file or the environment variable it came from.
//!
//! figment merges values and forgets their places, so they are kept beside it here.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// One step down the tree of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Into the table's entry of that name.
    Name(String),
    /// Into the list's element of that number, from 0.
    Index(usize),
}

/// The keys that lead to a value, from the outermost.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The whole configuration.
    pub(super) const fn root() -> Self {
        Self(Vec::new())
    }

    /// The entry `name` of the table at this path.
    pub(super) fn key(&self, name: &str) -> Self {
        self.step(Step::Name(name.to_owned()))
    }

    /// The element `index`, from 0, of the list at this path.
    pub(super) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The tables and lists around this path, from the outermost.
    pub(super) fn around(&self) -> impl Iterator<Item = Self> {
        (1..self.0.len()).map(|length| Self(self.0.iter().take(length).cloned().collect()))
    }

    /// The steps from the outermost.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The innermost name.
    pub(super) fn name(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        })
    }

    /// Whether this is `other`, above it or below it.
    pub(super) fn is_in_line_with(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }

    /// The path as people read it beside a file: `[apps.lms] url`, `[apps.lms] rules number 2: allow`.
    pub(super) fn heading(&self) -> String {
        match self.0.split_last() {
            None => "the configuration".to_owned(),
            Some((Step::Index(index), above)) => {
                format!("{} number {}", Self(above.to_vec()).heading(), index + 1)
            }
            Some((Step::Name(name), [])) => format!("[{}]", quoted(name)),
            Some((Step::Name(name), above @ [.., Step::Index(_)])) => {
                format!("{}: {}", Self(above.to_vec()).heading(), quoted(name))
            }
            Some((Step::Name(name), above)) => format!("[{}] {}", Self(above.to_vec()), quoted(name)),
        }
    }
}

impl Borrow<[Step]> for KeyPath {
    fn borrow(&self) -> &[Step] {
        &self.0
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if number == 0 => f.write_str(&quoted(name))?,
                Step::Name(name) => write!(f, ".{}", quoted(name))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A key as TOML writes it: bare where it may be.
fn quoted(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { format!("{name:?}") }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The file, by byte offsets.
    File {
        /// The key; for an element of a list, the element.
        key: Range<usize>,
        /// The value; for a table under a header, the header's last key.
        value: Range<usize>,
    },
    /// The environment variable of that name.
    Variable(String),
}

/// The places of all values.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<KeyPath, Place>);

impl Places {
    /// Notes where the value at `path` came from; a later note replaces an earlier one.
    pub(super) fn note(&mut self, path: KeyPath, place: Place) {
        self.0.insert(path, place);
    }

    /// Notes a place unless the value already has one.
    pub(super) fn note_new(&mut self, path: KeyPath, place: Place) {
        self.0.entry(path).or_insert(place);
    }

    /// The place of the very value at `path`.
    pub(super) fn of(&self, path: &KeyPath) -> Option<&Place> {
        self.0.get(path)
    }

    /// The place of the value at `path`, or of the nearest table or list around it that has one, and whether
    /// it is the value's own.
    pub(super) fn nearest(&self, path: &KeyPath) -> Option<(&Place, Nearness)> {
        let mut steps = path.steps();
        let mut nearness = Nearness::Own;
        loop {
            if let Some(place) = self.0.get(steps) {
                return Some((place, nearness));
            }
            (_, steps) = steps.split_last()?;
            nearness = Nearness::Around;
        }
    }
}

/// Whether a place is a value's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nearness {
    /// It is.
    Own,
    /// It is that of a table or list around it.
    Around,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_file() {
        let app = KeyPath::root().key("apps").key("my app");
        for (path, heading) in [
            (KeyPath::root().key("server"), "[server]"),
            (app.key("url"), "[apps.\"my app\"] url"),
            (app.key("rules").index(1).key("allow"), "[apps.\"my app\"] rules number 2: allow"),
            (KeyPath::root().key("server").key("listen").index(0), "[server] listen number 1"),
        ] {
            assert_eq!(path.heading(), heading);
        }
    }

    #[test]
    fn a_value_without_a_place_is_found_by_the_table_around_it() {
        let mut places = Places::default();
        let app = KeyPath::root().key("apps").key("lms");
        places.note(app.clone(), Place::Variable("A".to_owned()));
        let found = places.nearest(&app.key("url").index(3));
        assert_eq!(found, Some((&Place::Variable("A".to_owned()), Nearness::Around)));
        assert_eq!(places.nearest(&KeyPath::root().key("server")), None);
    }
}
