//! One object's way through the stages.
//!
//! One half fetches, decodes and cuts, and feeds the guest's thread; the other, the [`Outlet`], delivers what comes out of
//! it. Then the object waits, as a [`Passage`], until all that was sent has its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use tokio::io::AsyncBufRead;
use tokio_util::sync::CancellationToken;

use super::Pipeline;
use super::books::{Passage, ReadTotals, oversize_reason};
use super::outlet::Outlet;
use crate::bookmark::Bookmark;
use crate::cut::{Ahead, Cut, Cutter, Framing, Header, Place};
use crate::decode::{Text, decode};
use crate::deliver::Destination;
use crate::event_id::ObjectHash;
use crate::fetch::Stored;
use crate::map::session::{self, Feed, Records, Yield};
use crate::map::{Framing as PlannedFraming, Header as PlannedHeader, Mapping, ObjectFacts, Plan};
use crate::object::Object;
use crate::route::Goal;
use crate::traces::Span;

impl Pipeline {
    /// Reads an object to its end, and hands its events to the destination.
    pub(super) async fn forward(
        self: Arc<Self>,
        object: Object,
        from: Option<Bookmark>,
        stop: CancellationToken,
    ) -> Passage {
        let mut passage = Passage::new(object, from);
        let outcome = self.pass(&mut passage, &stop).await;
        passage.error = outcome.err().map(|error| format!("{error:#}"));
        self.progress.objects_read.fetch_add(1, Relaxed);
        passage
    }

    async fn pass(&self, passage: &mut Passage, stop: &CancellationToken) -> Result<()> {
        let way = if passage.object.is_test_file() || self.dead_letters.are_in(&passage.object) {
            None
        } else {
            self.way(&passage.object)?
        };
        let Some(way) = way else {
            passage.is_skipped = true;
            return Ok(());
        };
        ensure!(!stop.is_cancelled(), "elbow was stopped before the object was read");
        passage.mapping = Some(way.mapping.name().to_owned());
        way.mapping.digest().clone_into(&mut passage.digest);
        if passage.from.take_if(|from| from.mapping != way.mapping.digest()).is_some() {
            tracing::warn!(
                object = %passage.object,
                "the mapping has changed since the object was begun: it is forwarded from its beginning again"
            );
        }
        passage.destination = Some(way.destination_name.to_owned());

        let fetching = passage.span.part("fetch");
        let opened = async {
            let (object, stored) = self.fetcher.open(&passage.object, passage.from.is_some()).await?;
            let fetched = stored.bytes_read();
            let begun = self.begin(&object, stored, way.mapping, way.captures.clone()).await;
            Ok((object, fetched, begun))
        };
        let (object, fetched, begun) = tokio::select! {
            opened = opened => opened,
            () = stop.cancelled() => Err(anyhow!("elbow was stopped before the object was read")),
        }?;
        passage.object = object;
        passage.fetched = fetched;
        let (text, plan, feed, yields) = begun?;
        drop(fetching);
        let cutter = Cutter::new(text, self.cut(&plan)?);
        passage.format = Some(plan.format);

        if let Some(from) = &passage.from {
            passage.read.next = from.offset;
            passage.mapped.earlier = from.ledger.records.encountered;
        }
        let outlet =
            Outlet::new(self, &passage.object, passage.read.next, &way, &passage.account, &passage.dead_letters);
        let span = &passage.span;
        let read = during(span.part("read"), self.read(cutter, feed, &outlet, &mut passage.read, stop));
        let deliver = during(span.part("deliver"), outlet.deliver(yields, &mut passage.mapped));
        // Both to their end: what was read before a failure is still mapped, delivered and accounted for.
        let (read, delivered) = tokio::join!(read, deliver);
        if passage.mapped.is_cut {
            passage.mapped.abandoned = passage.read.unmapped(&passage.mapped);
        }
        outlet.deliver_oversize(std::mem::take(&mut passage.read.oversize)).await;
        delivered.and(read).and(outlet.result())
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

    /// Begins an object: decodes it, shows its first bytes to the mapping, and has that plan the cut.
    async fn begin(
        &self,
        object: &Object,
        stored: Stored,
        mapping: &Mapping,
        captures: Vec<(String, String)>,
    ) -> Result<(Ahead<Text>, Plan, Feed, Yield)> {
        let (_, text) = decode(stored, self.config.limits.max_decoded).await?;
        let mut text = Ahead::new(text);
        let head = text.head(&[]).await?;
        let begun = session::begin(mapping, facts(object, captures, head)).await;
        let (plan, feed, yields) = begun.with_context(|| format!("mapping `{}`", mapping.name()))?;
        Ok((text, plan, feed, yields))
    }

    /// The record of this object that begins at this offset, and the object's hash as it is now.
    pub(super) async fn find_record(
        &self,
        object: &Object,
        offset: u64,
    ) -> Result<(Option<ObjectHash>, Option<Bytes>)> {
        let found = self.routes.find(object).context("no route fits the object")?;
        let Goal::Forward { mapping, .. } = found.goal else { bail!("a route says to skip the object") };
        let (_, mapping) = named_or_only(&self.mappings, mapping.as_deref(), "mapping")?;
        let (object, stored) = self.fetcher.open(object, false).await?;
        let (text, plan, ..) = self.begin(&object, stored, mapping, found.captures).await?;
        let mut cutter = Cutter::new(text, self.cut(&plan)?);
        let mut record = None;
        while let (None, Some(batch)) = (&record, cutter.next().await?) {
            let records = Records { bytes: batch.records, offsets: batch.offsets, breaks: batch.breaks };
            let index = records.offsets.iter().position(|begin| *begin == offset);
            let found = index.and_then(|index| records.iter().nth(index));
            record = found.map(|record| Bytes::copy_from_slice(&records.in_text(record, offset)));
        }
        Ok((ObjectHash::of(&object), record))
    }

    fn cut(&self, plan: &Plan) -> Result<Cut> {
        let limits = &self.config.limits;
        Ok(Cut {
            framing: match (&plan.framing, &plan.header) {
                (PlannedFraming::Lines, PlannedHeader::None) => Framing::Lines(Header::None),
                (PlannedFraming::Lines, PlannedHeader::FirstLine(names)) => {
                    Framing::Lines(Header::FirstLine(names.clone()))
                }
                (PlannedFraming::Lines, PlannedHeader::W3c) => Framing::Lines(Header::W3c),
                (PlannedFraming::Lines, PlannedHeader::Prefix(prefix)) => {
                    Framing::Lines(Header::Prefix(prefix.clone().into_bytes()))
                }
                (PlannedFraming::LinesFrom(shape), PlannedHeader::None) => {
                    Framing::LinesFrom(shape.clone().into_bytes())
                }
                (PlannedFraming::JsonArray(name), PlannedHeader::None) => Framing::Json(Place::Array(name.clone())),
                (PlannedFraming::JsonValues, PlannedHeader::None) => Framing::Json(Place::TopLevel),
                (PlannedFraming::LinesFrom(_) | PlannedFraming::JsonArray(_) | PlannedFraming::JsonValues, _) => {
                    bail!("the mapping plans header lines for records that are not lines")
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
        outlet: &Outlet<'_>,
        totals: &mut ReadTotals,
        stop: &CancellationToken,
    ) -> Result<()> {
        let begin = totals.next;
        let mut is_stopped = false;
        let mut head = None;
        loop {
            let began = Instant::now();
            let next = tokio::select! {
                next = cutter.next(), if !is_stopped => next,
                () = stop.cancelled() => {
                    is_stopped = true;
                    Ok(cutter.take_gathered())
                }
            };
            totals.took += began.elapsed();
            let decoded = cutter.offset();
            self.progress.bytes.fetch_add(decoded - totals.decoded, Relaxed);
            totals.decoded = decoded;
            let mut batch = match next? {
                Some(batch) => batch,
                None if is_stopped => {
                    totals.is_stopped = true;
                    bail!("elbow was stopped before the end of the object")
                }
                None => return Ok(()),
            };
            totals.header_lines += batch.header_lines;
            head = batch.head.take().or(head);
            // What an earlier process has settled is cut again, to find the place, and is left out.
            batch.skip_to(begin);
            let last = batch.offsets.last().copied().max(batch.oversize.last().map(|record| record.offset));
            totals.next = last.map_or(totals.next, |last| last + 1);
            let records = Records { bytes: batch.records, offsets: batch.offsets, breaks: batch.breaks };
            let count = u64::from(records.count());
            totals.records += count + batch.oversize.len() as u64;
            self.progress.records.fetch_add(count, Relaxed);
            for oversize in batch.oversize {
                totals.rejects.add(oversize_reason(&oversize, self.config.limits.max_record));
                totals.oversize.push(oversize);
            }
            let is_taken = count == 0
                || tokio::select! {
                    sent = feed.send(head.take(), records) => sent.is_ok(),
                    () = self.given_up.cancelled() => false,
                };
            if !is_taken {
                // The other half knows why.
                totals.abandoned += count;
                return Ok(());
            }
            if outlet.has_failed() {
                // The object has failed; reading on would be of no use.
                return Ok(());
            }
        }
    }
}

/// A span that ends with its part of the way.
async fn during<T>(span: Span, part: impl Future<Output = T>) -> T {
    let outcome = part.await;
    drop(span);
    outcome
}

/// Where an object goes.
pub(super) struct Way<'a> {
    pub(super) mapping: &'a Mapping,
    destination_name: &'a str,
    pub(super) destination: &'a Destination,
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
