//! The connection that a request came by: who is at its other end, and what is computed once for it.

use std::cell::RefCell;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use http::header::{COOKIE, Entry, FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Gateway;
use super::apps::Protected;
use super::authentication::Person;
use super::failure::Failure;
use super::request::folded_host;
use super::routing::Host;
use crate::foundation::origin::Scheme;
use crate::foundation::peer::{Peer, TrustedProxies, address};
use crate::identity::readings::Path;
use crate::upstream::upgrade::{self, AppEnd};
use crate::upstream::{Fields, ForwardedHeaders};

/// One connection from a browser or a proxy.
pub struct Visitor {
    /// The other end.
    pub peer: Peer,
    /// Whether the connection came over TLS.
    pub scheme: Scheme,
    /// Whether the peer's forwarding headers are believed.
    pub trust: Trust,
    /// The forwarding headers of the app that was asked last by this connection.
    forwarded: RefCell<Option<(usize, ForwardedHeaders)>>,
    /// What was sent to an app last besides the request's own fields.
    sent: RefCell<Option<Sent>>,
    /// The `Host` that was asked for last by this connection, as it came, and its apps.
    host: RefCell<Option<(Box<[u8]>, Host)>>,
    /// Who asked last by this connection.
    last: RefCell<Option<Last>>,
    tunnel: RefCell<Option<Tunnel>>,
}

/// What an app was told last by a connection: of the connection itself, and of the person.
struct Sent {
    app: usize,
    told: Option<Fields>,
    fields: Fields,
}

/// The most of a `Cookie` header that is remembered for a connection, in bytes.
const REMEMBERED: usize = 4096;

/// Who asked last by a connection, by the bytes of the whole `Cookie` header: the next request mostly brings
/// the very same.
pub struct Last {
    app: usize,
    cookie: Box<[u8]>,
    person: Person,
    /// What the app gets of the header.
    rest: Option<HeaderValue>,
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

impl Last {
    /// SECURITY: the same bytes for the same app, or nothing: what was opened for one origin says nothing on
    /// another.
    fn is(&self, app: &Protected, cookie: &HeaderValue) -> bool {
        self.app == app.number && *self.cookie == *cookie.as_bytes()
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
        Self {
            peer,
            scheme,
            trust,
            forwarded: RefCell::default(),
            sent: RefCell::default(),
            host: RefCell::default(),
            last: RefCell::default(),
            tunnel: RefCell::default(),
        }
    }

    /// The app that a request is for, by its `Host` and path.
    ///
    /// # Errors
    /// As [`routing::Routes::app`](super::routing::Routes::app), and when the `Host` is none.
    pub(super) fn app<'a>(
        &self,
        gateway: &'a Gateway,
        host: &HeaderValue,
        path: &Path<'_>,
    ) -> Result<&'a Protected, Failure> {
        if let Some((came, known)) = &*self.host.borrow()
            && **came == *host.as_bytes()
        {
            return known.app(&gateway.apps, path);
        }
        let known = gateway.routes.host(&folded_host(host)?)?;
        *self.host.borrow_mut() = Some((host.as_bytes().into(), known.clone()));
        known.app(&gateway.apps, path)
    }

    /// The person who asked an app last, if this is the same `Cookie` header. Whether their session still
    /// stands is to be asked.
    pub(super) fn known(&self, app: &Protected, cookie: &HeaderValue) -> Option<Person> {
        let last = self.last.borrow();
        last.as_ref().filter(|last| last.is(app, cookie)).map(|last| last.person.clone())
    }

    /// Remembers who asked, by the only `Cookie` header of the request.
    pub(super) fn remember(&self, app: &Protected, cookie: &HeaderValue, person: &Person) {
        if cookie.len() <= REMEMBERED {
            let rest = app.cookies.without_own(cookie);
            let (app, cookie) = (app.number, cookie.as_bytes().into());
            *self.last.borrow_mut() = Some(Last { app, cookie, person: person.clone(), rest });
        }
    }

    /// What an app is told of this connection and of the person: written once, while neither changes.
    ///
    /// # Errors
    /// Never for a checked configuration.
    pub(super) fn fields(&self, app: &Protected, told: Option<Fields>) -> Result<Fields, Failure> {
        if let Some(sent) = &*self.sent.borrow()
            && sent.app == app.number
            // SECURITY: the very same fields, kept alive here, or another person's would be sent.
            && sent.told.as_ref().map(Fields::address) == told.as_ref().map(Fields::address)
        {
            return Ok(sent.fields.clone());
        }
        let fields = self.with_forwarded(app, |forwarded| match &told {
            Some(told) => forwarded.fields().and(told),
            None => forwarded.fields().clone(),
        })?;
        let sent = Sent { app: app.number, told, fields: fields.clone() };
        *self.sent.borrow_mut() = Some(sent);
        Ok(fields)
    }

    /// Adds this connection to what a trusted proxy said of the client.
    ///
    /// # Errors
    /// Never for a checked configuration.
    pub(super) fn extend_forwarded(&self, app: &Protected, headers: &mut HeaderMap) -> Result<(), Failure> {
        self.with_forwarded(app, |forwarded| forwarded.extend(headers))
    }

    fn with_forwarded<T>(
        &self,
        app: &Protected,
        act: impl FnOnce(&ForwardedHeaders) -> T,
    ) -> Result<T, Failure> {
        let mut made = self.forwarded.borrow_mut();
        match &*made {
            Some((number, forwarded)) if *number == app.number => Ok(act(forwarded)),
            _ => {
                let forwarded = ForwardedHeaders::new(self.peer.ip(), &app.settings.origin)
                    .ok_or(Failure::Internal("the app's address can't stand in a header"))?;
                Ok(act(&made.insert((app.number, forwarded)).1))
            }
        }
    }

    /// Forgets who asked last.
    pub(super) fn forget(&self) {
        self.last.borrow_mut().take();
        self.sent.borrow_mut().take();
    }

    /// Takes our cookies out of what goes to the app; `cookies` is the number of `Cookie` headers.
    pub(super) fn strip_own(&self, app: &Protected, headers: &mut HeaderMap, cookies: usize) {
        let last = self.last.borrow();
        match (cookies, last.as_ref()) {
            (0, _) => {}
            (1, Some(last)) => match headers.entry(COOKIE) {
                Entry::Occupied(mut cookie) if last.is(app, cookie.get()) => match &last.rest {
                    Some(rest) => drop(cookie.insert(rest.clone())),
                    None => drop(cookie.remove()),
                },
                _ => app.cookies.strip_own(headers),
            },
            _ => app.cookies.strip_own(headers),
        }
    }

    /// Leaves the tunnel that the connection becomes after the answer in hand.
    pub(super) fn tunnels(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// Takes the tunnel that the last answer opened.
    pub fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }

    /// How the browser came, as far as that is known: by TLS to us, or as a trusted proxy says.
    pub fn came_over(&self, headers: &HeaderMap) -> Option<Scheme> {
        let said = |value: &[u8]| match value {
            b"https" => Some(Scheme::Https),
            b"http" => Some(Scheme::Http),
            _ => None,
        };
        match (self.trust, self.scheme) {
            (_, Scheme::Https) => Some(Scheme::Https),
            (Trust::Proxy, Scheme::Http) => from_the_right(headers, &X_FORWARDED_PROTO).next().and_then(said),
            (Trust::Stranger, Scheme::Http) => None,
        }
    }

    /// The address of the client behind trusted proxies: by `X-Forwarded-For`, or by `Forwarded` (RFC 7239)
    /// where that is all there is.
    pub fn client(&self, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
        let peer = self.peer.ip();
        if self.trust == Trust::Stranger {
            return peer;
        }
        if headers.contains_key(X_FORWARDED_FOR) {
            return proxies.client(peer, from_the_right(headers, &X_FORWARDED_FOR).map(address));
        }
        proxies.client(peer, from_the_right(headers, &FORWARDED).map(forwarded_for))
    }
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The elements of a list over all its header lines, the latest first, without empty ones.
fn from_the_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter().rev();
    let elements = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The `for` of an element of `Forwarded` (RFC 7239 section 4).
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    // SECURITY: a comma in a quoted value tears an element apart; what is left of it names nobody.
    let quotes = element.iter().filter(|byte| **byte == b'"').count();
    if quotes % 2 == 1 || element.contains(&b'\\') {
        return None;
    }
    let mut pairs = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let node = pairs.find_map(|pair| {
        let (name, node) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(node)
    })?;
    address(node.strip_prefix(b"\"").and_then(|node| node.strip_suffix(b"\"")).unwrap_or(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_what_the_trusted_proxies_saw_and_nothing_left_of_it() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let visitor = |peer: &str| {
            Visitor::new(Peer::new(format!("{peer}:1").parse().unwrap()), Scheme::Http, &proxies)
        };
        let xff = "x-forwarded-for";
        for (peer, lines, client) in [
            ("192.0.2.1", &[(xff, "6.6.6.6")][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "6.6.6.6, 198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "6.6.6.6"), (xff, "198.51.100.7, 10.0.0.2")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "6.6.6.6, 198.51.100.7:4711")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "6.6.6.6, [2001:db8::7]:4711, 10.0.0.2:80")], "2001:db8::7"),
            ("10.0.0.1", &[(xff, "6.6.6.6,[2001:db8::7]")], "2001:db8::7"),
            ("10.0.0.1", &[(xff, "6.6.6.6, 2001:db8::7,")], "2001:db8::7"),
            ("10.0.0.1", &[(xff, "6.6.6.6, unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "6.6.6.6, unknown, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(xff, "6.6.6.6, \u{e9}")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[("forwarded", "for=6.6.6.6, for=198.51.100.7;proto=https")], "198.51.100.7"),
            ("10.0.0.1", &[("forwarded", "proto=https;For=\"[2001:db8::7]:4711\"")], "2001:db8::7"),
            ("10.0.0.1", &[("forwarded", "for=6.6.6.6"), ("forwarded", "for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.7;host=\"a,for=6.6.6.6;b\"")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.7;host=\"a\\\",for=6.6.6.6;b\"")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=6.6.6.6"), (xff, "198.51.100.7")], "198.51.100.7"),
        ] {
            let headers = lines.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
                headers
            });
            let found = visitor(peer).client(&headers, &proxies);
            assert_eq!(found.to_string(), client, "{peer} {lines:?}");
        }
    }
}
