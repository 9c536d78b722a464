//! The settle stage: from what happened to an object to its report, and from the reports to the summary of a run.
//!
//! The summary is the truth and nothing else: what it says of an event is what the destination has proved, and an object
//! that is not settled says why.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::bookmark::Bookmark;
use crate::failures::Failures;
use crate::ledger::Ledger;
use crate::memory;
use crate::object::Object;
use crate::rung::Rung;

/// How many objects of each status the summary lists. All are counted.
const LISTED: usize = 1000;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every record has its fate, and every event was confirmed.
    Settled,
    /// Something was not delivered, or the object could not be read to its end.
    Failed,
    /// A route says to leave it out.
    Skipped,
    /// It was delivered in part, and another process goes on with it; its books are closed there.
    Continued,
}

impl Status {
    /// As in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Continued => "continued",
        }
    }
}

/// What became of an object, with its books.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectReport {
    /// `s3://bucket/key`, the path, or `-`.
    pub object: String,
    /// What became of it.
    pub status: Status,
    /// Why it is not settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The mapping that it went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// The format that the mapping found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The destination that it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The weakest rung at which an event of it was confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    /// Whether the books balance.
    pub balanced: bool,
    /// The books.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Records that could not be mapped.
    pub parsing: Failures,
    /// What the mapping did not know or expect, as columns that were appended since, and in how many records.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown_fields: BTreeMap<String, u64>,
    /// From the beginning to the last confirmation.
    pub seconds: f64,
    /// Where that time went.
    pub stages: Stages,
    /// Where another process can go on, if elbow was stopped in the middle of it and all until there was delivered.
    #[serde(skip)]
    pub bookmark: Option<Bookmark>,
    /// What of the books is this process's own.
    #[serde(skip)]
    pub part: Ledger,
    /// The object as it was found; `None` if it never was.
    #[serde(skip)]
    pub found: Option<Object>,
}

impl ObjectReport {
    /// The report of an object. `error` is what kept it from being read or delivered, if anything did.
    pub fn new(object: String, ledger: Ledger, error: Option<String>) -> Self {
        let balanced = ledger.is_balanced();
        let error = error.or_else(|| (!balanced).then(|| "the ledger does not balance".to_owned()));
        Self {
            object,
            status: if error.is_none() { Status::Settled } else { Status::Failed },
            error,
            part: ledger.clone(),
            mapping: None,
            format: None,
            destination: None,
            rung: None,
            balanced,
            ledger,
            parsing: Failures::default(),
            unknown_fields: BTreeMap::new(),
            seconds: 0.0,
            stages: Stages::default(),
            bookmark: None,
            found: None,
        }
    }
}

/// Seconds of an object by stage. The stages run beside each other, so that the sum may be more than the time it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stages {
    /// Waiting for S3, decoding and cutting.
    pub read: f64,
    /// In the mapping.
    pub map: f64,
    /// Waiting for the destination.
    pub deliver: f64,
}

/// How many objects, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Objects {
    /// All.
    pub total: u64,
    /// Every record has its fate, and every event was confirmed.
    pub settled: u64,
    /// Something was not delivered.
    pub failed: u64,
    /// Left out by a route.
    pub skipped: u64,
    /// Handed on.
    pub continued: u64,
}

/// Failures, by where they happened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AllFailures {
    /// Records that could not be mapped.
    pub parsing: Failures,
    /// Objects that could not be read, mapped or delivered; and listings that failed.
    pub sending: Failures,
    /// Attempts to connect, write or close that failed, whether or not another attempt succeeded.
    pub sockets: Failures,
}

/// The summary of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The version of elbow.
    pub elbow: &'static str,
    /// When the run began, ISO 8601.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The most memory that elbow had resident, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Whether every object was settled, or skipped on purpose.
    pub settled: bool,
    /// Whether the books of all objects balance.
    pub balanced: bool,
    /// The weakest rung at which an event was confirmed.
    pub rung: Option<Rung>,
    /// Objects, by what became of them.
    pub objects: Objects,
    /// The books of all objects together.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Connections opened and closed.
    pub connections: crate::connections::Connections,
    /// Failures, by where they happened.
    pub failures: AllFailures,
    /// The objects, the first thousand of each status.
    pub per_object: Vec<ObjectReport>,
    /// How many objects that list leaves out.
    pub per_object_left_out: u64,
    /// The imbalance of each object, added up: what one has too many cannot make good what another has too few.
    #[serde(skip)]
    pub imbalance: u64,
    #[serde(skip)]
    clock: Instant,
    #[serde(skip)]
    listed: Objects,
}

impl Summary {
    /// Begins a summary.
    #[expect(clippy::new_without_default, reason = "it starts a clock")]
    pub fn new() -> Self {
        Self {
            elbow: env!("CARGO_PKG_VERSION"),
            started: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            seconds: 0.0,
            peak_memory: None,
            settled: true,
            balanced: true,
            rung: None,
            objects: Objects::default(),
            ledger: Ledger::default(),
            connections: crate::connections::Connections::default(),
            failures: AllFailures::default(),
            per_object: Vec::new(),
            per_object_left_out: 0,
            imbalance: 0,
            clock: Instant::now(),
            listed: Objects::default(),
        }
    }

    /// Adds an object.
    pub fn add(&mut self, report: ObjectReport) {
        self.objects.total += 1;
        let (counted, listed) = match report.status {
            Status::Settled => (&mut self.objects.settled, &mut self.listed.settled),
            Status::Failed => (&mut self.objects.failed, &mut self.listed.failed),
            Status::Skipped => (&mut self.objects.skipped, &mut self.listed.skipped),
            Status::Continued => (&mut self.objects.continued, &mut self.listed.continued),
        };
        *counted += 1;
        self.settled &= report.status != Status::Failed;
        self.balanced &= report.balanced;
        self.imbalance += report.ledger.imbalance();
        // What an earlier process has booked is in that one's summary.
        self.ledger += &report.part;
        self.rung = match (self.rung, report.rung) {
            (Some(rung), Some(other)) => Some(rung.min(other)),
            (rung, other) => rung.or(other),
        };
        self.failures.parsing.merge(&report.parsing.of(&report.object));
        if let Some(error) = &report.error {
            self.failures.sending.add(format!("{}: {error}", report.object));
        }
        if *listed < LISTED as u64 {
            *listed += 1;
            self.per_object.push(report);
        } else {
            self.per_object_left_out += 1;
        }
    }

    /// Notes that not all objects are known.
    pub fn add_listing_failure(&mut self, error: String) {
        self.settled = false;
        self.failures.sending.add(error);
    }

    /// Adds what a destination has to tell of its connections.
    pub fn add_connections(&mut self, connections: &crate::connections::Connections, sockets: &Failures) {
        self.connections.merge(connections);
        self.failures.sockets.merge(sockets);
    }

    /// Ends the summary.
    pub fn finish(&mut self) {
        self.seconds = seconds(self.clock.elapsed());
        self.peak_memory = memory::peak();
    }
}

/// To the millisecond.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
