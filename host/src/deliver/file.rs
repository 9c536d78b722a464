//! A destination that is a file or standard output.
//!
//! A batch counts as `written` when the system call has returned. A file is also synced when it is drained.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use super::counters::{Counters, DeliveryReport};
use crate::account::Ticket;
use crate::rung::Rung;

/// An open file, or standard output.
pub struct File {
    name: String,
    target: Mutex<Target>,
    /// A write has begun and not ended well: the next event must not be glued to half of the last.
    is_torn: AtomicBool,
    counters: Counters,
}

enum Target {
    File(tokio::fs::File),
    Stdout(tokio::io::Stdout),
}

impl File {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::new("standard output".into(), Target::Stdout(tokio::io::stdout()))
    }

    /// A file, to which events are appended. It is made if it is not there.
    pub async fn append(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .await
            .with_context(|| format!("failed to open {} for the events", path.display()))?;
        Ok(Self::new(path.display().to_string(), Target::File(file)))
    }

    fn new(name: String, target: Target) -> Self {
        Self { name, target: Mutex::new(target), is_torn: AtomicBool::new(false), counters: Counters::default() }
    }

    pub(super) async fn send(&self, ndjson: Bytes, ticket: Ticket) {
        let mut target = self.target.lock().await;
        let lead: &[u8] = if self.is_torn.swap(true, Relaxed) { b"\n" } else { b"" };
        let written = match &mut *target {
            Target::File(file) => write(file, lead, &ndjson).await,
            Target::Stdout(stdout) => write(stdout, lead, &ndjson).await,
        };
        self.is_torn.store(written.is_err(), Relaxed);
        match written {
            Ok(()) => ticket.confirm(Rung::Written),
            Err(error) => {
                let reason = format!("failed to write to {}: {error}", self.name);
                self.counters.socket_failed(reason.clone());
                ticket.fail(reason);
            }
        }
    }

    pub(super) async fn drain(&self) {
        if let Target::File(file) = &*self.target.lock().await
            && let Err(error) = file.sync_all().await
        {
            // The batches were confirmed as written, which they are: that rung does not speak of the disk.
            tracing::warn!(file = self.name, %error, "failed to sync");
            self.counters.socket_failed(format!("failed to sync {}: {error}", self.name));
        }
    }

    pub(super) fn report(&self) -> DeliveryReport {
        self.counters.report()
    }
}

/// tokio's files and standard output hand the bytes to another thread: only the flush tells whether they were written.
async fn write(target: &mut (impl AsyncWrite + Unpin), lead: &[u8], ndjson: &[u8]) -> std::io::Result<()> {
    target.write_all(lead).await?;
    target.write_all(ndjson).await?;
    target.flush().await
}
