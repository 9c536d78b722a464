//! The front for queues: messages that name objects become jobs, and a message is deleted when its objects are settled,
//! and not before.
//!
//! A message is in one place at any time: with the queue, or with the one task here that keeps it. That task extends the
//! time for which it is hidden from others while the work goes on, and in the end deletes it (all is settled), gives it
//! back (elbow was stopped), or leaves it alone: it then comes again, and after as many times as the queue's redrive policy
//! says, it goes to the dead-letter queue.
//!
//! What it does not promise is that an object is forwarded once: SQS delivers at least once, and a process that dies after
//! the delivery and before the deletion leaves its message to another.

mod queue;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, QueueConfig};
use crate::jitter::jittered;
use crate::notification::Notification;
use crate::pipeline::Job;
use crate::settle::{ObjectReport, Status};
pub use queue::Queue;
use queue::{KeepError, Message};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Who watches a consumer.
pub trait Observer: Send + Sync + 'static {
    /// A message was received, so long after it was sent.
    fn received(&self, queue: &str, age: Option<Duration>);
    /// Whether the queue answers.
    fn answered(&self, queue: &str, is_well: bool);
    /// What became of an object.
    fn reported(&self, report: &ObjectReport);
    /// What became of a message.
    fn ended(&self, queue: &str, end: End);
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All that it named is settled.
    Deleted,
    /// Something of it failed: it comes again.
    Failed,
    /// elbow was stopped.
    GivenBack,
    /// It is no notification.
    NotUnderstood,
    /// The queue could not be told.
    Unanswered,
}

impl End {
    /// The name, as in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            End::Deleted => "deleted",
            End::Failed => "failed",
            End::GivenBack => "given-back",
            End::NotUnderstood => "not-understood",
            End::Unanswered => "unanswered",
        }
    }
}

/// Consumes queues until `stop` is cancelled, and what was received has its end. The jobs end with it.
pub async fn consume(
    queues: Vec<(String, QueueConfig, Queue)>,
    config: &Config,
    jobs: mpsc::Sender<Job>,
    stop: CancellationToken,
    observer: Arc<dyn Observer>,
) -> Result<()> {
    let mut consumers = JoinSet::new();
    for (name, settings, queue) in queues {
        let consumer = Consumer {
            name,
            queue,
            jobs: jobs.clone(),
            // As many messages as objects can be read at a time: whoever takes more keeps them from others.
            room: Arc::new(Semaphore::new(config.limits.concurrency.get())),
            in_flight: Arc::new(Semaphore::new(settings.in_flight.get())),
            stop: stop.clone(),
            observer: Arc::clone(&observer),
            keepers: TaskTracker::new(),
        };
        consumers.spawn(Arc::new(consumer).run());
    }
    drop(jobs);
    while let Some(consumer) = consumers.join_next().await {
        consumer.context("internal error: a consumer of a queue has ended")?;
    }
    Ok(())
}

struct Consumer {
    name: String,
    queue: Queue,
    jobs: mpsc::Sender<Job>,
    /// Messages whose objects are not read yet.
    room: Arc<Semaphore>,
    /// Messages that have no end yet.
    in_flight: Arc<Semaphore>,
    stop: CancellationToken,
    observer: Arc<dyn Observer>,
    keepers: TaskTracker,
}

impl Consumer {
    async fn run(self: Arc<Self>) {
        let mut failures = 0;
        while let Some(mut places) = self.places().await {
            match self.queue.receive(places.len()).await {
                Ok(messages) => {
                    failures = 0;
                    self.observer.answered(&self.name, true);
                    for (message, place) in messages.into_iter().zip(places.drain(..)) {
                        let age = message.sent.and_then(|sent| sent.elapsed().ok());
                        self.observer.received(&self.name, age);
                        self.keepers.spawn(Arc::clone(&self).keep(message, place));
                    }
                }
                Err(error) => {
                    drop(places);
                    self.observer.answered(&self.name, false);
                    tracing::warn!(queue = self.name, error = format!("{error:#}"), "failed to receive, retrying");
                    let pause = (FIRST_PAUSE * 2_u32.saturating_pow(failures)).min(LONGEST_PAUSE);
                    failures += 1;
                    tokio::select! {
                        () = sleep(jittered(pause)) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
        self.keepers.close();
        self.keepers.wait().await;
    }

    /// Waits for a place for one message, and takes those for others that are free. `None` when elbow is stopped.
    async fn places(&self) -> Option<Vec<Place>> {
        let first = async {
            let in_flight = Arc::clone(&self.in_flight).acquire_owned().await.ok()?;
            let room = Arc::clone(&self.room).acquire_owned().await.ok()?;
            Some(Place { room, in_flight })
        };
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            first = first => first,
        }?;
        let mut places = vec![first];
        while places.len() < 10
            && let Ok(room) = Arc::clone(&self.room).try_acquire_owned()
            && let Ok(in_flight) = Arc::clone(&self.in_flight).try_acquire_owned()
        {
            places.push(Place { room, in_flight });
        }
        Some(places)
    }

    /// Keeps a message from others until its objects have their end, and then says so to the queue.
    async fn keep(self: Arc<Self>, message: Message, place: Place) {
        let Place { room, in_flight: _in_flight } = place;
        let notification = match Notification::parse(&message.body) {
            Ok(notification) => notification,
            Err(error) => {
                tracing::error!(
                    queue = self.name,
                    message_id = message.id,
                    receives = message.receives,
                    error = format!("{error:#}"),
                    "a message is not understood; it is left to the queue's redrive policy"
                );
                return self.observer.ended(&self.name, End::NotUnderstood);
            }
        };
        for ignored in &notification.ignored {
            tracing::info!(queue = self.name, message_id = message.id, "ignored: {ignored}");
        }
        let is_settled = tokio::select! {
            is_settled = self.work(notification, room) => is_settled,
            never = self.hide_for_ever(&message) => match never {},
        };
        let end = match is_settled {
            true => End::Deleted,
            false if self.stop.is_cancelled() => End::GivenBack,
            false => End::Failed,
        };
        let said = match end {
            End::Deleted => self.queue.delete(&message).await,
            End::GivenBack => self.queue.hide(&message, Duration::ZERO).await,
            End::Failed | End::NotUnderstood | End::Unanswered => Ok(()),
        };
        let end = match said {
            Ok(()) => end,
            Err(error) => {
                let error = error.to_string();
                tracing::error!(queue = self.name, message_id = message.id, error, "the message will come again");
                End::Unanswered
            }
        };
        self.observer.ended(&self.name, end);
    }

    /// Keeps a message hidden from others, until the future is dropped.
    async fn hide_for_ever(&self, message: &Message) -> Infallible {
        let timeout = self.queue.visibility_timeout;
        // So early that two tries may fail.
        let beat = timeout / 3;
        let mut next = tokio::time::Instant::from_std(message.received) + beat;
        loop {
            sleep_until(next).await;
            next = tokio::time::Instant::now() + beat;
            // A call that hangs must leave time for another.
            let hidden = timeout_at(next, self.queue.hide(message, timeout)).await;
            let Err(error) = hidden.unwrap_or_else(|_| Err(KeepError::Failed(anyhow!("no answer within {beat:?}"))))
            else {
                continue;
            };
            tracing::warn!(
                queue = self.name,
                message_id = message.id,
                error = error.to_string(),
                "failed to keep a message from others"
            );
            if let KeepError::Stale(_) = error {
                return pending().await;
            }
            next = next.min(tokio::time::Instant::now() + beat / 4);
        }
    }

    /// Has the objects of a message forwarded, and answers whether all are settled.
    async fn work(&self, notification: Notification, room: OwnedSemaphorePermit) -> bool {
        let room = Arc::new(room);
        let (settled, mut all_settled) = mpsc::unbounded_channel();
        let count = notification.objects.len();
        for (object, from) in notification.objects {
            let (settled, observer) = (settled.clone(), Arc::clone(&self.observer));
            let report = Box::new(move |report: ObjectReport| {
                observer.reported(&report);
                let _ = settled.send(report.status != Status::Failed);
            });
            let job = Job { object, from, room: Some(Arc::clone(&room)), report };
            if let Err(SendError(job)) = self.jobs.send(job).await {
                job.refuse();
            }
        }
        drop((settled, room));
        let mut reports = 0;
        let mut are_settled = true;
        while let Some(is_settled) = all_settled.recv().await {
            reports += 1;
            are_settled &= is_settled;
        }
        are_settled && reports == count
    }
}

/// A place for a message.
struct Place {
    /// Until its objects are read.
    room: OwnedSemaphorePermit,
    /// Until it has its end.
    in_flight: OwnedSemaphorePermit,
}
