//! What apps owe each other: addresses of their own, and the same providers for each origin.

use super::{Judge, own_session};
use crate::config::place::KeyPath;
use crate::config::problem::{Fault, Finding};
use crate::config::raw::{Header, Raw};
use crate::gateway::App;
use crate::oidc;

impl Judge<'_> {
    /// `[apps]`.
    pub(super) fn apps(
        &mut self,
        at: &KeyPath,
        raw: &Raw,
        providers: Option<&[oidc::Settings]>,
    ) -> Option<Vec<App>> {
        if raw.apps.is_empty() && !self.report.is_blamed(at) {
            let mend = "add [apps.NAME] with url and upstream";
            self.report.add(at, Finding::new(Fault::Missing).expected("at least one app").mend(mend));
        }
        let endpoints = raw.server.endpoints.as_deref().unwrap_or(super::server::ENDPOINTS);
        let entries = self.in_order(at, &raw.apps);
        let apps: Vec<_> =
            entries.into_iter().map(|(path, name, app)| self.app(&path, name, app, raw)).collect();
        let judged: Vec<&App> = apps.iter().flatten().collect();
        for app in &judged {
            self.bound_tokens(at, app, raw);
        }
        for (number, app) in judged.iter().enumerate() {
            for other in judged.iter().take(number) {
                if other.origin == app.origin {
                    self.neighbours(at, other, app);
                } else if other.origin.host() == app.origin.host() {
                    self.of_one_host(at, other, app, raw);
                }
            }
            let neighbours =
                judged.iter().filter(|other| other.origin == app.origin && other.name != app.name);
            for other in neighbours {
                self.own_addresses(at, app, other, endpoints);
            }
        }
        self.sharing(at, &judged, raw);
        self.choices(&judged, providers.unwrap_or_default());
        let mut apps: Vec<App> = apps.into_iter().collect::<Option<_>>()?;
        own_session::close(&mut apps);
        Some(apps)
    }

    /// A token that is bound to our key is of no use to an app, which has the token alone (RFC 9449 section 7).
    fn bound_tokens(&mut self, at: &KeyPath, app: &App, raw: &Raw) {
        let bound =
            |name: &&String| raw.providers.get(*name).is_some_and(|provider| provider.dpop == Some(true));
        let Some(provider) = app.providers.iter().find(bound) else { return };
        let headers = raw.apps.get(&app.name).and_then(|raw| raw.headers.as_ref());
        for (name, header) in headers.into_iter().flatten() {
            if let Header::Table(table) = header
                && table.token.as_deref() == Some("access")
            {
                let what = format!("can't be used by an app, as provider {provider:?} has dpop = true");
                let finding = Finding::invalid(what).found("\"access\"");
                let mend =
                    "take it out, or dpop: bound to a key of ours, the token opens nothing for the app";
                self.report.add(&at.key(&app.name).key("headers").key(name).key("token"), finding.mend(mend));
            }
        }
    }

    /// Two apps on one origin need prefixes of their own, and share their sessions, hence their providers.
    fn neighbours(&mut self, at: &KeyPath, first: &App, second: &App) {
        if first.prefix == second.prefix {
            let finding = Finding::invalid(format!("is the address of {:?} too", first.name));
            let found = format!("{}{}", second.origin, second.prefix);
            let mend = "give each app a host or a path prefix of its own";
            self.report.add(&at.key(&second.name).key("url"), finding.found(found).mend(mend));
        }
        self.same_providers(at, first, second, "on the same host");
    }

    /// Two apps that share their sessions have the same providers.
    pub(super) fn same_providers(&mut self, at: &KeyPath, first: &App, second: &App, where_both_are: &str) {
        let lists = |app: &App, name: &String| app.providers.contains(name);
        let same = first.providers.iter().all(|name| lists(second, name))
            && second.providers.iter().all(|name| lists(first, name));
        if !same {
            // SECURITY: a session is everybody's who shares it; a person of one provider must not pass for one of
            // another.
            let finding = Finding::invalid(format!("differs from that of {:?} {where_both_are}", first.name));
            let finding =
                finding.found(format!("{:?}", second.providers)).expected(format!("{:?}", first.providers));
            let path = at.key(&second.name).key("provider");
            self.report.add(&path, finding.mend("use the same providers for both, or hosts of their own"));
        }
    }

    /// Two origins of one host: a browser's request names the host and perhaps the port, never the scheme; its
    /// cookies go to every port.
    fn of_one_host(&mut self, at: &KeyPath, first: &App, second: &App, raw: &Raw) {
        let authorities = |app: &App| {
            let origin = &app.origin;
            [origin.authority(), format!("{}:{}", origin.host(), origin.port())]
        };
        let found = format!("{} and {}", first.origin, second.origin);
        if authorities(first).iter().any(|authority| authorities(second).contains(authority)) {
            let finding =
                Finding::invalid(format!("differs from that of {:?} by the scheme only", first.name));
            let mend = "write both with https://, or give each app a host of its own";
            self.report.add(&at.key(&second.name).key("url"), finding.found(found).mend(mend));
            return;
        }
        let path = KeyPath::root().key("session").key("cookie").key("name");
        let name = raw.session.cookie.name.as_deref();
        let shared = raw.session.cookie.domain.is_some();
        if let Some(name) = name.filter(|_| !shared && !self.report.is_blamed(&path)) {
            // A sign-in at one of them would take the other's session away.
            let finding =
                Finding::invalid("would be one cookie of two origins").found(format!("{name:?}, {found}"));
            let mend = "take it out: left out, each port has a name of its own";
            self.report.add(&path, finding.mend(mend));
        }
    }

    /// What the gateway answers for `app` must not lie below the prefix of `other`, which has the say there.
    fn own_addresses(&mut self, at: &KeyPath, app: &App, other: &App, endpoints: &str) {
        let below = |path: &str, prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !below(&other.prefix, &app.prefix) || other.prefix == app.prefix {
            return;
        }
        let own = format!("{}{endpoints}", app.prefix);
        let name = &app.name;
        if below(&own, &other.prefix) || below(&other.prefix, &own) {
            let finding = Finding::invalid(format!("collides with the gateway's own endpoints on {name:?}"));
            let finding = finding.found(other.prefix.clone()).expected(format!("a prefix apart from {own}"));
            self.report
                .add(&at.key(&other.name).key("url"), finding.mend("change the prefix, or server.endpoints"));
        }
        let callbacks = app.providers.iter().filter_map(|provider| app.callback_path_of(provider));
        let mut lost = callbacks.filter(|path| below(path, &other.prefix) && !below(path, &own));
        if let Some(callback) = lost.next() {
            let finding = Finding::invalid(format!("lies below the prefix of {:?}", other.name));
            let finding = finding.found(callback).mend("choose a path outside of it");
            self.report.add(&at.key(name).key("callback_path"), finding);
        }
    }
}
