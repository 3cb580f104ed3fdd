//! A server that records the very bytes that reached it and answers as a test says.
//!
//! It stands in for an app and, below [`super::rogue`], for a provider. One task a connection; every
//! connection ends with the server.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::wire::{BodyEnds, Fields, Head, PATIENCE, Reader};

/// What reached the server.
#[derive(Clone, Debug)]
pub struct Received {
    /// The head, byte for byte.
    pub head: Head,
    /// The content of the body.
    pub body: Vec<u8>,
    /// The bytes that carried the body, chunk sizes and trailers included.
    pub raw_body: Vec<u8>,
}

impl Received {
    /// The method.
    pub fn method(&self) -> &str {
        self.head.start.split(' ').next().unwrap()
    }

    /// The target, exactly as it was sent.
    pub fn target(&self) -> &str {
        self.head.start.split(' ').nth(1).unwrap()
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap()
    }

    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.fields.get(name)
    }

    /// The parameters of the query, or of a form that was posted.
    pub fn params(&self) -> Vec<(String, String)> {
        let query = self.target().split_once('?').map(|(_, query)| query.as_bytes());
        let bytes = if self.method() == "POST" { &self.body } else { query.unwrap_or_default() };
        form_urlencoded::parse(bytes).into_owned().collect()
    }

    /// The only parameter of this name.
    pub fn param(&self, name: &str) -> Option<String> {
        self.params().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A response with a length.
    Plain(u16, Vec<(String, String)>, Vec<u8>),
    /// These bytes, each after its pause; the connection stays open when they are a whole response.
    Bytes(Vec<(Duration, Vec<u8>)>),
    /// These bytes, and then the connection is closed.
    BytesThenClose(Vec<u8>),
    /// What the other says, and then the connection is closed without having said so.
    ThenClose(Box<Answer>),
    /// What the other says, after a while.
    After(Duration, Box<Answer>),
    /// The connection is closed without an answer.
    Close,
    /// Nothing, for as long as the other side waits.
    Silence,
    /// A WebSocket that sends back what it gets.
    WebSocketEcho,
}

impl Answer {
    /// 200 with text.
    pub fn text(body: &str) -> Self {
        Self::of(200, "text/plain; charset=utf-8", body)
    }

    /// A status with content.
    pub fn of(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Plain(status, vec![("Content-Type".into(), kind.into())], body.into())
    }

    /// 200 with JSON.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::of(200, "application/json", body.to_string())
    }

    /// A redirect.
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::Plain(status, vec![("Location".into(), to.into())], Vec::new())
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        match self {
            Self::Plain(status, mut headers, body) => {
                headers.push((name.into(), value.into()));
                Self::Plain(status, headers, body)
            }
            other => other,
        }
    }

    /// Raw bytes at once.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(vec![(Duration::ZERO, bytes.into())])
    }

    /// A chunked response whose pieces come with pauses between them.
    pub fn chunked(kind: &str, pause: Duration, pieces: &[&str]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut parts = vec![(Duration::ZERO, head.into_bytes())];
        parts.extend(
            pieces.iter().map(|piece| (pause, format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes())),
        );
        parts.push((Duration::ZERO, b"0\r\n\r\n".to_vec()));
        Self::Bytes(parts)
    }
}

type Behaviour = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

/// A running server.
pub struct Server {
    address: Option<SocketAddr>,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    stream: Mutex<Vec<u8>>,
    connections: AtomicUsize,
}

/// A connection of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            behaviour: Mutex::new(Arc::new(|_| Answer::text("hello"))),
            received: Mutex::default(),
            stream: Mutex::default(),
            connections: AtomicUsize::new(0),
        })
    }
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens at this address.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Self { address: Some(address), shared: Shared::new(), tasks: JoinSet::new() };
        let shared = Arc::clone(&server.shared);
        server.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                connections.spawn(serve(Box::new(stream), Arc::clone(&shared)));
            }
        });
        server
    }

    /// Listens with TLS on a free port of 127.0.0.1.
    pub async fn start_tls(tls: Arc<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Self { address: Some(address), shared: Shared::new(), tasks: JoinSet::new() };
        let shared = Arc::clone(&server.shared);
        let acceptor = tokio_rustls::TlsAcceptor::from(tls);
        server.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(Box::new(stream), shared).await;
                    }
                });
            }
        });
        server
    }

    /// Listens on a unix socket.
    pub fn start_unix(path: &std::path::Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let mut server = Self { address: None, shared: Shared::new(), tasks: JoinSet::new() };
        let shared = Arc::clone(&server.shared);
        server.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(Box::new(stream), Arc::clone(&shared)));
            }
        });
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// `http://` and where it listens.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    /// From now on answers so.
    pub fn answer(&self, behaviour: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        *self.shared.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The latest request.
    pub fn last(&self) -> Received {
        self.received().pop().expect("nothing reached the server")
    }

    /// Forgets what it received.
    pub fn forget(&self) {
        self.shared.received.lock().unwrap().clear();
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until a request's body, as far as it has come, holds these bytes.
    pub async fn has_seen(&self, bytes: &[u8]) {
        let seen = async {
            while super::wire::find(&self.shared.stream.lock().unwrap(), bytes).is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the bytes never reached the server");
    }

    /// Waits until so many requests were received.
    pub async fn has_received(&self, count: usize) {
        let seen = async {
            while self.received().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the request never reached the server");
    }
}

async fn serve(stream: Box<dyn Stream>, shared: Arc<Shared>) {
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let (input, mut output) = tokio::io::split(stream);
    let mut reader = Reader::new(input);
    while let Some(head) = reader.head().await {
        if head.fields.has_word("expect", "100-continue") {
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok();
        }
        let (body, raw_body) = read_body(&mut reader, &head, &shared).await;
        let received = Received { head, body, raw_body };
        shared.received.lock().unwrap().push(received.clone());
        let behaviour = Arc::clone(&shared.behaviour.lock().unwrap());
        let answer = behaviour(&received);
        if !give(answer, &received, &mut reader, &mut output).await {
            break;
        }
    }
    output.shutdown().await.ok();
}

/// Reads a request's body and shows it to [`Server::has_seen`] as it comes.
async fn read_body<S: AsyncRead + Unpin>(
    reader: &mut Reader<S>,
    head: &Head,
    shared: &Shared,
) -> (Vec<u8>, Vec<u8>) {
    shared.stream.lock().unwrap().clear();
    if !head.fields.has_word("transfer-encoding", "chunked") {
        let (body, raw) = reader.body(head, BodyEnds::WithLength).await;
        shared.stream.lock().unwrap().extend_from_slice(&body);
        return (body, raw);
    }
    let (mut body, mut raw) = (Vec::new(), Vec::new());
    while let Some(data) = reader.chunk(&mut raw).await {
        shared.stream.lock().unwrap().extend_from_slice(&data);
        body.extend_from_slice(&data);
    }
    (body, raw)
}

/// Answers; whether the connection goes on.
fn give<'a, S: AsyncRead + Unpin + Send>(
    answer: Answer,
    request: &'a Received,
    reader: &'a mut Reader<S>,
    output: &'a mut (impl AsyncWrite + Unpin + Send),
) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
    Box::pin(async move {
        match answer {
            Answer::Plain(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} Because\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                let mut bytes = head.into_bytes();
                if request.method() != "HEAD" {
                    bytes.extend_from_slice(&body);
                }
                output.write_all(&bytes).await.is_ok()
            }
            Answer::Bytes(parts) => {
                for (pause, bytes) in parts {
                    tokio::time::sleep(pause).await;
                    if output.write_all(&bytes).await.is_err() {
                        return false;
                    }
                }
                true
            }
            Answer::BytesThenClose(bytes) => {
                output.write_all(&bytes).await.ok();
                false
            }
            Answer::ThenClose(first) => {
                give(*first, request, reader, output).await;
                false
            }
            Answer::After(pause, then) => {
                tokio::time::sleep(pause).await;
                give(*then, request, reader, output).await
            }
            Answer::Close => false,
            Answer::Silence => {
                reader.rest().await;
                false
            }
            Answer::WebSocketEcho => {
                output.write_all(&switching(&request.head.fields)).await.ok();
                loop {
                    let bytes = reader.some(usize::MAX).await;
                    if bytes.is_empty() || output.write_all(&unmask(&bytes)).await.is_err() {
                        return false;
                    }
                }
            }
        }
    })
}

/// The 101 that RFC 6455 section 4.2.2 asks for.
fn switching(fields: &Fields) -> Vec<u8> {
    let key = fields.get("sec-websocket-key").unwrap();
    let accept = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    );
    let accept = base64::engine::general_purpose::STANDARD.encode(accept);
    format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
        .into_bytes()
}

/// One short client frame as a server's frame: the mask taken off (RFC 6455 section 5.3).
fn unmask(frame: &[u8]) -> Vec<u8> {
    let length = usize::from(frame[1] & 0x7f);
    assert!(length < 126 && frame.len() == length + 6, "one short frame at a time");
    let mut plain = vec![frame[0], frame[1] & 0x7f];
    plain.extend(frame[6..].iter().enumerate().map(|(at, byte)| byte ^ frame[2 + at % 4]));
    plain
}
