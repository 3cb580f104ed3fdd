//! `[server]` and `[admin]`: listeners, TLS, limits, trusted proxies, the prefix of our own endpoints.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::Judge;
use super::values::{HOUR, MINUTE, SECOND};
use crate::config::Admin;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{OneOrMany, Raw, RawSecret, Server};
use crate::config::source::shown;
use crate::foundation::peer::TrustedProxies;
use crate::foundation::secret::Secret;
use crate::server::{CertificateFiles, Limits, Settings};

/// The address to listen on unless another is set.
pub(super) const LISTEN: &str = "127.0.0.1:4180";
const ADMIN: &str = "127.0.0.1:9180";
/// The prefix of our own endpoints unless another is set.
pub(super) const ENDPOINTS: &str = "/_sso";

/// The lengths of a token for operators.
const SHORTEST_TOKEN: usize = 20;
const LONGEST_TOKEN: usize = 512;

/// A request's head below 8 KiB refuses ordinary browsers; beyond 1 MiB it only feeds attackers.
const HEAD_BYTES: RangeInclusive<usize> = 8 * 1024..=1024 * 1024;

/// What other parts than `server` need of `[server]` and `[admin]`.
pub(super) struct Network {
    pub(super) admin: Admin,
    pub(super) endpoints: String,
    pub(super) trusted_proxies: TrustedProxies,
}

impl Judge<'_> {
    /// `[server]`, as far as `server` needs it.
    pub(super) fn server(&mut self, at: &KeyPath, raw: &Server) -> Option<Settings> {
        let listen = self.listen(&at.key("listen"), raw.listen.as_ref());
        let tls = self.tls(&at.key("tls"), raw.tls.as_ref().map_or(&[], OneOrMany::as_slice), raw);
        let limits = self.limits(&at.key("limits"), raw);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = self.number(&at.key("workers"), raw.workers, cores, 1..=1024);
        let drain = raw.drain_timeout.as_deref();
        let drain = self.duration(&at.key("drain_timeout"), drain, 30 * SECOND, Duration::ZERO..=HOUR);
        if raw.proxy_protocol {
            let finding =
                Finding::later("the PROXY protocol").found("true").mend("set it to false or take it out");
            self.report.add(&at.key("proxy_protocol"), finding);
        }
        Some(Settings {
            listen: listen?,
            tls: tls?,
            limits: limits?,
            workers: workers?,
            drain_timeout: drain?,
        })
    }

    /// `[admin]` and the rest of `[server]`.
    pub(super) fn network(&mut self, root: &KeyPath, raw: &Raw) -> Option<Network> {
        let at = root.key("server");
        let admin = self.admin(root, raw);
        let endpoints = raw.server.endpoints.as_deref().unwrap_or(ENDPOINTS);
        let endpoints = self.plain_path(&at.key("endpoints"), endpoints);
        let proxies = raw.server.trusted_proxies.iter().enumerate();
        let proxies: Vec<_> = proxies
            .map(|(number, text)| self.trusted_proxy(&at.key("trusted_proxies").index(number), text))
            .collect();
        let trusted_proxies = TrustedProxies::new(proxies.into_iter().collect::<Option<_>>()?);
        Some(Network { admin: admin?, endpoints: endpoints?.to_owned(), trusted_proxies })
    }

    fn listen(&mut self, at: &KeyPath, raw: Option<&OneOrMany<String>>) -> Option<Vec<SocketAddr>> {
        let (texts, is_list) = match raw {
            None => return Some(LISTEN.parse().into_iter().collect()),
            Some(raw) => (raw.as_slice(), matches!(raw, OneOrMany::Many(_))),
        };
        let mut addresses = Vec::new();
        let mut right = !texts.is_empty();
        if texts.is_empty() {
            self.report.add(at, Finding::invalid("is empty").expected("at least one address"));
        }
        for (number, text) in texts.iter().enumerate() {
            let path = if is_list { at.index(number) } else { at.clone() };
            let Some(address) = self.socket_address(&path, text) else {
                right = false;
                continue;
            };
            if address.port() != 0 && addresses.contains(&address) {
                self.report.add(
                    &path,
                    Finding::invalid("stands twice").found(shown(text)).mend("take one of them out"),
                );
                right = false;
            }
            addresses.push(address);
        }
        right.then_some(addresses)
    }

    /// `[admin]`.
    pub(in crate::config) fn admin(&mut self, root: &KeyPath, raw: &Raw) -> Option<Admin> {
        let at = root.key("admin");
        let listen = self.admin_address(&at.key("listen"), raw);
        let token = match &raw.admin.token {
            Some(token) => Some(self.admin_token(&at.key("token"), token)?),
            None => None,
        };
        Some(Admin { listen: listen?, token })
    }

    fn admin_token(&mut self, at: &KeyPath, raw: &RawSecret) -> Option<Secret> {
        let token = self.secret(at, raw)?;
        let is_one_line = token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        // SECURITY: whoever reaches the listener may guess as fast as it answers.
        if (SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&token.expose().len()) && is_one_line {
            return Some(token);
        }
        let expected = format!("{SHORTEST_TOKEN} to {LONGEST_TOKEN} visible ASCII characters");
        let finding = Finding::invalid("is no token for operators").expected(expected);
        self.refuse(at, finding.mend("make one with `openssl rand -hex 32`"))
    }

    /// An empty text switches the listener off.
    fn admin_address(&mut self, at: &KeyPath, raw: &Raw) -> Option<Option<SocketAddr>> {
        let text = raw.admin.listen.as_deref().unwrap_or(ADMIN);
        if text.is_empty() {
            return Some(None);
        }
        let admin = self.socket_address(at, text)?;
        let public = raw.server.listen.as_ref().map_or(&[][..], OneOrMany::as_slice);
        let default = [LISTEN.to_owned()];
        let public = if public.is_empty() { &default } else { public };
        let meets = |other: SocketAddr| {
            let (a, b) = (admin.ip(), other.ip());
            other.port() == admin.port()
                && other.port() != 0
                && (a == b || a.is_unspecified() || b.is_unspecified())
        };
        if public.iter().filter_map(|text| text.parse().ok()).any(meets) {
            // SECURITY: metrics and sessions are no business of the public's.
            let finding = Finding::invalid("is an address of the public listener").found(shown(text));
            return self.refuse(at, finding.mend("give it another port"));
        }
        Some(Some(admin))
    }

    fn socket_address(&mut self, at: &KeyPath, text: &str) -> Option<SocketAddr> {
        text.parse().ok().or_else(|| {
            let mut finding = Finding::invalid("is not an address to listen on")
                .found(format!("{:?}", shown(text)))
                .expected("an IP address and a port, such as \"127.0.0.1:4180\" or \"[::]:4180\"");
            if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")) {
                finding = finding.mend(format!("for all addresses write \"[::]:{}\"", shown(port)));
            } else if let Some(port) = text.strip_prefix("localhost:") {
                finding = finding.mend(format!("write \"127.0.0.1:{}\"", shown(port)));
            }
            self.refuse(at, finding)
        })
    }

    fn tls(
        &mut self,
        at: &KeyPath,
        tables: &[crate::config::raw::Tls],
        raw: &Server,
    ) -> Option<Vec<CertificateFiles>> {
        let is_list = matches!(raw.tls, Some(OneOrMany::Many(_)));
        let each = tables.iter().enumerate().map(|(number, table)| {
            let path = if is_list { at.index(number) } else { at.clone() };
            self.certificate_files(&path, table)
        });
        // Every table is judged before the first failure counts.
        each.collect::<Vec<_>>().into_iter().collect()
    }

    fn limits(&mut self, at: &KeyPath, raw: &Server) -> Option<Limits> {
        let raw = &raw.limits;
        let head_bytes = self.number(&at.key("head_bytes"), raw.head_bytes, 32 * 1024, HEAD_BYTES);
        let headers = self.number(&at.key("headers"), raw.headers, 100, 16..=1_000);
        let head_timeout = raw.head_timeout.as_deref();
        let head_timeout =
            self.duration(&at.key("head_timeout"), head_timeout, 30 * SECOND, SECOND..=10 * MINUTE);
        let connections = self.number(&at.key("connections"), raw.connections, 10_000, 1..=1_000_000);
        Some(Limits {
            head_bytes: head_bytes?,
            headers: headers?,
            head_timeout: head_timeout?,
            connections: connections?,
        })
    }

    fn trusted_proxy(&mut self, at: &KeyPath, text: &str) -> Option<IpNet> {
        let found = format!("{:?}", shown(text));
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(network) = network.map(folded) else {
            let finding = Finding::invalid("is not a network").found(found);
            return self.refuse(
                at,
                finding.expected("an address or a network, such as \"10.0.0.1\" or \"10.0.0.0/8\""),
            );
        };
        let narrowest = if network.addr().is_ipv4() { 8 } else { 7 };
        if network.prefix_len() < narrowest {
            // SECURITY: whoever is believed can claim any client address, host and scheme.
            let finding = Finding::invalid("would believe strangers").found(found);
            let expected = "the networks of your own proxies";
            return self
                .refuse(at, finding.expected(expected).mend("list the addresses of your proxies alone"));
        }
        Some(network)
    }
}

/// An IPv4 network in IPv6 form is the IPv4 network, as peers' addresses are folded.
fn folded(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let short = v6.prefix_len().checked_sub(96);
    match (v6.addr().to_ipv4_mapped(), short) {
        (Some(v4), Some(prefix)) => Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4),
        _ => network,
    }
}
