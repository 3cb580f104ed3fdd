//! The configuration file: its bytes, its TOML, and where each value stands in it.
//!
//! TOML is parsed here rather than by figment, which gives no places and stops at the first error.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use figment::value::{Dict, Empty, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{KeyPath, Place, Places};
use super::problem::{Fault, Finding, Problems};
use super::report::Report;
use super::schema::{self, Key, Kind};
use super::source::Source;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// More errors of syntax follow from the first ones.
const MOST_ERRORS: usize = 20;

const MEND: &str = "text stands in quotes, each key once in its table, each bracket in a pair";

/// Reads the text of the file.
///
/// # Errors
/// When it is not there, no file, too large or not UTF-8.
pub(super) fn read(path: &Path) -> Result<Source, Problems> {
    let name = path.display().to_string();
    let refuse = |why: String, mend: &str| {
        let source = Source { name: name.clone(), ..Source::default() };
        let finding = Finding::new(Fault::Unreadable(why)).mend(mend);
        Problems::from(finding.about_file(&source, None))
    };
    if path.is_dir() {
        return Err(refuse("is a directory".to_owned(), "name the configuration file in it"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(format!("can't be read: {error}"), "name the file with --config PATH"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse("is larger than 1 MiB".to_owned(), "a configuration is a few kilobytes of TOML"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|&&byte| byte == b'\n').count() + 1;
        refuse(
            format!("is not UTF-8: line {line} holds other bytes"),
            "save it as UTF-8 without a byte order mark",
        )
    })?;
    Ok(Source { name, text, hidden: Vec::new() })
}

/// Parses the text; notes the places of all values and what may not be shown. `None` after syntax errors,
/// of which all that the parser can tell apart are reported.
pub(super) fn parse(report: &mut Report) -> Option<Dict> {
    let text = report.source.text.clone();
    let (document, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        if let Some(span) = error.span() {
            report.source.hide_line(span.start, |key| {
                let last = key.rsplit('.').next().unwrap_or(key).trim();
                schema::KEYS.iter().any(|known| known.name() == last)
            });
        }
    }
    for error in errors.iter().take(MOST_ERRORS) {
        let finding = Finding::new(Fault::Syntax(error.message().to_owned())).mend(MEND);
        report.add_to_file(finding, error.span());
    }
    if !errors.is_empty() {
        return None;
    }
    let mut reader =
        Reader { places: &mut report.places, hidden: &mut report.source.hidden, from: From::File };
    Some(reader.table(&KeyPath::root(), Some(&schema::ROOT), document.get_ref()))
}

/// Parses one value in TOML's notation, as it stands in the environment variable `name`.
pub(super) fn parse_value(text: &str, path: &KeyPath, name: &str, places: &mut Places) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    let mut reader = Reader { places, hidden: &mut Vec::new(), from: From::Variable(name) };
    Some(reader.value(path, None, Sight::Shown, &value))
}

/// Where the text that is read came from.
enum From<'a> {
    File,
    Variable(&'a str),
}

struct Reader<'a> {
    places: &'a mut Places,
    hidden: &'a mut Vec<Range<usize>>,
    from: From<'a>,
}

/// Whether a value may be shown in a problem.
#[derive(Clone, Copy)]
enum Sight {
    Shown,
    Hidden,
}

impl Reader<'_> {
    fn table(&mut self, at: &KeyPath, key: Option<&'static Key>, table: &DeTable<'_>) -> Dict {
        let mut dict = Dict::new();
        for (name, value) in table {
            let path = at.key(name.get_ref());
            let child = key.and_then(|key| key.child(name.get_ref()));
            let hidden = match child {
                Some(child) => child.is_secret(name.get_ref()),
                // `{ env = "NAME" }` names the secret's place, which is none itself.
                None if key.is_some_and(Key::is_secret_reference) => {
                    !matches!(name.get_ref().as_ref(), "env" | "file") || !value.get_ref().is_str()
                }
                None => key.is_none_or(|key| key.may_mean_secret(name.get_ref())),
            };
            let sight = if hidden { Sight::Hidden } else { Sight::Shown };
            self.note(&path, Some(name.span()), value);
            dict.insert(name.get_ref().to_string(), self.value(&path, child, sight, value));
        }
        dict
    }

    fn value(
        &mut self,
        at: &KeyPath,
        key: Option<&'static Key>,
        sight: Sight,
        value: &Spanned<DeValue<'_>>,
    ) -> Value {
        let hidden = match (sight, value.get_ref()) {
            (_, DeValue::Table(_) | DeValue::Array(_)) => false,
            (Sight::Hidden, _) => true,
            // SECURITY: a login stands before the `@`, however the rest of the address is misspelt.
            (Sight::Shown, DeValue::String(text)) => {
                text.contains('@') && key.is_some_and(|key| key.kind == Kind::Address)
            }
            (Sight::Shown, _) => false,
        };
        if hidden {
            self.hidden.push(value.span());
        }
        match value.get_ref() {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(flag) => Value::from(*flag),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::from(f64::INFINITY), Value::from),
            DeValue::Float(number) => Value::from(number.as_str().parse().unwrap_or(f64::NAN)),
            // figment has no dates, and no key is one: a value that every key refuses.
            DeValue::Datetime(_) => Value::from(Empty::Unit),
            DeValue::Table(table) => Value::from(self.table(at, key, table)),
            DeValue::Array(elements) => {
                let each = elements.iter().enumerate().map(|(index, element)| {
                    let path = at.index(index);
                    self.note(&path, None, element);
                    self.value(&path, key, sight, element)
                });
                Value::from(each.collect::<Vec<_>>())
            }
        }
    }

    fn note(&mut self, path: &KeyPath, key: Option<Range<usize>>, value: &Spanned<DeValue<'_>>) {
        let place = match (&self.from, key) {
            (From::Variable(name), _) => Place::Variable((*name).to_owned()),
            // A table's own place is its key: under a header it has no other.
            (From::File, Some(key)) if value.get_ref().is_table() => Place::File { value: key.clone(), key },
            (From::File, Some(key)) => Place::File { key, value: value.span() },
            (From::File, None) => Place::File { key: value.span(), value: value.span() },
        };
        self.places.note(path.clone(), place);
    }
}
