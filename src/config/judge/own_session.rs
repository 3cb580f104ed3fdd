//! `[apps.*.logout]`: the app's own sign-out addresses, its cookies, and how it is told that a session ended.

use std::sync::Arc;

use http::Method;

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{App as RawApp, AppCookie as RawCookie, OnEnd as RawOnEnd};
use crate::config::source::shown;
use crate::gateway::App;
use crate::gateway::own_session::OwnSession;
use crate::gateway::own_session::cookies::{AppCookie, Extent};
use crate::gateway::own_session::on_end::{OnEnd, OnEndError};
use crate::identity::access::Paths;
use crate::identity::readings::Path;

/// What of an app's address is the gateway's: its prefix, the prefix of our endpoints, and the further paths that
/// providers send people to.
pub(super) struct Own<'a> {
    pub(super) prefix: &'a str,
    pub(super) endpoints: &'a str,
    pub(super) callbacks: Vec<&'a str>,
}

impl Judge<'_> {
    /// What is to be done about the app's own session; `at` is the table.
    pub(super) fn own_session(&mut self, at: &KeyPath, raw: &RawApp, own: &Own<'_>) -> Option<OwnSession> {
        let logout = self.logout_paths(&at.key("paths"), raw, own);
        let cookies = raw.logout.clear_cookies.iter().enumerate();
        let path = at.key("clear_cookies");
        let cookies: Vec<_> =
            cookies.map(|(number, cookie)| self.app_cookie(&path.index(number), cookie, raw)).collect();
        let on_end = match &raw.logout.on_end {
            Some(on_end) => self.on_end(&at.key("on_end"), on_end, raw, own, logout.as_ref()).map(Some),
            None => Some(None),
        };
        Some(OwnSession {
            logout: logout?,
            cookies: cookies.into_iter().collect::<Option<_>>()?,
            on_end: on_end?.map(Arc::new),
            closed: Vec::new(),
        })
    }

    fn logout_paths(&mut self, at: &KeyPath, raw: &RawApp, own: &Own<'_>) -> Option<Paths> {
        let Some(paths) = raw.logout.paths.as_deref() else { return Some(Paths::default()) };
        if paths.is_empty() {
            return self.refuse(at, Finding::invalid("is empty").mend("take it out, or name an address"));
        }
        let mut right = true;
        for (number, text) in paths.iter().enumerate() {
            let finding = match Paths::compile(vec![text.clone()]) {
                Err(error) => Finding::invalid(format!("can't be used: {error}")),
                Ok(alone) => match own.taken(raw, &|path| alone.hold(path) != Ok(false)) {
                    Some(taken) => Finding::invalid(format!("is {taken}, which the app never sees"))
                        .mend("name the address where the app itself signs people out"),
                    None => continue,
                },
            };
            self.report.add(&at.index(number), finding.found(format!("{:?}", shown(text))));
            right = false;
        }
        Paths::compile(paths.to_vec()).ok().filter(|_| right)
    }

    fn app_cookie(&mut self, at: &KeyPath, raw: &RawCookie, app: &RawApp) -> Option<AppCookie> {
        let (text, path, domain, name_at) = match raw {
            RawCookie::Name(name) => (Some(name), None, None, at.clone()),
            RawCookie::Table(table) => {
                (table.name.as_ref(), table.path.as_ref(), table.domain.as_ref(), at.key("name"))
            }
        };
        let mend = "write the cookie's name, such as \"MoodleSession\"";
        let text = self.required(&name_at, text, "the cookie's name", mend)?;
        let (name, extent) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, Extent::Beginning),
            None => (text.as_str(), Extent::Whole),
        };
        // RFC 6265 section 4.1.1, and what apps make of it: PHP's `a[b]`.
        let fits =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'=' | b'"' | b'*' | b'\\');
        if name.is_empty() || name.len() > 256 || !name.bytes().all(fits) {
            let finding = Finding::invalid("is not a cookie's name").found(format!("{:?}", shown(text)));
            let expected = "a name, or the beginning of some and a *, such as \"MoodleSession*\"";
            return self.refuse(&name_at, finding.expected(expected));
        }
        let attribute = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"');
        if let Some(path) = path.filter(|path| !path.starts_with('/') || !path.bytes().all(attribute)) {
            let finding = Finding::invalid("is not a path").found(format!("{:?}", shown(path)));
            return self.refuse(
                &at.key("path"),
                finding.expected("the Path that the app sets, such as \"/moodle/\""),
            );
        }
        let host = app.url.as_deref().and_then(|url| url::Url::parse(url).ok());
        let host = host.as_ref().and_then(|url| url.host_str());
        if let Some(text) = domain {
            let bare = text.strip_prefix('.').unwrap_or(text);
            let below = |host: &str| host == bare || host.ends_with(&format!(".{bare}"));
            if bare.is_empty() || !bare.bytes().all(attribute) || host.is_some_and(|host| !below(host)) {
                let finding = Finding::invalid("is not the app's domain or one above it");
                let finding = finding.found(format!("{:?}", shown(text)));
                return self.refuse(
                    &at.key("domain"),
                    finding.expected("the Domain that the app sets, such as \"example.org\""),
                );
            }
        }
        if name.starts_with("__Host-") && (domain.is_some() || path.is_some_and(|path| path != "/")) {
            let finding =
                Finding::invalid("has Path=/ and no Domain by its name").found(format!("{:?}", shown(text)));
            return self.refuse(&name_at, finding.mend("take out path and domain"));
        }
        Some(AppCookie { name: name.to_owned(), extent, path: path.cloned(), domain: domain.cloned() })
    }

    fn on_end(
        &mut self,
        at: &KeyPath,
        raw: &RawOnEnd,
        app: &RawApp,
        own: &Own<'_>,
        logout: Option<&Paths>,
    ) -> Option<OnEnd> {
        let methods = [
            ("POST", &Method::POST),
            ("GET", &Method::GET),
            ("PUT", &Method::PUT),
            ("PATCH", &Method::PATCH),
            ("DELETE", &Method::DELETE),
        ];
        let method = self.choice(&at.key("method"), raw.method.as_deref(), &Method::POST, &methods);
        let path = at.key("url");
        let mend =
            "write the path where the app ends a person's sessions, such as \"/internal/logout?user={sub}\"";
        let text = self.required(&path, raw.url.as_deref(), "a path of the app's", mend)?;
        let found = format!("{:?}", shown(text));
        let on_end = match OnEnd::compile(method?.clone(), text) {
            Ok(on_end) => on_end,
            Err(error) => {
                let mend = match error {
                    OnEndError::NotAPath => "begin it with one slash: the request goes to the app's upstream",
                    _ => mend,
                };
                return self.refuse(
                    &path,
                    Finding::invalid(format!("can't be used: {error}")).found(found).mend(mend),
                );
            }
        };
        if let Some(taken) = own.taken(app, &|path| on_end.is_at(path) != Ok(false)) {
            let finding = Finding::invalid(format!("is {taken}, which the app never sees"));
            return self.refuse(&path, finding.found(found));
        }
        let alone = text.split('?').next().unwrap_or(text);
        let left = logout.is_some_and(|logout| {
            Path::parse(&alone.replace(['{', '}'], "x")).is_ok_and(|path| logout.hold(&path) != Ok(false))
        });
        if left {
            // SECURITY: what ends a named person's sessions must not be open to browsers, as paths of `paths` are.
            let finding = Finding::invalid("is among logout.paths, where browsers go").found(found);
            return self.refuse(&path, finding.mend("name an address that is for the gateway alone"));
        }
        Some(on_end)
    }
}

/// Closes to browsers what an app is told by, at every app that runs at the same place.
pub(super) fn close(apps: &mut [App]) {
    let told = |app: &App| Some((app.upstream.address.clone(), app.own_session.on_end.clone()?));
    let told: Vec<_> = apps.iter().filter_map(told).collect();
    for app in apps {
        let here = told.iter().filter(|(address, _)| *address == app.upstream.address);
        app.own_session.closed = here.map(|(_, on_end)| Arc::clone(on_end)).collect();
    }
}

impl Own<'_> {
    /// Which address of the gateway's own is held by a set of paths, as the app would see them.
    fn taken(&self, app: &RawApp, held: &dyn Fn(&Path<'_>) -> bool) -> Option<&'static str> {
        let seen = |path: &str| {
            let path = path.split('?').next().unwrap_or(path);
            let seen = if app.strip_prefix { path.strip_prefix(self.prefix).unwrap_or(path) } else { path };
            seen.to_owned()
        };
        let is = |path: &str| Path::parse(&seen(path)).is_ok_and(|path| held(&path));
        if self.callbacks.iter().any(|callback| is(callback)) {
            return Some("an address that the provider sends people to");
        }
        let endpoints = format!("{}{}", self.prefix, self.endpoints);
        let own = ["", "/", "/sign-out", "/callback", "/any"];
        own.iter()
            .any(|name| is(&format!("{endpoints}{name}")))
            .then_some("among the gateway's own endpoints")
    }
}
