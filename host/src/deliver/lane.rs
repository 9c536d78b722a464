//! One endpoint of a destination: its pool, how much is under way to it, and its pauses after failures.
//!
//! Batches go to the endpoint that has the least under way. One that fails is left alone for a while, longer each time and
//! never for exactly as long as another elbow would, and is then tried again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use deadpool::managed::{Object, Pool, PoolError, QueueMode, Timeouts};

use super::connect::Connector;
use super::connection::{Connection, Home};
use crate::config::{DestinationConfig, Endpoint};
use crate::jitter::jittered;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An endpoint.
pub(super) struct Lane {
    pool: Pool<Connector>,
    under_way: Arc<AtomicU64>,
    pause: Mutex<Pause>,
}

#[derive(Default)]
struct Pause {
    /// Failures in a row.
    failures: u32,
    until: Option<Instant>,
}

/// Bytes that are under way on a lane, for as long as this lives.
pub(super) struct Load {
    under_way: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.under_way.fetch_sub(self.bytes, Relaxed);
    }
}

impl Lane {
    pub(super) fn new(endpoint: &Endpoint, config: &DestinationConfig, home: &Arc<Home>) -> Result<Self> {
        let pool = Pool::builder(Connector::new(endpoint, config, Arc::clone(home))?)
            .max_size(config.connections)
            // The one that was used last: connections that are not needed become idle, and end.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| anyhow!("failed to make the connection pool: {error}"))?;
        Ok(Self { pool, under_way: Arc::default(), pause: Mutex::default() })
    }

    /// The lane to take now: of those that are not left alone the one with the least under way; if all are, the one whose
    /// pause ends first. `turn` decides between equals.
    pub(super) fn choose(lanes: &[Lane], turn: usize) -> &Lane {
        let now = Instant::now();
        let in_turn = (0..lanes.len()).map(|index| &lanes[(turn + index) % lanes.len()]);
        let best = in_turn.min_by_key(|lane| (lane.paused_for(now), lane.under_way.load(Relaxed)));
        best.expect("a destination has at least one endpoint")
    }

    /// Counts bytes as under way here.
    pub(super) fn load(&self, bytes: u64) -> Load {
        self.under_way.fetch_add(bytes, Relaxed);
        Load { under_way: Arc::clone(&self.under_way), bytes }
    }

    /// A connection that is established and was not closed by the peer. `waited` is called if all are in use.
    pub(super) async fn checkout(&self, waited: impl FnOnce()) -> Result<Object<Connector>, String> {
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..Timeouts::default() };
        let connection = match self.pool.timeout_get(&at_once).await {
            Err(PoolError::Timeout(_)) => {
                waited();
                // Whoever holds the connections has a deadline for each write, so that this wait ends.
                self.pool.get().await
            }
            other => other,
        };
        let connection = connection.map_err(|error| match error {
            PoolError::Backend(error) => format!("{error:#}"),
            other => other.to_string(),
        });
        match &connection {
            Ok(_) => *self.lock_pause() = Pause::default(),
            Err(_) => self.leave_alone(),
        }
        connection
    }

    /// Takes the idle connections for which `is_kept` says no out of the pool.
    pub(super) fn take_idle(&self, is_kept: impl Fn(&Connection, Duration) -> bool) -> Vec<Connection> {
        self.pool.retain(|connection, metrics| is_kept(connection, metrics.last_used())).removed
    }

    /// Opens a connection that is not the pool's.
    pub(super) async fn connect(&self) -> Result<Connection> {
        self.pool.manager().connect().await
    }

    pub(super) fn is_left_alone(&self) -> bool {
        !self.paused_for(Instant::now()).is_zero()
    }

    fn paused_for(&self, now: Instant) -> Duration {
        let until = self.lock_pause().until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn leave_alone(&self) {
        let mut pause = self.lock_pause();
        let longest = (FIRST_PAUSE * 2_u32.saturating_pow(pause.failures)).min(LONGEST_PAUSE);
        pause.failures += 1;
        pause.until = Some(Instant::now() + jittered(longest));
    }

    fn lock_pause(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().expect("no holder of this lock panics")
    }
}
