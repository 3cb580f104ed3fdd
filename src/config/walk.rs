//! The walk over the merged values beside the schema: finds unknown keys, wrong types and keys of versions to
//! come, and takes them out, so that all the rest can be judged in the same run.

use std::collections::BTreeSet;

use figment::value::{Dict, Empty, Value};

use super::place::KeyPath;
use super::problem::{Fault, Finding};
use super::report::Report;
use super::schema::{self, Key, Kind};
use super::source::shown;

/// Walks over everything; what is left has only known keys with values of their types.
pub(super) fn walk(report: &mut Report, values: Dict) -> Dict {
    let mut walk = Walk { report, referenced: BTreeSet::new() };
    let values = walk.table(&KeyPath::root(), &schema::ROOT, values);
    let referenced = walk.referenced;
    report.forgive_variables(&referenced);
    values
}

struct Walk<'a> {
    report: &'a mut Report,
    /// The environment variables that secrets are read from; they are not keys, however they are called.
    referenced: BTreeSet<String>,
}

impl Walk<'_> {
    fn table(&mut self, at: &KeyPath, table: &Key, values: Dict) -> Dict {
        let mut kept = Dict::new();
        for (name, value) in values {
            let path = at.key(&name);
            let Some(key) = table.child(&name) else {
                if !self.report.is_full() {
                    self.unknown(at, table, &name);
                }
                continue;
            };
            if let Some(value) = self.value(&path, key, value) {
                kept.insert(name, value);
            }
        }
        kept
    }

    /// The value, if it is of the key's type, without what is wrong below it.
    fn value(&mut self, at: &KeyPath, key: &Key, value: Value) -> Option<Value> {
        let fits = match (key.kind, &value) {
            (Kind::Table | Kind::Names | Kind::TableOrTables | Kind::TextOrTable, Value::Dict(..)) => {
                return Some(Value::from(self.table(at, key, value.into_dict()?)));
            }
            (Kind::Tables | Kind::TableOrTables, Value::Array(..)) => {
                return self.list(at, key, Kind::Table, value);
            }
            (Kind::Texts | Kind::TextOrTexts, Value::Array(..)) => {
                return self.list(at, key, Kind::Text, value);
            }
            (Kind::TextsOrTables, Value::Array(..)) => {
                return self.list(at, key, Kind::TextOrTable, value);
            }
            (Kind::Secrets | Kind::SecretOrSecrets, Value::Array(..)) => {
                return self.list(at, key, Kind::Secret, value);
            }
            (Kind::Secret | Kind::SecretOrSecrets, Value::Dict(_, table)) => {
                return self.reference(at, table).then_some(value);
            }
            (Kind::Flag, Value::Bool(..)) => true,
            (Kind::Number, Value::Num(_, number)) => {
                number.to_u128().is_some() || number.to_i128() >= Some(0)
            }
            (
                Kind::Text
                | Kind::HiddenText
                | Kind::Address
                | Kind::Duration
                | Kind::Secret
                | Kind::SecretOrSecrets
                | Kind::TextOrTexts
                | Kind::TextOrTable,
                Value::String(..),
            ) => true,
            _ => false,
        };
        if !fits {
            // A text where a table belongs may be a table that could not be read, secrets and all.
            let secret = key.kind.is_table() || at.name().is_none_or(|name| key.is_secret(name));
            let finding = Finding::new(Fault::WrongType).found(describe(&value, secret));
            let finding = finding.expected(key.kind.expected());
            self.report.add(at, finding);
        }
        fits.then_some(value)
    }

    /// A list, if all its elements are of the type. Its numbers must stay, so no element is taken out alone.
    fn list(&mut self, at: &KeyPath, key: &Key, kind: Kind, value: Value) -> Option<Value> {
        let element = Key { path: key.path, kind };
        let values = value.into_array()?;
        let each = values.into_iter().enumerate();
        let kept: Vec<_> = each.map(|(index, value)| self.value(&at.index(index), &element, value)).collect();
        Some(Value::from(kept.into_iter().collect::<Option<Vec<_>>>()?))
    }

    /// Whether a table says where a secret is kept.
    fn reference(&mut self, at: &KeyPath, table: &Dict) -> bool {
        let expected = "one of { env = \"NAME\" } and { file = \"path\" }";
        let mut right = true;
        for (name, value) in table {
            let path = at.key(name);
            match (name.as_str(), value.as_str()) {
                ("env", Some(variable)) => {
                    self.referenced.insert(variable.to_owned());
                }
                ("file", Some(_)) => {}
                ("env" | "file", None) => {
                    let found = describe(value, true);
                    self.report
                        .add(&path, Finding::new(Fault::WrongType).found(found).expected("text in quotes"));
                    right = false;
                }
                _ => {
                    self.report
                        .add(&path, Finding::new(Fault::UnknownKey).found(shown(name)).expected(expected));
                    right = false;
                }
            }
        }
        if right && table.len() != 1 {
            let found = if table.is_empty() { "an empty table" } else { "both env and file" };
            self.report.add(at, Finding::invalid("must say one place").found(found).expected(expected));
            right = false;
        }
        right
    }

    fn unknown(&mut self, at: &KeyPath, table: &Key, name: &str) {
        let mut known: Vec<_> = table.children().map(Key::name).collect();
        known.sort_unstable();
        let mend = if let Some(meant) = schema::nearest(name, table.children().map(Key::name)) {
            // The key that was meant is not missing as well.
            self.report.excuse(at.key(meant));
            format!("did you mean {meant}?")
        } else {
            let elsewhere = schema::KEYS.iter().find(|key| key.name() == name);
            elsewhere.map_or("take it out".to_owned(), |key| {
                format!("did you mean {}?", key.path.replace('*', "NAME"))
            })
        };
        let finding = Finding::new(Fault::UnknownKey)
            .found(shown(name))
            .expected(format!("one of {}", known.join(", ")))
            .mend(mend);
        self.report.add(&at.key(name), finding);
    }
}

/// What stands there, in words; a secret by its type alone.
fn describe(value: &Value, secret: bool) -> String {
    match value {
        Value::String(_, text) if !secret => format!("the text {:?}", shown(text)),
        Value::String(..) => "text".to_owned(),
        Value::Bool(_, flag) if !secret => flag.to_string(),
        Value::Bool(..) => "true or false".to_owned(),
        Value::Num(_, number) if !secret => {
            number.to_i128().map_or_else(|| "a number".to_owned(), |number| format!("the number {number}"))
        }
        Value::Num(..) => "a number".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
        Value::Empty(_, Empty::Unit) => "a date or time".to_owned(),
        Value::Char(..) | Value::Empty(..) => "nothing".to_owned(),
    }
}
