//! The environment as a source of the configuration: `VESTIBULE_SESSION__LIFETIME=12h`.
//!
//! Two underscores stand between levels; names are folded to lower case. A value is taken as it is written
//! unless its key is a flag, a number, a list or a table: those are written as in the file.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::file;
use super::place::{KeyPath, Place, Step};
use super::problem::Finding;
use super::report::Report;
use super::schema::{self, Key, Kind};

const PREFIX: &str = "VESTIBULE_";

/// The environment of this process. What is not UTF-8 comes with U+FFFD in it, which no value may hold.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// Reads the variables that name keys. `file` is what the file says: names of the administrator's choosing
/// are recognised there, and a secret that a variable sets is taken out of it as a whole.
pub(super) fn layer(report: &mut Report, variables: &BTreeMap<String, String>, file: &mut Dict) -> Dict {
    let mut layer = Dict::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| !is_service_link(rest)) else { continue };
        let Located { path, key, secret, others } = locate(rest, file);
        let place = Place::Variable(name.clone());
        let taken = matches!(report.places.of(&path), Some(Place::Variable(_)));
        let kind = key.map_or(Kind::Text, |key| key.kind);
        let value = typed(kind, text, |text| file::parse_value(text, &path, name, &mut report.places));
        for around in path.around() {
            report.places.note_new(around, place.clone());
        }
        report.places.note(path.clone(), place);
        if let Some(other) = others {
            let finding = Finding::invalid(format!("could also be meant for {other:?}"));
            report.add(&path, finding.mend("set it in the file, or give the two names that differ by more"));
        } else if text.contains('\u{fffd}') {
            let finding = Finding::invalid("holds bytes that are not UTF-8");
            report.add(&path, finding.mend("write the variable in UTF-8"));
        } else if taken || !insert(&mut layer, path.steps(), value) {
            let finding = Finding::invalid("is set by more than one variable");
            report.add(&path, finding.mend("unset all of them but one"));
        } else if let Some(secret) = secret {
            // A secret is one value even where its notation is a table: the variable's replaces the file's.
            remove(file, secret.steps());
        }
    }
    layer
}

/// Kubernetes sets such variables in every pod for a service that is called like us; they are not ours.
fn is_service_link(rest: &str) -> bool {
    let after_port = rest.strip_prefix("PORT_").or_else(|| Some(rest.split_once("_PORT_")?.1));
    let numbered = after_port.is_some_and(|after| after.starts_with(|first: char| first.is_ascii_digit()));
    let ends = |end| rest.strip_suffix(end).is_some_and(|name| name.is_empty() || name.ends_with('_'));
    let named = ["SERVICE_HOST", "SERVICE_PORT", "PORT"].into_iter().any(ends);
    let port_named = rest.starts_with("SERVICE_PORT_") || rest.contains("_SERVICE_PORT_");
    !rest.contains("__") && (numbered || named || port_named)
}

/// What a variable's name means.
struct Located {
    path: KeyPath,
    key: Option<&'static Key>,
    /// The secret at or around it.
    secret: Option<KeyPath>,
    /// Another name of the file that it could mean as well.
    others: Option<String>,
}

fn locate(rest: &str, file: &Dict) -> Located {
    let mut located = Located { path: KeyPath::root(), key: Some(&schema::ROOT), secret: None, others: None };
    let mut table = Some(file);
    for segment in rest.split("__") {
        let folded = segment.to_ascii_lowercase();
        let child = located.key.and_then(|key| key.child(&folded));
        let mut name = folded.clone();
        if child.is_some_and(|child| child.name() == "*") {
            let alike = |name: &&String| name.to_ascii_lowercase().replace('-', "_") == folded;
            let mut names = table.iter().flat_map(|table| table.keys()).filter(alike);
            (name, located.others) = (
                names.next().cloned().unwrap_or_else(|| folded.clone()),
                located.others.or_else(|| names.next().cloned()),
            );
        }
        located.path = located.path.key(&name);
        table = table.and_then(|table| table.get(&name)).and_then(Value::as_dict);
        if child.is_some_and(|child| child.kind == Kind::Secret) {
            located.secret = Some(located.path.clone());
        }
        located.key = child;
    }
    located
}

/// The value that a text means for a key of this type; text that does not fit stays text, and the walk says
/// what is expected.
fn typed(kind: Kind, text: &str, toml: impl FnOnce(&str) -> Option<Value>) -> Value {
    let parsed = match kind {
        Kind::Text | Kind::HiddenText | Kind::Address | Kind::Duration | Kind::Secret => None,
        Kind::Flag => text.parse::<bool>().ok().map(Value::from),
        Kind::Number => text.parse::<u64>().ok().map(Value::from),
        Kind::TextOrTexts if !text.trim_start().starts_with('[') => None,
        Kind::TextOrTable if !text.trim_start().starts_with('{') => None,
        _ => toml(text.trim()),
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

/// Puts a value in its place; `false` when another value stands there or in the way.
fn insert(table: &mut Dict, steps: &[Step], value: Value) -> bool {
    match steps {
        [Step::Name(name)] if !table.contains_key(name) => {
            table.insert(name.clone(), value);
            true
        }
        [Step::Name(name), below @ ..] if !below.is_empty() => {
            match table.entry(name.clone()).or_insert_with(|| Value::from(Dict::new())) {
                Value::Dict(_, table) => insert(table, below, value),
                _ => false,
            }
        }
        _ => false,
    }
}

fn remove(table: &mut Dict, steps: &[Step]) {
    match steps {
        [Step::Name(name)] => {
            table.remove(name);
        }
        [Step::Name(name), below @ ..] => {
            if let Some(Value::Dict(_, table)) = table.get_mut(name) {
                remove(table, below);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_is_not_ours() {
        for (rest, link) in [
            ("SERVICE_HOST", true),
            ("ADMIN_SERVICE_PORT", true),
            ("SERVICE_PORT_HTTP", true),
            ("PORT", true),
            ("PORT_4180_TCP", true),
            ("PORT_4180_TCP_ADDR", true),
            ("PORT_4180_TCP_PORT", true),
            ("PORT_4180_TCP_PROTO", true),
            ("ADMIN_PORT", true),
            ("ADMIN_PORT_9180_TCP", true),
            ("SUPPORT", false),
            ("EXPORT_4", false),
            ("MYSERVICE_PORT", true),
            ("SESSION_LIFETIME", false),
            ("SESSION__LIFETIME", false),
            ("SERVER__PORT", false),
        ] {
            assert_eq!(is_service_link(rest), link, "{rest}");
        }
    }

    #[test]
    fn values_stay_as_written_unless_their_key_has_another_type() {
        let toml = |_: &str| Some(Value::from("parsed"));
        for (kind, text, expected) in [
            (Kind::Text, "0123", Value::from("0123")),
            (Kind::Secret, "{ env = \"X\" }", Value::from("{ env = \"X\" }")),
            (Kind::Flag, "true", Value::from(true)),
            (Kind::Flag, "yes", Value::from("yes")),
            (Kind::Number, "12", Value::from(12_u64)),
            (Kind::TextOrTexts, "127.0.0.1:1", Value::from("127.0.0.1:1")),
            (Kind::TextOrTexts, "[\"a\"]", Value::from("parsed")),
            (Kind::Texts, "a", Value::from("parsed")),
        ] {
            assert_eq!(typed(kind, text, toml), expected);
        }
    }
}
