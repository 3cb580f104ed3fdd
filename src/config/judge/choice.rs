//! Which providers an app's people choose from: `provider` of an app, `label` and `domains` of a provider.

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{OneOrMany, Provider, Raw};
use crate::config::schema::nearest;
use crate::config::source::shown;
use crate::foundation::origin::fold_domain;
use crate::gateway::App;
use crate::oidc::Settings;

/// The longest label: it stands on a button.
const LONGEST_LABEL: usize = 64;

impl Judge<'_> {
    /// The names of an app's providers: those that it lists, else all there are, in the order of the file.
    pub(super) fn app_providers(
        &mut self,
        at: &KeyPath,
        raw: Option<&OneOrMany<String>>,
        all: &Raw,
    ) -> Option<Vec<String>> {
        let Some(raw) = raw else {
            let all = self.in_order(&KeyPath::root().key("providers"), &all.providers);
            let names: Vec<String> = all.into_iter().map(|(_, name, _)| name.to_owned()).collect();
            // Without any provider, that is the problem that is told.
            return (!names.is_empty()).then_some(names);
        };
        let names = raw.as_slice();
        if names.is_empty() {
            let mend = "name one provider or several, or take it out for all there are";
            return self.refuse(at, Finding::invalid("is empty").mend(mend));
        }
        let is_list = matches!(raw, OneOrMany::Many(_));
        let place = |number: usize| if is_list { at.index(number) } else { at.clone() };
        let mut right = true;
        for (number, name) in names.iter().enumerate() {
            if names.iter().take(number).any(|before| before == name) {
                let finding = Finding::invalid("stands twice").found(format!("{:?}", shown(name)));
                self.report.add(&place(number), finding.mend("take one of them out"));
                right = false;
            } else if !all.providers.contains_key(name) {
                self.unknown_provider(&place(number), name, all);
                right = false;
            }
        }
        right.then(|| names.to_vec())
    }

    pub(super) fn unknown_provider(&mut self, at: &KeyPath, name: &str, all: &Raw) {
        if self.report.is_blamed(&KeyPath::root().key("providers").key(name)) {
            return;
        }
        let names = || all.providers.keys().map(String::as_str);
        let mend = nearest(name, names()).map_or_else(
            || format!("add [providers.{}]", shown(name)),
            |meant| format!("did you mean {meant:?}?"),
        );
        let finding = Finding::invalid("names no provider").found(format!("{:?}", shown(name)));
        self.report.add(at, finding.expected(names().collect::<Vec<_>>().join(", ")).mend(mend));
    }

    /// What people read where they choose.
    pub(super) fn label(&mut self, at: &KeyPath, raw: &Provider) -> Option<Option<String>> {
        let Some(label) = raw.label.as_deref() else { return Some(None) };
        let length = label.chars().count();
        if (1..=LONGEST_LABEL).contains(&length)
            && label.trim() == label
            && !label.chars().any(char::is_control)
        {
            return Some(Some(label.to_owned()));
        }
        let finding = Finding::invalid("is not a label to read").found(format!("{:?}", shown(label)));
        let expected = format!("1 to {LONGEST_LABEL} characters, no line breaks");
        self.refuse(at, finding.expected(expected).mend("write what people call it"))
    }

    /// The domains of the e-mail addresses of a provider's people, folded.
    pub(super) fn domains(&mut self, at: &KeyPath, raw: &Provider) -> Option<Vec<String>> {
        let mut right = true;
        let mut domains: Vec<String> = Vec::new();
        for (number, text) in raw.domains.iter().enumerate() {
            let found = format!("{:?}", shown(text));
            let problem = match fold_domain(text) {
                None => {
                    let finding = Finding::invalid("is not the domain of e-mail addresses").found(found);
                    finding.expected("what stands behind the @, such as \"school.ru\"")
                }
                Some(domain) if domains.contains(&domain) => {
                    Finding::invalid("stands twice").found(found).mend("take one of them out")
                }
                Some(domain) => {
                    domains.push(domain);
                    continue;
                }
            };
            self.report.add(&at.index(number), problem);
            right = false;
        }
        right.then_some(domains)
    }

    /// What the providers of one app owe each other: names that can stand in an address, and domains of their
    /// own.
    pub(super) fn choices(&mut self, apps: &[&App], providers: &[Settings]) {
        let at = KeyPath::root().key("providers");
        for app in apps.iter().filter(|app| app.providers.len() > 1) {
            let chosen = app.providers.iter().filter_map(|name| {
                let provider = providers.iter().find(|provider| provider.name == *name)?;
                Some((at.key(name), provider))
            });
            let chosen: Vec<(KeyPath, &Settings)> = chosen.collect();
            for (path, provider) in &chosen {
                if !is_plain(&provider.name) && !self.report.is_blamed(path) {
                    let finding = Finding::invalid(format!(
                        "has a name that can't stand in an address, as {:?} has several providers",
                        app.name
                    ));
                    let finding = finding.expected("letters, digits and - . _ ~");
                    self.report.add(path, finding.mend("rename it, and set label to what people read"));
                }
            }
            for (number, (path, provider)) in chosen.iter().enumerate() {
                let path = path.key("domains");
                let others = || chosen.iter().take(number).map(|(_, other)| *other);
                let taken = provider.domains.iter().find_map(|domain| {
                    Some((domain, others().find(|other| other.domains.contains(domain))?))
                });
                if let Some((domain, other)) = taken.filter(|_| !self.report.is_blamed(&path)) {
                    // SECURITY: an address must not lead to one provider today and to another tomorrow.
                    let finding = Finding::invalid(format!(
                        "has a domain of {:?}, and {:?} lets people choose from both",
                        other.name, app.name
                    ));
                    let mend = "leave each domain to one of them";
                    self.report.add(&path, finding.found(format!("{domain:?}")).mend(mend));
                }
            }
        }
    }
}

/// Whether a name can stand in a path and in a cookie as it is.
fn is_plain(name: &str) -> bool {
    !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}
