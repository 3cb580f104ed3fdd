//! The server's behaviour as a client sees it, over sockets.

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::foundation::body::{Body, BodyError};

fn settings() -> Settings {
    Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls: Vec::new(),
        limits: Limits {
            head_bytes: 4096,
            headers: 20,
            head_timeout: Duration::from_millis(400),
            connections: 100,
        },
        workers: 1,
        drain_timeout: Duration::from_secs(3),
    }
}

struct Running {
    address: SocketAddr,
    drain: Drain,
    serving: JoinHandle<std::io::Result<()>>,
    /// Requests that reached the service.
    served: Rc<Cell<u32>>,
}

/// A server whose answer says what was asked: `/wait` after a while, `/echo` the body, `/ws` by switching.
fn start(settings: &Settings) -> Running {
    let bound = bind(settings).unwrap();
    let address = bound.local_addrs()[0];
    let drain = Drain::new();
    let served = Rc::new(Cell::new(0));
    let mut workers = bound.into_workers();
    let count = Rc::clone(&served);
    let serving = workers.pop().unwrap().serve(drain.clone(), move |request, connection| {
        count.set(count.get() + 1);
        answer(request, connection)
    });
    Running { address, drain, serving: tokio::task::spawn_local(serving), served }
}

async fn answer(request: Box<Request<Incoming>>, connection: Rc<Connection>) -> Response<Body> {
    assert!(connection.peer.ip().is_loopback() && connection.local.ip().is_loopback());
    let said = match request.uri().path() {
        "/wait" => {
            sleep(Duration::from_millis(500)).await;
            "waited".to_owned()
        }
        "/hang" => std::future::pending().await,
        "/echo" => match (*request).into_body().collect().await {
            Ok(body) => String::from_utf8(body.to_bytes().to_vec()).unwrap(),
            Err(_) => "broken".to_owned(),
        },
        "/flood" => return Response::new(Body::boxed(Box::pin(Flood))),
        "/ws" => {
            connection.upgrade(|mut upgraded| async move {
                let mut ping = [0; 4];
                upgraded.read_exact(&mut ping).await.unwrap();
                upgraded.write_all(b"pong").await.unwrap();
            });
            let switch = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            return switch
                .header("connection", "upgrade")
                .header("upgrade", "x")
                .body(Body::empty())
                .unwrap();
        }
        path => format!("{} {path}", connection.tls.as_ref().map_or("plain", |_| "tls")),
    };
    Response::new(Body::full(said))
}

/// A body without an end.
struct Flood;

impl http_body::Body for Flood {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 65536])))))
    }
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(async { timeout(Duration::from_secs(30), test).await.unwrap() }).await
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends `text` on a new connection and reads until the server closes.
async fn ask(address: SocketAddr, text: &str) -> String {
    let mut stream = connect(address).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8(answer).unwrap()
}

/// Reads until the answer ends with `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn requests_of_both_versions_are_served_one_after_the_other() {
    local(async {
        let server = start(&settings());
        let mut stream = connect(server.address).await;
        stream
            .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        until(&mut stream, "plain /a").await;
        until(&mut stream, "plain /b").await;
        stream
            .write_all(
                b"POST /echo HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            )
            .await
            .unwrap();
        until(&mut stream, "abc").await;
        stream.write_all(b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut stream).await.ends_with("plain /c"));
        assert!(ask(server.address, "GET /d HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 OK\r\n"));
    })
    .await;
}

#[tokio::test]
async fn a_request_with_two_readings_is_refused_and_its_connection_ends() {
    local(async {
        let server = start(&settings());
        for fields in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding : chunked",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: +4",
            "Content-Length: 4, 4",
            " folded: line",
        ] {
            let request = format!(
                "POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            );
            let answer = ask(server.address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{fields}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{fields}: {answer}");
            assert!(answer.contains("connection: close\r\n"), "{fields}: {answer}");
        }
        assert_eq!(server.served.get(), 0);
        let second = "GET /first HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\n\
                      Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let answer = ask(server.address, second).await;
        assert!(answer.contains("plain /first") && answer.contains("400 Bad Request"), "{answer}");
        assert_eq!(server.served.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn heads_have_limits() {
    local(async {
        let server = start(&settings());
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(5000));
        assert!(ask(server.address, &long).await.starts_with("HTTP/1.1 431 "));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(21));
        assert!(ask(server.address, &many).await.starts_with("HTTP/1.1 431 "));
        let fits = format!("GET / HTTP/1.1\r\nConnection: close\r\n{}\r\n", "X: 1\r\n".repeat(19));
        assert!(ask(server.address, &fits).await.starts_with("HTTP/1.1 200 "));
    })
    .await;
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    local(async {
        let server = start(&settings());
        let began = Instant::now();
        let mut slow = connect(server.address).await;
        slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut idle = connect(server.address).await;
        idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut busy = connect(server.address).await;
        busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        tokio::task::spawn_local(async move {
            until(&mut busy, "waited").await;
        });
        let dribble = async {
            while slow.write_all(b"X: 1\r\n").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let silence = async { assert!(rest(&mut idle).await.ends_with("plain /")) };
        tokio::join!(dribble, silence);
        assert!((400..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert_eq!(server.served.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    local(async {
        let mut settings = settings();
        settings.limits.connections = 1;
        settings.limits.head_timeout = Duration::from_secs(5);
        let server = start(&settings);
        let mut first = connect(server.address).await;
        first.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        until(&mut first, "plain /1").await;
        let mut second = connect(server.address).await;
        second.write_all(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(timeout(Duration::from_millis(100), second.read_u8()).await.is_err());
        drop(first);
        until(&mut second, "plain /2").await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_send_its_body() {
    local(async {
        let server = start(&settings());
        let mut stream = connect(server.address).await;
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"abc").await.unwrap();
        until(&mut stream, "abc").await;
        // A service that does not want the body does not ask for it.
        let answer = ask(server.address, &head.replace("/echo", "/no")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("plain /no"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_still_sends() {
    local(async {
        let server = start(&settings());
        let mut stream = connect(server.address).await;
        let head = "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 400_000]).await.unwrap();
        sleep(Duration::from_millis(50)).await;
        stream.write_all(&vec![b'x'; 400_000]).await.unwrap();
        assert!(rest(&mut stream).await.ends_with("plain /no"));
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_takes_bounded_memory() {
    local(async {
        let server = start(&settings());
        let mut stream = connect(server.address).await;
        stream.write_all(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(300)).await;
        // Were it buffered without limit, this task would not have been polled again.
        let mut some = vec![0; 100_000];
        stream.read_exact(&mut some).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_switch_hands_the_bytes_over() {
    local(async {
        let server = start(&settings());
        let mut stream = connect(server.address).await;
        stream
            .write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\npi")
            .await
            .unwrap();
        until(&mut stream, "\r\n\r\n").await;
        sleep(Duration::from_millis(800)).await;
        stream.write_all(b"ng").await.unwrap();
        assert_eq!(rest(&mut stream).await, "pong");
    })
    .await;
}

#[tokio::test]
async fn a_drain_answers_what_was_asked_and_what_was_about_to_be() {
    local(async {
        let server = start(&settings());
        let mut busy = connect(server.address).await;
        busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut idle = connect(server.address).await;
        idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        until(&mut idle, "plain /").await;
        let mut fresh = connect(server.address).await;
        // Waits in the kernel's queue: nothing has been polled since.
        let queued = std::net::TcpStream::connect(server.address).unwrap();
        server.drain.begin();
        fresh.write_all(b"GET /fresh HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        queued.set_nonblocking(true).unwrap();
        let mut queued = TcpStream::from_std(queued).unwrap();
        queued.write_all(b"GET /queued HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(rest(&mut fresh).await.ends_with("plain /fresh"));
        let answer = rest(&mut queued).await;
        assert!(answer.ends_with("plain /queued") && answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(rest(&mut idle).await, "");
        assert!(!server.serving.is_finished());
        assert!(rest(&mut busy).await.ends_with("waited"));
        server.serving.await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_when_its_time_is_over() {
    local(async {
        let mut settings = settings();
        settings.drain_timeout = Duration::from_millis(300);
        let server = start(&settings);
        let mut hangs = connect(server.address).await;
        hangs.write_all(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        server.drain.begin();
        server.serving.await.unwrap().unwrap();
        assert!((300..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert_eq!(rest(&mut hangs).await, "");
    })
    .await;
}

#[tokio::test]
async fn a_head_that_was_never_finished_does_not_hold_a_drain_up() {
    local(async {
        let mut settings = settings();
        settings.limits.head_timeout = Duration::from_secs(20);
        settings.drain_timeout = Duration::from_secs(20);
        let server = start(&settings);
        let halves: [&[u8]; 3] = [b"GET / HT", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: a\r\n"];
        let mut connections = Vec::new();
        for half in halves {
            let mut stream = connect(server.address).await;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            until(&mut stream, "plain /").await;
            stream.write_all(half).await.unwrap();
            let mut first = connect(server.address).await;
            first.write_all(half).await.unwrap();
            connections.extend([stream, first]);
        }
        sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        server.drain.begin();
        server.serving.await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn workers_share_a_port_and_nobody_else_does() {
    let mut settings = settings();
    settings.workers = 3;
    let bound = bind(&settings).unwrap();
    settings.listen = bound.local_addrs().to_vec();
    assert_ne!(settings.listen[0].port(), 0);
    assert!(matches!(bind(&settings), Err(BindError::InUse { address }) if address == settings.listen[0]));
    assert_eq!(bound.into_workers().len(), 3);
    bind(&settings).unwrap();
    settings.listen = vec!["192.0.2.1:0".parse().unwrap()];
    assert!(matches!(bind(&settings), Err(BindError::NotHere { .. })));
}

struct Certificates {
    folder: tempfile::TempDir,
    files: Vec<CertificateFiles>,
    roots: rustls::RootCertStore,
}

fn certificates(names: &[&str]) -> Certificates {
    let mut made = Certificates {
        folder: tempfile::tempdir().unwrap(),
        files: Vec::new(),
        roots: rustls::RootCertStore::empty(),
    };
    for (number, name) in names.iter().enumerate() {
        let identity = rcgen::generate_simple_self_signed([(*name).to_owned()]).unwrap();
        let cert = made.folder.path().join(format!("{number}.pem"));
        let key = made.folder.path().join(format!("{number}.key"));
        std::fs::write(&cert, identity.cert.pem()).unwrap();
        std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
        made.files.push(CertificateFiles { cert, key });
        made.roots.add(identity.cert.der().clone()).unwrap();
    }
    made
}

#[tokio::test]
async fn certificates_are_chosen_by_name_and_sessions_resumed() {
    local(async {
        let made = certificates(&["lms.example.org", "*.apps.example.org"]);
        let mut settings = settings();
        settings.tls.clone_from(&made.files);
        let server = start(&settings);
        let provider = crate::foundation::trust::crypto_provider();
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(made.roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
        use rustls::HandshakeKind::{Full, Resumed};
        for (name, known) in [
            ("lms.example.org", Some(Full)),
            ("talk.apps.example.org", Some(Full)),
            ("apps.example.org", None),
            ("lms.example.org", Some(Resumed)),
        ] {
            let stream = connect(server.address).await;
            let name = crate::foundation::trust::server_name(name).unwrap();
            let Ok(mut stream) = connector.connect(name.clone(), stream).await else {
                assert_eq!(known, None, "{name:?}");
                continue;
            };
            assert_eq!(stream.get_ref().1.handshake_kind(), known, "{name:?}");
            stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            drop(stream.read_to_string(&mut answer).await);
            assert!(answer.ends_with("tls /a"), "{answer}");
            assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        }
        // Says nothing: dropped when the time for the handshake is over.
        assert_eq!(rest(&mut connect(server.address).await).await, "");
    })
    .await;
}

#[test]
fn a_key_that_is_not_the_certificates_is_found_at_start() {
    let mut made = certificates(&["a.example.org", "b.example.org"]);
    let other = made.files[1].key.clone();
    made.files[0].key = other;
    assert!(matches!(tls::load(&made.files), Err(tls::TlsError::Mismatch { .. })));
    made.files[0].key = made.files[0].cert.clone();
    assert!(matches!(tls::load(&made.files), Err(tls::TlsError::File { .. })));
    std::fs::write(&made.files[0].cert, "").unwrap();
    assert!(matches!(tls::load(&made.files), Err(tls::TlsError::NoCertificate { .. })));
    made.files[0].cert = made.folder.path().join("absent");
    assert!(matches!(tls::load(&made.files), Err(tls::TlsError::File { .. })));
}
