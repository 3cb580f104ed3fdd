//! WebSockets: what is asked of the app, which of its answers make a tunnel, and how a tunnel carries bytes
//! both ways and ends.

use super::*;

/// The handshake of RFC 6455 section 1.3.
fn handshake() -> Request<Body> {
    Request::get("/chat")
        .header("host", "talk.example.org")
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "WebSocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Body::empty())
        .unwrap()
}

async fn switched(answer: &'static str) -> Result<Switch, UpstreamError> {
    let (settings, seen) = app(Box::leak(Box::new([answer, answer]))).await;
    let mut request = handshake();
    assert!(upgrade::is_websocket(&request));
    headers::remove_hop_by_hop(request.headers_mut());
    assert!(!upgrade::is_websocket(&request));
    let switch = upstream(&settings).switch(request, &Fields::default()).await;
    assert!(
        seen.borrow()[0].contains("connection: Upgrade\r\nupgrade: websocket\r\n"),
        "{:?}",
        seen.borrow()
    );
    switch
}

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nearly";

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_until_a_side_closes() {
    local(async {
        let Switch::Tunnel(answer, end) = switched(SWITCHED).await.unwrap() else { panic!("no tunnel") };
        assert_eq!(answer.headers()["upgrade"], "websocket");
        let (mut browser, ours) = tokio::io::duplex(64);
        let tunnel = tokio::task::spawn_local(upgrade::tunnel(ours, end, std::future::pending()));
        let mut early = [0; 5];
        browser.read_exact(&mut early).await.unwrap();
        assert_eq!(&early, b"early");
        browser.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        browser.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, SWITCHED.as_bytes(), "the app's script goes on with what it was sent");
        drop(browser);
        let carried = tunnel.await.unwrap();
        assert_eq!(carried, upgrade::Carried { to_app: 18, to_browser: 5 + SWITCHED.len() as u64 });
    })
    .await;
}

#[tokio::test]
async fn a_websocket_ends_with_its_session() {
    local(async {
        let Switch::Tunnel(_, end) = switched(SWITCHED).await.unwrap() else { panic!("no tunnel") };
        let (mut browser, ours) = tokio::io::duplex(64);
        let (over, ended) = tokio::sync::oneshot::channel::<()>();
        let ended = async { drop(ended.await) };
        let tunnel = tokio::task::spawn_local(upgrade::tunnel(ours, end, ended));
        browser.read_exact(&mut [0; 5]).await.unwrap();
        over.send(()).unwrap();
        assert_eq!(browser.read(&mut [0; 1]).await.unwrap(), 0);
        tunnel.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_a_true_switch_makes_a_tunnel() {
    local(async {
        for answer in [
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        ] {
            assert!(matches!(switched(answer).await, Err(UpstreamError::Malformed(_))), "{answer:?}");
        }
        let Ok(Switch::Answer(answer)) = switched("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await
        else {
            panic!("not an answer")
        };
        assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::FORBIDDEN, "no"));
    })
    .await;
    for (name, value) in [("upgrade", "h2c"), ("sec-websocket-version", "8"), ("connection", "close")] {
        let mut request = handshake();
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        assert!(!upgrade::is_websocket(&request), "{name}: {value}");
    }
}
