//! What an app is told about the browser's connection: `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and
//! `Forwarded` (RFC 7239).
//!
//! For a browser that connects directly the values are the same for all requests of one connection to one
//! app: they are made once and cloned. What a trusted proxy says is kept, and the proxy itself added.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::fields::Fields;
use super::headers::{remove_misspelt_forwarding, tokens};
use crate::foundation::origin::Origin;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// The most of an incoming `X-Forwarded-For` or `Forwarded` that is passed on, in bytes; beyond it a
/// trusted proxy's list is taken for an attack and begun anew.
const CHAIN_LIMIT: usize = 4096;

/// The forwarding headers for the requests of one connection to one app.
#[derive(Clone, Debug)]
pub struct ForwardedHeaders {
    address: HeaderValue,
    proto: HeaderValue,
    host: HeaderValue,
    port: HeaderValue,
    element: HeaderValue,
    all: Fields,
}

impl ForwardedHeaders {
    /// For a connection from `peer` to the app that users see at `public`. `None` when the public address
    /// can't stand in a header, which a checked configuration rules out.
    pub fn new(peer: IpAddr, public: &Origin) -> Option<Self> {
        let proto = public.scheme().as_str();
        let host = public.authority();
        let element = format!("for={};host={};proto={proto}", node(peer), quoted(&host));
        let mut made = Self {
            address: HeaderValue::try_from(peer.to_string()).ok()?,
            proto: HeaderValue::from_static(proto),
            port: HeaderValue::from(public.port()),
            element: HeaderValue::try_from(element).ok()?,
            host: HeaderValue::try_from(host).ok()?,
            all: Fields::default(),
        };
        let values = [&made.address, &made.proto, &made.host, &made.port, &made.element];
        made.all = Fields::written([FOR, PROTO, HOST, PORT, FORWARDED].iter().zip(values));
        Some(made)
    }

    /// What a request gets after [`remove_forwarding`](super::headers::remove_forwarding): for a peer that is
    /// not a trusted proxy.
    pub const fn fields(&self) -> &Fields {
        &self.all
    }

    /// Keeps what the peer, a trusted proxy, said, and adds the peer itself.
    pub fn extend(&self, headers: &mut HeaderMap) {
        remove_misspelt_forwarding(headers);
        let element = match joined(headers, &FORWARDED) {
            Some(mut chain) => {
                chain.extend_from_slice(b", ");
                chain.extend_from_slice(self.element.as_bytes());
                HeaderValue::try_from(chain).ok()
            }
            None => HeaderValue::try_from(self.elements(headers)).ok(),
        };
        headers.insert(FORWARDED, element.unwrap_or_else(|| self.element.clone()));
        let address = joined(headers, &FOR).and_then(|mut chain| {
            chain.extend_from_slice(b", ");
            chain.extend_from_slice(self.address.as_bytes());
            HeaderValue::try_from(chain).ok()
        });
        headers.insert(FOR, address.unwrap_or_else(|| self.address.clone()));
        for (name, value) in [(PROTO, &self.proto), (HOST, &self.host), (PORT, &self.port)] {
            // Said twice is said by nobody.
            if headers.get_all(&name).iter().count() != 1 {
                headers.insert(name, value.clone());
            }
        }
    }

    /// A `Forwarded` list out of the `X-Forwarded-For` of a proxy that knows no other.
    fn elements(&self, headers: &HeaderMap) -> String {
        let mut list = String::new();
        for client in headers.get_all(FOR).iter().flat_map(tokens) {
            let client = std::str::from_utf8(client).ok().and_then(|client| client.parse().ok());
            if list.len() < CHAIN_LIMIT
                && let Some(client) = client
            {
                list.push_str("for=");
                list.push_str(&node(client));
                list.push_str(", ");
            }
        }
        list.push_str(&String::from_utf8_lossy(self.element.as_bytes()));
        list
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut chain = Vec::new();
    for token in headers.get_all(name).iter().flat_map(tokens) {
        if !chain.is_empty() {
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(token);
    }
    (!chain.is_empty() && chain.len() <= CHAIN_LIMIT).then_some(chain)
}

/// RFC 7239 section 6: an IPv6 address is bracketed and, for its colons, quoted.
fn node(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    }
}

/// RFC 7239 section 4: a value is a token, or a quoted string when it holds anything else.
fn quoted(value: &str) -> String {
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace(['"', '\\'], ""))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn headers(peer: &str, public: &str) -> ForwardedHeaders {
        let public = Origin::of(&Url::parse(public).unwrap()).unwrap();
        ForwardedHeaders::new(peer.parse().unwrap(), &public).unwrap()
    }

    fn get<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn a_direct_client_is_told_about() {
        let told =
            |peer, public| String::from_utf8(headers(peer, public).fields().as_bytes().to_vec()).unwrap();
        assert_eq!(
            told("192.0.2.7", "https://lms.example.org"),
            "x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\nx-forwarded-host: lms.example.org\r\n\
             x-forwarded-port: 443\r\nforwarded: for=192.0.2.7;host=lms.example.org;proto=https\r\n"
        );
        // An IPv6 address and a port are quoted.
        let told = told("2001:db8::1", "http://lms.example.org:8080");
        assert!(told.starts_with("x-forwarded-for: 2001:db8::1\r\n"), "{told}");
        let element = "forwarded: for=\"[2001:db8::1]\";host=\"lms.example.org:8080\";proto=http\r\n";
        assert!(told.ends_with(element), "{told}");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added() {
        let mut map = HeaderMap::new();
        map.append("x-forwarded-for", "198.51.100.7".parse().unwrap());
        map.append("x-forwarded-for", "2001:db8::7, nonsense".parse().unwrap());
        map.append("x-forwarded-proto", "https".parse().unwrap());
        map.append("x-forwarded-host", "one.example.org".parse().unwrap());
        map.append("x-forwarded-host", "two.example.org".parse().unwrap());
        headers("10.0.0.1", "http://lms.example.org").extend(&mut map);
        assert_eq!(get(&map, "x-forwarded-for"), ["198.51.100.7, 2001:db8::7, nonsense, 10.0.0.1"]);
        assert_eq!(get(&map, "x-forwarded-proto"), ["https"]);
        assert_eq!(get(&map, "x-forwarded-host"), ["lms.example.org"]);
        assert_eq!(
            get(&map, "forwarded"),
            ["for=198.51.100.7, for=\"[2001:db8::7]\", for=10.0.0.1;host=lms.example.org;proto=http"]
        );
        headers("10.0.0.2", "http://lms.example.org").extend(&mut map);
        assert!(
            get(&map, "forwarded")[0].ends_with("proto=http, for=10.0.0.2;host=lms.example.org;proto=http")
        );
    }
}
