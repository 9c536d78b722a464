//! Receivers that treat each connection as their script says, and note what has arrived.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ferro_lumberjack::server::{Server, ServerConnection as Beats, Window};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::runtime::Runtime;

use super::script::{Acks, Kind, Misdeed};
use crate::support::tls::Authority;

/// The name that a TLS receiver's certificate is for, and that names stand for.
pub(super) const NAME: &str = "receiver.test";

/// What has arrived, checked against what was sent.
pub(super) struct Received {
    seed: u64,
    /// For each version of an object, the numbers of its lines.
    lines: Mutex<HashMap<(usize, u32), Vec<bool>>>,
    /// The first event that was never sent.
    foreign: Mutex<Option<String>>,
}

/// The text of a line: of which version of which object, which line, and some bytes, so that lines differ in length.
pub(super) fn line(seed: u64, object: usize, version: u32, number: usize) -> String {
    let mut line = format!("seed {seed} object {object} version {version} line {number} ");
    line.extend(std::iter::repeat_n('x', (number * 37 + object) % 120));
    line
}

impl Received {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, lines: Mutex::default(), foreign: Mutex::default() })
    }

    fn take(&self, event: &[u8]) {
        match self.place(event) {
            Some((object, version, number)) => {
                let mut lines = self.lines.lock().unwrap();
                let seen = lines.entry((object, version)).or_default();
                seen.resize(seen.len().max(number + 1), false);
                seen[number] = true;
            }
            None => {
                self.foreign.lock().unwrap().get_or_insert_with(|| String::from_utf8_lossy(event).into_owned());
            }
        }
    }

    /// Which line of which version of which object this is, byte for byte.
    fn place(&self, event: &[u8]) -> Option<(usize, u32, usize)> {
        let text = std::str::from_utf8(event).ok()?;
        let mut words = text.split(' ').skip(3).step_by(2);
        let (object, version) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let number = words.next()?.parse().ok()?;
        let sent = text.strip_prefix("{\"line\":\"")?.strip_suffix("\"}")?;
        (sent == line(self.seed, object, version, number)).then_some((object, version, number))
    }

    /// The first line that has not arrived.
    pub(super) fn missing(&self, object: usize, version: u32, lines: usize) -> Option<usize> {
        let seen = self.lines.lock().unwrap();
        let seen = seen.get(&(object, version)).map(Vec::as_slice).unwrap_or_default();
        (0..lines).find(|number| !seen.get(*number).copied().unwrap_or_default())
    }

    pub(super) fn foreign(&self) -> Option<String> {
        self.foreign.lock().unwrap().clone()
    }
}

/// A receiver, until it is dropped.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) received: Arc<Received>,
    is_over: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    /// Of a Lumberjack receiver. Taken out at the end.
    runtime: Option<Runtime>,
}

impl Receiver {
    pub(super) fn start(seed: u64, kind: &Kind) -> Self {
        match kind {
            Kind::Tcp(misdeeds) => Self::start_lines(seed, misdeeds.clone(), false),
            Kind::Tls(misdeeds) => Self::start_lines(seed, misdeeds.clone(), true),
            Kind::Lumberjack(acks) => Self::start_lumberjack(seed, acks.clone()),
        }
    }

    fn start_lines(seed: u64, misdeeds: Vec<Misdeed>, is_tls: bool) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Little room in the kernel, or no write would ever have to wait.
        socket.set_recv_buffer_size(4 << 10).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(128).unwrap();
        let listener = TcpListener::from(socket);
        let receiver = Self::new(seed, listener.local_addr().unwrap());
        let (received, is_over, open) =
            (Arc::clone(&receiver.received), Arc::clone(&receiver.is_over), Arc::clone(&receiver.open));
        std::thread::spawn(move || {
            let mut misdeeds = misdeeds.into_iter();
            loop {
                let misdeed = misdeeds.next().unwrap_or(Misdeed::None);
                if let Misdeed::AcceptLate(rest) = misdeed {
                    pause(rest);
                }
                let (stream, _) = listener.accept().unwrap();
                if is_over.load(SeqCst) {
                    return;
                }
                let open = Counted::new(&open);
                let received = Arc::clone(&received);
                std::thread::spawn(move || {
                    let _open = open;
                    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    let socket = if is_tls { Connection::tls(stream, &misdeed) } else { Connection::Plain(stream) };
                    read(socket, &misdeed, &received);
                });
            }
        });
        receiver
    }

    fn start_lumberjack(seed: u64, acks: Vec<Acks>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(Server::builder().bind("127.0.0.1:0")).unwrap();
        let mut receiver = Self::new(seed, listener.local_addr().unwrap());
        let (received, open) = (Arc::clone(&receiver.received), Arc::clone(&receiver.open));
        runtime.spawn(async move {
            let mut acks = acks.into_iter();
            loop {
                let Ok(connection) = listener.accept().await else { continue };
                let acks = acks.next().unwrap_or(Acks::All);
                let (received, open) = (Arc::clone(&received), Counted::new(&open));
                tokio::spawn(async move {
                    let _open = open;
                    // A connection that breaks is an error here.
                    let _ = acknowledge(connection, &acks, &received).await;
                });
            }
        });
        receiver.runtime = Some(runtime);
        receiver
    }

    fn new(seed: u64, address: SocketAddr) -> Self {
        Self { address, received: Received::new(seed), is_over: Arc::default(), open: Arc::default(), runtime: None }
    }

    /// Waits until what has arrived is read. A reader may still be at it when elbow has ended.
    pub(super) fn wait_until_read(&self) {
        crate::support::eventually("the receiver has read its connections", || self.open.load(SeqCst) == 0);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        match self.runtime.take() {
            Some(runtime) => runtime.shutdown_background(),
            None => drop(TcpStream::connect(self.address)),
        }
    }
}

/// Counts something for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// The receivers' certificates, made once.
pub(super) struct Certificates {
    pub(super) authority: Authority,
    good: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    demanding: Arc<ServerConfig>,
}

pub(super) fn certificates() -> &'static Certificates {
    static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let authority = Authority::new();
        let good = authority.server(NAME, None);
        let expired = authority.expired_server(NAME);
        let demanding = authority.server(NAME, Some(&Authority::new()));
        Certificates { authority, good, expired, demanding }
    })
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Connection {
    fn tls(stream: TcpStream, misdeed: &Misdeed) -> Self {
        let certificates = certificates();
        let config = match misdeed {
            Misdeed::ExpiredCertificate => &certificates.expired,
            Misdeed::RefuseAfterHandshake => &certificates.demanding,
            _ => &certificates.good,
        };
        Self::Tls(Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.sock,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// What TLS has read of the socket, and nobody of it.
    fn read_ahead(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Self::Tls(tls) = self {
            // It ends with an error, for there is no more.
            let _ = tls.conn.reader().read_to_end(&mut bytes);
        }
        bytes
    }

    fn half_close(&mut self) {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            let _ = tls.conn.complete_io(&mut tls.sock);
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }

    fn reset(&self) {
        SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn read(mut connection: Connection, misdeed: &Misdeed, received: &Received) {
    let mut bytes = Vec::new();
    let is_over = read_as_told(&mut connection, misdeed, &mut bytes, received);
    // What was read is received, wherever the program has it.
    bytes.extend(connection.read_ahead());
    take_lines(&mut bytes, received);
    if is_over {
        if let Misdeed::StayOpen = misdeed {
            pause(Duration::from_millis(400));
        }
        connection.half_close();
    }
}

/// Whether it has read to the end.
fn read_as_told(connection: &mut Connection, misdeed: &Misdeed, bytes: &mut Vec<u8>, received: &Received) -> bool {
    let mut end = match *misdeed {
        Misdeed::ResetAfter(bytes)
        | Misdeed::CloseAfter(bytes)
        | Misdeed::StallAfter(bytes)
        | Misdeed::PauseAfter(bytes)
        | Misdeed::HalfCloseAfter(bytes)
        | Misdeed::AlertAfter(bytes) => bytes,
        _ => usize::MAX,
    };
    let mut buffer = vec![0; 8192];
    let mut total = 0;
    loop {
        if total >= end {
            end = usize::MAX;
            match misdeed {
                Misdeed::HalfCloseAfter(_) => {
                    connection.half_close();
                    connection.tcp().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                }
                Misdeed::StallAfter(_) => {
                    pause(Duration::from_millis(250));
                    connection.reset();
                    return false;
                }
                Misdeed::PauseAfter(_) => pause(Duration::from_millis(250)),
                Misdeed::AlertAfter(_) => {
                    let fatal_internal_error = [21, 3, 3, 0, 2, 2, 80];
                    let _ = connection.tcp().write_all(&fatal_internal_error);
                }
                Misdeed::ResetAfter(_) => {
                    connection.reset();
                    return false;
                }
                _ => return false,
            }
        }
        let room = buffer.len().min(end - total);
        match connection.read(&mut buffer[..room]) {
            Ok(0) => return true,
            Ok(read) => {
                total += read;
                bytes.extend_from_slice(&buffer[..read]);
                take_lines(bytes, received);
                if let Misdeed::ReadSlowly(rest) = misdeed {
                    pause(*rest);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
            Err(_) => return false,
        }
    }
}

fn take_lines(bytes: &mut Vec<u8>, received: &Received) {
    let Some(end) = memchr::memrchr(b'\n', bytes) else { return };
    for event in bytes[..end].split(|byte| *byte == b'\n') {
        received.take(event);
    }
    bytes.drain(..=end);
}

/// Takes only what it acknowledges, so that nothing else can count as received.
async fn acknowledge(mut connection: Beats, acks: &Acks, received: &Received) -> io::Result<()> {
    let take = |window: &Window, end: u32| {
        window.events.iter().filter(|event| event.seq <= end).for_each(|event| received.take(&event.payload));
    };
    for index in 0.. {
        let Ok(Some(window)) = connection.read_window().await else { break };
        let events = window.last_seq;
        let ack = match *acks {
            Acks::NeverFrom(first) if index >= first => {
                // Until elbow has enough of it.
                let _ = connection.read_window().await;
                break;
            }
            Acks::CloseAt(at) if index == at => break,
            Acks::PartOf(at, percent) if index == at => {
                let part = events * percent / 100;
                take(&window, part);
                let _ = connection.send_ack(part).await;
                break;
            }
            Acks::TooManyOf(at) if index == at => {
                let _ = connection.send_ack(events + 1).await;
                let _ = connection.read_window().await;
                break;
            }
            Acks::BackwardsIn(at) if index == at && events >= 4 => {
                take(&window, events / 2);
                let _ = connection.send_ack(events / 2).await;
                let _ = connection.send_ack(events / 4).await;
                let _ = connection.read_window().await;
                break;
            }
            Acks::Busy(rest) => {
                let begun = Instant::now();
                while begun.elapsed() < rest / 4 {
                    let _ = connection.send_ack(0).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                events
            }
            _ => events,
        };
        take(&window, ack);
        if connection.send_ack(ack).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// An address at which a program listens that has as many connections as it may have: the kernel ignores whoever asks for
/// another.
pub(super) struct Deaf {
    pub(super) address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<Socket>,
}

impl Deaf {
    pub(super) fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = (0..3).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // The last of them waits in vain.
            let _ = socket.connect_timeout(&address, Duration::from_millis(20));
            socket
        });
        Self { _waiting: waiting.collect(), address: address.as_socket().unwrap(), _listener: listener }
    }
}

#[allow(clippy::disallowed_methods, reason = "the receiver's threads do as they are told, slowness included")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
