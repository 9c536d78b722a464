//! The pipeline: the one place that knows the order of the stages.
//!
//! An object is read in one task: its bytes are fetched, decoded and cut by one half of it, and what the guest's thread
//! makes of the batches is delivered by the other. Each queue between them is bounded, so a slow receiver slows the
//! fetch, and nothing holds a whole object. The object then waits to be settled while others are read: its last events
//! are confirmed only when their connection rotates.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::config::Config;
use crate::cut::{Cut, Cutter, Framing, Header, Oversize, Place};
use crate::decode::decode;
use crate::deliver::Destination;
use crate::failures::Failures;
use crate::fetch::{Fetcher, Stored, Uri};
use crate::ledger::Ledger;
use crate::map::session::{self, Feed, Records, Yield};
use crate::map::{Framing as PlannedFraming, Header as PlannedHeader, Mapping, ObjectFacts, Plan, Sandbox};
use crate::object::Object;
use crate::route::{Goal, Routes};
use crate::settle::{ObjectReport, Status, Summary, seconds};

/// How much of an object a mapping sees before it is cut: the bound that the contract states.
const HEAD: usize = 16 << 10;

/// How long the first line waits for others to show to the mapping.
const LINGER: Duration = Duration::from_millis(200);

/// All that objects go through. Shared by the tasks that read them.
pub struct Pipeline {
    config: Config,
    fetcher: Fetcher,
    routes: Routes,
    mappings: BTreeMap<String, Mapping>,
    destinations: BTreeMap<String, Destination>,
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
        let mut reading = JoinSet::new();
        let mut settling = JoinSet::new();
        let mut listed_all = false;
        while !listed_all || !reading.is_empty() {
            let has_room = reading.len() < pipeline.config.limits.concurrency.get();
            tokio::select! {
                listed = objects.recv(), if has_room && !listed_all => match listed {
                    Some(Ok(object)) => {
                        reading.spawn(Arc::clone(&pipeline).forward(object, stop.clone()));
                    }
                    Some(Err(error)) => summary.add_listing_failure(format!("{error:#}")),
                    None => listed_all = true,
                },
                Some(read) = reading.join_next() => {
                    let passage: Passage = read.expect("reading an object does not panic");
                    settling.spawn(passage.settle());
                }
                Some(report) = settling.join_next() => summary.add(report.expect("settling an object does not panic")),
            }
        }
        for destination in pipeline.destinations.values() {
            destination.drain(pipeline.config.limits.drain_timeout).await;
        }
        while let Some(report) = settling.join_next().await {
            summary.add(report.expect("settling an object does not panic"));
        }
        for destination in pipeline.destinations.values() {
            let report = destination.report();
            summary.add_connections(&report.connections, &report.sockets);
        }
        summary.finish();
        summary
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

    /// Reads an object to its end, and hands its events to the destination.
    async fn forward(self: Arc<Self>, object: Object, stop: CancellationToken) -> Passage {
        let mut passage = Passage::new(object);
        let outcome = self.pass(&mut passage, &stop).await;
        passage.error = outcome.err().map(|error| format!("{error:#}"));
        self.progress.objects_read.fetch_add(1, Relaxed);
        passage
    }

    async fn pass(&self, passage: &mut Passage, stop: &CancellationToken) -> Result<()> {
        let Some(way) = self.way(&passage.object)? else {
            passage.is_skipped = true;
            return Ok(());
        };
        ensure!(!stop.is_cancelled(), "elbow was stopped before the object was read");
        passage.mapping = Some(way.mapping.name().to_owned());
        passage.destination = Some(way.destination_name.to_owned());

        let (object, stored) = self.fetcher.open(&passage.object).await?;
        passage.object = object;
        passage.fetched = stored.bytes_read();
        let (head, text) = self.text(stored).await?;
        let facts = facts(&passage.object, way.captures, head);
        let (plan, feed, yields) =
            session::begin(way.mapping, facts).await.with_context(|| format!("mapping `{}`", way.mapping.name()))?;
        let cutter = Cutter::new(text, self.cut(&plan)?);
        passage.format = Some(plan.format);

        let account = Arc::clone(&passage.account);
        let read = self.read(cutter, feed, &account, &mut passage.read, stop);
        let deliver = deliver(yields, way.destination, &account, &mut passage.mapped);
        // Both to their end: what was read before a failure is still mapped, delivered and accounted for.
        let (read, delivered) = tokio::join!(read, deliver);
        delivered.and(read)
    }

    /// Decodes an object, and looks at its first bytes without taking them off.
    async fn text(&self, stored: Stored) -> Result<(Vec<u8>, impl AsyncBufRead + Unpin + use<>)> {
        let (_, mut text) = decode(stored, self.config.limits.max_decoded).await?;
        let mut head = Vec::new();
        while head.len() < HEAD {
            // A whole line is enough to go on with, where a pipe has no more to give for now.
            let part = match head.contains(&b'\n') {
                true => match timeout(LINGER, text.fill_buf()).await {
                    Ok(part) => part?,
                    Err(_) => break,
                },
                false => text.fill_buf().await?,
            };
            if part.is_empty() {
                break;
            }
            let part = &part[..part.len().min(HEAD - head.len())];
            head.extend_from_slice(part);
            let taken = part.len();
            text.consume(taken);
        }
        Ok((head.clone(), io::Cursor::new(head).chain(text)))
    }

    /// Which way an object goes; `None` if it is to be skipped.
    fn way(&self, object: &Object) -> Result<Option<Way<'_>>> {
        let found = self
            .routes
            .find(object)
            .context("no route fits the object; add one to [[routes]], with `skip = true` if it is to be left out")?;
        let Goal::Forward { mapping, destination } = found.goal else {
            return Ok(None);
        };
        let (_, mapping) = named_or_only(&self.mappings, mapping.as_deref(), "mapping")?;
        let (destination_name, destination) = named_or_only(&self.destinations, destination.as_deref(), "destination")?;
        Ok(Some(Way { mapping, destination_name, destination, captures: found.captures }))
    }

    fn cut(&self, plan: &Plan) -> Result<Cut> {
        let limits = &self.config.limits;
        Ok(Cut {
            framing: match (&plan.framing, &plan.header) {
                (PlannedFraming::Lines, PlannedHeader::None) => Framing::Lines(Header::None),
                (PlannedFraming::Lines, PlannedHeader::FirstLine) => Framing::Lines(Header::FirstLine),
                (PlannedFraming::Lines, PlannedHeader::Prefix(prefix)) => {
                    Framing::Lines(Header::Prefix(prefix.clone().into_bytes()))
                }
                (PlannedFraming::JsonArray(name), PlannedHeader::None) => Framing::Json(Place::Array(name.clone())),
                (PlannedFraming::JsonValues, PlannedHeader::None) => Framing::Json(Place::TopLevel),
                (PlannedFraming::JsonArray(_) | PlannedFraming::JsonValues, _) => {
                    bail!("the mapping plans header lines for JSON, which has none")
                }
            },
            batch_bytes: usize::try_from(limits.batch).unwrap_or(usize::MAX).max(1),
            max_record: usize::try_from(limits.max_record).unwrap_or(usize::MAX).max(1),
        })
    }

    /// The first half: cuts the text and feeds the guest, until the end of either.
    async fn read(
        &self,
        mut cutter: Cutter<impl AsyncBufRead + Unpin>,
        feed: Feed,
        account: &Account,
        totals: &mut ReadTotals,
        stop: &CancellationToken,
    ) -> Result<()> {
        loop {
            let next = tokio::select! {
                next = cutter.next() => next,
                () = stop.cancelled() => bail!("elbow was stopped before the end of the object"),
            };
            let decoded = cutter.offset();
            self.progress.bytes.fetch_add(decoded - totals.decoded, Relaxed);
            totals.decoded = decoded;
            let Some(batch) = next? else { return Ok(()) };
            totals.header_lines += batch.header_lines;
            totals.records += u64::from(batch.count) + batch.oversize.len() as u64;
            self.progress.records.fetch_add(u64::from(batch.count), Relaxed);
            for oversize in &batch.oversize {
                totals.reject(oversize, self.config.limits.max_record);
            }
            let records = Records { bytes: batch.records, count: batch.count };
            if records.count > 0 && feed.send(records).await.is_err() {
                // The other half knows why.
                totals.abandoned += u64::from(batch.count);
                return Ok(());
            }
            if account.failure().is_some() {
                // The object has failed; reading on would be of no use.
                return Ok(());
            }
        }
    }
}

/// The second half: delivers what the guest makes of the batches, until the last. Once a batch has failed, what is still
/// under way is accounted for, and not sent.
async fn deliver(
    mut yields: Yield,
    destination: &Destination,
    account: &Arc<Account>,
    totals: &mut MappedTotals,
) -> Result<()> {
    while let Some(mapped) = yields.next().await {
        let mapped = mapped.map_err(|broken| {
            totals.abandoned = broken.abandoned;
            broken.error
        })?;
        totals.add(&mapped.rejects, mapped.mapped, mapped.dropped);
        if mapped.events == 0 {
            continue;
        }
        let failure = account.failure();
        let ticket = account.open(mapped.events, mapped.ndjson.len() as u64);
        match failure {
            Some(failure) => ticket.fail(failure),
            None => destination.send(mapped.ndjson, ticket).await,
        }
    }
    match account.failure() {
        Some(failure) => Err(anyhow!("events could not be delivered: {failure}")),
        None => Ok(()),
    }
}

/// Where an object goes.
struct Way<'a> {
    mapping: &'a Mapping,
    destination_name: &'a str,
    destination: &'a Destination,
    captures: Vec<(String, String)>,
}

fn named_or_only<'a, T>(all: &'a BTreeMap<String, T>, name: Option<&str>, kind: &str) -> Result<(&'a str, &'a T)> {
    let found = match name {
        Some(name) => all.get_key_value(name),
        None if all.len() == 1 => all.first_key_value(),
        None => {
            bail!("there are {} {kind}s, and the route does not say which: add `{kind} = \"NAME\"` to it", all.len())
        }
    };
    found
        .map(|(name, value)| (name.as_str(), value))
        .with_context(|| format!("{kind} `{}` is not defined", name.unwrap_or_default()))
}

fn facts(object: &Object, captures: Vec<(String, String)>, head: Vec<u8>) -> ObjectFacts {
    ObjectFacts {
        id: object.to_string(),
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        size: object.size,
        etag: object.etag.clone(),
        last_modified: object.last_modified.clone(),
        captures,
        head,
    }
}

/// An object on its way, and what is known of it until it is settled.
struct Passage {
    object: Object,
    started: Instant,
    mapping: Option<String>,
    format: Option<String>,
    destination: Option<String>,
    is_skipped: bool,
    error: Option<String>,
    fetched: Arc<AtomicU64>,
    read: ReadTotals,
    mapped: MappedTotals,
    account: Arc<Account>,
}

impl Passage {
    fn new(object: Object) -> Self {
        Self {
            object,
            started: Instant::now(),
            mapping: None,
            format: None,
            destination: None,
            is_skipped: false,
            error: None,
            fetched: Arc::default(),
            read: ReadTotals::default(),
            mapped: MappedTotals::default(),
            account: Arc::default(),
        }
    }

    /// Waits for the last event to be confirmed or to fail, and closes the books.
    async fn settle(self) -> ObjectReport {
        let delivered = self.account.settled().await;
        let mut ledger = Ledger::default();
        ledger.book(&delivered);
        ledger.records.encountered = self.read.records;
        ledger.records.mapped = self.mapped.mapped;
        ledger.records.dropped = self.mapped.dropped;
        ledger.records.rejected = self.mapped.rejects.total + self.read.rejects.total;
        ledger.records.abandoned = self.read.abandoned + self.mapped.abandoned;
        ledger.header_lines = self.read.header_lines;
        ledger.bytes.decoded = self.read.decoded;
        ledger.bytes.fetched = self.fetched.load(Relaxed);
        let failure = delivered.failure.clone().map(|reason| format!("events could not be delivered: {reason}"));
        let mut report = ObjectReport::new(self.object.to_string(), ledger, self.error.or(failure));
        if self.is_skipped {
            report.status = Status::Skipped;
        }
        report.parsing = self.read.rejects;
        report.parsing.merge(&self.mapped.rejects);
        report.rung = delivered.rung();
        report.mapping = self.mapping;
        report.format = self.format;
        report.destination = self.destination;
        report.seconds = seconds(self.started.elapsed());
        report
    }
}

/// What the first half has counted.
#[derive(Default)]
struct ReadTotals {
    records: u64,
    header_lines: u64,
    decoded: u64,
    rejects: Failures,
    /// Cut, but not taken by a session that has broken.
    abandoned: u64,
}

impl ReadTotals {
    fn reject(&mut self, record: &Oversize, max_record: u64) {
        self.rejects.add(format!(
            "the record at byte {} is {} bytes long, more than `max-record` ({max_record})",
            record.offset, record.bytes
        ));
    }
}

/// What the second half has counted.
#[derive(Default)]
struct MappedTotals {
    records: u64,
    mapped: u64,
    dropped: u64,
    rejects: Failures,
    /// Taken by a session that has broken before it mapped them.
    abandoned: u64,
}

impl MappedTotals {
    fn add(&mut self, rejects: &[crate::map::Rejected], mapped: u64, dropped: u64) {
        for reject in rejects {
            self.rejects.add(format!("record {}: {}", self.records + u64::from(reject.index) + 1, reject.reason));
        }
        self.mapped += mapped;
        self.dropped += dropped;
        self.records += mapped + dropped + rejects.len() as u64;
    }
}
