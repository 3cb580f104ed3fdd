//! Who is at the other end of a connection, and which peers' forwarding headers are believed.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The other end of a connection that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address and port; an IPv4 address in IPv6 form is folded to IPv4.
    pub address: SocketAddr,
}

impl Peer {
    /// The peer at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address: SocketAddr::new(fold(address.ip()), address.port()) }
    }

    /// The peer's address without its port.
    pub const fn ip(&self) -> IpAddr {
        self.address.ip()
    }
}

/// The networks whose `X-Forwarded-*`, `X-Original-*` and `Forwarded` headers are believed; none unless set.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Believes the peers of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether what `ip` says about others is believed.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = fold(ip);
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The address of the client: of the peer and the addresses in `forwarded` (right to left, as the proxies
    /// added them), the first that is not a trusted proxy's.
    ///
    /// SECURITY: `None` stands for what is no address, and ends the list: what is left of it may be the client's
    /// own invention.
    pub fn client(&self, peer: IpAddr, forwarded: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = fold(peer);
        for address in forwarded.map_while(|address| address.map(fold)) {
            if !self.contains(client) {
                break;
            }
            client = address;
        }
        client
    }
}

/// An address as proxies write it in `X-Forwarded-For`: alone, with a port, in brackets.
pub fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bare)
}

/// SECURITY: `::ffff:10.0.0.1` and `10.0.0.1` are one host and must meet the same network rules.
fn fold(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        for (peer, forwarded_for, client) in [
            ("192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["6.6.6.6", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("::ffff:10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["::ffff:10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", vec!["6.6.6.6", "unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["6.6.6.6", "unknown", "10.0.0.2"], "10.0.0.2"),
        ] {
            let list = forwarded_for.iter().rev().map(|ip| ip.parse().ok());
            assert_eq!(trusted.client(peer.parse().unwrap(), list).to_string(), client);
        }
    }
}
