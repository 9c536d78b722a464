//! The books of one object: what its two halves have counted, until the last ticket has its answer and they are closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::account::{Account, Delivered};
use crate::bookmark::Bookmark;
use crate::cut::Oversize;
use crate::failures::Failures;
use crate::ledger::Ledger;
use crate::map::Mapped;
use crate::object::Object;
use crate::settle::{ObjectReport, Stages, Status, seconds};
use crate::traces::Span;

pub(super) fn undelivered(delivered: &Delivered) -> Option<String> {
    delivered.failure.as_ref().map(|reason| format!("events could not be delivered: {reason}"))
}

pub(super) fn unwritten(dead_letters: &Delivered) -> Option<String> {
    dead_letters.failure.as_ref().map(|reason| format!("dead letters could not be written: {reason}"))
}

/// An object on its way, and what is known of it until it is settled.
pub(super) struct Passage {
    pub(super) object: Object,
    /// Where an earlier process has left it.
    pub(super) from: Option<Bookmark>,
    started: Instant,
    pub(super) span: Span,
    pub(super) mapping: Option<String>,
    /// The mapping's SHA-256, once it is known.
    pub(super) digest: String,
    pub(super) format: Option<String>,
    pub(super) destination: Option<String>,
    pub(super) is_skipped: bool,
    pub(super) error: Option<String>,
    pub(super) fetched: Arc<AtomicU64>,
    pub(super) read: ReadTotals,
    pub(super) mapped: MappedTotals,
    pub(super) account: Arc<Account>,
    /// The account of the dead letters.
    pub(super) dead_letters: Arc<Account>,
}

impl Passage {
    pub(super) fn new(object: Object, from: Option<Bookmark>) -> Self {
        Self {
            span: Span::object(&object),
            object,
            from,
            started: Instant::now(),
            mapping: None,
            digest: String::new(),
            format: None,
            destination: None,
            is_skipped: false,
            error: None,
            fetched: Arc::default(),
            read: ReadTotals::default(),
            mapped: MappedTotals::default(),
            account: Arc::default(),
            dead_letters: Arc::default(),
        }
    }

    /// Waits for the last event to be confirmed or to fail, and closes the books.
    pub(super) async fn settle(self) -> ObjectReport {
        let confirming = self.span.part("confirm");
        let delivered = self.account.settled().await;
        let dead_letters = self.dead_letters.settled().await;
        drop(confirming);
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
        ledger.book_dead_letters(&dead_letters);
        let failure = undelivered(&delivered).or_else(|| unwritten(&dead_letters));
        let mut parsing = self.read.rejects;
        parsing.merge(&self.mapped.rejects);
        let mut now = Bookmark {
            offset: self.read.next,
            mapping: self.digest,
            ledger,
            parsing,
            rung: delivered.rung(),
            seconds: seconds(self.started.elapsed()),
        };
        let has_moved = now.offset > self.from.as_ref().map_or(0, |from| from.offset);
        // Without an etag, nobody could tell whether the rest is of the same object.
        let can_go_on = self.read.is_stopped
            && has_moved
            && failure.is_none()
            && now.ledger.records.abandoned == 0
            && now.ledger.is_balanced()
            && self.object.etag.is_some();
        let part = now.ledger.clone();
        if let Some(from) = self.from {
            now.add_earlier(from);
        }
        let bookmark = can_go_on.then(|| now.clone());
        let mut report = ObjectReport::new(self.object.to_string(), now.ledger, self.error.or(failure));
        if self.is_skipped {
            report.status = Status::Skipped;
        }
        report.bookmark = bookmark;
        report.part = part;
        report.parsing = now.parsing;
        report.rung = now.rung;
        report.mapping = self.mapping;
        report.format = self.format;
        report.destination = self.destination;
        report.unknown_fields = self.mapped.unknown;
        report.seconds = now.seconds;
        report.stages = Stages {
            read: seconds(self.read.took),
            map: seconds(self.mapped.took),
            deliver: seconds(self.mapped.delivering),
        };
        report.found = Some(self.object);
        describe(&self.span, &report);
        report
    }
}

/// The report, as what a span says.
fn describe(span: &Span, report: &ObjectReport) {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let Ledger { records, events, bytes, .. } = &report.ledger;
    span.note("elbow.status", report.status.name());
    for (name, value) in [
        ("elbow.records.encountered", records.encountered),
        ("elbow.records.mapped", records.mapped),
        ("elbow.records.rejected", records.rejected),
        ("elbow.records.dropped", records.dropped),
        ("elbow.events.sent", events.sent),
        ("elbow.events.confirmed", events.confirmed),
        ("elbow.events.failed", events.failed),
        ("elbow.bytes.fetched", bytes.fetched),
        ("elbow.bytes.decoded", bytes.decoded),
    ] {
        span.note(name, count(value));
    }
    let texts = [
        ("elbow.mapping", &report.mapping),
        ("elbow.format", &report.format),
        ("elbow.destination", &report.destination),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            span.note(name, value.clone());
        }
    }
    if let Some(rung) = report.rung {
        span.note("elbow.rung", rung.name());
    }
    // With a bookmark it was stopped in time, and goes on elsewhere.
    if let (Some(error), None) = (&report.error, &report.bookmark) {
        span.fail(error);
    }
}

/// What the first half has counted.
#[derive(Default)]
pub(super) struct ReadTotals {
    pub(super) records: u64,
    pub(super) header_lines: u64,
    pub(super) decoded: u64,
    /// All records that begin before this byte of the text were read.
    pub(super) next: u64,
    /// How long it has waited for the next batch.
    pub(super) took: Duration,
    /// It ended because elbow was stopped.
    pub(super) is_stopped: bool,
    pub(super) rejects: Failures,
    pub(super) oversize: Vec<Oversize>,
    /// Cut, but not taken by a session that has broken.
    pub(super) abandoned: u64,
}

impl ReadTotals {
    /// How many of the records that the guest was given it has not answered for.
    pub(super) fn unmapped(&self, mapped: &MappedTotals) -> u64 {
        self.records - self.rejects.total - self.abandoned - mapped.records
    }
}

pub(super) fn oversize_reason(record: &Oversize, max_record: u64) -> String {
    format!(
        "the record at byte {} is {} bytes long, more than `max-record` ({max_record})",
        record.offset, record.bytes
    )
}

/// How many unknown names are counted for an object: a mapping that names ever new ones does not get more memory.
const MOST_UNKNOWN: usize = 64;

/// What the second half has counted.
#[derive(Default)]
pub(super) struct MappedTotals {
    records: u64,
    mapped: u64,
    dropped: u64,
    rejects: Failures,
    unknown: BTreeMap<String, u64>,
    /// It ended before the guest did.
    pub(super) is_cut: bool,
    /// How many records an earlier process had counted.
    pub(super) earlier: u64,
    /// How long the guest took.
    took: Duration,
    /// How long it took to hand events over.
    pub(super) delivering: Duration,
    /// Taken by a session that has broken before it mapped them.
    pub(super) abandoned: u64,
}

impl MappedTotals {
    pub(super) fn add(&mut self, mapped: &Mapped) {
        for reject in &mapped.rejects {
            let number = self.earlier + self.records + u64::from(reject.index) + 1;
            self.rejects.add(format!("record {number}: {}", reject.reason));
        }
        for (name, records) in &mapped.unknown {
            if self.unknown.len() < MOST_UNKNOWN || self.unknown.contains_key(name) {
                *self.unknown.entry(name.clone()).or_default() += records;
            }
        }
        self.took += mapped.took;
        self.mapped += mapped.mapped;
        self.dropped += mapped.dropped;
        self.records += mapped.mapped + mapped.dropped + mapped.rejects.len() as u64;
    }
}
