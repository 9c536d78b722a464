//! The pipeline: the one place that knows the order of the stages.
//!
//! An object is read in one task: its bytes are fetched, decoded and cut by one half of it, and what the guest's thread
//! makes of the batches is delivered by the other. Each queue between them is bounded, so a slow receiver slows the
//! fetch, and nothing holds a whole object. The object then waits to be settled while others are read: its last events
//! are confirmed only when their connection rotates.

mod dead_letters;
mod outlet;
mod passage;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::deliver::Destination;
use crate::event_id::EventId;
use crate::fetch::{Fetcher, Uri};
use crate::ledger::Ledger;
use crate::map::{Mapping, Sandbox};
use crate::object::Object;
use crate::route::Routes;
use crate::settle::{ObjectReport, Summary};
use dead_letters::DeadLetters;
use passage::Passage;

/// All that objects go through. Shared by the tasks that read them.
pub struct Pipeline {
    config: Config,
    fetcher: Fetcher,
    routes: Routes,
    mappings: BTreeMap<String, Mapping>,
    destinations: BTreeMap<String, Destination>,
    dead_letters: DeadLetters,
    progress: Arc<Progress>,
}

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
    /// Loads the mappings and opens the destinations. Connects to nothing.
    pub async fn new(config: Config, fetcher: Fetcher) -> Result<Self> {
        config.validate_routes()?;
        let most_memory = config.mappings.values().map(|mapping| mapping.limits.memory).max();
        let sandbox = Sandbox::new(config.limits.concurrency.get(), most_memory.unwrap_or_default())?;
        let mut mappings = BTreeMap::new();
        for (name, mapping) in &config.mappings {
            // Compiling a component takes long enough to be in the way of the runtime's other tasks.
            let loaded = tokio::task::block_in_place(|| sandbox.load(name, mapping))?;
            mappings.insert(name.clone(), loaded);
        }
        let mut destinations = BTreeMap::new();
        for (name, destination) in &config.destinations {
            let opened = Destination::open(destination).await.with_context(|| format!("destination `{name}`"))?;
            destinations.insert(name.clone(), opened);
        }
        Ok(Self {
            routes: Routes::new(&config.routes),
            dead_letters: DeadLetters::open(&config.dead_letters.to).await?,
            config,
            fetcher,
            mappings,
            destinations,
            progress: Arc::default(),
        })
    }

    /// How far the run has come.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Forwards all objects that the URIs name, and answers for each. When `stop` is cancelled, no more is read, and what
    /// is under way is drained. Afterwards nothing can be sent any more.
    pub async fn run(self, uris: Vec<Uri>, stop: CancellationToken) -> Summary {
        let pipeline = Arc::new(self);
        let mut summary = Summary::new();
        let mut objects = pipeline.list(uris, &stop);
        let deadline = pipeline.give_up_after(&stop);
        let mut reading = JoinSet::new();
        let mut settling = JoinSet::new();
        // For the report of an object whose task has panicked.
        let mut names = HashMap::new();
        let mut listed_all = false;
        while !listed_all || !reading.is_empty() {
            let has_room = reading.len() < pipeline.config.limits.concurrency.get();
            tokio::select! {
                listed = objects.recv(), if has_room && !listed_all => match listed {
                    Some(Ok(object)) => {
                        let name = object.to_string();
                        let task = reading.spawn(Arc::clone(&pipeline).forward(object, stop.clone()));
                        names.insert(task.id(), name);
                    }
                    Some(Err(error)) => summary.add_listing_failure(format!("{error:#}")),
                    None => listed_all = true,
                },
                Some(read) = reading.join_next_with_id() => match read {
                    Ok((task, passage)) => {
                        let name = names.remove(&task).unwrap_or_default();
                        names.insert(settling.spawn(Passage::settle(passage)).id(), name);
                    }
                    Err(error) => summary.add(panicked(&error, &mut names)),
                },
                Some(settled) = settling.join_next_with_id() => summary.add(report(settled, &mut names)),
            }
        }
        for destination in pipeline.destinations.values() {
            destination.drain(pipeline.config.limits.drain_timeout).await;
        }
        pipeline.dead_letters.drain(pipeline.config.limits.drain_timeout).await;
        while let Some(settled) = settling.join_next_with_id().await {
            summary.add(report(settled, &mut names));
        }
        for destination in pipeline.destinations.values() {
            let report = destination.report();
            summary.add_connections(&report.connections, &report.sockets);
        }
        deadline.abort();
        summary.finish();
        summary
    }

    /// Once `stop` is cancelled, what is under way has so long.
    fn give_up_after(self: &Arc<Self>, stop: &CancellationToken) -> AbortHandle {
        let (pipeline, stop) = (Arc::clone(self), stop.clone());
        let deadline = tokio::spawn(async move {
            stop.cancelled().await;
            tokio::time::sleep(pipeline.config.limits.stop_timeout).await;
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
    fn list(self: &Arc<Self>, uris: Vec<Uri>, stop: &CancellationToken) -> mpsc::Receiver<Result<Object>> {
        let (found, objects) = mpsc::channel(self.config.limits.concurrency.get());
        let (pipeline, stop) = (Arc::clone(self), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = pipeline.list_all(uris, &found) => {}
                () = stop.cancelled() => {
                    let _ = found.send(Err(anyhow!("elbow was stopped before all objects were listed"))).await;
                }
            }
        });
        objects
    }

    async fn list_all(&self, uris: Vec<Uri>, found: &mpsc::Sender<Result<Object>>) {
        for uri in uris {
            let mut listing = self.fetcher.list(uri).await;
            while let Some(object) = listing.next().await.transpose() {
                let is_last = object.is_err();
                self.progress.objects.fetch_add(1, Relaxed);
                if found.send(object).await.is_err() {
                    return;
                }
                if is_last {
                    break;
                }
            }
        }
    }
}

/// The report of an object that was settled, or whose task has panicked.
fn report(settled: Result<(Id, ObjectReport), JoinError>, names: &mut HashMap<Id, String>) -> ObjectReport {
    match settled {
        Ok((task, report)) => {
            names.remove(&task);
            report
        }
        Err(error) => panicked(&error, names),
    }
}

/// A bug of elbow's costs the object that it struck, not the run, and is told.
fn panicked(error: &JoinError, names: &mut HashMap<Id, String>) -> ObjectReport {
    let name = names.remove(&error.id()).unwrap_or_default();
    ObjectReport::new(name, Ledger::default(), Some(format!("internal error: {error}")))
}
