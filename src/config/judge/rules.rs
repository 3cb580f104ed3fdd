//! `[[apps.*.rules]]`: who may enter, by path and method.

use http::Method;

use super::Judge;
use super::values::{DAY, MINUTE};
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{App, OneOrMany, Raw, Rule as RawRule};
use crate::config::source::shown;
use crate::identity::access::{Access, AccessRules, Rule, RuleSpec, Strength};

impl Judge<'_> {
    /// The rules of an app.
    pub(super) fn rules(&mut self, at: &KeyPath, app: &App, all: &Raw) -> Option<AccessRules> {
        let each = app.rules.iter().enumerate().map(|(number, raw)| {
            let at = at.index(number);
            self.token_provider(&at.key("provider"), raw, app, all);
            self.rule(&at, raw)
        });
        each.collect::<Vec<_>>().into_iter().collect::<Option<_>>().map(AccessRules::new)
    }

    fn rule(&mut self, at: &KeyPath, raw: &RawRule) -> Option<Rule> {
        let paths = self.not_empty(&at.key("paths"), raw.paths.as_deref());
        let methods = self.not_empty(&at.key("methods"), raw.methods.as_deref());
        let methods = methods.and_then(|methods| self.methods(&at.key("methods"), methods));
        let access = self.rule_access(&at.key("access"), raw.access.as_deref());
        let strength = self.strength(at, raw);
        let allow = raw.allow.clone();
        if access == Some(Access::Public) && allow.is_some() {
            // SECURITY: on a public path nobody is asked, so a condition there would protect nothing.
            let finding = Finding::invalid("contradicts access = \"public\"");
            self.report.add(&at.key("allow"), finding.mend("take out access to ask for sign-in, or allow"));
        }
        let scopes = self.token_scopes(&at.key("scopes"), raw, access);
        let strengths = [("acr", raw.acr.is_some()), ("max_age", raw.max_age.is_some())];
        for (key, _) in strengths.into_iter().filter(|(_, there)| *there && access == Some(Access::Public)) {
            let finding = Finding::invalid("contradicts access = \"public\"");
            self.report
                .add(&at.key(key), finding.mend(format!("take out access to ask for sign-in, or {key}")));
        }
        for (key, there) in strengths {
            if there && access == Some(Access::Bearer) {
                let finding = Finding::invalid("contradicts access = \"bearer\"");
                self.report.add(&at.key(key), finding.mend("take it out: a token's holder does not sign in"));
            }
        }
        // With a part that is wrong, the others are tried all the same.
        let right = paths.is_some() && methods.is_some() && access.is_some() && strength.is_some();
        let strength = strength.flatten().filter(|_| access != Some(Access::Bearer));
        let conditions = allow.is_some() || strength.is_some();
        let access = match access.unwrap_or_default() {
            Access::Public if conditions => Access::SignedIn,
            access => access,
        };
        let (paths, methods) = (paths.unwrap_or_default().to_vec(), methods.unwrap_or_default());
        let provider = raw.provider.clone();
        let spec = RuleSpec { paths, methods, access, allow, strength, scopes, provider };
        let rule = self.compile_rule(at, spec);
        let blamed = ["allow", "acr", "max_age"].iter().any(|key| self.report.is_blamed(&at.key(key)));
        rule.filter(|_| right && !blamed)
    }

    /// The scopes that an access token must have.
    fn token_scopes(&mut self, at: &KeyPath, raw: &RawRule, access: Option<Access>) -> Vec<String> {
        if !raw.scopes.is_empty() && access.is_some_and(|access| access != Access::Bearer) {
            let finding =
                Finding::invalid("needs access = \"bearer\"").found("a rule for people who sign in");
            self.report.add(at, finding.mend("set access = \"bearer\", or take scopes out"));
            return Vec::new();
        }
        for (number, scope) in raw.scopes.iter().enumerate() {
            // RFC 6749 section 3.3
            let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            if scope.is_empty() || !scope.bytes().all(fits) {
                let finding = Finding::invalid("is not one scope").found(format!("{:?}", shown(scope)));
                self.report.add(&at.index(number), finding.expected("one word, such as \"read\""));
            }
        }
        raw.scopes.clone()
    }

    /// The provider that an access token must come from: one of the app's.
    fn token_provider(&mut self, at: &KeyPath, raw: &RawRule, app: &App, all: &Raw) {
        let Some(name) = raw.provider.as_deref() else { return };
        let found = format!("{:?}", shown(name));
        if raw.access.as_deref() != Some("bearer") {
            let finding = Finding::invalid("needs access = \"bearer\"").found(found);
            self.report.add(at, finding.mend("set access = \"bearer\", or take provider out"));
        } else if !all.providers.contains_key(name) {
            self.unknown_provider(at, name, all);
        } else if app.provider.as_ref().is_some_and(|named| !named.as_slice().iter().any(|one| one == name)) {
            let finding = Finding::invalid("is no provider of this app").found(found);
            self.report.add(at, finding.mend("name one of apps.*.provider, or add it there"));
        }
    }

    /// How strongly and how lately a person must have signed in.
    fn strength(&mut self, at: &KeyPath, raw: &RawRule) -> Option<Option<Strength>> {
        let acr = match raw.acr.as_deref() {
            Some(acr) if acr.split_ascii_whitespace().next().is_none() => {
                let finding =
                    Finding::invalid("is empty").expected("a value, or several with spaces between");
                self.refuse(&at.key("acr"), finding.mend("take it out to ask for no acr"))
            }
            acr => Some(acr.map(str::to_owned)),
        };
        // Less than a minute would be over before the page is there, or by the clocks alone.
        let max_age = raw
            .max_age
            .as_deref()
            .map(|text| self.duration(&at.key("max_age"), Some(text), DAY, MINUTE..=365 * DAY));
        let max_age = max_age.map_or(Some(None), |max_age| max_age.map(Some));
        Some(Strength::new(acr?, max_age?))
    }

    /// Without an ID token nobody says how a person signed in, and when.
    pub(super) fn strength_can_be_known(&mut self, at: &KeyPath, app: &App, all: &Raw) {
        let named = app.provider.as_ref().map(OneOrMany::as_slice);
        let without = all.providers.iter().find(|(name, provider)| {
            provider.protocol.as_deref() == Some("oauth2") && named.is_none_or(|named| named.contains(name))
        });
        let Some((provider, _)) = without else { return };
        for (number, rule) in app.rules.iter().enumerate() {
            let strengths = [("acr", rule.acr.is_some()), ("max_age", rule.max_age.is_some())];
            for (key, _) in strengths.into_iter().filter(|(_, there)| *there) {
                let found = format!("protocol = \"oauth2\" of {:?}", shown(provider));
                let finding = Finding::invalid("needs a provider with ID tokens").found(found);
                let mend =
                    format!("take out {key}, or let the app's people sign in with OpenID Connect alone");
                self.report.add(&at.index(number).key(key), finding.mend(mend));
            }
        }
    }

    fn rule_access(&mut self, at: &KeyPath, text: Option<&str>) -> Option<Access> {
        self.choice(at, text, Access::SignedIn, &[("public", Access::Public), ("bearer", Access::Bearer)])
    }

    /// A list that is left out means all; one that is written must name something.
    fn not_empty<'v>(&mut self, at: &KeyPath, list: Option<&'v [String]>) -> Option<&'v [String]> {
        match list {
            Some([]) => self.refuse(at, Finding::invalid("is empty").mend("take it out to mean all")),
            list => Some(list.unwrap_or_default()),
        }
    }

    fn methods(&mut self, at: &KeyPath, names: &[String]) -> Option<Vec<Method>> {
        let each = names.iter().enumerate().map(|(number, name)| {
            let known = Method::from_bytes(name.as_bytes()).ok();
            known.filter(|_| !name.bytes().any(|byte| byte.is_ascii_lowercase())).or_else(|| {
                let finding = Finding::invalid("is not a method").found(format!("{:?}", shown(name)));
                let mend = format!("write {:?}", shown(&name.to_ascii_uppercase()));
                self.refuse(&at.index(number), finding.expected("a method such as \"GET\"").mend(mend))
            })
        });
        each.collect::<Vec<_>>().into_iter().collect()
    }

    /// Compiles a rule; when it is refused, its parts are tried alone, to say which of them is wrong.
    fn compile_rule(&mut self, at: &KeyPath, spec: RuleSpec) -> Option<Rule> {
        let error = match Rule::compile(spec.clone()) {
            Ok(rule) => return Some(rule),
            Err(error) => error,
        };
        let mut told = false;
        for (number, path) in spec.paths.iter().enumerate() {
            let alone = RuleSpec { paths: vec![path.clone()], ..RuleSpec::default() };
            if let Err(error) = Rule::compile(alone) {
                let finding =
                    Finding::invalid(format!("can't be used: {error}")).found(format!("{:?}", shown(path)));
                self.report.add(&at.key("paths").index(number), finding);
                told = true;
            }
        }
        let allow = RuleSpec { allow: spec.allow.clone(), ..RuleSpec::default() };
        if let (Some(allow), Err(error)) = (spec.allow, Rule::compile(allow)) {
            let finding = Finding::invalid(format!("can't be used: {error}")).found(shown(&allow));
            self.report.add(&at.key("allow"), finding);
            told = true;
        }
        if !told {
            self.report.add(at, Finding::invalid(format!("can't be used: {error}")));
        }
        None
    }
}
