//! The deliver stage: batches of events go to a destination, and each ticket gets its answer.
//!
//! A destination promises that a ticket is confirmed only when its batch has reached a rung, says which, and that a batch
//! which has not is sent again or has failed. It does not promise that a batch arrives once: what a broken connection
//! left unconfirmed goes out on another, whether or not the peer had read it.
//!
//! | module | |
//! |---|---|
//! | [`tcp`] | a destination over TCP: admits, sends, tries again, drains |
//! | `lane` | one endpoint of it: its pool, what is under way to it, and its pauses after failures |
//! | `connect` | opens connections for the pool, and checks them at checkout |
//! | `connection` | one connection, and the batches on it that are not confirmed |
//! | `closing` | half-closes a connection, and learns what the peer has read |
//! | `stream`, `tls` | the bytes of a connection, plain or in TLS |
//! | `lumberjack` | the protocol of Beats, whose receivers acknowledge events |
//! | `kernel` | what the kernel knows of a socket that the standard library does not ask |
//! | [`counters`] | connections and failures, counted |
//! | [`mod@file`] | a destination that is a file or standard output |

mod closing;
mod connect;
mod connection;
pub mod counters;
pub mod file;
mod kernel;
mod lane;
mod lumberjack;
mod stream;
pub mod tcp;
mod tls;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;

use crate::account::Ticket;
use crate::config::{DestinationConfig, Url};
use counters::DeliveryReport;

/// Where events go.
pub struct Destination {
    event_id: String,
    kind: Kind,
}

enum Kind {
    /// A pool of TCP connections.
    Tcp(tcp::Tcp),
    /// A file, or standard output.
    File(Box<file::File>),
}

impl Destination {
    /// Opens a destination. Files are opened now; connections when they are needed. Must be called within a runtime.
    pub async fn open(config: &DestinationConfig) -> Result<Self> {
        let kind = match &config.url {
            Url::Tcp(endpoints) | Url::Tls(endpoints) | Url::Lumberjack { endpoints, .. } => {
                Kind::Tcp(tcp::Tcp::new(endpoints, config)?)
            }
            Url::Stdout => Kind::File(Box::new(file::File::stdout())),
            Url::File(path) => Kind::File(Box::new(file::File::append(path).await?)),
        };
        Ok(Self { event_id: config.event_id.clone(), kind })
    }

    /// The field that events carry their id in; empty if they carry none.
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Sends a batch: whole events, each ended by a newline. Returns when the batch is written and waits to be confirmed,
    /// or has failed: the ticket knows. Waits while the bound of unconfirmed bytes is reached.
    ///
    /// Dropping the future fails the ticket; a connection in the middle of the batch is closed.
    pub async fn send(&self, ndjson: Bytes, ticket: Ticket) {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.send(ndjson, ticket).await,
            Kind::File(file) => file.send(ndjson, ticket).await,
        }
    }

    /// Gets what is unconfirmed confirmed, and closes. After the deadline, what is left fails. Each ticket has its answer
    /// when this returns, and nothing can be sent any more.
    pub async fn drain(&self, deadline: Duration) {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.drain(deadline).await,
            Kind::File(file) => file.drain().await,
        }
    }

    /// Stops trying: what is not confirmed has failed, now and from here on.
    pub fn give_up(&self) {
        if let Kind::Tcp(tcp) = &self.kind {
            tcp.give_up();
        }
    }

    /// Whether the destination can be reached: a connection to each endpoint is opened and closed again, without a byte. A file is not
    /// made, but its folder must be there.
    pub async fn probe(config: &DestinationConfig) -> Result<()> {
        match &config.url {
            Url::Tcp(endpoints) | Url::Tls(endpoints) | Url::Lumberjack { endpoints, .. } => {
                tcp::Tcp::new(endpoints, config)?.probe().await
            }
            Url::Stdout => Ok(()),
            Url::File(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                ensure!(folder.is_none_or(Path::is_dir), "the folder of {} does not exist", path.display());
                Ok(())
            }
        }
    }

    /// The counters as they are now.
    pub fn report(&self) -> DeliveryReport {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.report(),
            Kind::File(file) => file.report(),
        }
    }
}
