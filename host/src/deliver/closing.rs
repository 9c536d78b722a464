//! Half-closes a connection, and learns what the peer has read.
//!
//! The proof behind the rung `closed`: elbow sends its FIN, the peer's kernel acknowledges every byte and the FIN, and only
//! then the peer closes its side, without a reset. A kernel whose program closes a socket with unread bytes in it answers
//! with a reset, so a clean end of the stream means that the program had read to ours.
//!
//! Where the proof ends: a program can shut its side down (`shutdown(2)`, as some runtimes do before they close) with
//! bytes unread, and its kernel then says goodbye as politely. A receiver that is stopped in just that moment is taken for
//! one that has read everything.
//!
//! A peer that closed *before* it had elbow's FIN proves nothing: what it had not read may be lost, and its batches go out
//! again.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connection::Connection;
use crate::connections::Ending;
use crate::rung::Rung;

/// How often the kernel is asked how far the peer is.
const POLL: Duration = Duration::from_millis(20);

/// What is asked of a close.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// The rung that is aimed at.
    pub(super) confirm: Rung,
    /// The rung below which a batch is not delivered.
    pub(super) require: Rung,
    /// How long the peer may take without any progress.
    pub(super) close_timeout: Duration,
}

/// What a close came to.
enum Closed {
    /// The peer closed its side after ours.
    ByPeer,
    /// The peer's kernel has every byte, and that was all that was asked, or all that could be had in time.
    Received { in_time: bool },
    /// The connection broke; its batches go out again.
    Broken(Ending, String),
}

/// Closes a connection and answers the tickets of what is on it. What cannot be confirmed goes back with the connection's
/// drop, as it does if this future is dropped.
pub(super) async fn close(mut connection: Connection, terms: Terms) {
    let peer = connection.peer;
    match half_close(&mut connection, terms).await {
        Closed::ByPeer => {
            confirm_all(&connection, terms.confirm.min(Rung::Closed));
            connection.end(Ending::Confirmed);
        }
        Closed::Received { in_time: true } => {
            confirm_all(&connection, terms.confirm.min(Rung::Received));
            connection.end(Ending::Confirmed);
        }
        Closed::Received { in_time: false } => {
            let reason = format!(
                "{peer} has acknowledged all bytes, but did not close its side within {:?}",
                terms.close_timeout
            );
            for batch in connection.take_unconfirmed() {
                if terms.require <= Rung::Received {
                    connection.confirm(batch, Rung::Received);
                } else {
                    // Sending it again would get the same answer, and the receiver has it once already.
                    batch.ticket.fail(format!("{reason}, and `require` is `closed`"));
                }
            }
            connection.fail(Ending::CloseTimeout, reason);
        }
        Closed::Broken(ending, reason) => {
            connection.fail(ending, format!("{peer}: {reason}"));
        }
    }
}

fn confirm_all(connection: &Connection, rung: Rung) {
    for batch in connection.take_unconfirmed() {
        connection.confirm(batch, rung);
    }
}

async fn half_close(connection: &mut Connection, terms: Terms) -> Closed {
    if let Err(ending) = connection.peer_is_open() {
        return Closed::Broken(ending, "the peer had closed before elbow did".into());
    }
    if let Err(error) = connection.stream.shutdown().await {
        return Closed::Broken(Ending::Reset, error.to_string());
    }
    if terms.confirm == Rung::Written {
        return Closed::Received { in_time: true };
    }
    #[cfg(feature = "planted-bugs")]
    if crate::planted::is_planted("closing-without-waiting") {
        return Closed::ByPeer;
    }
    let mut unacknowledged = u64::MAX;
    let mut progress = Instant::now();
    let mut ignored = [0; 4096];
    loop {
        // `None`: this system cannot tell, so the peer's close is all there is to wait for.
        let left = match connection.stream.unacknowledged() {
            Ok(left) => left,
            Err(error) => return Closed::Broken(Ending::Reset, error.to_string()),
        };
        // A reset empties the send queue too, so that it must be ruled out after the queue was looked at.
        match connection.stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Closed::Broken(Ending::Reset, error.to_string()),
        }
        let all_acknowledged = left == Some(0);
        if all_acknowledged && terms.confirm == Rung::Received {
            return Closed::Received { in_time: true };
        }
        if let Some(left) = left
            && left < unacknowledged
        {
            unacknowledged = left;
            progress = Instant::now();
        }
        if progress.elapsed() >= terms.close_timeout {
            return match all_acknowledged {
                true => Closed::Received { in_time: false },
                false => Closed::Broken(
                    Ending::CloseTimeout,
                    format!("{unacknowledged} bytes were not acknowledged within {:?}", terms.close_timeout),
                ),
            };
        }
        // What the peer says is no progress: it may talk for ever without reading.
        match timeout(POLL, connection.stream.read(&mut ignored)).await {
            Ok(Ok(0)) => return peer_closed(connection),
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => return Closed::Broken(Ending::Reset, reset_reason(&error)),
        }
    }
}

/// The peer has closed its side. It had ours before, or it closed without having read to the end: the acknowledgement of
/// our FIN comes with its own at the latest.
fn peer_closed(connection: &Connection) -> Closed {
    match (connection.stream.unacknowledged(), connection.stream.take_error()) {
        // `None`: this system cannot tell.
        (Ok(Some(0) | None), Ok(None)) => Closed::ByPeer,
        (Ok(_), Ok(None)) => Closed::Broken(Ending::PeerClosed, "the peer closed before it had read to the end".into()),
        (Err(error), _) | (_, Ok(Some(error)) | Err(error)) => Closed::Broken(Ending::Reset, error.to_string()),
    }
}

fn reset_reason(error: &io::Error) -> String {
    format!("{error} (the peer closed without having read everything)")
}
