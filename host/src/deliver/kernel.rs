//! What the kernel knows of a socket that the standard library does not ask.

use std::io;
use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::net::TcpStream;

/// How many bytes that were written the peer's kernel has not acknowledged yet; after a half-close this counts the FIN
/// too. `None` where the system cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn unacknowledged(stream: &TcpStream) -> io::Result<Option<u64>> {
    use rustix::ioctl::{Getter, ioctl};
    use std::ffi::c_int;

    /// `SIOCOUTQ`, tcp(7).
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: SIOCOUTQ on a socket writes one int through the pointer and touches nothing else.
    #[allow(unsafe_code, reason = "no crate offers this ioctl as a safe function")]
    let bytes: c_int = unsafe { ioctl(stream, Getter::<SIOCOUTQ, c_int>::new()) }?;
    Ok(Some(u64::try_from(bytes).unwrap_or(0)))
}

/// How many bytes that were written the peer's kernel has not acknowledged yet: this system cannot tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn unacknowledged(_stream: &TcpStream) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Takes some of what the peer has said off the socket.
pub(super) fn discard(stream: &TcpStream) {
    let mut ignored = [MaybeUninit::uninit(); 4096];
    // An error will be met again by whoever asks next.
    let _ = SockRef::from(stream).recv(&mut ignored);
}

/// What the peer has done, as far as the kernel knows at this moment.
pub(super) enum Peer {
    /// Its side is open, and it has sent nothing that we did not read.
    Open,
    /// It has sent bytes.
    Talking,
    /// It has closed its side.
    Closed,
}

/// Asks the kernel itself, not tokio's cached readiness, which may be older.
pub(super) fn peer(stream: &TcpStream) -> io::Result<Peer> {
    let mut byte = [MaybeUninit::uninit(); 1];
    match SockRef::from(stream).peek(&mut byte) {
        Ok(0) => Ok(Peer::Closed),
        Ok(_) => Ok(Peer::Talking),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Peer::Open),
        Err(error) => Err(error),
    }
}
