//! `[apps.*.headers]`: which claims an app gets, under which names, written how.

use std::collections::BTreeMap;

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{Header, HeaderTable};
use crate::identity::encoding::Encoding;
use crate::identity::mapping::{HeaderMapping, HeaderSpec, IdentityHeader, Source, TokenKind, same_name};

/// The headers of an app that names none.
const DEFAULTS: [(&str, &str); 6] = [
    ("X-Auth-Sub", "sub"),
    ("X-Auth-Email", "email"),
    ("X-Auth-Name", "name"),
    ("X-Auth-Given-Name", "given_name"),
    ("X-Auth-Family-Name", "family_name"),
    ("X-Auth-Phone-Number", "phone_number"),
];

const ENCODINGS: [(&str, Encoding); 8] = [
    ("utf8", Encoding::Utf8),
    ("latin1", Encoding::Latin1),
    ("percent", Encoding::Percent),
    ("base64", Encoding::Base64),
    ("rfc2047", Encoding::Rfc2047),
    ("rfc2047-q", Encoding::Rfc2047Q),
    ("rfc8187", Encoding::Rfc8187),
    ("json", Encoding::Json),
];

impl Judge<'_> {
    /// The mapping of an app.
    pub(super) fn headers(
        &mut self,
        at: &KeyPath,
        raw: Option<&BTreeMap<String, Header>>,
    ) -> Option<HeaderMapping> {
        let Some(raw) = raw else {
            let defaults = DEFAULTS.map(|(name, claim)| spec(name, Source::Claim(claim.to_owned())));
            let compiled = defaults.into_iter().map(|spec| self.compile(at, at, spec)).collect::<Vec<_>>();
            return compiled.into_iter().collect::<Option<_>>().map(HeaderMapping::new);
        };
        let entries = self.in_order(at, raw);
        let mut compiled = Vec::new();
        for (number, (path, name, header)) in entries.iter().enumerate() {
            let twin = entries.iter().take(number).find(|(_, other, _)| same_name(other, name));
            if let Some((_, twin, _)) = twin {
                // SECURITY: of two names that an app reads as one, it may take the wrong one.
                let finding = Finding::invalid(format!("can be read as {twin} by an app"));
                let mend = "give them names that differ in letters or digits";
                compiled.push(self.refuse(path, finding.found(name.to_string()).mend(mend)));
            } else {
                compiled.push(self.header(path, name, header));
            }
        }
        compiled.into_iter().collect::<Option<_>>().map(HeaderMapping::new)
    }

    fn header(&mut self, at: &KeyPath, name: &str, raw: &Header) -> Option<IdentityHeader> {
        match raw {
            Header::Claim(claim) => self.compile(at, at, spec(name, Source::Claim(claim.clone()))),
            Header::Table(table) => {
                let (key, source) = self.source(at, table)?;
                let encoding = table.encode.as_deref();
                let encoding = self.choice(&at.key("encode"), encoding, Encoding::Utf8, &ENCODINGS);
                let (join, default, required) = (table.join.clone(), table.default.clone(), table.required);
                let spec = HeaderSpec {
                    name: name.to_owned(),
                    source,
                    encoding: encoding?,
                    join,
                    default,
                    required,
                };
                self.compile(at, &at.key(key), spec)
            }
        }
    }

    /// The one source of a value, and the key that names it.
    fn source(&mut self, at: &KeyPath, table: &HeaderTable) -> Option<(&'static str, Source)> {
        let token = table.token.as_deref().map(|token| {
            let kinds = [("access", Some(TokenKind::Access)), ("id", Some(TokenKind::Id))];
            self.choice(&at.key("token"), Some(token), None, &kinds).flatten()
        });
        let sources = [
            ("claim", table.claim.clone().map(Source::Claim)),
            ("template", table.template.clone().map(Source::Template)),
            ("expr", table.expr.clone().map(Source::Expression)),
            ("value", table.value.clone().map(Source::Constant)),
            ("token", token.flatten().map(Source::Token)),
        ];
        let mut given: Vec<_> =
            sources.into_iter().filter_map(|(key, source)| Some((key, source?))).collect();
        if given.len() == 1 {
            return given.pop();
        }
        if !self.report.is_blamed(at) {
            let names: Vec<_> = given.iter().map(|(key, _)| *key).collect();
            let found = if names.is_empty() { "none of them".to_owned() } else { names.join(" and ") };
            let finding = Finding::invalid("needs one source").found(found);
            self.report.add(at, finding.expected("one of claim, template, expr, value, token"));
        }
        None
    }

    fn compile(&mut self, at: &KeyPath, source: &KeyPath, described: HeaderSpec) -> Option<IdentityHeader> {
        let name = described.name.clone();
        let error = match IdentityHeader::compile(described) {
            Ok(header) => return Some(header),
            Err(error) => error,
        };
        // With any source, a wrong name stays wrong: then it is to blame.
        let plain = spec(&name, Source::Claim("sub".to_owned()));
        let path = if IdentityHeader::compile(plain).is_ok() { source } else { at };
        self.refuse(path, Finding::invalid(format!("can't be used: {error}")))
    }
}

fn spec(name: &str, source: Source) -> HeaderSpec {
    let encoding = Encoding::Utf8;
    HeaderSpec { name: name.to_owned(), source, encoding, join: None, default: None, required: false }
}
