//! `elbow sink`: a TCP receiver for people who try elbow out.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::Outcome;

/// Receive lines over TCP, print them, and count them at the end.
///
/// Ends with SIGINT (Ctrl-C) or SIGTERM. Lines go to standard output, counts to standard error.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: String,

    /// Count only
    #[arg(long)]
    quiet: bool,
}

pub(crate) async fn run(args: Args) -> Result<Outcome> {
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let receiver = Receiver::bind(&args.listen).await?;
    eprintln!("listening on {}", receiver.address);
    let counts = Arc::clone(&receiver.counts);
    let print = move |lines: &[u8]| match args.quiet {
        true => Ok(()),
        false => std::io::stdout().lock().write_all(lines),
    };
    tokio::select! {
        received = receiver.run(print) => received?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let (connections, lines, bytes) = counts.get();
    eprintln!("{connections} connections, {lines} lines, {bytes} bytes");
    Ok(Outcome::Done)
}

/// What has arrived.
#[derive(Default)]
pub(crate) struct Counts {
    connections: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    /// Connections, lines, bytes.
    pub(crate) fn get(&self) -> (u64, u64, u64) {
        (self.connections.load(Relaxed), self.lines.load(Relaxed), self.bytes.load(Relaxed))
    }
}

/// Listens, reads each connection to its end, and closes it then: what the rung `closed` waits for.
pub(crate) struct Receiver {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
}

impl Receiver {
    pub(crate) async fn bind(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
        let address = listener.local_addr().context("failed to learn the address")?;
        Ok(Self { listener, address, counts: Arc::default() })
    }

    /// Hands whole lines to `take`, until that fails or the future is dropped.
    pub(crate) async fn run(self, take: impl Fn(&[u8]) -> std::io::Result<()> + Send + Sync + 'static) -> Result<()> {
        let take = Arc::new(take);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted.context("failed to accept a connection")?;
                    self.counts.connections.fetch_add(1, Relaxed);
                    connections.spawn(read(stream, Arc::clone(&take), Arc::clone(&self.counts)));
                }
                Some(ended) = connections.join_next() => ended.context("reading a connection panicked")??,
            }
        }
    }
}

async fn read(
    mut stream: TcpStream,
    take: Arc<impl Fn(&[u8]) -> std::io::Result<()>>,
    counts: Arc<Counts>,
) -> Result<()> {
    let mut buffer = Vec::with_capacity(256 << 10);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => {
                counts.bytes.fetch_add(read as u64, Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection broke");
                break;
            }
        }
        if let Some(end) = memchr::memrchr(b'\n', &buffer) {
            let lines = &buffer[..=end];
            counts.lines.fetch_add(memchr::memchr_iter(b'\n', lines).count() as u64, Relaxed);
            take(lines).context("failed to print")?;
            buffer.drain(..=end);
        }
    }
    if !buffer.is_empty() {
        tracing::warn!(bytes = buffer.len(), "a connection ended in the middle of a line");
    }
    let _ = stream.shutdown().await;
    Ok(())
}
