//! The second half of an object's way: what the guest has made of its batches goes out.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::Pipeline;
use super::books::{MappedTotals, oversize_reason, undelivered, unwritten};
use super::dead_letters::Mailbag;
use super::passage::Way;
use crate::account::Account;
use crate::cut::Oversize;
use crate::dead_letter::DeadLetter;
use crate::deliver::Destination;
use crate::event_id::{EventId, ObjectHash, Stamp};
use crate::map::session::{Records, Yield};
use crate::map::{Mapped, Mapping};
use crate::object::Object;

/// Where what becomes of an object goes: its events, and its dead letters.
pub(super) struct Outlet<'a> {
    pipeline: &'a Pipeline,
    object: String,
    hash: Option<ObjectHash>,
    /// Where in the text this process began.
    begin: u64,
    mapping: &'a Mapping,
    destination: &'a Destination,
    /// Puts ids into events; `None` if they are off, or the object has no identity.
    stamp: Option<Stamp>,
    account: Arc<Account>,
    dead_letters: Arc<Account>,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        object: &Object,
        begin: u64,
        way: &Way<'a>,
        account: &Arc<Account>,
        dead_letters: &Arc<Account>,
    ) -> Self {
        let hash = ObjectHash::of(object);
        let field = way.destination.event_id();
        Self {
            pipeline,
            object: object.to_string(),
            mapping: way.mapping,
            destination: way.destination,
            stamp: hash.as_ref().filter(|_| !field.is_empty()).map(|hash| Stamp::new(field, hash)),
            hash,
            begin,
            account: Arc::clone(account),
            dead_letters: Arc::clone(dead_letters),
        }
    }

    /// The second half: delivers what the guest makes of the batches, until the last. Once something has failed, what is
    /// still under way is accounted for, and not sent.
    pub(super) async fn deliver(&self, mut yields: Yield, totals: &mut MappedTotals) -> Result<()> {
        let mut mailbag = self.mailbag("");
        loop {
            let yielded = tokio::select! {
                yielded = yields.next() => yielded,
                () = self.pipeline.given_up.cancelled() => {
                    totals.is_cut = true;
                    return Err(anyhow!("elbow stopped before the mapping was done"));
                }
            };
            let Some(yielded) = yielded else { break };
            let (records, mapped) = yielded.map_err(|broken| {
                totals.abandoned = broken.abandoned;
                broken.error
            })?;
            totals.add(&mapped);
            self.pipeline.drift.note(self.mapping.name(), &self.object, &mapped.unknown);
            let began = Instant::now();
            self.deliver_events(&records, &mapped).await;
            totals.delivering += began.elapsed();
            if self.pipeline.dead_letters.are_wanted() && !mapped.rejects.is_empty() {
                let lines: Vec<&[u8]> = records.iter().collect();
                for reject in &mapped.rejects {
                    let index = reject.index as usize;
                    let begin = records.offsets[index];
                    let record = records.in_text(lines[index], begin);
                    let letter = self.dead_letter(begin, record.len() as u64, &reject.reason, Some(&record));
                    mailbag.add(&letter).await;
                }
                mailbag.end_batch().await;
            }
        }
        mailbag.finish().await;
        Ok(())
    }

    async fn deliver_events(&self, records: &Records, mapped: &Mapped) {
        let events = mapped.event_records.len() as u64;
        if events == 0 {
            return;
        }
        let ndjson = match &self.stamp {
            Some(stamp) => stamp.put(&mapped.ndjson, &mapped.event_records, &records.offsets),
            None => mapped.ndjson.clone(),
        };
        let failure = self.account.failure();
        let ticket = self.account.open(events, ndjson.len() as u64);
        match failure {
            Some(failure) => ticket.fail(failure),
            None => self.destination.send(ndjson, ticket).await,
        }
    }

    /// Of records over the cap, dead letters say where they were, and what they begin with.
    pub(super) async fn deliver_oversize(&self, oversize: Vec<Oversize>) {
        let mut mailbag = self.mailbag("oversize-");
        if self.pipeline.dead_letters.are_wanted() {
            for record in oversize {
                let reason = oversize_reason(&record, self.pipeline.config.limits.max_record);
                mailbag.add(&self.dead_letter(record.offset, record.bytes, &reason, record.start.as_deref())).await;
            }
        }
        mailbag.finish().await;
    }

    fn mailbag(&self, kind: &str) -> Mailbag<'_> {
        let hash = self.hash.as_ref().map_or_else(|| "stdin".to_owned(), ObjectHash::to_string);
        let name = match self.begin {
            0 => format!("{kind}{hash}"),
            // Another process has written those before.
            begin => format!("{kind}{hash}-{begin:x}"),
        };
        Mailbag::new(self.pipeline, self.destination, &self.dead_letters, name)
    }

    fn dead_letter(&self, begin: u64, bytes: u64, reason: &str, record: Option<&[u8]>) -> String {
        let field = self.destination.event_id();
        let id = self.hash.clone().map(|object| EventId { object, offset: begin, index: None });
        DeadLetter {
            object: &self.object,
            id: id.filter(|_| !field.is_empty()).map(|id| (field, id.to_string())),
            begin,
            end: begin + bytes,
            reason,
            mapping: self.mapping.name(),
            digest: self.mapping.digest(),
            record,
        }
        .to_line()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.account.failure().is_some() || self.dead_letters.failure().is_some()
    }

    /// Whether all that was sent until now has gone well.
    pub(super) fn result(&self) -> Result<()> {
        let failure = undelivered(&self.account.delivered()).or_else(|| unwritten(&self.dead_letters.delivered()));
        failure.map_or(Ok(()), |failure| Err(anyhow!(failure)))
    }
}
