//! How the demo's tests ask its services: over a real socket, one connection a request.
//!
//! It follows no redirect and keeps no cookie, so that a test sees each answer as it is.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{COOKIE, HOST, HeaderName};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::foundation::body::Body;

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Where a redirect goes.
    pub(super) fn location(&self) -> Url {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        Url::parse(self.header(http::header::LOCATION)).unwrap()
    }

    /// A parameter of where a redirect goes.
    pub(super) fn param(&self, name: &str) -> Option<String> {
        self.location().query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }
}

/// Sends one request and reads the answer.
pub(super) async fn ask(
    address: SocketAddr,
    method: Method,
    target: &str,
    headers: &[(HeaderName, &str)],
    body: &str,
) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target).header(HOST, address.to_string());
    for (name, value) in headers {
        request = request.header(name, value.as_bytes());
    }
    let request = request.body(Full::new(bytes::Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// A cookie header that carries what an answer has set.
pub(super) fn cookie_of(answer: &Answer) -> (HeaderName, String) {
    let set = answer.header(http::header::SET_COOKIE);
    (COOKIE, set.split(';').next().unwrap().to_owned())
}

/// Serves on a free port for as long as the test's runtime lives.
pub(super) async fn serve<S, F>(
    service: Arc<S>,
    answer: impl Fn(Arc<S>, Request<hyper::body::Incoming>) -> F + Clone + Send + Sync + 'static,
) -> SocketAddr
where
    S: Send + Sync + 'static,
    F: Future<Output = http::Response<Body>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handler = move |request| answer(Arc::clone(&service), request);
        runtime.block_on(super::serving::serve(&[listener], handler));
    });
    address
}
