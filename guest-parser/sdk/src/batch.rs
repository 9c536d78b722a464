//! From a batch of records to its outcome: the loop that every mapping shares.

use std::cell::{Cell, RefCell};

use crate::buffer::Buffer;
use crate::component::bindings::elbow::mapping::types::{Reject as RejectedRecord, UnknownField};
use crate::json;
use crate::mapping::{Fate, Mapping, Outcome, Reject};
use crate::scan::{Index, Lines};

/// The events of a batch, as they are written.
pub struct Events {
    ndjson: Buffer,
    records: Vec<u32>,
    record: u32,
    unknown: Vec<UnknownField>,
}

/// How many unknown names of a batch are told.
pub(crate) const MAX_UNKNOWN: usize = 64;

/// How many bytes of such a name are.
pub(crate) const MAX_UNKNOWN_NAME: usize = 256;

impl Events {
    /// Notes that the current record has something that this mapping does not know, as a column that was appended since, or
    /// that is otherwise than the format says. The host counts it, and warns once of each name. A name is cut after 256 bytes.
    pub fn note_unknown(&mut self, name: &str) {
        let name = &name[..name.floor_char_boundary(MAX_UNKNOWN_NAME)];
        let has_room = self.unknown.len() < MAX_UNKNOWN;
        match self.unknown.iter_mut().find(|unknown| unknown.name == name) {
            Some(unknown) => unknown.records += 1,
            None if has_room => {
                self.unknown.push(UnknownField { name: name.to_owned(), records: 1 });
            }
            None => {}
        }
    }

    /// Adds one event, which the closure fills. Each call is one event of the current record.
    #[inline]
    pub fn push(&mut self, fill: impl FnOnce(&mut json::Object<'_>)) -> Fate {
        json::object(self.ndjson.bytes(), fill);
        self.ndjson.push(b'\n');
        self.records.push(self.record);
        Fate::Mapped
    }

    /// Adds one event that the closure writes itself, without the writer's guarantee: exactly one JSON object, without
    /// a line break in it. For a mapping that has measured that it needs this.
    #[inline]
    pub fn push_written(&mut self, write: impl FnOnce(&mut Buffer) -> Result<(), Reject>) -> Result<Fate, Reject> {
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

/// A batch on its way.
struct Batch {
    events: Events,
    rejects: Vec<RejectedRecord>,
    dropped: u32,
}

impl Batch {
    /// Maps one record, and sees to it that it has one fate.
    #[inline(always)]
    fn record(&mut self, map: impl FnOnce(&mut Events) -> Result<Fate, Reject>) {
        let before = self.events.mark();
        let fate = map(&mut self.events);
        let pushed = self.events.mark().1 > before.1;
        match (fate, pushed) {
            (Ok(Fate::Mapped), true) => {}
            (Ok(Fate::Dropped), false) => self.dropped += 1,
            (fate, _) => self.reject(before, fate),
        }
        self.events.record += 1;
    }

    #[cold]
    fn reject(&mut self, before: (usize, usize), fate: Result<Fate, Reject>) {
        let reason = match fate {
            Err(Reject(reason)) => reason.into_owned(),
            Ok(Fate::Mapped) => "the mapping wrote no event for it".into(),
            Ok(Fate::Dropped) => "the mapping wrote an event and dropped it".into(),
        };
        self.events.take_back_to(before);
        self.rejects.push(RejectedRecord { index: self.events.record, reason });
    }
}

/// Maps a batch as the component does: whole records, each followed by a newline.
///
/// Every record gets one fate. A mapping that says [`Fate::Mapped`] without having pushed an event, or
/// [`Fate::Dropped`] after having pushed one, has a bug, and the record is rejected with that as the reason.
pub fn map_batch<M: Mapping>(mapping: &M, records: &[u8]) -> Outcome {
    thread_local! {
        // Kept, so that its room is found once.
        static INDEX: RefCell<Index> = RefCell::default();
        /// The most that the events of a batch have taken so far.
        static MOST: Cell<usize> = const { Cell::new(0) };
    }
    // Events are about twice as long as their lines; a guess that is too small costs a copy, no more.
    let events = Events {
        ndjson: Buffer::with_capacity((records.len() * 5 / 2).max(MOST.get()) + 1024),
        records: Vec::with_capacity(records.len() / 256 + 1),
        record: 0,
        unknown: Vec::new(),
    };
    let mut batch = Batch { events, rejects: Vec::new(), dropped: 0 };
    match mapping.syntax() {
        Some(syntax) => INDEX.with_borrow_mut(|index| {
            index.build(records, syntax);
            for line in Lines::new(records, index, syntax) {
                batch.record(|events| mapping.map_line(&line, events));
            }
        }),
        None => {
            for record in lines(records) {
                batch.record(|events| mapping.map(record, events));
            }
        }
    }
    let Batch { events, rejects, dropped } = batch;
    let Events { ndjson, records, unknown, .. } = events;
    MOST.set(MOST.get().max(ndjson.len()));
    Outcome { events: ndjson.into_bytes(), event_records: records, rejects, dropped, unknown }
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
    fn a_long_name_of_what_is_not_known_is_cut() {
        let mut events = Events { ndjson: Buffer::default(), records: vec![], record: 0, unknown: vec![] };
        for end in ["one", "other"] {
            events.note_unknown(&format!("{}{end}", "é".repeat(128)));
        }
        assert_eq!(events.unknown.len(), 1);
        assert_eq!((events.unknown[0].name.len(), events.unknown[0].records), (256, 2));
    }

    #[test]
    fn without_a_plan_of_its_own_a_mapping_reads_lines_in_its_first_format() {
        let object = crate::Object::new("-", b"");
        assert_eq!(Obedient.begin(&object).unwrap().format, "orders");
    }
}
