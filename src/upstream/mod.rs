//! Floor 3: the data plane towards the apps: connections, framing, forwarded headers, upgrades.
//!
//! Knows addresses and messages, never who is signed in. Each worker has its own [`Upstream`] for each app,
//! with its own connections, so that no request waits for another core. The caller has removed and set the
//! header fields ([`headers`], [`forwarded`]) before a request comes here.

mod deadline;
mod error;
pub mod examination;
pub mod fields;
pub mod forwarded;
mod gate;
pub mod headers;
mod line;
mod pool;
mod stream;
pub mod upgrade;

use std::future::Future;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use rustls_pki_types::CertificateDer;

pub use error::{Malformed, UpstreamError};
pub use fields::Fields;
pub use forwarded::ForwardedHeaders;

use crate::foundation::body::Body;
use crate::foundation::origin::{Origin, Scheme};
use line::{Line, Unanswered};
use pool::Pool;
use stream::Target;
use upgrade::{AppEnd, Switch};

/// How long an unused connection to an app is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// One upstream, as the configuration describes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the app runs.
    pub address: Address,
    /// What `Host` the app sees.
    pub host_header: HostHeader,
    /// The time limit for opening a connection, TLS included.
    pub connect_timeout: Duration,
    /// The time limit from sending a request until the answer's head.
    pub response_timeout: Duration,
    /// Certificates trusted for this upstream besides the system's.
    pub ca: Vec<CertificateDer<'static>>,
    /// The name that the upstream's certificate must prove, instead of its address's.
    pub server_name: Option<String>,
}

impl Settings {
    /// Whether it is spoken to by TLS.
    pub const fn is_secured(&self) -> bool {
        matches!(&self.address, Address::Origin(origin) if matches!(origin.scheme(), Scheme::Https))
    }
}

/// Where an app runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address, with TLS when the scheme is `https`.
    Origin(Origin),
    /// A unix socket.
    Unix(PathBuf),
}

/// What `Host` the app sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The one that the user asked for.
    Keep,
    /// The upstream's own authority.
    Upstream,
}

/// One app's upstream as one worker sees it.
pub struct Upstream {
    target: Target,
    pool: Rc<Pool>,
    /// The `Host` to send, when it is not the browser's.
    host: Option<HeaderValue>,
    connect_timeout: Duration,
    response_timeout: Duration,
}

impl Upstream {
    /// Prepares the upstream; nothing is opened before the first request. `tls` must trust what
    /// `settings.ca` names ([`crate::foundation::trust::client_config`]).
    ///
    /// # Errors
    /// When the address can't be proven by a certificate or stand in a `Host` header.
    pub fn new(settings: &Settings, tls: Arc<rustls::ClientConfig>) -> Result<Rc<Self>, UpstreamError> {
        let host = match (settings.host_header, &settings.address) {
            (HostHeader::Upstream, Address::Origin(origin)) => {
                let host = HeaderValue::try_from(origin.authority());
                Some(host.map_err(|_| UpstreamError::HostHeader)?)
            }
            // A unix socket has no authority of its own.
            (HostHeader::Upstream, Address::Unix(_)) => Some(HeaderValue::from_static("localhost")),
            (HostHeader::Keep, _) => None,
        };
        Ok(Rc::new(Self {
            target: Target::new(settings, tls)?,
            pool: Pool::new(IDLE_LIMIT),
            host,
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
        }))
    }

    /// Sends a request on, with `fields` besides its own, and gives the app's answer, whose body streams.
    ///
    /// The request must be in origin form, with its hop-by-hop fields removed. It is sent a second time only
    /// when the app cannot have seen it: on an idle connection that turned out to be closed.
    ///
    /// # Errors
    /// When the app can't be reached, answers too late, or answers what must not be passed on.
    #[expect(
        clippy::manual_async_fn,
        reason = "a block uses what it captured where it is, without another move"
    )]
    pub fn exchange(
        &self,
        mut request: Request<Body>,
        fields: &Fields,
    ) -> impl Future<Output = Result<Response<Body>, UpstreamError>> {
        async move {
            self.prepare(&mut request);
            loop {
                let idle = self.pool.take();
                let fresh = idle.is_none();
                let mut line = match idle {
                    Some(line) => line,
                    // Boxed, and so are the futures within it, to keep the usual path's future small.
                    None => Box::pin(self.connect(Rc::downgrade(&self.pool))).await?,
                };
                match line.send(request, fields, self.response_timeout).await {
                    Ok(answer) => return answered(answer, line),
                    Err(Unanswered { unsent: Some(unsent), .. }) if !fresh => request = *unsent,
                    Err(failed) => return Err(failed.error),
                }
            }
        }
    }

    /// Sends a WebSocket handshake on ([`upgrade::is_websocket`]), over a connection of its own.
    ///
    /// # Errors
    /// As [`Upstream::exchange`]; also when the app switches to something else than was asked for.
    pub async fn switch(&self, mut request: Request<Body>, fields: &Fields) -> Result<Switch, UpstreamError> {
        self.prepare(&mut request);
        upgrade::ask(request.headers_mut());
        let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
        // SECURITY: an app that did not switch may take what follows for the handshake's body, or for frames:
        // whatever it answers, this connection serves nobody else (request smuggling).
        let mut line = self.connect(Weak::new()).await?;
        let answer =
            line.send(request, fields, self.response_timeout).await.map_err(|failed| failed.error)?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return answered(answer, line).map(Switch::Answer);
        }
        let key = key.ok_or(UpstreamError::Malformed(Malformed::Switch))?;
        upgrade::judge(&answer, &key).map_err(UpstreamError::Malformed)?;
        let mut answer = answer.map(|_| Body::empty());
        headers::remove_hop_by_hop(answer.headers_mut());
        upgrade::ask(answer.headers_mut());
        let (stream, early) = line.into_stream().await.ok_or(UpstreamError::Malformed(Malformed::Switch))?;
        Ok(Switch::Tunnel(answer, AppEnd::new(stream, early)))
    }

    /// A new connection; after its exchange it goes to `pool`, where there is one.
    async fn connect(&self, pool: Weak<Pool>) -> Result<Box<Line>, UpstreamError> {
        let limit = self.connect_timeout;
        let opened = tokio::time::timeout(limit, self.target.open()).await;
        let (stream, wire) = opened.map_err(|_| UpstreamError::ConnectTimeout { limit })??;
        Line::new(stream, wire, pool).await.map_err(UpstreamError::of)
    }

    fn prepare(&self, request: &mut Request<Body>) {
        *request.version_mut() = Version::HTTP_11;
        if request.uri().scheme().is_some() || request.uri().authority().is_some() {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        }
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        // SECURITY: the framing is our own, made from the body that is really sent (request smuggling).
        let exact = request.body().size_hint().exact();
        let fields = request.headers_mut();
        match exact {
            // `hyper` sends the length of a body that has ended as it came, and the app would wait for it.
            Some(0) if fields.contains_key(CONTENT_LENGTH) => {
                fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            Some(0) => {}
            Some(_) => {
                fields.remove(CONTENT_LENGTH);
            }
            None => {
                fields.remove(CONTENT_LENGTH);
                // Without it `hyper` would leave out the body of a GET.
                fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
    }
}

/// Judges the answer's head, removes what ends at this hop, and joins the body to its connection.
fn answered(answer: Response<Incoming>, line: Box<Line>) -> Result<Response<Body>, UpstreamError> {
    let (mut head, body) = answer.into_parts();
    judge(head.status, &head.headers).map_err(UpstreamError::Malformed)?;
    headers::remove_hop_by_hop(&mut head.headers);
    // Whatever the app speaks, the browser is answered in its own version.
    head.version = Version::HTTP_11;
    Ok(Response::from_parts(head, line.body(body)))
}

/// SECURITY: an answer whose length can be read in two ways could carry a second answer, meant for the next
/// request (response smuggling); its connection is dropped with it.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), Malformed> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Malformed::Switch);
    }
    let (mut lengths, mut encodings, mut chunked) = (0, 0, true);
    for (name, value) in headers {
        if *name == CONTENT_LENGTH {
            lengths += 1;
        } else if *name == TRANSFER_ENCODING {
            encodings += 1;
            chunked &= value.as_bytes().eq_ignore_ascii_case(b"chunked");
        }
    }
    match (lengths, encodings) {
        (0 | 1, 0) => Ok(()),
        (0, 1) if chunked => Ok(()),
        (0, 1) => Err(Malformed::TransferEncoding),
        _ => Err(Malformed::Framing),
    }
}

#[cfg(test)]
mod tests;
