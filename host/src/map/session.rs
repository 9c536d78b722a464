//! One object's way through a mapping, on a thread of its own.
//!
//! The thread takes batches from a bounded channel, and puts what became of them into another. A batch on which the guest
//! fails is halved, each half goes to a fresh instance, and so on until the record at fault is alone: it is rejected, and
//! the others are mapped. A guest that fails more often than `failures` allows has failed the object.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::guest::{self, Guest};
use super::outcome::{Mapped, Rejected};
use super::state::GuestLog;
use super::{Blueprint, Mapping, ObjectFacts, Plan};
use crate::lookup::Snapshot;

/// How many batches wait on each side of the guest.
const QUEUE: usize = 2;

/// How many fresh instances it may take to find one record at fault: halvings of a batch of 65,536 records.
const RESTARTS_PER_FAILURE: u64 = 16;

/// Whole records.
#[derive(Clone)]
pub struct Records {
    /// Each followed by a newline.
    pub bytes: Bytes,
    /// Where each begins in the object's text.
    pub offsets: Vec<u64>,
    /// Where the text has the line breaks within them, which are `\x0A` in them.
    pub breaks: Vec<u64>,
}

impl Records {
    /// The records, each without its newline.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|byte| *byte == b'\n').take(self.offsets.len())
    }

    /// One of them that begins there, as the text has it.
    pub fn in_text<'a>(&self, record: &'a [u8], begin: u64) -> Cow<'a, [u8]> {
        let mut text = Vec::new();
        let (mut rest, mut at) = (record, begin);
        for place in &self.breaks[self.breaks.partition_point(|place| *place < begin)..] {
            let before = usize::try_from(place - at).unwrap_or(usize::MAX);
            if before >= rest.len() {
                break;
            }
            text.extend_from_slice(&rest[..before]);
            text.push(b'\n');
            rest = &rest[before + br"\x0A".len()..];
            at = place + 1;
        }
        match text.is_empty() {
            true => Cow::Borrowed(record),
            false => [&text, rest].concat().into(),
        }
    }

    /// How many they are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.offsets.len()).unwrap_or(u32::MAX)
    }
}

/// A batch, and the first bytes of the text from the header before it on, if that is another than the one before.
type Batch = (Option<Vec<u8>>, Records);

/// Puts batches into a session. Dropping it ends the session, after what it was given.
pub struct Feed(mpsc::Sender<Batch>);

impl Feed {
    /// Hands over a batch; waits while the guest is busy. With `head`, the guest begins anew before it, as with an object
    /// that has this head. `Err` if the session has ended, which its [`Yield`] explains.
    pub async fn send(&self, head: Option<Vec<u8>>, records: Records) -> Result<(), SessionEnded> {
        self.0.send((head, records)).await.map_err(|_| SessionEnded)
    }
}

/// The session has ended before it took the batch.
#[derive(Debug)]
pub struct SessionEnded;

/// Takes what became of the batches out of a session, in their order. Dropping it ends the session at the next batch.
pub struct Yield(mpsc::Receiver<Result<(Records, Mapped), Broken>>);

/// A session that has ended before its time.
pub struct Broken {
    /// Why.
    pub error: anyhow::Error,
    /// How many records it had taken, and has not mapped.
    pub abandoned: u64,
}

impl Yield {
    /// The next batch and what became of it; `None` after the last. After an error nothing follows.
    pub async fn next(&mut self) -> Option<Result<(Records, Mapped), Broken>> {
        self.0.recv().await
    }
}

/// Begins an object: starts the thread, makes the instance, and answers the plan for cutting the object.
pub async fn begin(mapping: &Mapping, object: ObjectFacts) -> Result<(Plan, Feed, Yield)> {
    let (feed, batches) = mpsc::channel(QUEUE);
    let (results, yields) = mpsc::channel(QUEUE);
    let (planned, plan) = oneshot::channel();
    let blueprint = Arc::clone(&mapping.blueprint);
    std::thread::Builder::new()
        .name("guest".into())
        .spawn(move || run(&blueprint, object, planned, batches, &results))
        .context("failed to start a guest's thread")?;
    let plan = plan.await.map_err(|_| anyhow!("the thread of the mapping ended before it began"))??;
    Ok((plan, Feed(feed), Yield(yields)))
}

fn run(
    blueprint: &Arc<Blueprint>,
    object: ObjectFacts,
    planned: oneshot::Sender<Result<Plan>>,
    mut batches: mpsc::Receiver<Batch>,
    results: &mpsc::Sender<Result<(Records, Mapped), Broken>>,
) {
    let runtime = match guest::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return drop(planned.send(Err(error))),
    };
    runtime.block_on(async {
        let log = GuestLog::new(&blueprint.name, &object.id, blueprint.limits.log_lines);
        // One for the whole object: every instance that it takes gets the same answers.
        let tables = blueprint.tables.now();
        let mut session = Session { blueprint, object, log: &log, tables, guest: None, failures: 0, restarts: 0 };
        let plan = match session.start().await {
            Ok(plan) => plan,
            Err(error) => return drop(planned.send(Err(error))),
        };
        drop(planned.send(Ok(plan.clone())));
        while let Some((head, batch)) = batches.recv().await {
            let began = Instant::now();
            let mapped = match session.take(head, &batch, &plan).await {
                Ok(mapped) => Ok((batch, Mapped { took: began.elapsed(), ..mapped })),
                Err(error) => {
                    // Nothing new comes in from here on, so that all that has come in can be counted.
                    batches.close();
                    let mut abandoned = u64::from(batch.count());
                    while let Some((_, waiting)) = batches.recv().await {
                        abandoned += u64::from(waiting.count());
                    }
                    Err(Broken { error, abandoned })
                }
            };
            let is_last = mapped.is_err();
            if results.send(mapped).await.is_err() || is_last {
                break;
            }
        }
        log.finish();
    });
}

struct Session<'a> {
    blueprint: &'a Arc<Blueprint>,
    object: ObjectFacts,
    log: &'a GuestLog,
    tables: Snapshot,
    /// None after a failure, until the next batch needs one.
    guest: Option<Guest>,
    /// Records on which it failed.
    failures: u64,
    /// Fresh instances that failures have cost, those of batches that were halved included.
    restarts: u64,
}

impl Session<'_> {
    async fn start(&mut self) -> Result<Plan> {
        let mut guest = Guest::new(self.blueprint, self.log, &self.tables).await?;
        let plan = guest.begin(&self.object).await?;
        self.guest = Some(guest);
        Ok(plan)
    }

    /// Maps a batch, under another header if there is one before it.
    async fn take(&mut self, head: Option<Vec<u8>>, batch: &Records, plan: &Plan) -> Result<Mapped> {
        if let Some(head) = head {
            let place = batch.offsets.first().copied().unwrap_or_default();
            self.object.head = head;
            self.guest = None;
            let new = self.start().await.with_context(|| format!("the header before the record at byte {place}"))?;
            ensure!(new == *plan, "the header before the record at byte {place} is that of another format or framing");
        }
        self.map(batch).await
    }

    /// Maps a batch, halving it for as long as the guest fails on it.
    async fn map(&mut self, batch: &Records) -> Result<Mapped> {
        let mut whole = WholeBatch::default();
        // Pieces of the batch that are still to be mapped, the next one last.
        let mut pieces = vec![batch.clone()];
        while let Some(piece) = pieces.pop() {
            let error = match self.try_map(&piece).await {
                Ok(mapped) => {
                    whole.add(mapped, piece.count());
                    continue;
                }
                Err(error) => error,
            };
            self.guest = None;
            self.restarts += 1;
            let is_alone = piece.count() <= 1;
            self.failures += u64::from(is_alone);
            let allowed = self.blueprint.limits.failures;
            // A guest that fails on batches, and on none of their records, must not go on for ever either.
            if self.failures > allowed || self.restarts > (allowed + 1).saturating_mul(RESTARTS_PER_FAILURE) {
                return Err(error.context(format!("the mapping failed on more than {allowed} records (`failures`)")));
            }
            if is_alone {
                whole.reject(format!("{error:#}"));
            } else {
                let (first, second) = halves(piece);
                pieces.extend([second, first]);
            }
        }
        Ok(whole.mapped())
    }

    async fn try_map(&mut self, records: &Records) -> Result<Mapped> {
        if self.guest.is_none() {
            self.start().await?;
        }
        let guest = self.guest.as_mut().expect("it has just been started");
        guest.map(&records.bytes, records.count()).await
    }
}

/// What became of the pieces of a batch, put together.
#[derive(Default)]
struct WholeBatch {
    parts: Vec<Bytes>,
    mapped: Mapped,
    /// The index in the batch of the next piece's first record.
    next: u32,
}

impl WholeBatch {
    fn add(&mut self, piece: Mapped, count: u32) {
        self.parts.push(piece.ndjson);
        let first = self.next;
        self.mapped.event_records.extend(piece.event_records.into_iter().map(|record| first + record));
        self.mapped.mapped += piece.mapped;
        self.mapped.dropped += piece.dropped;
        for (name, records) in piece.unknown {
            *self.mapped.unknown.entry(name).or_default() += records;
        }
        let rejects = piece.rejects.into_iter();
        self.mapped.rejects.extend(rejects.map(|reject| Rejected { index: first + reject.index, ..reject }));
        self.next += count;
    }

    /// The next record alone, on which the guest fails.
    fn reject(&mut self, reason: String) {
        self.mapped.rejects.push(Rejected { index: self.next, reason });
        self.next += 1;
    }

    fn mapped(self) -> Mapped {
        let ndjson = match <[Bytes; 1]>::try_from(self.parts) {
            Ok([only]) => only,
            Err(parts) => parts.concat().into(),
        };
        Mapped { ndjson, ..self.mapped }
    }
}

/// Cuts a piece of at least two records in the middle.
fn halves(records: Records) -> (Records, Records) {
    let Records { bytes, mut offsets, breaks } = records;
    let first = offsets.len() / 2;
    let last_newline = memchr::memchr_iter(b'\n', &bytes).nth(first - 1);
    let at = last_newline.map_or(bytes.len(), |newline| newline + 1);
    let rest = offsets.split_off(first);
    let first = Records { bytes: bytes.slice(..at), offsets, breaks: breaks.clone() };
    (first, Records { bytes: bytes.slice(at..), offsets: rest, breaks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_hold_the_same_records() {
        let bytes = Bytes::from_static(b"a\n\nccc\nd\n");
        let records = Records { bytes, offsets: vec![0, 2, 3, 7], breaks: vec![] };
        let (first, second) = halves(records);
        assert_eq!((&first.bytes[..], &first.offsets[..]), (&b"a\n\n"[..], &[0, 2][..]));
        assert_eq!((&second.bytes[..], &second.offsets[..]), (&b"ccc\nd\n"[..], &[3, 7][..]));
    }

    #[test]
    fn a_record_is_again_as_the_text_has_it() {
        let text: &[u8] = b"a\nb\n\nc\\x0A\nd\ne\n";
        let bytes = Bytes::from_static(b"a\\x0Ab\n\nc\\x0A\\x0Ad\ne\n");
        let records = Records { bytes, offsets: vec![0, 4, 5, 13], breaks: vec![1, 10] };
        let again: Vec<_> = records.iter().zip(&records.offsets).map(|(r, begin)| records.in_text(r, *begin)).collect();
        assert_eq!(again.join(&b'\n'), text.strip_suffix(b"\n").unwrap());
    }
}
