//! The bytes of a connection, plain or in TLS.
//!
//! A half-close in TLS is a `close_notify`, then the FIN. What the kernel knows is asked of the TCP socket below: its queue
//! holds TLS records, so that it says when all that was written has been acknowledged, not how much of it.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::kernel::{self, Peer};

/// An established connection.
pub(super) enum Stream {
    Plain(TcpStream),
    /// Behind a lock only for [`Self::peer`], which must feed the TLS state with what the peer says. Uncontended: a
    /// connection has one owner.
    Tls(Mutex<Box<TlsStream<TcpStream>>>),
}

impl Stream {
    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Mutex::new(Box::new(stream)))
    }

    /// How many of the bytes that were written the peer's kernel has not acknowledged; `None` where nobody can tell. In
    /// TLS either 0 or at least 1.
    pub(super) fn unacknowledged(&self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(tcp) => kernel::unacknowledged(tcp),
            Self::Tls(tls) => kernel::unacknowledged(lock(tls).get_ref().0),
        }
    }

    /// Whether what is not acknowledged is counted in the bytes that were written to this stream.
    pub(super) fn counts_its_own_bytes(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The error that the socket has met, if it has.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Plain(tcp) => tcp.take_error(),
            Self::Tls(tls) => lock(tls).get_ref().0.take_error(),
        }
    }

    /// What the peer has done. What it has said is taken off, and ignored: these are one-way protocols, and in TLS it may
    /// be a session ticket.
    pub(super) fn peer(&self) -> io::Result<Peer> {
        match self {
            Self::Plain(tcp) => {
                let peer = kernel::peer(tcp)?;
                if matches!(peer, Peer::Talking) {
                    kernel::discard(tcp);
                }
                Ok(peer)
            }
            Self::Tls(tls) => {
                let mut tls = lock(tls);
                match kernel::peer(tls.get_ref().0)? {
                    Peer::Talking => talking(&mut tls),
                    peer => Ok(peer),
                }
            }
        }
    }
}

/// Has TLS look at what the peer has said: a farewell, an alert, or nothing that matters here.
fn talking(tls: &mut TlsStream<TcpStream>) -> io::Result<Peer> {
    let mut ignored = [0; 4096];
    let mut buffer = ReadBuf::new(&mut ignored);
    match Pin::new(tls).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
        Poll::Ready(Ok(())) if buffer.filled().is_empty() => Ok(Peer::Closed),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(Peer::Talking),
    }
}

fn lock(tls: &Mutex<Box<TlsStream<TcpStream>>>) -> MutexGuard<'_, Box<TlsStream<TcpStream>>> {
    tls.lock().expect("no holder of this lock panics")
}

fn exclusive(tls: &mut Mutex<Box<TlsStream<TcpStream>>>) -> Pin<&mut TlsStream<TcpStream>> {
    Pin::new(tls.get_mut().expect("no holder of this lock panics"))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(task, buffer),
            Self::Tls(tls) => match exclusive(tls).poll_read(task, buffer) {
                // A peer that closes without a `close_notify` has closed all the same; elbow wants nothing of it.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                polled => polled,
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(task, bytes),
            Self::Tls(tls) => exclusive(tls).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(task),
            Self::Tls(tls) => exclusive(tls).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(task),
            Self::Tls(tls) => exclusive(tls).poll_shutdown(task),
        }
    }
}
