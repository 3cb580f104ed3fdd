//! The other end of the admin listener: what the command line asks a running gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::runtime;

use super::documents::Problem;
use crate::config;
use crate::foundation::secret::Secret;

/// How long a gateway may take for one answer: longer than its store may.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer, in bytes.
const LARGEST: usize = 16 << 20;

/// The admin listener of a running gateway.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    token: Secret,
    runtime: runtime::Runtime,
}

/// Why a gateway did not do what it was asked.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It has no admin listener.
    #[error("the admin listener is switched off")]
    Off,
    /// It takes any port there is.
    #[error("the admin listener takes any free port, so it can't be found")]
    AnyPort,
    /// Nobody may see sessions.
    #[error("admin.token is not set")]
    NoToken,
    /// Nobody listens.
    #[error("no gateway answers at {address}: {why}")]
    Nobody {
        /// Where.
        address: SocketAddr,
        /// What happened.
        why: String,
    },
    /// What answers is no gateway of ours.
    #[error("what answers at {address} is no gateway of this version")]
    Stranger {
        /// Where.
        address: SocketAddr,
    },
    /// It says no.
    #[error("the gateway at {address} refuses ({status}): {detail}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// The status of its answer.
        status: StatusCode,
        /// Why.
        detail: String,
        /// What to do, where it says so.
        mend: Option<String>,
    },
}

impl ClientError {
    /// What the operator should do.
    pub fn mend(&self) -> Option<&str> {
        match self {
            Self::Off => Some("set admin.listen to an address, and restart the gateway"),
            Self::AnyPort => Some("give admin.listen a port other than 0, and restart the gateway"),
            Self::NoToken => Some("set admin.token in the configuration, and restart the gateway"),
            Self::Nobody { .. } | Self::Stranger { .. } => {
                Some("run this where the gateway runs, with the configuration that it runs with")
            }
            Self::Refused { mend, .. } => mend.as_deref(),
        }
    }
}

impl Client {
    /// The gateway that runs with this configuration.
    ///
    /// # Errors
    /// When it can't be found by it.
    pub fn of(admin: config::Admin) -> Result<Self, ClientError> {
        let mut address = admin.listen.ok_or(ClientError::Off)?;
        if address.port() == 0 {
            return Err(ClientError::AnyPort);
        }
        // Whoever listens on all addresses listens on this machine's own.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let token = admin.token.ok_or(ClientError::NoToken)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ClientError::Nobody { address, why: error.to_string() })?;
        Ok(Self { address, token, runtime })
    }

    /// Asks for this path; gives the document of the answer.
    ///
    /// # Errors
    /// When nobody answers, or the gateway refuses.
    pub fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        let address = self.address;
        let nobody = |why: String| ClientError::Nobody { address, why };
        let asking = async { tokio::time::timeout(PATIENCE, self.exchange(method, path)).await };
        let (status, body) = match self.runtime.block_on(asking) {
            Ok(answered) => answered.map_err(|error| nobody(error.to_string()))?,
            Err(_) => return Err(nobody("it takes too long".to_owned())),
        };
        let stranger = |_| ClientError::Stranger { address };
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(stranger);
        }
        let Problem { detail, mend, .. } = serde_json::from_slice(&body).map_err(stranger)?;
        Err(ClientError::Refused { address, status, detail, mend })
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let serving = tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse()?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(self.address.to_string())?);
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes();
        serving.abort();
        Ok((status, body))
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;
