//! An examination of an app's upstream: a connection, its certificate, and what it answers to a stranger.

use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Request};

use super::stream::Target;
use super::{Fields, Settings, Upstream, UpstreamError};
use crate::foundation::body::Body;
use crate::foundation::certificate;
use crate::foundation::clock::Timestamp;
use crate::foundation::finding::Finding;

/// Asks the upstream for `path`, as somebody who is not signed in would for `host`, and says what would fail. `tls`
/// as for [`Upstream::new`]. It takes no longer than the two time limits of `settings`.
pub async fn examine(
    settings: &Settings,
    tls: Arc<rustls::ClientConfig>,
    host: &str,
    path: &str,
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = ask(settings, tls, host, path, now, &mut findings).await {
        findings.push(failure(&error));
    }
    findings
}

async fn ask(
    settings: &Settings,
    tls: Arc<rustls::ClientConfig>,
    host: &str,
    path: &str,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<(), UpstreamError> {
    let target = Target::new(settings, Arc::clone(&tls))?;
    let limit = settings.connect_timeout;
    let opened = tokio::time::timeout(limit, target.open()).await;
    let (stream, _) = opened.map_err(|_| UpstreamError::ConnectTimeout { limit })??;
    findings.extend(stream.certificate().map(|der| certificate::examine("its certificate", der, now)));
    drop(stream);
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().unwrap_or_default();
    let host = HeaderValue::try_from(host).map_err(|_| UpstreamError::HostHeader)?;
    request.headers_mut().insert(HOST, host);
    let answer = Upstream::new(settings, tls)?.exchange(request, &Fields::default()).await?;
    let status = answer.status();
    findings.push(if status.is_server_error() {
        Finding::warning("app_status", format!("it answers {path} with {}", status.as_u16()))
            .mend("read the app's own log; it answers, so the gateway reaches it")
    } else {
        Finding::ok("app", format!("it answers {path} with {}", status.as_u16()))
    });
    Ok(())
}

fn failure(error: &UpstreamError) -> Finding {
    let mend = match error {
        UpstreamError::ServerName { .. } | UpstreamError::HostHeader => {
            "correct upstream or upstream_tls.server_name"
        }
        UpstreamError::Resolve { .. } => "correct the name in upstream, or this machine's resolver",
        UpstreamError::Tls { .. } => {
            "if its certificate comes from a CA of your own, name that in upstream_tls.ca; if it is for another name, in upstream_tls.server_name"
        }
        UpstreamError::Connect { .. } | UpstreamError::ConnectTimeout { .. } => {
            "start the app, or correct upstream; a firewall may be between"
        }
        UpstreamError::ResponseTimeout { .. } => "read the app's own log; timeouts.response limits the wait",
        _ => "check that upstream speaks HTTP/1.1 at that port, and the scheme in upstream",
    };
    Finding::failed(error.code(), error.to_string()).mend(mend)
}
