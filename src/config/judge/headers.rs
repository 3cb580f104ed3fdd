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

/// Headers that say how a request is framed, routed or forwarded: the gateway's own business.
const OWN_HEADERS: [&str; 20] = [
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Expect",
    "Forwarded",
    "Host",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
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
            let own = OWN_HEADERS.iter().find(|own| same_name(own, name));
            if let Some((_, twin, _)) = twin {
                // SECURITY: of two names that an app reads as one, it may take the wrong one.
                let finding = Finding::invalid(format!("can be read as {twin} by an app"));
                let mend = "give them names that differ in letters or digits";
                compiled.push(self.refuse(path, finding.found(name.to_string()).mend(mend)));
            } else if let Some(own) = own {
                // SECURITY: a claim must not frame or route a request.
                let finding =
                    Finding::invalid(format!("would stand for {own}, which the gateway sets itself"));
                compiled.push(self.refuse(path, finding.mend("give it another name")));
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
                let fits = self.additions(at, table, &source);
                let (join, default, required) = (table.join.clone(), table.default.clone(), table.required);
                let spec = HeaderSpec {
                    name: name.to_owned(),
                    source,
                    encoding: encoding?,
                    join,
                    default,
                    required,
                };
                fits?;
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
        if given.len() == 1 && (table.token.is_none() || token.is_some()) {
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

    /// Whether what is said besides the source has a meaning for it.
    fn additions(&mut self, at: &KeyPath, table: &HeaderTable, source: &Source) -> Option<()> {
        let constant = matches!(source, Source::Constant(_));
        let token = matches!(source, Source::Token(_));
        let joinable = matches!(source, Source::Claim(_) | Source::Expression(_));
        let additions = [
            ("join", table.join.is_some() && !joinable, "only an array from claim or expr can be joined"),
            ("encode", table.encode.is_some() && token, "a token is sent as it is"),
            ("default", table.default.is_some() && (constant || token), "only a claim can be absent"),
            ("default", table.default.is_some() && table.required, "what is required has no default"),
            ("required", table.required && constant, "a constant is never absent"),
        ];
        let mut fits = Some(());
        for (key, wrong, why) in additions {
            if wrong {
                let finding = Finding::invalid(format!("has no meaning here: {why}")).mend("take it out");
                fits = self.refuse(&at.key(key), finding);
            }
        }
        fits
    }

    fn compile(&mut self, at: &KeyPath, source: &KeyPath, spec: HeaderSpec) -> Option<IdentityHeader> {
        // A wrong name is the key's, everything else its source's.
        let named = http::HeaderName::try_from(spec.name.as_str()).is_ok();
        IdentityHeader::compile(spec)
            .map_err(|error| {
                let path = if named { source } else { at };
                self.report.add(path, Finding::invalid(format!("can't be used: {error}")));
            })
            .ok()
    }
}

fn spec(name: &str, source: Source) -> HeaderSpec {
    let encoding = Encoding::Utf8;
    HeaderSpec { name: name.to_owned(), source, encoding, join: None, default: None, required: false }
}
