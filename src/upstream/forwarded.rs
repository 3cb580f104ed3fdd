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
use crate::foundation::peer::address;

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
        for (name, value) in [(PROTO, &self.proto), (HOST, &self.host), (PORT, &self.port)] {
            // Said twice is said by nobody.
            if headers.get_all(&name).iter().count() != 1 {
                headers.insert(name, value.clone());
            }
        }
        // SECURITY: a proxy that writes `X-Forwarded-For` mostly hands on the `Forwarded` that a client made up.
        // One of the two is believed, the same as for the client's address.
        let addresses = joined(headers, &FOR);
        let elements = match &addresses {
            Some(addresses) => Some(self.elements(addresses, headers)),
            None if headers.contains_key(FOR) => None,
            None => joined(headers, &FORWARDED),
        };
        headers.insert(FORWARDED, and(elements, &self.element));
        headers.insert(FOR, and(addresses, &self.address));
    }

    /// A `Forwarded` list out of `X-Forwarded-For` (RFC 7239 section 7.4). What the proxies said of the browser's
    /// own request, its host and scheme, stands in the first element, where apps look for it.
    fn elements(&self, addresses: &[u8], headers: &HeaderMap) -> Vec<u8> {
        let first =
            |name: &HeaderName| tokens(headers.get(name)?).next().and_then(|said| str::from_utf8(said).ok());
        let mut list = String::new();
        for (number, listed) in addresses.split(|byte| *byte == b',').enumerate() {
            list.push_str(if number == 0 { "for=" } else { ", for=" });
            list.push_str(&address(listed.trim_ascii()).map_or_else(|| "unknown".to_owned(), node));
            if number == 0 {
                for (name, value) in [(";host=", first(&HOST)), (";proto=", first(&PROTO))] {
                    list.extend(value.map(|value| name.to_owned() + &quoted(value)));
                }
            }
        }
        list.into_bytes()
    }
}

/// A list and what is added to it; without a list that alone.
fn and(list: Option<Vec<u8>>, last: &HeaderValue) -> HeaderValue {
    let list = list.map(|list| [&list, b", ".as_slice(), last.as_bytes()].concat());
    list.and_then(|list| HeaderValue::try_from(list).ok()).unwrap_or_else(|| last.clone())
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

    fn extended(peer: &str, public: &str, said: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in said {
            map.append(*name, value.parse().unwrap());
        }
        headers(peer, public).extend(&mut map);
        map
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added() {
        let said = [
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-for", "2001:db8::7, nonsense"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "one.example.org"),
            ("x-forwarded-host", "two.example.org"),
        ];
        let mut map = extended("10.0.0.1", "http://lms.example.org", &said);
        assert_eq!(get(&map, "x-forwarded-for"), ["198.51.100.7, 2001:db8::7, nonsense, 10.0.0.1"]);
        assert_eq!(get(&map, "x-forwarded-proto"), ["https"]);
        assert_eq!(get(&map, "x-forwarded-host"), ["lms.example.org"]);
        let [before, ours] = [
            "for=198.51.100.7;host=lms.example.org;proto=https, for=\"[2001:db8::7]\", for=unknown, for=10.0.0.1",
            ";host=lms.example.org;proto=http",
        ];
        assert_eq!(get(&map, "forwarded"), [format!("{before}{ours}")]);
        headers("10.0.0.2", "http://lms.example.org").extend(&mut map);
        assert_eq!(get(&map, "forwarded"), [format!("{before}, for=10.0.0.2{ours}")]);
    }

    #[test]
    fn the_first_element_tells_how_the_browser_came() {
        let ours = "for=10.0.0.1;host=lms.example.org;proto=https";
        for (said, expected) in [
            // What nginx says that was told to say it.
            (
                &[
                    ("x-forwarded-for", "192.0.2.7"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "LMS:443"),
                ][..],
                "for=192.0.2.7;host=\"LMS:443\";proto=https, ",
            ),
            // Proxies that add to the lists.
            (
                &[
                    ("x-forwarded-for", "192.0.2.7:4711, [2001:db8::7]:80"),
                    ("x-forwarded-proto", "https,http"),
                ],
                "for=192.0.2.7;host=lms.example.org;proto=https, for=\"[2001:db8::7]\", ",
            ),
            // What can't stand in an element as it came can't make another.
            (
                &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-host", "a\\\";for=6.6.6.6")],
                "for=192.0.2.7;host=\"a;for=6.6.6.6\";proto=https, ",
            ),
            (
                &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "")],
                "for=192.0.2.7;host=lms.example.org, ",
            ),
            // A proxy that speaks RFC 7239 alone.
            (&[("forwarded", "for=192.0.2.7;proto=https")], "for=192.0.2.7;proto=https, "),
            (&[], ""),
        ] {
            let map = extended("10.0.0.1", "https://lms.example.org", said);
            assert_eq!(get(&map, "forwarded"), [format!("{expected}{ours}")], "{said:?}");
        }
    }

    #[test]
    fn what_a_client_made_up_as_forwarded_does_not_pass_a_proxy_that_tells_its_address() {
        let forged = ("forwarded", "for=6.6.6.6;host=evil.example;proto=http");
        let long = "192.0.2.7, ".repeat(CHAIN_LIMIT / 11 + 1);
        for addresses in ["192.0.2.7", "nonsense", "", &long] {
            let map =
                extended("10.0.0.1", "https://lms.example.org", &[forged, ("x-forwarded-for", addresses)]);
            let told = get(&map, "forwarded");
            assert!(!told[0].contains("evil") && !told[0].contains("6.6.6.6"), "{told:?}");
            assert!(told[0].ends_with("for=10.0.0.1;host=lms.example.org;proto=https"), "{told:?}");
            assert_eq!(told.len(), 1);
        }
    }
}
