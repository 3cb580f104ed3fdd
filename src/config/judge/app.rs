//! `[apps.*]`: where users see an app, where it runs, whom it asks for sign-in.

use super::Judge;
use super::own_session::Own;
use super::values::{DAY, MINUTE, SECOND};
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{App, OneOrMany, Raw};
use crate::config::source::shown;
use crate::foundation::origin::{Origin, Scheme};
use crate::foundation::trust::server_name;
use crate::gateway::{self, DeviceSignIn, StripPrefix};
use crate::upstream::{self, Address, HostHeader};

/// The gateway's own endpoint that the provider sends people back to, unless `callback_path` is set.
const CALLBACK: &str = "/callback";

impl Judge<'_> {
    /// `[apps.NAME]`.
    pub(super) fn app(&mut self, at: &KeyPath, name: &str, raw: &App, all: &Raw) -> Option<gateway::App> {
        let name = self.name(at, name);
        let url = self.app_url(&at.key("url"), raw.url.as_deref());
        let endpoints = all.server.endpoints.as_deref().unwrap_or(super::server::ENDPOINTS);
        let prefix = url.as_ref().map(|(_, prefix)| prefix.as_str());
        let callback_path =
            self.callback_path(&at.key("callback_path"), raw.callback_path.as_deref(), prefix, endpoints);
        let silent = raw.silent_path.as_deref();
        let silent = silent
            .map(|text| self.callback_path(&at.key("silent_path"), Some(text), prefix, endpoints))
            .map_or(Some(None), |path| path.map(Some));
        let logout_callback = self.logout_callback(at, raw, prefix, endpoints);
        let upstream = self.upstream(at, raw, all);
        let providers = self.app_providers(&at.key("provider"), raw.provider.as_ref(), all);
        let headers = self.headers(&at.key("headers"), raw.headers.as_ref());
        let told = self.identity_jwt(&at.key("identity_jwt"), raw, headers, name.as_deref());
        let rules = self.rules(&at.key("rules"), raw, all);
        self.strength_can_be_known(&at.key("rules"), raw, all);
        let websocket_origins = self.origins(&at.key("websocket_origins"), &raw.websocket_origins);
        let cors_origins = self.origins(&at.key("cors_origins"), &raw.cors_origins);
        let callbacks = [callback_path.as_ref(), silent.as_ref().and_then(Option::as_ref)];
        let logout = logout_callback.as_ref().and_then(Option::as_ref);
        let own = Own {
            prefix: prefix.unwrap_or_default(),
            endpoints,
            callbacks: callbacks.into_iter().chain([logout]).flatten().map(String::as_str).collect(),
        };
        let own_session = self.own_session(&at.key("logout"), raw, &own);
        let redirect = raw.logout.redirect.as_deref();
        let redirect = redirect.map(|text| self.address(&at.key("logout").key("redirect"), text));
        let (origin, prefix) = url?;
        let (headers, identity_jwt) = told?;
        Some(gateway::App {
            name: name?,
            origin,
            prefix,
            upstream: upstream?,
            providers: providers?,
            strip_prefix: if raw.strip_prefix { StripPrefix::Strip } else { StripPrefix::Keep },
            callback_path: callback_path?,
            silent_path: silent?,
            device: if raw.device.unwrap_or(true) { DeviceSignIn::Offered } else { DeviceSignIn::Refused },
            logout_callback: logout_callback?,
            headers,
            identity_jwt,
            rules: rules?,
            websocket_origins: websocket_origins?,
            cors_origins: cors_origins?,
            logout_redirect: redirect.map_or(Some(None), |redirect| redirect.map(Some))?,
            own_session: own_session?,
        })
    }

    /// Origin and path prefix of the address that users see.
    fn app_url(&mut self, at: &KeyPath, text: Option<&str>) -> Option<(Origin, String)> {
        let text =
            self.required(at, text, "the address that users see", "set url = \"https://app.example.org\"")?;
        let url = self.protected_address(at, text)?;
        if url.query().is_some() {
            let finding = Finding::invalid("has a query").found(format!("{:?}", shown(text)));
            return self.refuse(at, finding.mend("take out the ? and what follows"));
        }
        // The written path, as parsing would quietly resolve dots and encode letters.
        let (_, rest) = text.split_once("://")?;
        let path = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default();
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if !prefix.is_empty() {
            self.plain_path(at, prefix)?;
        }
        Some((Origin::of(&url)?, prefix.to_owned()))
    }

    /// The redirect URI's path below the origin. It may be written with the prefix or without.
    fn callback_path(
        &mut self,
        at: &KeyPath,
        text: Option<&str>,
        prefix: Option<&str>,
        endpoints: &str,
    ) -> Option<String> {
        let Some(text) = text else { return Some(format!("{}{endpoints}{CALLBACK}", prefix?)) };
        // A final slash is part of some redirect URIs that are registered already.
        self.plain_path(at, text.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(text))?;
        let prefix = prefix?;
        let has_prefix =
            text.strip_prefix(prefix).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'));
        let path = if has_prefix { text.to_owned() } else { format!("{prefix}{text}") };
        let own = path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(endpoints));
        match own {
            Some(rest) if rest != CALLBACK && (rest.is_empty() || rest.starts_with('/')) => {
                let finding = Finding::invalid("lies among the gateway's own endpoints");
                let finding = finding.found(format!("{:?}", shown(text)));
                let expected = format!("{endpoints}{CALLBACK}, or a path outside of {endpoints}");
                self.refuse(at, finding.expected(expected))
            }
            _ => Some(path),
        }
    }

    /// Where the provider sends people after a sign-out: a path, and perhaps the query that is registered there.
    fn logout_callback(
        &mut self,
        at: &KeyPath,
        raw: &App,
        prefix: Option<&str>,
        endpoints: &str,
    ) -> Option<Option<String>> {
        let path = at.key("logout").key("callback_path");
        let Some(text) = raw.logout.callback_path.as_deref() else { return Some(None) };
        let (written, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>');
        if query.is_some_and(|query| !query.bytes().all(visible)) {
            let finding = Finding::invalid("has a query that is none").found(format!("{:?}", shown(text)));
            return self.refuse(&path, finding.expected("parameters such as logoutId=vestibule"));
        }
        let local = self.callback_path(&path, Some(written), prefix, endpoints)?;
        let given = raw.callback_path.as_deref();
        let callback = self.callback_path(&at.key("callback_path"), given, prefix, endpoints)?;
        if local == callback {
            let finding = Finding::invalid("is the callback_path too").found(format!("{:?}", shown(text)));
            return self.refuse(&path, finding.mend("choose a path of its own"));
        }
        Some(Some(query.map_or(local.clone(), |query| format!("{local}?{query}"))))
    }

    fn upstream(&mut self, at: &KeyPath, raw: &App, all: &Raw) -> Option<upstream::Settings> {
        let address = self.upstream_address(&at.key("upstream"), raw.upstream.as_ref(), all);
        let hosts = [("keep", HostHeader::Keep), ("upstream", HostHeader::Upstream)];
        let path = at.key("host_header");
        let host_header = self.choice(&path, raw.host_header.as_deref(), HostHeader::Keep, &hosts);
        if let (Some(Address::Unix(_)), Some(HostHeader::Upstream)) = (&address, host_header) {
            let finding = Finding::invalid("has no meaning for a unix socket").found("\"upstream\"");
            self.report.add(&path, finding.mend("take it out: a socket has no host of its own"));
        }
        let times = at.key("timeouts");
        let connect = raw.timeouts.connect.as_deref();
        let connect = self.duration(&times.key("connect"), connect, 5 * SECOND, SECOND..=5 * MINUTE);
        let response = raw.timeouts.response.as_deref();
        let response = self.duration(&times.key("response"), response, MINUTE, SECOND..=DAY);
        let (ca, server_name) = self.upstream_tls(&at.key("upstream_tls"), raw, address.as_ref());
        Some(upstream::Settings {
            address: address?,
            host_header: host_header?,
            connect_timeout: connect?,
            response_timeout: response?,
            ca: ca?,
            server_name: server_name?,
        })
    }

    fn upstream_address(
        &mut self,
        at: &KeyPath,
        raw: Option<&OneOrMany<String>>,
        all: &Raw,
    ) -> Option<Address> {
        let mend = "set upstream = \"http://127.0.0.1:3000\"";
        let text = match self.required(at, raw, "where the app runs", mend)?.as_slice() {
            [one] => one,
            [] => return self.refuse(at, Finding::invalid("is empty").mend(mend)),
            [_, _, ..] => {
                let finding = Finding::later("balancing over several upstreams").found("several addresses");
                return self.refuse(at, finding.expected("one address").mend("name one address"));
            }
        };
        if let Some(path) = text.strip_prefix("unix:") {
            if path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') {
                return Some(Address::Unix(path.into()));
            }
            let finding = Finding::invalid("is not a unix socket").found(format!("{:?}", shown(text)));
            return self.refuse(at, finding.expected("\"unix:/path/to.sock\", an absolute path"));
        }
        let origin = self.origin(at, text)?;
        let own = all.server.listen.as_ref().map_or(&[][..], OneOrMany::as_slice);
        let own: Vec<_> = if own.is_empty() {
            vec![super::server::LISTEN]
        } else {
            own.iter().map(String::as_str).collect()
        };
        if own.contains(&format!("{}:{}", origin.host(), origin.port()).as_str()) {
            let finding = Finding::invalid("is the gateway itself").found(format!("{:?}", shown(text)));
            return self
                .refuse(at, finding.mend("name the address where the app runs, or change server.listen"));
        }
        Some(Address::Origin(origin))
    }

    #[allow(clippy::type_complexity, reason = "two settings that are judged together, each perhaps wrong")]
    fn upstream_tls(
        &mut self,
        at: &KeyPath,
        raw: &App,
        address: Option<&Address>,
    ) -> (Option<Vec<rustls_pki_types::CertificateDer<'static>>>, Option<Option<String>>) {
        let Some(tls) = &raw.upstream_tls else { return (Some(Vec::new()), Some(None)) };
        let secured = |address: &Address| matches!(address, Address::Origin(origin) if origin.scheme() == Scheme::Https);
        if address.is_some_and(|address| !secured(address)) {
            let finding = Finding::invalid("needs an https:// upstream")
                .mend("write upstream with https://, or take this out");
            self.report.add(at, finding);
        }
        let ca = self.trusted_certificates(&at.key("ca"), tls.ca.as_deref());
        let name = match tls.server_name.as_deref() {
            Some(name) if server_name(name).is_none() => {
                let finding = Finding::invalid("is not a host name").found(format!("{:?}", shown(name)));
                self.refuse(
                    &at.key("server_name"),
                    finding.expected("the name in the certificate, such as \"app.internal\""),
                )
            }
            name => Some(name.map(str::to_owned)),
        };
        (ca, name)
    }
}
