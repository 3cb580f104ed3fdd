//! `[session.cookie]`: what browsers would not keep, or not send back, is refused here instead of signing people in
//! for ever.
//!
//! What a domain asks of the apps is judged with the apps ([`Judge::sharing`]), as it names them.

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::Raw;
use crate::config::source::shown;
use crate::foundation::origin::fold_domain;
use crate::foundation::site::{is_below, is_public_suffix};
use crate::gateway::App;
use crate::sessions::{CookieSettings, Partitioned, SameSite, is_cookie_name};

impl Judge<'_> {
    /// `[session.cookie]`.
    pub(super) fn cookie(&mut self, at: &KeyPath, raw: &Raw) -> Option<CookieSettings> {
        let name = self.cookie_name(&at.key("name"), raw);
        let domain = self.cookie_domain(&at.key("domain"), raw);
        let same_site = self.same_site(&at.key("same_site"), raw);
        let partitioned = self.partitioned(&at.key("partitioned"), raw);
        Some(CookieSettings {
            name: name?,
            domain: domain?,
            same_site: same_site?,
            partitioned: partitioned?,
        })
    }

    fn cookie_name(&mut self, at: &KeyPath, raw: &Raw) -> Option<Option<String>> {
        let Some(name) = raw.session.cookie.name.as_deref() else { return Some(None) };
        let found = format!("{:?}", shown(name));
        if !is_cookie_name(name) {
            let finding = Finding::invalid("is not a cookie's name").found(found);
            return self.refuse(at, finding.expected("1 to 64 letters, digits, hyphens and underscores"));
        }
        let folded = name.to_ascii_lowercase();
        if (folded.starts_with("__host-") || folded.starts_with("__secure-")) && has_plain_app(raw) {
            let finding = Finding::invalid("needs https").found(found);
            return self.refuse(at, finding.mend("take the prefix off while an app has an http:// url"));
        }
        if folded.starts_with("__host-") && raw.session.cookie.domain.is_some() {
            let finding = Finding::invalid("can't have a domain").found(found);
            return self.refuse(at, finding.mend("begin it with __Secure- instead, or take domain out"));
        }
        Some(Some(name.to_owned()))
    }

    /// The domain of one session for many apps: a name that browsers let a cookie be for.
    fn cookie_domain(&mut self, at: &KeyPath, raw: &Raw) -> Option<Option<String>> {
        let Some(text) = raw.session.cookie.domain.as_deref() else { return Some(None) };
        let found = format!("{:?}", shown(text));
        let Some(domain) = fold_domain(text) else {
            let finding = Finding::invalid("is not a domain that a cookie can be for").found(found);
            let expected =
                "a name such as \"example.org\", no address, no single label, without a dot before it";
            return self
                .refuse(at, finding.expected(expected).mend("take it out for a session on each host"));
        };
        if is_public_suffix(&domain) {
            // SECURITY: and if an old browser took it, strangers' hosts would get the session.
            let finding = Finding::invalid("is a public suffix: browsers take no cookie for it").found(found);
            return self.refuse(at, finding.mend("name the domain that is yours, below it"));
        }
        Some(Some(domain))
    }

    fn same_site(&mut self, at: &KeyPath, raw: &Raw) -> Option<SameSite> {
        let choices = [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
        let text = raw.session.cookie.same_site.as_deref();
        let chosen = self.choice(at, text, SameSite::Lax, &choices)?;
        if chosen == SameSite::None && has_plain_app(raw) {
            let finding = Finding::invalid("needs https").found("\"none\", and an app with an http:// url");
            return self.refuse(at, finding.mend("browsers take such a cookie only over https: use \"lax\""));
        }
        Some(chosen)
    }

    fn partitioned(&mut self, at: &KeyPath, raw: &Raw) -> Option<Partitioned> {
        if !raw.session.cookie.partitioned {
            return Some(Partitioned::No);
        }
        if raw.session.cookie.same_site.as_deref() != Some("none") {
            let finding = Finding::invalid("needs same_site = \"none\"").found("true");
            let mend = "set same_site = \"none\" too: browsers withhold all other cookies from such frames";
            return self.refuse(at, finding.mend(mend));
        }
        Some(Partitioned::Yes)
    }

    /// What apps owe each other that share one session: addresses below the domain, one scheme, and the same
    /// providers.
    pub(super) fn sharing(&mut self, at: &KeyPath, apps: &[&App], raw: &Raw) {
        let path = KeyPath::root().key("session").key("cookie").key("domain");
        let Some(domain) = raw.session.cookie.domain.as_deref().and_then(fold_domain) else { return };
        if self.report.is_blamed(&path) {
            return;
        }
        if let Some(app) = apps.iter().find(|app| !is_below(app.origin.host(), &domain)) {
            let finding = Finding::invalid(format!("does not fit the address of app {:?}", app.name));
            let finding = finding.found(format!("{domain:?}, and {}", app.origin));
            let mend = format!("give the app an address below {domain}, or take domain out");
            self.report.add(&path, finding.mend(mend));
            return;
        }
        let first = apps.first();
        for (first, app) in apps.iter().skip(1).filter_map(|app| Some((first?, app))) {
            if first.origin.scheme() != app.origin.scheme() {
                let finding =
                    Finding::invalid(format!("differs from that of {:?} by the scheme", first.name));
                let finding = finding.found(format!("{} and {}", first.origin, app.origin));
                let mend = "write all with https://: a session of one is no session of the other";
                self.report.add(&at.key(&app.name).key("url"), finding.mend(mend));
            }
            if first.origin != app.origin {
                self.same_providers(at, first, app, "below the same session.cookie.domain");
            }
        }
    }
}

fn has_plain_app(raw: &Raw) -> bool {
    raw.apps.values().any(|app| app.url.as_ref().is_some_and(|url| url.starts_with("http://")))
}
