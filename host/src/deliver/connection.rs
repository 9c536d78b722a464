//! One connection, and the batches on it that are not confirmed.
//!
//! A batch is in one place at any time. Here it is on a connection that is open; a connection that goes, for whatever
//! reason, gives its batches back by being dropped, and they go out on another.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::counters::Counters;
use super::kernel::Peer;
use super::lane::Load;
use super::lumberjack;
use super::stream::Stream;
use super::tcp::Admission;
use crate::account::Ticket;
use crate::connections::Ending;
use crate::rung::Rung;

/// Events on their way. Owned by one place at a time; dropped, its ticket fails.
pub(super) struct Batch {
    pub(super) ndjson: Bytes,
    pub(super) ticket: Ticket,
    /// When the first attempt to send it failed.
    pub(super) failing_since: Option<Instant>,
    /// How many attempts have failed.
    pub(super) failures: u32,
    /// A part of it, or all, has gone out on a connection that is no more.
    pub(super) is_there_in_part: bool,
    /// Its weight on the endpoint that it is under way to.
    pub(super) load: Option<Load>,
    /// Its share of the bound of unconfirmed bytes, given back with the batch.
    pub(super) _admission: Admission,
}

/// What is spoken on a connection.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    /// Events, one a line. `patience` is how long the peer may take no byte.
    Lines { patience: Duration },
    /// Lumberjack, version 2.
    Lumberjack(lumberjack::Terms),
}

/// What all connections of a destination share.
pub(super) struct Home {
    /// The destination, for the log.
    pub(super) url: String,
    pub(super) counters: Counters,
    /// Where a connection's unconfirmed batches go when it is dropped. Bounded by the admissions that they hold.
    pub(super) returned: UnboundedSender<Batch>,
    /// The log says that the destination does not take events.
    pub(super) is_told_down: AtomicBool,
}

impl Home {
    /// Answers a batch's ticket. That a destination is back is told no earlier: one that takes bytes and never reads them
    /// would come and go in the log.
    fn confirm(&self, batch: Batch, rung: Rung) {
        batch.ticket.confirm(rung);
        if self.is_told_down.swap(false, Relaxed) {
            tracing::info!(destination = self.url, "the destination takes events again");
        }
    }

    /// Says that the destination does not take events, unless the log says so already.
    pub(super) fn tell_down(&self, error: &str) {
        if !self.is_told_down.swap(true, Relaxed) {
            tracing::warn!(destination = self.url, error, "the destination does not take events, retrying");
        }
    }
}

/// A connection that was established. Shared with nobody: the pool, a send or a close owns it.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    pub(super) opened: Instant,
    /// Bytes written to it.
    pub(super) carried: u64,
    /// A write has begun and not ended: what follows on it would be glued to half an event.
    in_write: bool,
    /// Each with the count of bytes that the connection had carried when its last byte was written.
    unconfirmed: Mutex<VecDeque<(u64, Batch)>>,
    home: Arc<Home>,
    ending: Ending,
    /// What went wrong with it.
    failure: Option<String>,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: SocketAddr, home: Arc<Home>) -> Self {
        home.counters.created();
        Self {
            stream,
            peer,
            opened: Instant::now(),
            carried: 0,
            in_write: false,
            unconfirmed: Mutex::default(),
            home,
            ending: Ending::Stopped,
            failure: None,
        }
    }

    /// Sends a batch: over plain TCP it is then unconfirmed on this connection, over Lumberjack it is accepted.
    ///
    /// After an error what is left of the batch is given back, and the connection is of no use any more. Dropping the
    /// future fails the batch's ticket and leaves the connection in the middle of it: see [`Self::is_usable`].
    pub(super) async fn send(&mut self, batch: Batch, protocol: Protocol) -> Result<(), (Batch, io::Error)> {
        let mut rest = batch.ndjson.clone();
        self.in_write = true;
        let sent = match protocol {
            Protocol::Lines { patience } => self.write_all(&mut rest, patience).await,
            Protocol::Lumberjack(terms) => lumberjack::send(&mut self.stream, &mut rest, terms).await,
        };
        match (sent, protocol) {
            (Ok(()), Protocol::Lines { .. }) => self.unconfirmed().push_back((self.carried, batch)),
            (Ok(()), Protocol::Lumberjack(_)) => {
                self.carried += batch.ndjson.len() as u64;
                self.confirm(batch, Rung::Accepted);
            }
            (Err(error), Protocol::Lines { .. }) => {
                let is_there_in_part = rest.len() < batch.ndjson.len();
                return Err((Batch { is_there_in_part, ..batch }, error));
            }
            (Err(error), Protocol::Lumberjack(_)) => {
                // What was accepted need not go out again; what was not may be there all the same.
                return Err((Batch { ndjson: rest, is_there_in_part: true, ..batch }, error));
            }
        }
        self.in_write = false;
        Ok(())
    }

    async fn write_all(&mut self, rest: &mut Bytes, patience: Duration) -> io::Result<()> {
        while !rest.is_empty() {
            match timeout(patience, self.stream.write_buf(rest)).await {
                Ok(Ok(written)) if written > 0 => self.carried += written as u64,
                Ok(Ok(_)) => return Err(ErrorKind::WriteZero.into()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let error = format!("the peer has read nothing for {patience:?}");
                    return Err(io::Error::new(ErrorKind::TimedOut, error));
                }
            }
        }
        // In TLS the last record may wait in a buffer.
        timeout(patience, self.stream.flush()).await.map_err(|_| ErrorKind::TimedOut)?
    }

    /// Whether another batch can go out on it: no write was left in the middle, and the peer has not closed. If not, the
    /// connection remembers why.
    pub(super) fn is_usable(&mut self) -> bool {
        if self.in_write {
            return false;
        }
        match self.peer_is_open() {
            Ok(()) => true,
            Err(ending) => {
                self.ending = ending;
                false
            }
        }
    }

    #[cfg(feature = "planted-bugs")]
    pub(super) fn forget_half_write(&mut self) {
        self.in_write = false;
    }

    /// Whether the peer's side is open. What it has said is read and ignored: these are one-way protocols. Only so much at
    /// a time: a peer that talks faster than this reads is open, and this must end.
    pub(super) fn peer_is_open(&self) -> Result<(), Ending> {
        for _ in 0..16 {
            match self.stream.peer() {
                Ok(Peer::Open) => return Ok(()),
                Ok(Peer::Talking) => {}
                Ok(Peer::Closed) => return Err(Ending::PeerClosed),
                Err(_) => return Err(Ending::Reset),
            }
        }
        Ok(())
    }

    /// Confirms, as `received`, the batches of which the peer's kernel has acknowledged every byte.
    pub(super) fn confirm_received(&self) -> io::Result<()> {
        let Some(unacknowledged) = self.stream.unacknowledged()? else {
            return Ok(());
        };
        // A reset empties the send queue too, so that it must be ruled out after the queue was looked at.
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        let acknowledged = match unacknowledged {
            0 => self.carried,
            _ if self.stream.counts_its_own_bytes() => self.carried.saturating_sub(unacknowledged),
            _ => 0,
        };
        let mut unconfirmed = self.unconfirmed();
        while unconfirmed.front().is_some_and(|(end, _)| *end <= acknowledged) {
            if let Some((_, batch)) = unconfirmed.pop_front() {
                self.confirm(batch, Rung::Received);
            }
        }
        Ok(())
    }

    /// Takes all that is unconfirmed out, to be answered by the caller.
    pub(super) fn take_unconfirmed(&self) -> impl Iterator<Item = Batch> {
        std::mem::take(&mut *self.unconfirmed()).into_iter().map(|(_, batch)| batch)
    }

    /// Answers a batch that this connection has carried.
    pub(super) fn confirm(&self, batch: Batch, rung: Rung) {
        self.home.confirm(batch, rung);
    }

    pub(super) fn has_unconfirmed(&self) -> bool {
        !self.unconfirmed().is_empty()
    }

    /// Drops the connection, for a reason that is no failure.
    pub(super) fn end(mut self, ending: Ending) {
        self.ending = ending;
    }

    /// Drops the connection, and says what went wrong with it.
    pub(super) fn fail(mut self, ending: Ending, failure: String) {
        self.ending = ending;
        self.failure = Some(failure);
    }

    fn unconfirmed(&self) -> MutexGuard<'_, VecDeque<(u64, Batch)>> {
        self.unconfirmed.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.home.counters.destroyed(self.ending);
        if self.failure.is_none() && self.has_unconfirmed() && self.ending != Ending::Stopped {
            self.failure =
                Some(format!("{}: the peer ended the connection before what it carried was confirmed", self.peer));
        }
        if let Some(failure) = self.failure.take() {
            self.home.counters.socket_failed(failure);
        }
        for batch in self.take_unconfirmed() {
            let batch = Batch { is_there_in_part: true, load: None, ..batch };
            // Without a receiver the destination itself is gone, and the ticket fails as it should.
            let _ = self.home.returned.send(batch);
        }
    }
}
