//! From a batch of records to its outcome: the loop that every mapping shares.

use crate::component::bindings::elbow::mapping::types::Reject as RejectedRecord;
use crate::json;
use crate::mapping::{Fate, Mapping, Outcome, Reject};

/// The events of a batch, as they are written.
pub struct Events {
    ndjson: Vec<u8>,
    records: Vec<u32>,
    record: u32,
}

impl Events {
    /// Adds one event, which the closure fills. Each call is one event of the current record.
    #[inline]
    pub fn push(&mut self, fill: impl FnOnce(&mut json::Object<'_>)) -> Fate {
        json::object(&mut self.ndjson, fill);
        self.ndjson.push(b'\n');
        self.records.push(self.record);
        Fate::Mapped
    }

    /// Adds one event that the closure writes itself, without the writer's guarantee: exactly one JSON object, without
    /// a line break in it. For a mapping that has measured that it needs this.
    #[inline]
    pub fn push_written(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Reject>) -> Result<Fate, Reject> {
        write(&mut self.ndjson)?;
        self.ndjson.push(b'\n');
        self.records.push(self.record);
        Ok(Fate::Mapped)
    }

    fn mark(&self) -> (usize, usize) {
        (self.ndjson.len(), self.records.len())
    }

    fn take_back_to(&mut self, (bytes, events): (usize, usize)) {
        self.ndjson.truncate(bytes);
        self.records.truncate(events);
    }
}

/// Maps a batch as the component does: whole records, each followed by a newline.
///
/// Every record gets one fate. A mapping that says [`Fate::Mapped`] without having pushed an event, or
/// [`Fate::Dropped`] after having pushed one, has a bug, and the record is rejected with that as the reason.
pub fn map_batch<M: Mapping>(mapping: &M, records: &[u8]) -> Outcome {
    let mut events = Events {
        // Events are about twice as long as their lines; a guess that is too small costs a copy, no more.
        ndjson: Vec::with_capacity(records.len() * 5 / 2),
        records: Vec::with_capacity(records.len() / 256 + 1),
        record: 0,
    };
    let mut rejects = Vec::new();
    let mut dropped = 0;
    for record in lines(records) {
        let before = events.mark();
        let fate = mapping.map(record, &mut events);
        let pushed = events.mark().1 > before.1;
        let reason = match (fate, pushed) {
            (Ok(Fate::Mapped), true) => None,
            (Ok(Fate::Dropped), false) => {
                dropped += 1;
                None
            }
            (Err(Reject(reason)), _) => Some(reason),
            (Ok(Fate::Mapped), false) => Some("the mapping wrote no event for it".into()),
            (Ok(Fate::Dropped), true) => Some("the mapping wrote an event and dropped it".into()),
        };
        if let Some(reason) = reason {
            events.take_back_to(before);
            rejects.push(RejectedRecord { index: events.record, reason: reason.into_owned() });
        }
        events.record += 1;
    }
    Outcome { events: events.ndjson, event_records: events.records, rejects, dropped }
}

/// The records of a batch, without their newline and a carriage return before it.
fn lines(batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Format, NoSettings};

    /// Does as each record says.
    struct Obedient;

    impl Mapping for Obedient {
        type Settings = NoSettings;
        const NAME: &'static str = "obedient";
        const VERSION: &'static str = "0";
        fn configure(_: NoSettings) -> Result<Self, String> {
            Ok(Self)
        }
        fn formats(&self) -> Vec<Format> {
            vec![Format::new("orders", "one order a line", vec![])]
        }
        fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
            match record {
                b"one" => Ok(events.push(|e| e.unsigned("n", 1))),
                b"two" => {
                    let _ = events.push(|e| e.unsigned("n", 1));
                    Ok(events.push(|e| e.unsigned("n", 2)))
                }
                b"drop" | b"" => Ok(Fate::Dropped),
                b"none" => Ok(Fate::Mapped),
                b"half" => {
                    let _ = events.push(|e| e.unsigned("n", 1));
                    Err("changed its mind".into())
                }
                _ => Err("unknown order".into()),
            }
        }
    }

    #[test]
    fn every_record_gets_one_fate() {
        let outcome = map_batch(&Obedient, b"one\ndrop\ntwo\r\nwhat\n\nnone\nhalf\none\n");
        assert_eq!(String::from_utf8(outcome.events).unwrap(), "{\"n\":1}\n{\"n\":1}\n{\"n\":2}\n{\"n\":1}\n");
        assert_eq!(outcome.event_records, [0, 2, 2, 7]);
        let rejected: Vec<u32> = outcome.rejects.iter().map(|r| r.index).collect();
        assert_eq!(rejected, [3, 5, 6]);
        assert_eq!(outcome.dropped, 2);
    }

    #[test]
    fn without_a_plan_of_its_own_a_mapping_reads_lines_in_its_first_format() {
        let object = crate::Object {
            id: "-".into(),
            bucket: None,
            key: "-".into(),
            size: None,
            etag: None,
            last_modified: None,
            captures: vec![],
            head: vec![],
        };
        assert_eq!(Obedient.begin(&object).unwrap().format, "orders");
    }
}
