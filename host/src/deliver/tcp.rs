//! A destination over TCP: admits batches within a bound, sends them, tries again, and drains.
//!
//! A batch is admitted (its bytes count against `max_unconfirmed` until its ticket is answered), written to a connection
//! from the pool, and stays with that connection until it is confirmed. For the rung `closed` a connection has to be
//! closed for that, so connections rotate: when they have carried `rotate_bytes`, when they are `rotate_age` old with
//! something unconfirmed on them, when a batch waits to be admitted, and at the end.
//!
//! A send that fails is tried again, with a growing pause, for `retry_for` from its first failure. If the destination as
//! a whole has not taken a batch for that long, a batch gets one try: hundreds of objects do not wait one after the other
//! for a receiver that is gone.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use deadpool::managed::Object;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::closing::{self, Terms};
use super::connect::Connector;
use super::connection::{Batch, Connection, Home, Protocol};
use super::counters::{Counters, DeliveryReport};
use super::lane::{Lane, Load};
use super::lumberjack;
use crate::account::Ticket;
use crate::config::{DestinationConfig, Endpoint, Url};
use crate::connections::Ending;
use crate::jitter::jittered;
use crate::rung::Rung;

/// The unit in which the bound of unconfirmed bytes is counted. A batch of one short event costs one unit, which is about
/// what it takes to remember it.
const ADMISSION_UNIT: u64 = 1024;

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_millis(100);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pools of connections, one for each endpoint. Dropping it stops its tasks; what is unconfirmed then has failed.
pub struct Tcp {
    inner: Arc<Inner>,
    /// What broken connections give back. Held by [`Inner::send_again`] while that runs.
    given_back: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Batch>>>,
    _stop: DropGuard,
}

struct Inner {
    config: DestinationConfig,
    lanes: Vec<Lane>,
    protocol: Protocol,
    /// Counts sends, so that equal endpoints take turns.
    turn: AtomicUsize,
    home: Arc<Home>,
    /// Permits of [`ADMISSION_UNIT`] bytes.
    admissions: Arc<Semaphore>,
    admission_units: u32,
    /// Batches admitted and not answered, and who waits for one of them to be.
    open: Arc<OpenBatches>,
    /// Sends that wait to be admitted: idle connections are closed to get their batches confirmed.
    starving: AtomicUsize,
    draining: AtomicBool,
    /// When the destination failed for the first time since it last took a batch.
    down_since: Mutex<Option<Instant>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct OpenBatches {
    count: AtomicU64,
    closed_one: Notify,
}

/// A batch's share of the bound; given back when it is dropped.
pub(super) struct Admission {
    _permit: OwnedSemaphorePermit,
    open: Arc<OpenBatches>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.open.count.fetch_sub(1, Relaxed);
        self.open.closed_one.notify_waiters();
    }
}

impl Tcp {
    /// Makes the pools; connects when the first batch comes.
    pub fn new(endpoints: &[Endpoint], config: &DestinationConfig) -> Result<Self> {
        let (returned, given_back) = mpsc::unbounded_channel();
        let given_back = Arc::new(tokio::sync::Mutex::new(given_back));
        let home = Arc::new(Home {
            url: config.url.to_string(),
            counters: Counters::default(),
            returned,
            is_told_down: AtomicBool::new(false),
        });
        let lanes = endpoints.iter().map(|endpoint| Lane::new(endpoint, config, &home)).collect::<Result<_>>()?;
        let units = (config.max_unconfirmed / ADMISSION_UNIT).clamp(1, u64::from(u32::MAX / 2));
        let inner = Arc::new(Inner {
            config: config.clone(),
            lanes,
            protocol: protocol(config),
            turn: AtomicUsize::new(0),
            home,
            admissions: Arc::new(Semaphore::new(units as usize)),
            admission_units: units as u32,
            open: Arc::default(),
            starving: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            down_since: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        inner.spawn(Arc::clone(&inner).send_again(Arc::clone(&given_back)));
        inner.spawn(Arc::clone(&inner).sweep());
        Ok(Self { given_back, _stop: inner.stop.clone().drop_guard(), inner })
    }

    /// Dropped, or stopped, the batch is dropped too, and its ticket has failed.
    pub(super) async fn send(&self, ndjson: Bytes, ticket: Ticket) {
        let send = async {
            let batch = Batch {
                _admission: self.inner.admit(ndjson.len() as u64).await,
                ndjson,
                ticket,
                failing_since: None,
                failures: 0,
                is_there_in_part: false,
                load: None,
            };
            self.inner.deliver(batch).await;
        };
        tokio::select! {
            () = send => {}
            () = self.inner.stop.cancelled() => {}
        }
    }

    pub(super) fn give_up(&self) {
        self.inner.stop.cancel();
    }

    pub(super) async fn drain(&self, deadline: Duration) {
        self.inner.draining.store(true, Relaxed);
        let drained = async {
            loop {
                let closed_one = self.inner.open.closed_one.notified();
                self.inner.close_idle(|_| true);
                if self.inner.open.count.load(Relaxed) == 0 {
                    return;
                }
                // A connection that is in use now comes back closed, since `draining` is set.
                let _ = timeout(SWEEP, closed_one).await;
            }
        };
        let drained = tokio::select! {
            drained = timeout(deadline, drained) => drained.is_ok(),
            () = self.inner.stop.cancelled() => self.inner.open.count.load(Relaxed) == 0,
        };
        if !drained {
            tracing::error!(
                batches = self.inner.open.count.load(Relaxed),
                "the destination did not confirm everything in time"
            );
        }
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        for lane in &self.inner.lanes {
            lane.take_idle(|_, _| false).into_iter().for_each(|connection| connection.end(Ending::Stopped));
        }
        // Nobody gives anything back any more; what was given back until now fails by being dropped.
        let mut given_back = self.given_back.lock().await;
        while given_back.try_recv().is_ok() {}
    }

    pub(super) async fn probe(&self) -> Result<()> {
        for lane in &self.inner.lanes {
            lane.connect().await?.end(Ending::Idle);
        }
        Ok(())
    }

    pub(super) fn report(&self) -> DeliveryReport {
        self.inner.home.counters.report()
    }
}

impl Inner {
    /// Runs a task until it ends or the destination is dropped.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Waits until the bound has room. A batch larger than the bound takes all of it.
    async fn admit(self: &Arc<Self>, bytes: u64) -> Admission {
        let units = (bytes / ADMISSION_UNIT + 1).min(u64::from(self.admission_units)) as u32;
        let admissions = Arc::clone(&self.admissions);
        let permit = match Arc::clone(&admissions).try_acquire_many_owned(units) {
            Ok(permit) => permit,
            Err(_) => {
                let _starving = Counted::new(&self.starving);
                self.close_idle(Connection::has_unconfirmed);
                let permit = admissions.acquire_many_owned(units).await;
                permit.expect("the semaphore is never closed")
            }
        };
        self.open.count.fetch_add(1, Relaxed);
        Admission { _permit: permit, open: Arc::clone(&self.open) }
    }

    /// Sends a batch until it is written, or has failed for good.
    async fn deliver(self: &Arc<Self>, mut batch: Batch) {
        loop {
            let (returned, error) = match self.try_send(batch).await {
                Ok(()) => return self.note_up(),
                Err(failed) => failed,
            };
            self.note_down(&error);
            match self.wait_to_retry(returned, &error).await {
                Some(returned) => batch = returned,
                None => return,
            }
        }
    }

    /// Waits before a batch is tried again; after `retry_for` the batch fails instead.
    async fn wait_to_retry(&self, mut batch: Batch, error: &str) -> Option<Batch> {
        let now = Instant::now();
        let failing_since = *batch.failing_since.get_or_insert(now);
        let since = self.lock_down_since().unwrap_or(now).min(failing_since);
        if now.duration_since(since) >= self.config.retry_for {
            let tried = humantime::format_duration(self.config.retry_for);
            batch.ticket.fail(format!("{error}; gave up after {tried}"));
            return None;
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(batch.failures);
        batch.failures += 1;
        sleep(jittered(pause.min(LONGEST_PAUSE))).await;
        if std::mem::take(&mut batch.is_there_in_part) {
            batch.ticket.note_resend();
        }
        Some(batch)
    }

    async fn try_send(self: &Arc<Self>, mut batch: Batch) -> Result<(), (Batch, String)> {
        let (mut connection, load) = match self.checkout(batch.ndjson.len() as u64).await {
            Ok(checkout) => checkout,
            Err(error) => return Err((batch, error)),
        };
        batch.load = Some(load);
        match connection.send(batch, self.protocol).await {
            Ok(()) => {
                self.give_back(connection);
                Ok(())
            }
            #[cfg(feature = "planted-bugs")]
            Err((batch, error)) if crate::planted::is_planted("half-written-connection-is-used-again") => {
                connection.forget_half_write();
                Err((Batch { load: None, ..batch }, error.to_string()))
            }
            Err((batch, error)) => {
                let reason = format!("failed to send to {}: {error}", connection.peer);
                let ending = match error.kind() {
                    ErrorKind::TimedOut => Ending::WriteTimeout,
                    _ => Ending::Reset,
                };
                Object::take(connection).fail(ending, reason.clone());
                Err((Batch { load: None, ..batch }, reason))
            }
        }
    }

    /// A connection to the best endpoint that can be had; each is tried once.
    async fn checkout(&self, bytes: u64) -> Result<(Object<Connector>, Load), String> {
        let mut error = String::new();
        for _ in &self.lanes {
            let lane = Lane::choose(&self.lanes, self.turn.fetch_add(1, Relaxed));
            if !error.is_empty() && lane.is_left_alone() {
                break;
            }
            let load = lane.load(bytes);
            match lane.checkout(|| self.home.counters.waited()).await {
                Ok(connection) => return Ok((connection, load)),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// A connection after a whole batch: back into the pool, or closed, so that what it carried is confirmed.
    fn give_back(self: &Arc<Self>, connection: Object<Connector>) {
        if self.config.confirm == Rung::Written {
            for batch in connection.take_unconfirmed() {
                connection.confirm(batch, Rung::Written);
            }
        }
        let is_wanted = self.draining.load(Relaxed) || self.starving.load(Relaxed) > 0;
        let is_old = connection.opened.elapsed() >= self.config.rotate_age;
        if is_wanted || is_old || connection.carried >= self.config.rotate_bytes {
            self.close(Object::take(connection));
        }
    }

    /// Closes idle connections for which there is a reason to.
    fn close_idle(self: &Arc<Self>, reason: impl Fn(&Connection) -> bool) {
        for lane in &self.lanes {
            for connection in lane.take_idle(|connection, _| !reason(connection)) {
                self.close(connection);
            }
        }
    }

    fn close(self: &Arc<Self>, connection: Connection) {
        if !connection.has_unconfirmed() {
            let ending = connection.peer_is_open().err();
            return connection.end(ending.unwrap_or(Ending::Idle));
        }
        let terms = Terms {
            confirm: self.config.confirm,
            require: self.config.require,
            close_timeout: self.config.close_timeout,
        };
        self.spawn(closing::close(connection, terms));
    }

    /// Looks at idle connections: confirms what can be, and closes what has gone, is too old, or is not needed.
    async fn sweep(self: Arc<Self>) {
        loop {
            sleep(SWEEP).await;
            let starving = self.starving.load(Relaxed) > 0;
            let idle_timeout = self.config.idle_timeout;
            let rotate_age = self.config.rotate_age;
            let is_kept = |connection: &Connection, unused_for: Duration| {
                if self.config.confirm == Rung::Received && connection.confirm_received().is_err() {
                    return false;
                }
                let unconfirmed = connection.has_unconfirmed();
                let is_due = unconfirmed && (starving || connection.opened.elapsed() >= rotate_age);
                let is_idle = !unconfirmed && unused_for >= idle_timeout;
                connection.peer_is_open().is_ok() && !is_due && !is_idle
            };
            for lane in &self.lanes {
                for connection in lane.take_idle(is_kept) {
                    self.close(connection);
                }
            }
        }
    }

    /// Sends what broken connections gave back.
    async fn send_again(self: Arc<Self>, given_back: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Batch>>>) {
        let mut given_back = given_back.lock().await;
        while let Some(batch) = given_back.recv().await {
            let inner = Arc::clone(&self);
            self.spawn(async move {
                let error = "the connection broke before the batch was confirmed";
                if let Some(batch) = inner.wait_to_retry(batch, error).await {
                    inner.deliver(batch).await;
                }
            });
        }
    }

    fn note_up(&self) {
        *self.lock_down_since() = None;
    }

    fn note_down(&self, error: &str) {
        self.lock_down_since().get_or_insert_with(Instant::now);
        self.home.tell_down(error);
    }

    fn lock_down_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.down_since.lock().expect("no holder of this lock panics")
    }
}

fn protocol(config: &DestinationConfig) -> Protocol {
    match config.url {
        Url::Lumberjack { .. } => Protocol::Lumberjack(lumberjack::Terms {
            window: config.window,
            compression: config.compression,
            write_timeout: config.write_timeout,
            ack_timeout: config.ack_timeout,
            busy_timeout: config.retry_for.max(config.ack_timeout),
        }),
        _ => Protocol::Lines { patience: config.write_timeout },
    }
}

/// Counts something for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
