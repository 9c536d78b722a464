//! Opens connections for the pool, and checks them at checkout.
//!
//! A connection enters the pool only when it is established. That is what the pool library's `create` returning means
//! here, and all that the forwarder elbow descends from got wrong.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::connection::{Connection, Home};
use crate::config::Endpoint;

/// A peer that has vanished without a word is noticed by this.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Makes the connections of a pool.
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    pub(super) connect_timeout: Duration,
    pub(super) home: Arc<Home>,
}

impl Connector {
    /// Connects to the first of the name's addresses that answers.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let Endpoint { host, port } = &self.endpoint;
        let lookup = timeout(self.connect_timeout, lookup_host((host.as_str(), *port)));
        let addresses = match lookup.await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(anyhow!("failed to resolve {host}: {error}")),
            Err(_) => return Err(anyhow!("failed to resolve {host} within {:?}", self.connect_timeout)),
        };
        let mut last = anyhow!("{host} has no address");
        for address in addresses {
            match timeout(self.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) if is_self(&stream) => {
                    last = anyhow!("failed to connect to {address}: nobody listens there");
                }
                Ok(Ok(stream)) => {
                    set_options(&stream)?;
                    return Ok(Connection::new(stream, address, Arc::clone(&self.home)));
                }
                Ok(Err(error)) => last = anyhow!("failed to connect to {address}: {error}"),
                Err(_) => {
                    last = anyhow!("failed to connect to {address}: no answer within {:?}", self.connect_timeout);
                }
            }
        }
        Err(last)
    }
}

/// A connection to a port of this host at which nobody listens can meet itself, if the kernel draws that very port for
/// our side. It would take every byte, and confirm it.
fn is_self(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Batches are large: waiting to fill a segment would only delay the last one.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3))
}

impl Manager for Connector {
    type Type = Connection;
    type Error = anyhow::Error;

    async fn create(&self) -> Result<Connection> {
        self.connect().await.inspect_err(|error| self.home.counters.socket_failed(error.to_string()))
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<anyhow::Error> {
        match connection.is_usable() {
            true => Ok(()),
            false => Err(RecycleError::message("the connection is closed")),
        }
    }
}
