//! A browser: a cookie jar, redirects when asked, and forms. No scripts: that is Chromium's part.
//!
//! It withholds cookies as browsers do: `SameSite=Lax` from what another site sends but by following a link,
//! `SameSite=Strict` from all of it, and a redirect that began on another site is another site's.
//!
//! Each request has its own connection, so that what one test does to a connection harms no other.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use cookie::SameSite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::ask::{Ask, Crossing, is_same_site};
use super::html::{self, Form};
use super::server::Stream;
use super::wire::{BodyEnds, Fields, PATIENCE, Reader};

/// A response as the browser got it.
#[derive(Clone)]
pub struct Response {
    /// The address that answered.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: Fields,
    /// The content.
    pub body: Vec<u8>,
    /// How the content came: `true` when a chunked body or a length was cut short.
    pub cut_short: bool,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let page = body.split("</style>").last().unwrap_or_default();
        let page: String = page.chars().take(2000).collect();
        write!(f, "{} from {}\n{:?}\n{page}", self.status, self.url, self.headers)
    }
}

impl Response {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The address that `Location` names.
    pub fn location(&self) -> Url {
        let location = self.header("location").unwrap_or_else(|| panic!("no redirect: {self:?}"));
        self.url.join(&location).unwrap()
    }

    /// The only parameter of this name in `Location`.
    pub fn location_param(&self, name: &str) -> Option<String> {
        self.location().query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// Whether it sends the browser elsewhere.
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// The form with this id, or the first one when the id is empty.
    pub fn form(&self, id: &str) -> Form {
        html::forms(&self.text())
            .into_iter()
            .find(|form| id.is_empty() || form.id == id)
            .unwrap_or_else(|| panic!("no form {id:?} in {} {}:\n{}", self.status, self.url, self.text()))
    }

    /// Asserts the status, and shows the response when it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Host and port as a `Host` header names them.
pub fn authority(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap()),
        None => url.host_str().unwrap().to_owned(),
    }
}

/// One cookie of the jar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The host that set it, or its domain; cookies know no ports.
    pub host: String,
    /// Whether hosts below that get it too.
    pub wide: bool,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The path it is for.
    pub path: String,
    /// Whether it goes over TLS only.
    pub secure: bool,
    /// What it is withheld from.
    pub same_site: SameSite,
}

/// A browser with its cookies. A clone is another window of the same browser.
#[derive(Clone, Default)]
pub struct Browser {
    jar: Arc<Mutex<Vec<Cookie>>>,
    hosts: Arc<Mutex<HashMap<String, IpAddr>>>,
    tls: Option<Arc<rustls::ClientConfig>>,
    language: Option<String>,
    refuses: Option<fn(&str) -> bool>,
}

impl Browser {
    /// A browser without cookies.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same browser, speaking TLS with these roots.
    #[must_use]
    pub fn trusting(mut self, tls: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The same browser of a person who reads this language.
    #[must_use]
    pub fn reading(mut self, language: &str) -> Self {
        self.language = Some(language.into());
        self
    }

    /// The same browser, which keeps no cookie whose name is one of these.
    #[must_use]
    pub fn refusing(mut self, refuses: fn(&str) -> bool) -> Self {
        self.refuses = Some(refuses);
        self
    }

    /// Another browser that holds the same cookies now and goes its own way.
    pub fn copy(&self) -> Self {
        let jar = self.jar.lock().unwrap().clone();
        Self { jar: Arc::new(Mutex::new(jar)), ..self.clone() }
    }

    /// The same browser on another person's desk: no cookies.
    pub fn fresh(&self) -> Self {
        Self { jar: Arc::default(), ..self.clone() }
    }

    /// Finds this name at this address.
    pub fn knows(&self, host: &str, address: IpAddr) {
        self.hosts.lock().unwrap().insert(host.into(), address);
    }

    /// The same browser, with the same cookies, led to another address for this name, as by a balancer.
    #[must_use]
    pub fn led_to(&self, host: &str, address: IpAddr) -> Self {
        let hosts = Arc::new(Mutex::new(HashMap::from([(host.to_owned(), address)])));
        Self { hosts, ..self.clone() }
    }

    /// Every cookie that it holds.
    pub fn cookies(&self) -> Vec<Cookie> {
        self.jar.lock().unwrap().clone()
    }

    /// Puts a cookie into the jar, as another site or a thief would.
    pub fn plant(&self, host: &str, name: &str, value: &str) {
        self.plant_below(host, "/", name, value);
    }

    /// The same, for this path alone.
    pub fn plant_below(&self, host: &str, path: &str, name: &str, value: &str) {
        let cookie = Cookie {
            host: host.into(),
            wide: false,
            name: name.into(),
            value: value.into(),
            path: path.into(),
            secure: false,
            same_site: SameSite::None,
        };
        let mut jar = self.jar.lock().unwrap();
        jar.retain(|known| !(known.host == host && known.name == name && known.path == path));
        jar.push(cookie);
    }

    /// Opens a connection to where this address is.
    pub async fn connect(&self, url: &Url) -> Box<dyn Stream> {
        let host = url.host_str().unwrap();
        let known = self.hosts.lock().unwrap().get(host).copied();
        let ip =
            host.trim_matches(['[', ']']).parse().ok().or(known).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let address = SocketAddr::new(ip, url.port_or_known_default().unwrap());
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.expect("no connection in time");
        let stream = stream.unwrap_or_else(|error| panic!("{url} at {address}: {error}"));
        stream.set_nodelay(true).unwrap();
        if url.scheme() == "http" {
            return Box::new(stream);
        }
        let tls =
            tokio_rustls::TlsConnector::from(Arc::clone(self.tls.as_ref().expect("a browser with roots")));
        let name = rustls_pki_types::ServerName::try_from(host.to_owned()).unwrap();
        Box::new(tls.connect(name, stream).await.unwrap())
    }

    /// Sends one request and reads its answer; redirects are not followed, cookies are kept.
    pub async fn send(&self, mut ask: Ask) -> Response {
        if let Some(language) = &self.language
            && !ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept-language"))
        {
            ask = ask.header("Accept-Language", language);
        }
        let cookies = if ask.cookies { self.cookies_for(&ask.url, ask.crossing()) } else { None };
        let bytes = ask.bytes(cookies);
        let (url, method) = (ask.url, ask.method);
        let response = timeout(PATIENCE, self.exchange(&url, &method, &bytes)).await;
        let response = response.unwrap_or_else(|_| panic!("no answer in time: {method} {url}"));
        self.keep_cookies(&response);
        response
    }

    /// Sends exactly these bytes to where `url` is and reads one answer; no cookies either way.
    pub async fn raw(&self, url: &str, bytes: &[u8]) -> Response {
        let url = Url::parse(url).unwrap();
        timeout(PATIENCE, self.exchange(&url, "GET", bytes)).await.expect("no answer in time")
    }

    async fn exchange(&self, url: &Url, method: &str, bytes: &[u8]) -> Response {
        let (input, mut output) = tokio::io::split(self.connect(url).await);
        // The other side may answer and close before it has read everything: the answer is what counts.
        output.write_all(bytes).await.ok();
        read_response(&mut Reader::new(input), url, method).await
    }

    /// A navigation, redirects not followed.
    pub async fn get(&self, url: &str) -> Response {
        self.send(Ask::navigation(url)).await
    }

    /// A script's request.
    pub async fn fetch(&self, url: &str) -> Response {
        self.send(Ask::script("GET", url)).await
    }

    /// A navigation that goes where it is sent, until somebody answers otherwise.
    pub async fn visit(&self, url: &str) -> Response {
        let first = self.get(url).await;
        self.follow(first).await
    }

    /// Goes where this response sends it, and on.
    pub async fn follow(&self, mut response: Response) -> Response {
        let mut site = "none";
        for _ in 0..20 {
            if !response.is_redirect() {
                return response;
            }
            let to = response.location();
            if !is_same_site(&response.url, &to) {
                site = "cross-site";
            }
            response = self.send(Ask::navigation(to.as_str()).instead("Sec-Fetch-Site", site)).await;
        }
        panic!("more than 20 redirects: {response:?}");
    }

    /// Sends a form that stands on this page, as a navigation, and follows.
    pub async fn submit(&self, page: &Response, form: Form) -> Response {
        let response = self.submit_once(page, form).await;
        self.follow(response).await
    }

    /// Sends a form that stands on this page, as a navigation.
    pub async fn submit_once(&self, page: &Response, form: Form) -> Response {
        let action = page.url.join(&form.action).unwrap();
        let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
        if form.method == "get" {
            return self.get(&format!("{action}?{fields}")).await;
        }
        let origin = page.url.origin().ascii_serialization();
        let site = if page.url.origin() == action.origin() { "same-origin" } else { "cross-site" };
        let ask = Ask { method: "POST".into(), ..Ask::navigation(action.as_str()) }
            .instead("Sec-Fetch-Site", site)
            .header("Origin", origin)
            .body("application/x-www-form-urlencoded", fields);
        self.send(ask).await
    }

    /// Opens an address that needs sign-in, signs this person in at the provider, and ends where that ends.
    pub async fn sign_in(&self, url: &str, login: &str) -> Response {
        let page = self.visit(url).await;
        self.log_in(&page, login).await
    }

    /// Signs this person in on the provider's login page.
    pub async fn log_in(&self, page: &Response, login: &str) -> Response {
        let form = page.form("login").fill("login", login).fill("password", "пароль");
        self.submit(page, form).await
    }

    /// The value of the `Cookie` header that a request of this site's own to this address would have.
    pub fn cookie_header(&self, url: &Url) -> Option<String> {
        self.cookies_for(url, Crossing::None)
    }

    fn cookies_for(&self, url: &Url, crossing: Crossing) -> Option<String> {
        let jar = self.jar.lock().unwrap();
        let host = url.host_str().unwrap();
        let fits = jar.iter().filter(|cookie| {
            (cookie.host == host || cookie.wide && host.ends_with(&format!(".{}", cookie.host)))
                && !crossing.withholds(cookie.same_site)
                && (!cookie.secure || is_trustworthy(url))
                && path_fits(&cookie.path, url.path())
        });
        let pairs: Vec<String> = fits.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn keep_cookies(&self, response: &Response) {
        let mut jar = self.jar.lock().unwrap();
        for line in response.headers.all("set-cookie") {
            let parsed = cookie::Cookie::parse(line).unwrap();
            let host = response.url.host_str().unwrap();
            let wide = parsed.domain().is_some();
            let domain = parsed.domain().unwrap_or(host).to_owned();
            let above = host == domain || host.ends_with(&format!(".{domain}"));
            let refused = self.refuses.is_some_and(|refuses| refuses(parsed.name()));
            let deletes = parsed.max_age().is_some_and(|age| age.whole_seconds() <= 0);
            if !above || wide && parsed.name().starts_with("__Host-") || refused && !deletes {
                continue;
            }
            let cookie = Cookie {
                host: domain,
                wide,
                name: parsed.name().into(),
                value: parsed.value().into(),
                path: parsed.path().unwrap_or("/").into(),
                secure: parsed.secure().unwrap_or(false),
                same_site: parsed.same_site().unwrap_or(SameSite::Lax),
            };
            jar.retain(|old| {
                let same_place = old.host == cookie.host && old.wide == cookie.wide;
                !(same_place && old.name == cookie.name && old.path == cookie.path)
            });
            let gone = parsed.max_age().is_some_and(|age| age.whole_seconds() <= 0)
                || cookie.value.is_empty()
                || parsed.expires_datetime().is_some_and(|at| at.unix_timestamp() < 1_000_000_000);
            if !gone {
                jar.push(cookie);
            }
        }
    }
}

/// Twenty requests at once, by these browsers in turn; their statuses.
pub async fn twenty(browsers: &[&Browser], url: &str) -> Vec<u16> {
    let ask = |browser: &&Browser| {
        let (browser, url) = (browser.copy(), url.to_owned());
        tokio::spawn(async move { browser.fetch(&url).await.status })
    };
    let asked: Vec<_> = browsers.iter().cycle().take(20).map(ask).collect();
    let mut statuses = Vec::new();
    for asked in asked {
        statuses.push(asked.await.unwrap());
    }
    statuses
}

/// Whether browsers send `Secure` cookies there: over TLS, and to this machine's own addresses.
fn is_trustworthy(url: &Url) -> bool {
    let loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || url.host_str().is_some_and(loopback)
}

fn path_fits(cookie: &str, path: &str) -> bool {
    path == cookie || path.starts_with(&format!("{}/", cookie.trim_end_matches('/')))
}

/// Reads one response; informational ones before it are skipped.
pub async fn read_response<S: tokio::io::AsyncRead + Unpin>(
    reader: &mut Reader<S>,
    url: &Url,
    method: &str,
) -> Response {
    loop {
        let head = reader.head().await.unwrap_or_else(|| panic!("{method} {url}: closed without an answer"));
        let status: u16 = head.start.split(' ').nth(1).unwrap().parse().unwrap();
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let no_body = method == "HEAD" || matches!(status, 101 | 204 | 304);
        let (body, raw) =
            if no_body { Default::default() } else { reader.body(&head, BodyEnds::WithConnection).await };
        let length: Option<usize> = head.fields.get("content-length").map(|length| length.parse().unwrap());
        let chunked = head.fields.has_word("transfer-encoding", "chunked");
        let cut_short = !no_body
            && (length.is_some_and(|length| body.len() < length) || chunked && !raw.ends_with(b"0\r\n\r\n"));
        return Response { url: url.clone(), status, headers: head.fields, body, cut_short };
    }
}
