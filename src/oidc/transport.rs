//! The only file here that opens sockets: one call to a provider, with every limit that a call has.
//!
//! Knows nothing of what is asked or answered. No redirect is followed, no proxy is taken from the
//! environment, an answer ends at a number of bytes, a call at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::ClientConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::CertificateDer;

use super::Settings;
use super::error::{NetworkFailure, OidcError, SetupError};
use super::message::{Call, told};
use crate::foundation::origin::fold_host;
use crate::foundation::trust::{self, TrustError};

/// How many bytes of an answer are read.
pub(super) const ANSWER_LIMIT: usize = 1024 * 1024;

/// The certificate that an answer's sender proved itself with, in DER; an extension of the answer.
#[derive(Clone, Debug)]
pub(super) struct PeerCertificate(pub(super) Arc<[u8]>);

/// The way to one provider.
#[derive(Debug)]
pub(super) struct Transport {
    /// Made with the first call: loading the system's roots must not hold the start up.
    client: OnceLock<reqwest::Client>,
    ca: Vec<CertificateDer<'static>>,
    certificate: Option<Arc<CertifiedKey>>,
    timeout: Duration,
}

impl Transport {
    /// # Errors
    /// When a CA of the provider's own can't be used.
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let client = OnceLock::new();
        let (ca, certificate) = (settings.ca.clone(), settings.tls_client.clone());
        let transport = Self { client, ca, certificate, timeout: settings.timeout };
        if !transport.ca.is_empty() || transport.certificate.is_some() {
            transport.client()?;
        }
        Ok(transport)
    }

    fn client(&self) -> Result<&reqwest::Client, SetupError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            // SECURITY: a redirect could carry a code, a secret or a token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .tls_info(true)
            .referer(false)
            .no_proxy()
            .dns_resolver(Loopback)
            .pool_max_idle_per_host(8)
            // Node.js, which many providers run on, closes after five: what is sent then, a code above all, is lost.
            .pool_idle_timeout(Duration::from_secs(4))
            .tls_backend_preconfigured(tls(&self.ca, self.certificate.as_ref())?)
            .build()
            .map_err(|error| SetupError::Client(error.to_string()))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// When there is no complete answer in time, or it is larger than [`ANSWER_LIMIT`].
    pub(super) async fn exchange(&self, call: Call, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        let answer = tokio::time::timeout(self.timeout, self.read(call, request)).await;
        answer.unwrap_or_else(|_| {
            Err(OidcError::Network { call, failure: NetworkFailure::TimedOut(self.timeout) })
        })
    }

    async fn read(&self, call: Call, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        let network = |error| OidcError::Network { call, failure: failure(error) };
        let request = reqwest::Request::try_from(request).map_err(|_| OidcError::Address { call })?;
        let client = self.client().map_err(|error| OidcError::Network {
            call,
            failure: NetworkFailure::Tls(told(&error.to_string())),
        })?;
        let mut answer = client.execute(request).await.map_err(network)?;
        let mut response = HttpResponse::default();
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let shown = answer.extensions().get::<reqwest::tls::TlsInfo>().and_then(|tls| tls.peer_certificate());
        if let Some(certificate) = shown {
            response.extensions_mut().insert(PeerCertificate(certificate.into()));
        }
        while let Some(chunk) = answer.chunk().await.map_err(network)? {
            // SECURITY: an answer without end would fill the memory of everybody's gateway.
            if response.body().len() + chunk.len() > ANSWER_LIMIT {
                return Err(OidcError::TooLarge { call, limit: ANSWER_LIMIT });
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

/// The system's roots take milliseconds to load and a good part of our memory: all providers without a CA of
/// their own share one set, and with it TLS session tickets.
fn tls(
    ca: &[CertificateDer<'static>],
    certificate: Option<&Arc<CertifiedKey>>,
) -> Result<ClientConfig, TrustError> {
    static SYSTEM_ROOTS: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(certificate) = certificate {
        // SECURITY: never a shared set: its session tickets would carry our certificate to other providers' calls.
        let mut config = with_alpn(ca.to_vec())?;
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(certificate)));
        return Ok(config);
    }
    if !ca.is_empty() {
        return with_alpn(ca.to_vec());
    }
    if let Some(config) = SYSTEM_ROOTS.get() {
        return Ok(config.clone());
    }
    let config = with_alpn(Vec::new())?;
    Ok(SYSTEM_ROOTS.get_or_init(|| config).clone())
}

fn with_alpn(ca: Vec<CertificateDer<'static>>) -> Result<ClientConfig, TrustError> {
    let mut config = trust::client_config(ca)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn failure(error: reqwest::Error) -> NetworkFailure {
    // The address stands in the settings; here it would only carry its query into the log.
    let error = error.without_url();
    let mut innermost: &(dyn std::error::Error + 'static) = &error;
    let mut tls = false;
    loop {
        tls |= innermost.is::<rustls::Error>();
        let Some(below) = inside(innermost).or_else(|| innermost.source()) else { break };
        innermost = below;
    }
    let facts = told(&innermost.to_string());
    match (tls, error.is_connect()) {
        (true, _) => NetworkFailure::Tls(facts),
        (false, true) => NetworkFailure::Connect(facts),
        (false, false) => NetworkFailure::Broken(facts),
    }
}

/// What an `io::Error` wraps: its `source` skips the wrapped error itself.
fn inside<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    let wrapped = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    Some(wrapped)
}

/// The system's resolver, but that every name below `localhost` is this machine (RFC 6761 section 6.3): C
/// libraries differ in that, browsers don't.
#[derive(Debug)]
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: Name) -> Resolving {
        let name = fold_host(name.as_str());
        Box::pin(async move {
            let addresses: Addrs = if name.ends_with(".localhost") {
                Box::new(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
            } else {
                let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
                Box::new(found.into_iter())
            };
            Ok(addresses)
        })
    }
}
