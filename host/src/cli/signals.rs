//! SIGINT and SIGTERM.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The first SIGINT or SIGTERM stops reading and drains what is under way; the second stops at once.
pub(crate) fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        for time in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if time > 0 {
                tracing::error!("stopped at once: what was not confirmed is not delivered");
                std::process::exit(1);
            }
            tracing::warn!(
                "stopping: nothing more is read, and what was sent is being confirmed; once more to stop at once"
            );
            stopped.cancel();
        }
    });
    Ok(stop)
}
