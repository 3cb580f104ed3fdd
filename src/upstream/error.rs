//! Why an app gave no answer that may be passed on, and whose fault it is.

use std::io;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

/// An app gave no answer that may be passed on.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The configured name can't stand in a certificate.
    #[error("{name:?} is no name that a certificate can prove")]
    ServerName {
        /// What was configured.
        name: String,
    },
    /// The app's own authority can't stand in a `Host` header.
    #[error("the upstream's authority can't be sent as a Host header")]
    HostHeader,
    /// The app's host name has no address now.
    #[error("the upstream's name can't be resolved: {source}")]
    Resolve {
        /// What the resolver said.
        source: io::Error,
    },
    /// The app does not accept connections.
    #[error("no connection to the upstream: {source}")]
    Connect {
        /// What the system said.
        source: io::Error,
    },
    /// The app's TLS handshake failed, or its certificate is not trusted.
    #[error("no TLS connection to the upstream: {source}")]
    Tls {
        /// What the TLS library said.
        source: io::Error,
    },
    /// No connection came about in time.
    #[error("no connection to the upstream within {limit:?}")]
    ConnectTimeout {
        /// The limit that was met.
        limit: Duration,
    },
    /// The answer's head did not come in time.
    #[error("no answer from the upstream within {limit:?}")]
    ResponseTimeout {
        /// The limit that was met.
        limit: Duration,
    },
    /// The app closed the connection before it had answered.
    #[error("the upstream gave no answer: {source}")]
    NoAnswer {
        /// What the connection said.
        source: hyper::Error,
    },
    /// The request's body broke off while it was sent on: the browser's doing, not the app's.
    #[error("the request's body broke off: {source}")]
    RequestBody {
        /// What the connection said.
        source: hyper::Error,
    },
    /// The answer is not one that can be passed on safely.
    #[error("the upstream's answer is refused: {0}")]
    Malformed(Malformed),
}

/// What is wrong with an app's answer.
#[derive(Debug, Error)]
pub enum Malformed {
    /// It can't be read as HTTP/1.
    #[error("it is not HTTP/1: {0}")]
    Syntax(hyper::Error),
    /// `Content-Length` beside `Transfer-Encoding`, or more than one of either.
    #[error("its length is given in more than one way")]
    Framing,
    /// A `Transfer-Encoding` other than `chunked`.
    #[error("its Transfer-Encoding is not exactly \"chunked\"")]
    TransferEncoding,
    /// A switch of protocols that nobody asked for, or to another protocol than was asked for.
    #[error("it switches to a protocol that was not asked for")]
    Switch,
    /// `Sec-WebSocket-Accept` does not fit the request's key.
    #[error("its Sec-WebSocket-Accept does not fit the key")]
    Accept,
}

impl UpstreamError {
    /// The status that the browser gets: 504 when the app answers too late, 400 when the request itself
    /// broke off, else 502.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::ResponseTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestBody { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether the app can have seen nothing of the request.
    pub const fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::ServerName { .. }
                | Self::HostHeader
                | Self::Resolve { .. }
                | Self::Connect { .. }
                | Self::Tls { .. }
                | Self::ConnectTimeout { .. }
        )
    }

    /// A stable word for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ServerName { .. } | Self::HostHeader => "upstream_settings",
            Self::Resolve { .. } => "upstream_name",
            Self::Connect { .. } => "upstream_connect",
            Self::Tls { .. } => "upstream_tls",
            Self::ConnectTimeout { .. } => "upstream_connect_timeout",
            Self::ResponseTimeout { .. } => "upstream_response_timeout",
            Self::NoAnswer { .. } => "upstream_no_answer",
            Self::RequestBody { .. } => "request_body",
            Self::Malformed(_) => "upstream_malformed",
        }
    }

    pub(super) fn of(source: hyper::Error) -> Self {
        if source.is_parse() {
            Self::Malformed(Malformed::Syntax(source))
        } else if source.is_user() {
            Self::RequestBody { source }
        } else {
            Self::NoAnswer { source }
        }
    }
}
