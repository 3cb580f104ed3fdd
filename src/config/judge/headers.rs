//! `[apps.*.headers]`: which claims an app gets, under which names, written how.

use std::collections::BTreeMap;

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{App, Header, HeaderTable};
use crate::config::source::shown;
use crate::gateway::IdentityJwt;
use crate::identity::encoding::Encoding;
use crate::identity::mapping::{HeaderMapping, HeaderSpec, IdentityHeader, Source, TokenKind, same_name};

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

/// The header of the signed statement, where none is named.
const STATEMENT: &str = "X-Auth-Jwt";

impl Judge<'_> {
    /// The mapping of an app.
    pub(super) fn headers(
        &mut self,
        at: &KeyPath,
        raw: Option<&BTreeMap<String, Header>>,
    ) -> Option<HeaderMapping> {
        let Some(raw) = raw else { return Some(HeaderMapping::default_set()) };
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

    /// The signed statement beside an app's headers. `app` is the app's name, which an audience is left out for.
    pub(super) fn identity_jwt(
        &mut self,
        at: &KeyPath,
        raw: &App,
        headers: Option<HeaderMapping>,
        app: Option<&str>,
    ) -> Option<(HeaderMapping, Option<IdentityJwt>)> {
        let Some(wanted) = &raw.identity_jwt else { return Some((headers?, None)) };
        let audience = wanted.audience.as_deref();
        if audience.is_some_and(|audience| audience.trim().is_empty()) {
            let finding = Finding::invalid("is empty").expected("what the app is called in `aud`");
            self.report.add(&at.key("audience"), finding.mend("take it out to mean the app's name here"));
        }
        let name = wanted.header.as_deref().unwrap_or(STATEMENT);
        match headers.unwrap_or_default().with_statement(name) {
            Ok((headers, header)) => {
                let audience = audience.or(app)?.to_owned();
                Some((headers, Some(IdentityJwt { header, audience })))
            }
            Err(error) => {
                let finding = Finding::invalid(format!("can't be used: {error}")).found(shown(name));
                self.refuse(&at.key("header"), finding.mend("choose another name"))
            }
        }
    }

    fn header(&mut self, at: &KeyPath, name: &str, raw: &Header) -> Option<IdentityHeader> {
        match raw {
            Header::Claim(claim) => self.compile(at, at, spec(name, Source::Claim(claim.clone()))),
            Header::Table(table) => {
                let encoding = table.encode.as_deref();
                let encoding = self.choice(&at.key("encode"), encoding, Encoding::Utf8, &ENCODINGS);
                let source = self.source(at, table);
                let (join, default, required) = (table.join.clone(), table.default.clone(), table.required);
                // With a part that is wrong, the others are tried all the same.
                let right = encoding.is_some() && source.is_some();
                let (key, source) = source.unwrap_or_else(|| ("claim", Source::Claim("sub".to_owned())));
                let (name, encoding) = (name.to_owned(), encoding.unwrap_or_default());
                let spec = HeaderSpec { name, source, encoding, join, default, required };
                self.compile(at, &at.key(key), spec).filter(|_| right)
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

    /// Compiles a header; what it is refused for is found by leaving one part after the other out.
    fn compile(&mut self, at: &KeyPath, source: &KeyPath, described: HeaderSpec) -> Option<IdentityHeader> {
        if let Some(path) = claims_of(&described.source).into_iter().find(|path| has_empty_part(path)) {
            let finding =
                Finding::invalid("names a claim with an empty part").found(format!("{:?}", shown(path)));
            let mend = "write the names of nested claims with one dot between them, such as address.locality";
            return self.refuse(source, finding.mend(mend));
        }
        let error = match IdentityHeader::compile(described.clone()) {
            Ok(header) => return Some(header),
            Err(error) => error,
        };
        let mends = |spec: HeaderSpec| IdentityHeader::compile(spec).is_ok();
        let path = if !mends(spec(&described.name, Source::Claim("sub".to_owned()))) {
            at.clone()
        } else if described.join.is_some() && mends(HeaderSpec { join: None, ..described.clone() }) {
            at.key("join")
        } else if described.default.is_some() && mends(HeaderSpec { default: None, ..described.clone() }) {
            at.key("default")
        } else if mends(HeaderSpec { encoding: Encoding::default(), ..described }) {
            at.key("encode")
        } else {
            source.clone()
        };
        self.refuse(&path, Finding::invalid(format!("can't be used: {error}")))
    }
}

/// The paths of claims that a source names.
fn claims_of(source: &Source) -> Vec<&str> {
    match source {
        Source::Claim(path) => vec![path],
        Source::Template(template) => {
            let named = template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.trim()));
            named.filter(|name| !name.is_empty()).collect()
        }
        _ => Vec::new(),
    }
}

/// `a..b`, `.a` and `a.` name nothing that a provider sends.
fn has_empty_part(path: &str) -> bool {
    !path.trim().is_empty() && path.split('.').any(|part| part.trim().is_empty())
}

fn spec(name: &str, source: Source) -> HeaderSpec {
    let encoding = Encoding::Utf8;
    HeaderSpec { name: name.to_owned(), source, encoding, join: None, default: None, required: false }
}
