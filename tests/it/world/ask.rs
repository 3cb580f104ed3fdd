//! A request as a test writes it: any method, any bytes, whatever a browser would never send.

use cookie::SameSite;
use url::Url;

use super::browser::authority;

/// A request that a test makes by hand.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) method: String,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) cookies: bool,
}

impl Ask {
    /// This method and address, and no header but `Host` (and the jar's cookies).
    pub fn new(method: &str, url: &str) -> Self {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        Self {
            method: method.into(),
            url,
            headers: Vec::new(),
            body: Vec::new(),
            target: None,
            cookies: true,
        }
    }

    /// A navigation by link or address bar.
    pub fn navigation(url: &str) -> Self {
        Self::new("GET", url)
            .header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "document")
            .header("Sec-Fetch-Site", "none")
    }

    /// What a page's script asks for.
    pub fn script(method: &str, url: &str) -> Self {
        Self::new(method, url)
            .header("Accept", "*/*")
            .header("Sec-Fetch-Mode", "cors")
            .header("Sec-Fetch-Dest", "empty")
            .header("Sec-Fetch-Site", "same-origin")
    }

    /// With this header too, whatever its name.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// With this value instead of the one the header had.
    #[must_use]
    pub fn instead(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// The same to another address.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.url = Url::parse(url).unwrap();
        self
    }

    /// With this body and its length.
    #[must_use]
    pub fn body(mut self, kind: &str, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Type", kind).header("Content-Length", length)
    }

    /// With exactly these bytes as the request's target.
    #[must_use]
    pub fn target(mut self, target: impl AsRef<[u8]>) -> Self {
        self.target = Some(target.as_ref().to_vec());
        self
    }

    /// Without the jar's cookies.
    #[must_use]
    pub fn without_cookies(mut self) -> Self {
        self.cookies = false;
        self
    }

    pub(super) fn crossing(&self) -> Crossing {
        let header = |name: &str| {
            let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(value).ok()
        };
        let crosses = match header("sec-fetch-site") {
            Some(site) => site == "cross-site",
            None => header("origin")
                .or(header("referer"))
                .is_some_and(|from| !Url::parse(from).is_ok_and(|from| is_same_site(&from, &self.url))),
        };
        let link = matches!(self.method.as_str(), "GET" | "HEAD")
            && matches!(header("sec-fetch-mode"), None | Some("navigate"));
        match (crosses, link) {
            (false, _) => Crossing::None,
            (true, true) => Crossing::Link,
            (true, false) => Crossing::Other,
        }
    }

    pub(super) fn bytes(&self, cookies: Option<String>) -> Vec<u8> {
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let mut bytes = format!("{} ", self.method).into_bytes();
        bytes.extend_from_slice(self.target.as_deref().unwrap_or(path.as_bytes()));
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            bytes.extend_from_slice(format!("Host: {}\r\n", authority(&self.url)).as_bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: ").as_bytes());
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if let Some(cookies) = cookies {
            bytes.extend_from_slice(format!("Cookie: {cookies}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Whether a request comes from another site.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    /// From this one, or from the person.
    None,
    /// By a link or a redirect.
    Link,
    /// In any other way.
    Other,
}

impl Crossing {
    pub(super) fn withholds(self, same_site: SameSite) -> bool {
        match same_site {
            SameSite::Strict => self != Self::None,
            SameSite::Lax => self == Self::Other,
            SameSite::None => false,
        }
    }
}

/// Whether two addresses are of one site: the same host, or hosts below one name.
pub(super) fn is_same_site(one: &Url, other: &Url) -> bool {
    let site = |url: &Url| match url.host() {
        Some(url::Host::Domain(name)) => {
            let labels: Vec<&str> = name.split('.').collect();
            labels[labels.len().saturating_sub(2)..].join(".")
        }
        host => host.unwrap().to_string(),
    };
    site(one) == site(other)
}
