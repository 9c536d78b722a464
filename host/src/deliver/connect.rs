//! Opens connections for a pool, and checks them at checkout.
//!
//! A connection enters the pool only when it is established, TLS included. That is what the pool library's `create`
//! returning means here, and all that the forwarder elbow descends from got wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, anyhow};
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::connection::{Connection, Home};
use super::stream::Stream;
use super::tls::Tls;
use crate::config::{DestinationConfig, Endpoint};

/// Makes the connections to one endpoint.
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    tls: Option<Tls>,
    connect_timeout: Duration,
    tls_timeout: Duration,
    keepalive: Duration,
    send_buffer: usize,
    home: Arc<Home>,
    /// Which of the name's addresses is next, so that all of them are used.
    turn: AtomicUsize,
}

impl Connector {
    pub(super) fn new(endpoint: &Endpoint, config: &DestinationConfig, home: Arc<Home>) -> Result<Self> {
        Ok(Self {
            endpoint: endpoint.clone(),
            tls: config.tls.as_ref().map(|tls| Tls::new(tls, &endpoint.host)).transpose()?,
            connect_timeout: config.connect_timeout,
            tls_timeout: config.tls_timeout,
            keepalive: config.keepalive,
            send_buffer: usize::try_from(config.send_buffer).unwrap_or(usize::MAX),
            home,
            turn: AtomicUsize::new(0),
        })
    }

    /// Connects to one of the name's addresses: the next in turn, or the first after it that answers. The name is resolved
    /// anew each time.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let Endpoint { host, port } = &self.endpoint;
        let lookup = timeout(self.connect_timeout, lookup_host((host.as_str(), *port)));
        let mut addresses: Vec<SocketAddr> = match lookup.await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => return Err(anyhow!("failed to resolve {host}: {error}")),
            Err(_) => return Err(anyhow!("failed to resolve {host} within {:?}", self.connect_timeout)),
        };
        if !addresses.is_empty() {
            let turn = self.turn.fetch_add(1, Relaxed) % addresses.len();
            addresses.rotate_left(turn);
        }
        let mut last = anyhow!("{host} has no address");
        for address in addresses {
            match self.connect_to(address).await {
                Ok(stream) => return Ok(Connection::new(stream, address, Arc::clone(&self.home))),
                Err(error) => last = error.context(format!("failed to connect to {address}")),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Stream> {
        let tcp = match timeout(self.connect_timeout, TcpStream::connect(address)).await {
            Ok(tcp) => tcp?,
            Err(_) => return Err(anyhow!("no answer within {:?}", self.connect_timeout)),
        };
        if is_self(&tcp) {
            return Err(anyhow!("nobody listens there"));
        }
        self.set_options(&tcp)?;
        Ok(match &self.tls {
            Some(tls) => Stream::tls(tls.handshake(tcp, self.tls_timeout).await?),
            None => Stream::Plain(tcp),
        })
    }

    fn set_options(&self, tcp: &TcpStream) -> io::Result<()> {
        // Batches are large: waiting to fill a segment would only delay the last one.
        tcp.set_nodelay(true)?;
        if self.send_buffer > 0 {
            SockRef::from(tcp).set_send_buffer_size(self.send_buffer)?;
        }
        // A peer that has vanished without a word is noticed by this.
        let keepalive = TcpKeepalive::new().with_time(self.keepalive).with_interval(self.keepalive / 3);
        SockRef::from(tcp).set_tcp_keepalive(&keepalive)
    }
}

/// A connection to a port of this host at which nobody listens can meet itself, if the kernel draws that very port for
/// our side. It would take every byte, and confirm it.
fn is_self(tcp: &TcpStream) -> bool {
    matches!((tcp.local_addr(), tcp.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

impl Manager for Connector {
    type Type = Connection;
    type Error = anyhow::Error;

    async fn create(&self) -> Result<Connection> {
        self.connect().await.inspect_err(|error| self.home.counters.socket_failed(format!("{error:#}")))
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<anyhow::Error> {
        match connection.is_usable() {
            true => Ok(()),
            false => Err(RecycleError::message("the connection is closed")),
        }
    }
}
