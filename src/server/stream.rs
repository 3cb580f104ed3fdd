//! The socket of an accepted connection, plain or TLS, and what is noted of the bytes that pass.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::framing::Framing;

/// What is known of a connection's bytes; `hyper` owns the stream, so it is shared.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) framing: RefCell<Framing>,
    pub(super) read: Cell<u64>,
    pub(super) written: Cell<u64>,
    /// The last read found nothing: it is the client's turn.
    pub(super) read_blocked: Cell<bool>,
    /// The last write found no room: the client does not read.
    pub(super) write_blocked: Cell<bool>,
    /// The bytes are no longer HTTP.
    pub(super) raw: Cell<bool>,
}

/// What is written in one piece, in bytes.
const SMALL: usize = 4096;

thread_local! {
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(super) struct Stream {
    pub(super) socket: Socket,
    pub(super) wire: Rc<Wire>,
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { socket, wire } = self.get_mut();
        let before = buf.filled().len();
        let polled = match socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        wire.read_blocked.set(polled.is_pending());
        let new = buf.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            add(&wire.read, new.len());
            if !wire.raw.get() {
                wire.framing.borrow_mut().observe(new);
            }
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { socket, wire } = self.get_mut();
        let polled = match socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        wire.wrote(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [buf] = bufs {
            // The system's call for one piece is the cheaper one.
            return self.poll_write(cx, buf);
        }
        if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= SMALL {
            // A small head and body cost less to put together than to give to the system apart.
            return JOINED.with_borrow_mut(|joined| {
                joined.clear();
                bufs.iter().for_each(|buf| joined.extend_from_slice(buf));
                self.poll_write(cx, joined)
            });
        }
        let Self { socket, wire } = self.get_mut();
        let polled = match socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        wire.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(_) => Poll::Ready(Ok(())),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Wire {
    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.write_blocked.set(polled.is_pending());
        if let Poll::Ready(Ok(bytes)) = &polled {
            add(&self.written, *bytes);
        }
        polled
    }
}

fn add(counter: &Cell<u64>, bytes: usize) {
    counter.set(counter.get().wrapping_add(u64::try_from(bytes).unwrap_or(u64::MAX)));
}

/// A connection that has switched from HTTP to another protocol: its bytes, as they come.
pub struct Upgraded {
    stream: Stream,
    early: Bytes,
}

impl Upgraded {
    pub(super) const fn new(stream: Stream, early: Bytes) -> Self {
        Self { stream, early }
    }
}

impl AsyncRead for Upgraded {
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

impl AsyncWrite for Upgraded {
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
