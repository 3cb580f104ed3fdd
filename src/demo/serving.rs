//! Small HTTP serving for the demo: connections with limits, forms read with a cap, plain answers.
//!
//! The gateway's own serving is `server`; this one is for the two programs that stand behind it in a demo.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use super::params::Params;
use crate::foundation::body::Body;

/// Connections open at once on all listeners of one program; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
const MAX_HEAD_BYTES: usize = 32 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_FORM_BYTES: usize = 16 * 1024;
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves these listeners until the future is dropped, and its connections with it.
pub(super) async fn serve<H, F>(listeners: &[TcpListener], handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            tokio::select! {
                stream = accept(listeners), if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn_local(connection(stream, handler.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    };
    // A body stays on its thread, and so does what answers with one.
    LocalSet::new().run_until(accepting).await
}

async fn accept(listeners: &[TcpListener]) -> TcpStream {
    loop {
        let accepted = std::future::poll_fn(|cx| {
            listeners
                .iter()
                .map(|listener| listener.poll_accept(cx))
                .find(std::task::Poll::is_ready)
                .unwrap_or(std::task::Poll::Pending)
        });
        match accepted.await {
            Ok((stream, _)) => return stream,
            // Out of file descriptors, most likely: wait for some to be given back.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of the demo ended early");
    }
}

/// Reads a form, at most 16 KiB of it.
///
/// # Errors
/// The answer to give: 415 for another content type, 413 for too much, 408 for too slow.
pub(super) async fn read_form(headers: &HeaderMap, body: Incoming) -> Result<Params, StatusCode> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    match timeout(FORM_TIMEOUT, Limited::new(body, MAX_FORM_BYTES).collect()).await {
        Ok(Ok(form)) => Ok(Params::parse(&form.to_bytes())),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// The value of the one cookie of that name; `None` when there is none or more than one.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    let first = found.next()?;
    // SECURITY: of two cookies one may be planted by another program on this host; believe neither.
    found.next().is_none().then_some(first)
}

/// A page under a Content-Security-Policy.
pub(super) fn page(status: StatusCode, policy: &str, page: &impl Template) -> Response<Body> {
    match page.render() {
        Ok(html) => {
            let mut answer = answer(status, "text/html; charset=utf-8", html);
            // The policy is made of our own words and an origin that was parsed as one.
            set(&mut answer, CONTENT_SECURITY_POLICY, policy);
            set(&mut answer, REFERRER_POLICY, "same-origin");
            answer
        }
        Err(error) => {
            tracing::error!(%error, "a page of the demo could not be written");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    answer(status, "application/json", value.to_string())
}

/// A file that is part of the program.
pub(super) fn asset(content_type: &'static str, text: &'static str) -> Response<Body> {
    let mut answer = answer(StatusCode::OK, content_type, text);
    set(&mut answer, CACHE_CONTROL, "max-age=600");
    answer
}

/// 303, which turns a POST into a GET (RFC 9700 section 4.12).
pub(super) fn see_other(location: &str) -> Response<Body> {
    let mut answer = empty(StatusCode::SEE_OTHER);
    set(&mut answer, LOCATION, location);
    answer
}

/// 405 with the methods that there are.
pub(super) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
    set(&mut answer, ALLOW, allowed);
    answer
}

/// A status and nothing else.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    set(&mut answer, CACHE_CONTROL, "no-store");
    answer
}

/// Sets a header; a value that cannot be one is left out.
pub(super) fn set(answer: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

fn answer(status: StatusCode, content_type: &'static str, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::full(text));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, content_type);
    set(&mut answer, CACHE_CONTROL, "no-store");
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_comes_twice_is_not_believed() {
        for (header, expected) in [
            ("a=1; demo=x", Some("x")),
            ("demo=x; demo=y", None),
            ("xdemo=1", None),
            ("demo", None),
            (" demo=a=b ", Some("a=b")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_str(header).unwrap());
            assert_eq!(cookie(&headers, "demo"), expected, "{header}");
        }
    }
}
