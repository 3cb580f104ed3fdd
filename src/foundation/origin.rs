//! Origins: scheme, host and port, compared as RFC 6454 and RFC 9110 section 4.2.3 say.

use std::fmt;

use url::{Host, Url};

/// Whether a scheme is protected by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// The scheme's name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that an address of this scheme means when it names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A scheme, a host and a port. The host is in lower case, without a final dot, in ASCII; an IPv6 address
/// keeps its brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an absolute `http` or `https` address; `None` for any other.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let host = fold_host(url.host_str()?);
        Some(Self { scheme, host, port: url.port().unwrap_or(scheme.default_port()) })
    }

    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, folded.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also when it is the scheme's own.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a `Host` header carries them: the port only when it is not the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host is this machine by name or number: `localhost`, `*.localhost`, 127.0.0.0/8, `[::1]`.
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(&self.host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// A host as it is compared: lower case, without a final dot.
pub fn fold_host(host: &str) -> String {
    let mut folded = host.strip_suffix('.').unwrap_or(host).to_owned();
    folded.make_ascii_lowercase();
    folded
}

/// A domain name as it is compared, whichever script it was written in: in ASCII (UTS #46), lower case, without
/// a final dot. `None` for what is no name: an address, or nothing with a dot in it.
pub fn fold_domain(text: &str) -> Option<String> {
    match Host::parse(text) {
        Ok(Host::Domain(name)) => Some(fold_host(&name)).filter(|name| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            let labels = |label: &str| !label.is_empty() && label.bytes().all(plain);
            name.len() <= 253 && name.contains('.') && name.split('.').all(labels)
        }),
        _ => None,
    }
}

/// Whether a folded host is this machine by name or number.
pub fn is_loopback_host(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_compared_in_ascii_whatever_script_they_were_written_in() {
        for (text, folded) in [
            ("school.ru", Some("school.ru")),
            ("SCHOOL.Ru.", Some("school.ru")),
            ("школа.рф", Some("xn--80atdl2c.xn--p1ai")),
            ("ШКОЛА.РФ", Some("xn--80atdl2c.xn--p1ai")),
            ("xn--80atdl2c.xn--p1ai", Some("xn--80atdl2c.xn--p1ai")),
            ("school。ru", Some("school.ru")),
            ("ｓchool.ru", Some("school.ru")),
            ("school", None),
            ("localhost", None),
            ("", None),
            (".", None),
            (".ru", None),
            ("school..ru", None),
            ("school.ru/x", None),
            ("school.ru:443", None),
            ("a@school.ru", None),
            ("school.ru ", None),
            ("*.school.ru", None),
            ("127.0.0.1", None),
            ("127.1", None),
            ("[::1]", None),
            ("xn--a", None),
        ] {
            assert_eq!(fold_domain(text).as_deref(), folded, "{text:?}");
        }
    }

    fn origin(text: &str) -> Origin {
        Origin::of(&Url::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn origins_compare_without_case_final_dot_and_default_port() {
        assert_eq!(origin("https://LMS.Example.org./a"), origin("https://lms.example.org:443/b"));
        assert_ne!(origin("https://lms.example.org"), origin("http://lms.example.org:443"));
        assert_eq!(origin("http://lms.example.org:8080/x").to_string(), "http://lms.example.org:8080");
        assert_eq!(origin("https://[::1]:443").authority(), "[::1]");
    }

    #[test]
    fn loopback_is_known_by_name_and_number() {
        for (text, loopback) in [
            ("http://localhost:1", true),
            ("http://lms.localhost", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(origin(text).is_loopback(), loopback, "{text}");
        }
    }
}
