//! The sockets towards an app: TCP, TLS over TCP, and unix sockets, behind one type.
//!
//! Opens them; what is said over them is `line`'s business.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls_pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::UpstreamError;
use super::fields::Insertion;
use super::{Address, Settings};
use crate::foundation::origin::Scheme;
use crate::foundation::trust;

/// Where connections are opened to, with everything that can be known beforehand.
pub(super) enum Target {
    Tcp { host: String, port: u16, tls: Option<(TlsConnector, ServerName<'static>)> },
    Unix(std::path::PathBuf),
}

impl Target {
    pub(super) fn new(settings: &Settings, tls: Arc<rustls::ClientConfig>) -> Result<Self, UpstreamError> {
        let origin = match &settings.address {
            Address::Unix(path) => return Ok(Self::Unix(path.clone())),
            Address::Origin(origin) => origin,
        };
        let host = origin.host();
        let tls = match origin.scheme() {
            Scheme::Http => None,
            Scheme::Https => {
                let name = settings.server_name.as_deref().unwrap_or(host);
                let name = trust::server_name(name)
                    .ok_or_else(|| UpstreamError::ServerName { name: name.to_owned() })?;
                Some((TlsConnector::from(tls), name))
            }
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self::Tcp { host: bare.to_owned(), port: origin.port(), tls })
    }

    /// Opens a connection; names are resolved now, so that a moved app is found again.
    pub(super) async fn open(&self) -> Result<(Stream, Rc<Wire>), UpstreamError> {
        let wire = Rc::new(Wire::default());
        let socket = match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                Socket::Unix(stream.map_err(|source| UpstreamError::Connect { source })?)
            }
            Self::Tcp { host, port, tls } => {
                let addresses = tokio::net::lookup_host((host.as_str(), *port)).await;
                let addresses = addresses.map_err(|source| UpstreamError::Resolve { source })?;
                let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                let mut connected = None;
                for address in addresses {
                    match TcpStream::connect(address).await {
                        Ok(stream) => {
                            connected = Some(stream);
                            break;
                        }
                        Err(error) => refused = error,
                    }
                }
                let stream = connected.ok_or(UpstreamError::Connect { source: refused })?;
                stream.set_nodelay(true).map_err(|source| UpstreamError::Connect { source })?;
                match tls {
                    None => Socket::Tcp(stream),
                    Some((connector, name)) => {
                        let stream = connector.connect(name.clone(), stream).await;
                        Socket::Tls(Box::new(stream.map_err(|source| UpstreamError::Tls { source })?))
                    }
                }
            }
        };
        Ok((Stream { socket, wire: Rc::clone(&wire) }, wire))
    }
}

/// What passes over a stream, for who can't look into it because `hyper` owns it.
#[derive(Default)]
pub(super) struct Wire {
    /// How many bytes were written.
    pub(super) written: Cell<u64>,
    /// What is written by the stream itself.
    pub(super) insertion: RefCell<Insertion>,
    /// Asks the kernel, at the next read, whether the app has closed: the reactor may not know yet.
    pub(super) probe: Cell<bool>,
}

/// A connection to an app.
pub(super) struct Stream {
    socket: Socket,
    wire: Rc<Wire>,
}

enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Stream {
    /// The certificate that the app proved itself with, in DER.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        match &self.socket {
            Socket::Tls(stream) => stream.get_ref().1.peer_certificates()?.first().map(AsRef::as_ref),
            Socket::Tcp(_) | Socket::Unix(_) => None,
        }
    }

    /// An idle connection has nothing to read; anything but "would block" means that it is of no use.
    fn probe(&self) -> io::Result<()> {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match &self.socket {
            Socket::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            Socket::Tls(stream) => SockRef::from(stream.get_ref().0).peek(&mut byte),
            Socket::Unix(stream) => SockRef::from(stream).peek(&mut byte),
        };
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            // A TLS session ticket may wait here; the next connection is soon made.
            Ok(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.probe.take() {
            this.probe()?;
        }
        match &mut this.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        let taken_over = this.wire.insertion.borrow_mut().take_over(buf);
        match taken_over {
            None => this.socket.poll_write(cx, buf).map_ok(|bytes| this.wire.count(bytes)),
            Some(true) => {
                // What the socket does not take now is written before anything else.
                if let Poll::Ready(Err(error)) = this.poll_rest(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(buf.len()))
            }
            Some(false) => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
    }

    /// `hyper` then puts a request's head and what is there of its body into one piece: most have no body.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        match &mut this.socket {
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tcp(_) | Socket::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        match &mut this.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Stream {
    /// Writes what is left of a head that was taken over.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut insertion = self.wire.insertion.borrow_mut();
        loop {
            let rest = insertion.rest();
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.socket.poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => insertion.wrote(self.wire.count(bytes)),
            }
        }
    }
}

impl Socket {
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
}

impl Wire {
    fn count(&self, bytes: usize) -> usize {
        self.written.set(self.written.get().wrapping_add(u64::try_from(bytes).unwrap_or(u64::MAX)));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::{HeaderName, HeaderValue};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::fields::Fields;
    use super::*;
    use crate::foundation::body::Body;

    #[tokio::test]
    async fn a_head_larger_than_what_the_socket_takes_arrives_whole_and_before_what_follows() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let wire = Rc::new(Wire::default());
        let mut stream = Stream { socket: Socket::Unix(ours), wire: Rc::clone(&wire) };
        let (name, value) = (HeaderName::from_static("x-user-id"), HeaderValue::from_static("ivan"));
        let fields = Fields::written(std::iter::once((&name, &value)));
        wire.insertion.borrow_mut().prepare(&Request::post("/").body(Body::empty()).unwrap(), &fields);
        let long = "x".repeat(2_000_000);
        let head = format!("POST / HTTP/1.1\r\ncookie: {long}\r\n\r\n");
        let sending = async {
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(b"body").await.unwrap();
            stream.flush().await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let mut arrived = String::new();
        let reading = theirs.read_to_string(&mut arrived);
        let ((), bytes) = tokio::join!(sending, reading);
        assert_eq!(wire.written.get(), u64::try_from(bytes.unwrap()).unwrap());
        let expected = format!("POST / HTTP/1.1\r\nx-user-id: ivan\r\ncookie: {long}\r\n\r\nbody");
        assert!(arrived == expected, "{} bytes", arrived.len());
    }
}
