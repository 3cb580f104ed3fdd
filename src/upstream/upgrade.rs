//! WebSockets (RFC 6455 section 4): the handshake with the app, and then the bytes of both sides.
//!
//! Only `websocket` is let through, and only after the app has really switched: before that nothing is a
//! tunnel. Frames are not looked at.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::error::Malformed;
use super::headers::tokens;
use super::stream::Stream;
use crate::foundation::body::Body;

/// What is read at once from either side of a tunnel, and so all that a tunnel holds in memory.
const BUFFER: usize = 8 * 1024;

/// How long the other direction may still run once one side has closed.
const FAREWELL: Duration = Duration::from_secs(5);

/// What an app said to a WebSocket handshake.
pub enum Switch {
    /// It switched: the 101 to send to the browser, and the app's end of the tunnel.
    Tunnel(Response<Body>, AppEnd),
    /// It did not, and this is its answer.
    Answer(Response<Body>),
}

/// The app's end of a tunnel.
pub struct AppEnd {
    stream: Stream,
    /// What the app had sent right after its 101.
    early: Bytes,
}

/// How many bytes a tunnel has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From the browser to the app.
    pub to_app: u64,
    /// From the app to the browser.
    pub to_browser: u64,
}

/// Whether a request, as the browser sent it, is a WebSocket handshake (RFC 6455 section 4.1). To be asked
/// before the hop-by-hop fields are removed.
pub fn is_websocket<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let Some(upgrade) = headers.get(UPGRADE) else { return false };
    upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
        && headers.get_all(UPGRADE).iter().count() == 1
        && request.method() == Method::GET
        // A handshake has no body (RFC 6455 section 4.1 makes it a GET, whose content means nothing).
        && !headers.contains_key(TRANSFER_ENCODING)
        && headers.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0")
        && request.version() == Version::HTTP_11
        && lists(headers, b"upgrade")
        && headers.contains_key(SEC_WEBSOCKET_KEY)
        && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version.as_bytes() == b"13")
}

/// Passes bytes both ways until a side closes or `ended` resolves (its session is over), which closes both.
/// Nothing limits how long a tunnel may be idle.
pub async fn tunnel(
    browser: impl AsyncRead + AsyncWrite + Unpin,
    app: AppEnd,
    ended: impl Future<Output = ()>,
) -> Carried {
    let (to_app, to_browser) = (Cell::new(0), Cell::new(0));
    {
        let (mut browser_reads, mut browser_writes) = tokio::io::split(browser);
        let (mut app_reads, mut app_writes) = tokio::io::split(app);
        let up = pin!(pump(&mut browser_reads, &mut app_writes, &to_app));
        let down = pin!(pump(&mut app_reads, &mut browser_writes, &to_browser));
        let mut both = pin!(both(up, down));
        tokio::select! {
            () = ended => {}
            () = &mut both => {}
        }
    }
    Carried { to_app: to_app.get(), to_browser: to_browser.get() }
}

/// Runs both directions; once one has ended, the other has only a little time left.
async fn both(
    mut up: Pin<&mut impl Future<Output = io::Result<()>>>,
    mut down: Pin<&mut impl Future<Output = io::Result<()>>>,
) {
    let up_ended = tokio::select! {
        _ = &mut up => true,
        _ = &mut down => false,
    };
    let rest = poll_fn(|cx| if up_ended { down.as_mut().poll(cx) } else { up.as_mut().poll(cx) });
    // Whichever way it ends, the tunnel is over.
    drop(tokio::time::timeout(FAREWELL, rest).await);
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    carried: &Cell<u64>,
) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        let bytes = from.read(&mut buffer).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..bytes).unwrap_or_default()).await?;
        to.flush().await?;
        carried.set(carried.get() + u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// Writes the handshake's own hop-by-hop fields, after the browser's were removed.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether a 101 is the answer to a handshake with `key` (RFC 6455 section 4.1, the client's checks).
pub(super) fn judge<B>(answer: &Response<B>, key: &HeaderValue) -> Result<(), Malformed> {
    let headers = answer.headers();
    let websocket = headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS || !websocket || !lists(headers, b"upgrade") {
        return Err(Malformed::Switch);
    }
    // SECURITY: without this an app that merely echoes headers could be made to look like a WebSocket, and
    // what is pushed through it would be read as requests.
    let expected = derive_accept_key(key.as_bytes());
    match headers.get(SEC_WEBSOCKET_ACCEPT) {
        Some(accept) if accept.as_bytes() == expected.as_bytes() => Ok(()),
        _ => Err(Malformed::Accept),
    }
}

fn lists(headers: &HeaderMap, option: &[u8]) -> bool {
    headers.get_all(CONNECTION).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(option))
}

impl AppEnd {
    pub(super) const fn new(stream: Stream, early: Bytes) -> Self {
        Self { stream, early }
    }
}

impl AsyncRead for AppEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.has_remaining() {
            let bytes = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(bytes));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for AppEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
