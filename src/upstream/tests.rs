//! The data plane against apps that are sockets with a script, so that every byte is known.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::LocalSet;
use url::Url;

use super::*;
use crate::foundation::trust;

mod upgrading;

type Seen = Rc<RefCell<Vec<String>>>;

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// An app whose every connection answers its requests with `answers` in turn, and then closes.
async fn app(answers: &'static [&'static str]) -> (Settings, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = Rc::clone(&seen);
    tokio::task::spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let log = Rc::clone(&log);
            tokio::task::spawn_local(async move {
                for answer in answers {
                    let Some(head) = read_head(&mut stream).await else { return };
                    log.borrow_mut().push(head);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (settings(&format!("http://{address}")), seen)
}

fn settings(url: &str) -> Settings {
    Settings {
        address: Address::Origin(Origin::of(&Url::parse(url).unwrap()).unwrap()),
        host_header: HostHeader::Keep,
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(2),
        ca: Vec::new(),
        server_name: None,
    }
}

fn upstream(settings: &Settings) -> Rc<Upstream> {
    Upstream::new(settings, Arc::new(trust::client_config(settings.ca.clone()).unwrap())).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "lms.example.org").body(Body::empty()).unwrap()
}

async fn ask(upstream: &Upstream, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
    upstream.exchange(request, &Fields::default()).await
}

async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new()
        .run_until(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() })
        .await
}

#[tokio::test]
async fn fields_go_with_their_own_request_also_when_the_connection_is_used_again() {
    local(async {
        const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let (settings, seen) = app(&[ANSWER; 4]).await;
        let upstream = upstream(&settings);
        let name = http::HeaderName::from_static("x-user-id");
        let user = |value| Fields::written(std::iter::once((&name, &HeaderValue::from_static(value))));
        for (path, fields) in [("/1", user("ivan")), ("/2", Fields::default()), ("/3?a=/3", user("olga"))] {
            assert_eq!(text(upstream.exchange(get(path), &fields).await.unwrap()).await, "ok");
        }
        let heads = [
            "GET /1 HTTP/1.1\r\nx-user-id: ivan\r\nhost: lms.example.org\r\n\r\n",
            "GET /2 HTTP/1.1\r\nhost: lms.example.org\r\n\r\n",
            "GET /3?a=/3 HTTP/1.1\r\nx-user-id: olga\r\nhost: lms.example.org\r\n\r\n",
        ];
        assert_eq!(*seen.borrow(), heads);
        assert_eq!(upstream.pool.idle(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_whole_answer() {
    local(async {
        let (settings, seen) = app(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\r\none",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        ])
        .await;
        let upstream = upstream(&settings);
        let answer = ask(&upstream, get("/1?a=b")).await.unwrap();
        assert_eq!(upstream.pool.idle(), 1, "a small answer frees its connection at once");
        assert!(!answer.headers().contains_key("x-hop") && !answer.headers().contains_key("connection"));
        assert_eq!(text(answer).await, "one");
        assert_eq!(text(ask(&upstream, get("/2")).await.unwrap()).await, "two");
        assert_eq!(upstream.pool.idle(), 1);
        assert_eq!(text(ask(&upstream, get("/3")).await.unwrap()).await, "");
        let head = Request::head("/4").header("host", "a").body(Body::empty()).unwrap();
        let answer = ask(&upstream, head).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "5");
        assert_eq!(text(answer).await, "");
        assert_eq!(upstream.pool.idle(), 1);
        assert_eq!(text(ask(&upstream, get("/5")).await.unwrap()).await, "until the end");
        assert_eq!(upstream.pool.idle(), 0);
        assert_eq!(seen.borrow().len(), 5);
        assert_eq!(seen.borrow()[0], "GET /1?a=b HTTP/1.1\r\nhost: lms.example.org\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_that_the_app_closed_is_replaced() {
    local(async {
        let (settings, seen) = app(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]).await;
        let upstream = upstream(&settings);
        for pause in [0, 0, 30, 30] {
            assert_eq!(text(ask(&upstream, get("/")).await.unwrap()).await, "ok");
            tokio::time::sleep(Duration::from_millis(pause)).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(seen.borrow().len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_the_app_may_have_seen_is_not_sent_twice() {
    local(async {
        let (settings, seen) = app(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ""]).await;
        let upstream = upstream(&settings);
        assert_eq!(text(ask(&upstream, get("/")).await.unwrap()).await, "ok");
        let error = ask(&upstream, get("/again")).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NoAnswer { .. }), "{error}");
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(seen.borrow().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn answers_with_two_readings_are_refused_and_their_connection_dropped() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nabc",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: 3\r\n\r\nabc",
        "SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        local(async {
            let (settings, _) = app(Box::leak(Box::new([answer]))).await;
            let upstream = upstream(&settings);
            let error = ask(&upstream, get("/")).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Malformed(_)), "{answer:?}: {error}");
            assert_eq!((upstream.pool.idle(), error.status()), (0, StatusCode::BAD_GATEWAY));
        })
        .await;
    }
}

#[tokio::test]
async fn bytes_after_an_answer_spoil_its_connection() {
    local(async {
        let (settings, seen) = app(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            "",
        ])
        .await;
        let upstream = upstream(&settings);
        for _ in 0..3 {
            assert_eq!(text(ask(&upstream, get("/")).await.unwrap()).await, "ok");
        }
        assert_eq!(seen.borrow().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn informational_answers_are_passed_over() {
    local(async {
        let (settings, _) = app(&[
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ])
        .await;
        let answer = ask(&upstream(&settings), get("/")).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_11));
        assert_eq!(text(answer).await, "ok");
    })
    .await;
}

#[tokio::test]
async fn an_app_that_is_not_there_or_says_nothing_is_told_apart() {
    local(async {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = ask(&upstream(&settings(&format!("http://{free}"))), get("/")).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Connect { .. }), "{error}");
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = settings(&format!("http://{}", silent.local_addr().unwrap()));
        settings.response_timeout = Duration::from_millis(400);
        let began = tokio::time::Instant::now();
        let error = ask(&upstream(&settings), get("/")).await.unwrap_err();
        assert!(matches!(error, UpstreamError::ResponseTimeout { .. }), "{error}");
        assert_eq!(error.status(), StatusCode::GATEWAY_TIMEOUT);
        assert!((400..790).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());

        // A TLS handshake that the app never answers is a connection that never came about.
        let address = silent.local_addr().unwrap();
        settings.address =
            Address::Origin(Origin::of(&Url::parse(&format!("https://{address}")).unwrap()).unwrap());
        settings.connect_timeout = Duration::from_millis(80);
        let error = ask(&upstream(&settings), get("/")).await.unwrap_err();
        assert!(matches!(error, UpstreamError::ConnectTimeout { .. }), "{error}");
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    })
    .await;
}

#[tokio::test]
async fn bodies_go_out_framed_by_what_is_sent() {
    local(async {
        let (settings, seen) = app(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).await;
        let upstream = upstream(&settings);
        let mut request = Request::post("/").header("host", "a").body(Body::full("hello")).unwrap();
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("99"));
        ask(&upstream, request).await.unwrap();
        assert!(seen.borrow()[0].contains("content-length: 5\r\n"), "{:?}", seen.borrow());
        let streamed = OneFrame(Some(Bytes::from_static(b"hello")));
        let request = Request::get("/").header("host", "a").body(Body::boxed(Box::pin(streamed))).unwrap();
        ask(&upstream, request).await.unwrap();
        assert!(seen.borrow()[1].contains("transfer-encoding: chunked\r\n"), "{:?}", seen.borrow());
    })
    .await;
}

struct OneFrame(Option<Bytes>);

impl http_body::Body for OneFrame {
    type Data = Bytes;
    type Error = crate::foundation::body::BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

#[tokio::test]
async fn a_long_answer_arrives_as_fast_as_it_is_read_and_no_faster() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Rc::new(std::cell::Cell::new(0_usize));
        let count = Rc::clone(&sent);
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n").await.unwrap();
            let block = vec![b'x'; 65536];
            for _ in 0..1024 {
                stream.write_all(&block).await.unwrap();
                count.set(count.get() + block.len());
            }
            std::future::pending::<()>().await;
        });
        let upstream = upstream(&settings(&format!("http://{address}")));
        let answer = ask(&upstream, get("/")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(sent.get() < 32 << 20, "{} bytes were taken that nobody read", sent.get());
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!((bytes, upstream.pool.idle()), (67_108_864, 1));
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_not_an_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
    ] {
        local(async {
            let (settings, _) = app(Box::leak(Box::new([answer]))).await;
            let upstream = upstream(&settings);
            let answer = ask(&upstream, get("/")).await.unwrap();
            answer.into_body().collect().await.unwrap_err();
            assert_eq!(upstream.pool.idle(), 0);
        })
        .await;
    }
}

#[tokio::test]
async fn an_app_on_a_unix_socket_is_spoken_to() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for _ in 0..2 {
                let head = read_head(&mut stream).await.unwrap();
                assert!(head.contains("host: localhost\r\n"), "{head}");
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        });
        let mut settings = settings("http://unused");
        settings.address = Address::Unix(path);
        settings.host_header = HostHeader::Upstream;
        let upstream = upstream(&settings);
        for _ in 0..2 {
            assert_eq!(text(ask(&upstream, get("/")).await.unwrap()).await, "ok");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_app_behind_tls_must_prove_its_name() {
    local(async {
        let identity = rcgen::generate_simple_self_signed(["talk.internal".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(trust::crypto_provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                while read_head(&mut stream).await.is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            }
        });
        let mut settings = settings(&format!("https://{address}"));
        settings.ca = vec![identity.cert.der().clone()];
        settings.server_name = Some("talk.internal".to_owned());
        let good = upstream(&settings);
        for _ in 0..2 {
            assert_eq!(text(ask(&good, get("/")).await.unwrap()).await, "ok");
        }
        drop(good);
        settings.server_name = None;
        let error = ask(&upstream(&settings), get("/")).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Tls { .. }), "{error}");
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_answer_takes_its_connection_with_it() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = upstream(&settings(&format!("http://{}", listener.local_addr().unwrap())));
        let exchange = tokio::task::spawn_local(async move { ask(&upstream, get("/")).await.map(drop) });
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        exchange.abort();
        assert_eq!(closed(&mut stream).await, 0);
    })
    .await;
}

async fn closed(stream: &mut TcpStream) -> usize {
    stream.read(&mut [0; 16]).await.unwrap_or(0)
}
