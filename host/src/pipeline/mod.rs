//! The pipeline: the one place that knows the order of the stages.
//!
//! An object is read in one task: its bytes are fetched, decoded and cut by one half of it, and what the guest's thread
//! makes of the batches is delivered by the other. Each queue between them is bounded, so a slow receiver slows the
//! fetch, and nothing holds a whole object. The object then waits to be settled while others are read: its last events
//! are confirmed only when their connection rotates.

mod books;
mod dead_letters;
mod drift;
mod outlet;
mod passage;
mod selection;
mod tables;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::bookmark::Bookmark;
use crate::config::Config;
use crate::deliver::Destination;
use crate::deliver::counters::DeliveryReport;
use crate::event_id::EventId;
use crate::fetch::{Fetcher, Uri};
use crate::ledger::Ledger;
use crate::lookup::TableReport;
use crate::map::{Mapping, Sandbox};
use crate::object::Object;
use crate::route::Routes;
use crate::settle::{ObjectReport, Status, Summary};
use books::Passage;
use dead_letters::DeadLetters;
use drift::Drift;
pub use selection::{Checkpoint, Selection};
pub use tables::Tables;

/// All that objects go through. Shared by the tasks that read them.
pub struct Pipeline {
    config: Arc<Config>,
    fetcher: Arc<Fetcher>,
    routes: Routes,
    mappings: BTreeMap<String, Mapping>,
    tables: Arc<Tables>,
    destinations: BTreeMap<String, Destination>,
    dead_letters: DeadLetters,
    drift: Drift,
    /// Nothing is waited for any more.
    given_up: CancellationToken,
    progress: Arc<Progress>,
}

/// An object to forward, and who is told what became of it.
pub struct Job {
    /// The object.
    pub object: Object,
    /// Where to go on, if it was begun before; it must then still have the etag that it had.
    pub from: Option<Bookmark>,
    /// Let go when the object has been read, and another can be.
    pub room: Option<Arc<OwnedSemaphorePermit>>,
    /// Called when it is settled or has failed, in the order in which that happens.
    pub report: Answer,
}

impl Job {
    /// Answers for an object that nobody reads any more.
    pub fn refuse(self) {
        let error = "elbow was stopped before the object was read".to_owned();
        (self.report)(ObjectReport::new(self.object.to_string(), Ledger::default(), Some(error)));
    }
}

/// Who is told what became of an object.
pub type Answer = Box<dyn FnOnce(ObjectReport) + Send>;

/// How far a run has come, for whoever watches.
#[derive(Default)]
pub struct Progress {
    /// Objects found so far.
    pub objects: AtomicU64,
    /// Objects read to their end, or failed.
    pub objects_read: AtomicU64,
    /// Bytes of text read.
    pub bytes: AtomicU64,
    /// Records encountered.
    pub records: AtomicU64,
}

impl Pipeline {
    /// Loads the tables and the mappings, and opens the destinations. Connects to none of these.
    pub async fn new(config: Config, fetcher: Fetcher) -> Result<Self> {
        config.validate_routes()?;
        let fetcher = Arc::new(fetcher);
        let tables = Tables::load(&config.granted_lookups(), &fetcher).await?.refreshing();
        let most_memory = config.mappings.values().map(|mapping| mapping.limits.memory).max();
        let sandbox = Sandbox::new(config.limits.concurrency.get(), most_memory.unwrap_or_default())?;
        let sandbox = sandbox.with_tables(tables.tables());
        let mut mappings = BTreeMap::new();
        for (name, mapping) in &config.mappings {
            // Compiling a component takes long enough to be in the way of the runtime's other tasks.
            let loaded = tokio::task::block_in_place(|| sandbox.load(name, mapping))?;
            mappings.insert(name.clone(), loaded);
        }
        Self::open(Arc::new(config), fetcher, mappings, Arc::new(tables), Drift::default()).await
    }

    /// The same mappings and tables, and destinations of its own: for another run, which has so long when it is stopped.
    pub async fn another(&self, stop_timeout: Duration) -> Result<Self> {
        let mut config = Config::clone(&self.config);
        config.limits.stop_timeout = stop_timeout;
        let (fetcher, tables) = (Arc::clone(&self.fetcher), Arc::clone(&self.tables));
        Self::open(Arc::new(config), fetcher, self.mappings.clone(), tables, self.drift.clone()).await
    }

    async fn open(
        config: Arc<Config>,
        fetcher: Arc<Fetcher>,
        mappings: BTreeMap<String, Mapping>,
        tables: Arc<Tables>,
        drift: Drift,
    ) -> Result<Self> {
        let mut destinations = BTreeMap::new();
        for (name, destination) in &config.destinations {
            let opened = Destination::open(destination).await.with_context(|| format!("destination `{name}`"))?;
            destinations.insert(name.clone(), opened);
        }
        Ok(Self {
            routes: Routes::new(&config.routes),
            dead_letters: DeadLetters::open(&config.dead_letters.to).await?,
            config,
            drift,
            fetcher,
            mappings,
            tables,
            destinations,
            given_up: CancellationToken::new(),
            progress: Arc::default(),
        })
    }

    /// How far the run has come.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// What it goes by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the destinations have to tell until now.
    pub fn delivery(&self) -> DeliveryReport {
        let mut all = DeliveryReport::default();
        for destination in self.destinations.values() {
            let report = destination.report();
            all.connections.merge(&report.connections);
            all.sockets.merge(&report.sockets);
        }
        all
    }

    /// How the tables are that mappings look things up in.
    pub fn table_reports(&self) -> Vec<TableReport> {
        self.tables.reports()
    }

    /// Refreshes the tables that are due, for a process that may have been frozen when they were; see
    /// [`Tables::refresh_due`].
    pub async fn refresh_tables(&self, within: Duration) {
        self.tables.refresh_due(within).await;
    }

    /// Forwards all objects that the URIs name and the selection takes, and answers for each. When `stop` is cancelled, no
    /// more is read, and what is under way is drained. Afterwards nothing can be sent any more.
    pub async fn run(self, uris: Vec<Uri>, selection: Selection, stop: CancellationToken) -> Summary {
        let pipeline = Arc::new(self);
        let summary = Arc::new(Mutex::new(Summary::new()));
        let (jobs, listing) = pipeline.list(uris, selection, &summary, &stop);
        pipeline.work(jobs, stop).await;
        if let Err(error) = listing.await {
            lock(&summary).add_listing_failure(format!("internal error: {error}"));
        }
        let mut summary = std::mem::replace(&mut *lock(&summary), Summary::new());
        let delivery = pipeline.delivery();
        summary.add_connections(&delivery.connections, &delivery.sockets);
        summary.finish();
        summary
    }

    /// Forwards the objects that come, and answers for each, until no more can come and the last is answered for. When
    /// `stop` is cancelled, no more is read, and what is under way is drained. Afterwards nothing can be sent any more.
    pub async fn work(self: &Arc<Self>, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
        let deadline = self.give_up_after(&stop);
        let mut reading = JoinSet::new();
        let mut settling = JoinSet::new();
        let mut answers = Answers::default();
        let mut are_all_known = false;
        let mut is_stopping = false;
        while !are_all_known || !reading.is_empty() {
            let has_room = reading.len() < self.config.limits.concurrency.get();
            tokio::select! {
                // What is in the channel is still answered for.
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    jobs.close();
                }
                job = jobs.recv(), if has_room && !are_all_known => match job {
                    Some(Job { object, from, room, report }) => {
                        let name = object.to_string();
                        let read = Arc::clone(self).forward(object, from, stop.clone());
                        let task = reading.spawn(async move {
                            let _room = room;
                            read.await
                        });
                        answers.0.insert(task.id(), (name, report));
                    }
                    None => are_all_known = true,
                },
                Some(read) = reading.join_next_with_id() => match read {
                    Ok((task, passage)) => {
                        let answer = answers.0.remove(&task);
                        let task = settling.spawn(Passage::settle(passage)).id();
                        answers.0.extend(answer.map(|answer| (task, answer)));
                    }
                    Err(error) => answers.give(Err(error)),
                },
                Some(settled) = settling.join_next_with_id() => answers.give(settled),
            }
        }
        for destination in self.destinations.values() {
            destination.drain(self.config.limits.drain_timeout).await;
        }
        self.dead_letters.drain(self.config.limits.drain_timeout).await;
        while let Some(settled) = settling.join_next_with_id().await {
            answers.give(settled);
        }
        deadline.abort();
    }

    /// Once `stop` is cancelled, what is under way has so long.
    fn give_up_after(self: &Arc<Self>, stop: &CancellationToken) -> AbortHandle {
        let (pipeline, stop) = (Arc::clone(self), stop.clone());
        let deadline = tokio::spawn(async move {
            stop.cancelled().await;
            tokio::time::sleep(pipeline.config.limits.stop_timeout).await;
            pipeline.given_up.cancel();
            for destination in pipeline.destinations.values() {
                destination.give_up();
            }
        });
        deadline.abort_handle()
    }

    /// The record that an event's id came from. The URI must name the very object, unchanged.
    pub async fn explain(&self, id: &EventId, uri: Uri) -> Result<Bytes> {
        let mut listing = self.fetcher.list(uri).await;
        let object = listing.next().await?.context("the URI names no object")?;
        let (hash, record) = self.find_record(&object, id.offset).await?;
        ensure!(
            hash.as_ref() == Some(&id.object),
            "the id is not of {object} as it is now, whose ids begin with {}",
            hash.map_or("nothing".into(), |hash| hash.to_string())
        );
        record.with_context(|| format!("no record of {object} begins at byte {}", id.offset))
    }

    /// Lists in a task of its own, as far ahead as objects are wanted.
    fn list(
        self: &Arc<Self>,
        uris: Vec<Uri>,
        selection: Selection,
        summary: &Arc<Mutex<Summary>>,
        stop: &CancellationToken,
    ) -> (mpsc::Receiver<Job>, JoinHandle<()>) {
        let (found, jobs) = mpsc::channel(self.config.limits.concurrency.get());
        let (pipeline, summary, stop) = (Arc::clone(self), Arc::clone(summary), stop.clone());
        let listing = tokio::spawn(async move {
            let listed = tokio::select! {
                listed = pipeline.list_all(uris, Arc::new(selection), &summary, &found) => listed,
                () = stop.cancelled() => Err(anyhow!("elbow was stopped before all objects were listed")),
            };
            if let Err(error) = listed {
                lock(&summary).add_listing_failure(format!("{error:#}"));
            }
        });
        (jobs, listing)
    }

    async fn list_all(
        &self,
        uris: Vec<Uri>,
        selection: Arc<Selection>,
        summary: &Arc<Mutex<Summary>>,
        found: &mpsc::Sender<Job>,
    ) -> Result<()> {
        for uri in uris {
            let mut listing = self.fetcher.list(uri).await;
            loop {
                let object = match listing.next().await {
                    Ok(Some(object)) => object,
                    Ok(None) => break,
                    Err(error) => {
                        lock(summary).add_listing_failure(format!("{error:#}"));
                        break;
                    }
                };
                if !selection.takes(&object) {
                    continue;
                }
                self.progress.objects.fetch_add(1, Relaxed);
                let (summary, selection) = (Arc::clone(summary), Arc::clone(&selection));
                let report: Answer = Box::new(move |report| add(&summary, &selection, report));
                let job = Job { object, from: None, room: None, report };
                found.send(job).await.map_err(|_| anyhow!("elbow was stopped before all objects were listed"))?;
            }
        }
        if let Some(checkpoint) = &selection.checkpoint
            && checkpoint.left_out() > 0
        {
            tracing::info!("{} objects are settled already, says the checkpoint", checkpoint.left_out());
        }
        Ok(())
    }
}

/// Adds a report to the summary, and notes in the checkpoint that its object is settled.
fn add(summary: &Mutex<Summary>, selection: &Selection, report: ObjectReport) {
    let noted = match (&selection.checkpoint, &report.found, report.status) {
        (Some(checkpoint), Some(object), Status::Settled)
            if !selection.notes_no_rejects || report.ledger.records.rejected == 0 =>
        {
            checkpoint.note(object)
        }
        _ => Ok(()),
    };
    let mut summary = lock(summary);
    if let Err(error) = noted {
        summary.add_listing_failure(format!("{}: {error:#}", report.object));
    }
    summary.add(report);
}

fn lock(summary: &Mutex<Summary>) -> MutexGuard<'_, Summary> {
    summary.lock().expect("no holder of this lock panics")
}

/// By its task, the name of each object under way, and who is told what became of it.
#[derive(Default)]
struct Answers(HashMap<Id, (String, Answer)>);

impl Answers {
    /// Tells what became of an object. A bug of elbow's, a panic, costs the object that it struck, not the run, and is told.
    fn give(&mut self, settled: Result<(Id, ObjectReport), JoinError>) {
        let task = settled.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        let Some((name, answer)) = self.0.remove(&task) else { return };
        answer(match settled {
            Ok((_, report)) => report,
            Err(error) => ObjectReport::new(name, Ledger::default(), Some(format!("internal error: {error}"))),
        });
    }
}
