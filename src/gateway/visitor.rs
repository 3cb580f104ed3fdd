//! The connection that a request came by: who is at its other end, and what is computed once for it.

use std::cell::RefCell;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::foundation::origin::Scheme;
use crate::foundation::peer::{Peer, TrustedProxies};
use crate::upstream::ForwardedHeaders;
use crate::upstream::upgrade::{self, AppEnd};

/// One connection from a browser or a proxy.
pub struct Visitor {
    /// The other end.
    pub peer: Peer,
    /// Whether the connection came over TLS.
    pub scheme: Scheme,
    /// Whether the peer's forwarding headers are believed.
    pub trust: Trust,
    /// The forwarding headers of the app that was asked last by this connection.
    pub forwarded: RefCell<Option<(usize, ForwardedHeaders)>>,
    tunnel: RefCell<Option<Tunnel>>,
}

/// What a connection becomes once the app has switched to WebSocket and the browser was told so.
pub struct Tunnel {
    /// The app's end.
    pub app: AppEnd,
    /// Resolves when the person's session is over.
    pub ended: Pin<Box<dyn Future<Output = ()>>>,
}

impl Tunnel {
    /// Carries bytes both ways until one side closes or the session is over.
    pub async fn carry(self, browser: impl AsyncRead + AsyncWrite + Unpin) {
        upgrade::tunnel(browser, self.app, self.ended).await;
    }
}

/// Whether a peer's word about others is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is one of `trusted_proxies`.
    Proxy,
    /// It is anybody.
    Stranger,
}

impl Visitor {
    /// A connection that was just accepted.
    pub fn new(peer: Peer, scheme: Scheme, proxies: &TrustedProxies) -> Self {
        let trust = if proxies.contains(peer.ip()) { Trust::Proxy } else { Trust::Stranger };
        Self { peer, scheme, trust, forwarded: RefCell::default(), tunnel: RefCell::default() }
    }

    /// Leaves the tunnel that the connection becomes after the answer in hand.
    pub(super) fn tunnels(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// Takes the tunnel that the last answer opened.
    pub fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }

    /// The address of the client behind trusted proxies.
    pub fn client(&self, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
        if self.trust == Trust::Stranger {
            return self.peer.ip();
        }
        let listed = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let addresses: Vec<IpAddr> =
            listed.flat_map(|list| list.split(',')).filter_map(|item| item.trim().parse().ok()).collect();
        proxies.client(self.peer.ip(), &addresses)
    }
}
