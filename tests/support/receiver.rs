//! A TCP receiver that does as its script says, connection by connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

/// What a receiver does with one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// Waits so long before it accepts.
    pub(crate) accept_after: Duration,
    /// Rests so long after each read.
    pub(crate) rest: Duration,
    /// After so many bytes, the end below.
    pub(crate) after_bytes: Option<usize>,
    pub(crate) end: End,
    /// Says something to elbow all the time.
    pub(crate) talks: bool,
}

/// What a receiver does when it has read enough, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// Closes.
    #[default]
    Close,
    /// Closes at once with a reset.
    Reset,
    /// Reads on no more, and keeps the connection open.
    StopReading,
    /// Reads to the end, and does not close its side.
    StayOpen,
}

/// Accepts connections until it is dropped. Each is read on a thread of its own.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    connections: Arc<Mutex<Vec<Arc<Connection>>>>,
    is_over: Arc<AtomicBool>,
}

/// What came over one connection.
#[derive(Default)]
struct Connection {
    bytes: Mutex<Vec<u8>>,
    /// A request of the test to close it now.
    close: AtomicBool,
}

impl Receiver {
    /// On a free port; `script` is asked for each connection, counted from 0.
    pub(crate) fn start(script: impl Fn(usize) -> Script + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    pub(crate) fn start_at(address: SocketAddr, script: impl Fn(usize) -> Script + Send + 'static) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        // Little room in the kernel: what is slow here is to be felt there.
        socket.set_recv_buffer_size(64 << 10).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(128).unwrap();
        let listener = TcpListener::from(socket);
        let receiver =
            Self { address: listener.local_addr().unwrap(), connections: Arc::default(), is_over: Arc::default() };
        let (connections, is_over) = (Arc::clone(&receiver.connections), Arc::clone(&receiver.is_over));
        std::thread::spawn(move || accept(&listener, &script, &connections, &is_over));
        receiver
    }

    /// One that reads everything and closes.
    pub(crate) fn plain() -> Self {
        Self::start(|_| Script::default())
    }

    /// What came in whole lines, over all connections in their order.
    pub(crate) fn lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for connection in self.connections.lock().unwrap().iter() {
            let bytes = connection.bytes.lock().unwrap();
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            lines.extend_from_slice(&bytes[..end]);
        }
        lines
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// Closes the connections that are open.
    pub(crate) fn close_connections(&self) {
        for connection in self.connections.lock().unwrap().iter() {
            connection.close.store(true, SeqCst);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(
    listener: &TcpListener,
    script: &impl Fn(usize) -> Script,
    connections: &Mutex<Vec<Arc<Connection>>>,
    is_over: &Arc<AtomicBool>,
) {
    for index in 0.. {
        let script = script(index);
        rest(script.accept_after);
        let (stream, _) = listener.accept().unwrap();
        if is_over.load(SeqCst) {
            return;
        }
        let connection = Arc::new(Connection::default());
        connections.lock().unwrap().push(Arc::clone(&connection));
        let is_over = Arc::clone(is_over);
        std::thread::spawn(move || read(stream, &script, &connection, &is_over));
    }
}

fn read(mut stream: TcpStream, script: &Script, connection: &Connection, is_over: &AtomicBool) {
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut buffer = vec![0; 16 << 10];
    let mut total = 0;
    loop {
        let left = script.after_bytes.map_or(buffer.len(), |bytes| bytes - total);
        if left == 0 || connection.close.load(SeqCst) {
            break;
        }
        let part = left.min(buffer.len());
        match stream.read(&mut buffer[..part]) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                connection.bytes.lock().unwrap().extend_from_slice(&buffer[..read]);
                rest(script.rest);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if is_over.load(SeqCst) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
    match script.end {
        // By dropping it.
        End::Close => {}
        End::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
        End::StopReading | End::StayOpen => {
            let patience = Instant::now();
            while !is_over.load(SeqCst) && patience.elapsed() < Duration::from_secs(60) {
                rest(Duration::from_millis(20));
                if script.talks {
                    let _ = stream.write_all(b"still here\n");
                }
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the receiver's threads do as they are told, slowness included")]
fn rest(duration: Duration) {
    if !duration.is_zero() {
        std::thread::sleep(duration);
    }
}

/// An address at which nobody listens. Another program may take it, but hardly within a test.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
