//! Whether an outcome is what the contract says: for tests and fuzzers of a mapping.
//!
//! The host checks the sums of each outcome and takes its JSON on trust. Here every event is read to its end, and a name that
//! stands twice in one object is a mistake.
//!
//! ```
//! use elbow_guest::{Events, Fate, Format, Mapping, Reject, check, mapping::NoSettings};
//!
//! struct Lengths;
//!
//! impl Mapping for Lengths {
//!     type Settings = NoSettings;
//!     const NAME: &str = "lengths";
//!     const VERSION: &str = "1.0.0";
//!
//!     fn configure(_: NoSettings) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn formats(&self) -> Vec<Format> {
//!         vec![Format::new("lengths", "lines of any text", vec![])]
//!     }
//!
//!     fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
//!         Ok(events.push(|event| event.unsigned("bytes", record.len() as u64)))
//!     }
//! }
//!
//! let records = b"whatever\nthe bytes\n\xFF\n";
//! let outcome = elbow_guest::map_batch(&Lengths, records);
//! check::outcome(records, &outcome).unwrap();
//! check::alone(&Lengths, records, &outcome).unwrap();
//! ```

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::batch::{MAX_UNKNOWN, MAX_UNKNOWN_NAME, map_batch};
use crate::mapping::{Field, Mapping, Outcome};

/// Checks an outcome of these records, each of which is followed by a newline. An error says what is wrong with it.
pub fn outcome(records: &[u8], outcome: &Outcome) -> Result<(), String> {
    sums(records, outcome)?;
    for line in events(outcome) {
        event(line)?;
    }
    Ok(())
}

/// Checks that each record has exactly one fate, and that there are as many lines of events as said; not what is in them.
pub fn sums(records: &[u8], outcome: &Outcome) -> Result<(), String> {
    let count = memchr::memchr_iter(b'\n', records).count();
    let lines = memchr::memchr_iter(b'\n', &outcome.events).count();
    if !matches!(outcome.events.last(), None | Some(b'\n')) {
        return Err("the last event has no newline".into());
    }
    if lines != outcome.event_records.len() {
        return Err(format!("{lines} events, but {} entries in event-records", outcome.event_records.len()));
    }
    if !outcome.event_records.is_sorted() {
        return Err("event-records falls".into());
    }
    let rejects: Vec<u32> = outcome.rejects.iter().map(|reject| reject.index).collect();
    if !rejects.is_sorted_by(|one, other| one < other) {
        return Err("rejects does not rise".into());
    }
    let mapped: BTreeSet<u32> = outcome.event_records.iter().copied().collect();
    if let Some(record) = rejects.iter().find(|record| mapped.contains(record)) {
        return Err(format!("record {record} has an event and is rejected"));
    }
    if let Some(record) = mapped.iter().chain(&rejects).find(|record| **record as usize >= count) {
        return Err(format!("there is no record {record}: there are {count}"));
    }
    let (mapped, rejected, dropped) = (mapped.len(), rejects.len(), outcome.dropped as usize);
    if mapped + rejected + dropped != count {
        return Err(format!("of {count} records {mapped} are mapped, {rejected} rejected and {dropped} dropped"));
    }
    unknown(outcome)
}

/// Checks that each record has the events, or the reason, that it has in a batch of its own: the host may cut batches otherwise
/// next time.
pub fn alone<M: Mapping>(mapping: &M, records: &[u8], outcome: &Outcome) -> Result<(), String> {
    let mut all = events(outcome).zip(&outcome.event_records).peekable();
    let mut rejects = outcome.rejects.iter().peekable();
    for (index, record) in (0..).zip(records.split_inclusive(|byte| *byte == b'\n')) {
        let one = map_batch(mapping, record);
        let here = std::iter::from_fn(|| all.next_if(|(_, of)| **of == index)).map(|(event, _)| event);
        let reject = rejects.next_if(|reject| reject.index == index).map(|reject| &reject.reason);
        if !here.eq(events(&one)) || reject != one.rejects.first().map(|reject| &reject.reason) {
            return Err(format!(
                "record {index} becomes something else alone: {:?}",
                String::from_utf8_lossy(&one.events)
            ));
        }
    }
    Ok(())
}

fn unknown(outcome: &Outcome) -> Result<(), String> {
    let names: BTreeSet<&str> = outcome.unknown.iter().map(|unknown| unknown.name.as_str()).collect();
    if names.len() != outcome.unknown.len() || names.len() > MAX_UNKNOWN {
        return Err(format!("{} entries in unknown for {} names", outcome.unknown.len(), names.len()));
    }
    match names.iter().find(|name| name.len() > MAX_UNKNOWN_NAME) {
        Some(name) => Err(format!("a name of {} bytes in unknown", name.len())),
        None => Ok(()),
    }
}

/// The events of an outcome, without their newlines.
pub fn events(outcome: &Outcome) -> impl Iterator<Item = &[u8]> {
    outcome.events.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// Reads an event: one JSON object in UTF-8, in which no object has a name twice.
pub fn event(line: &[u8]) -> Result<Value, String> {
    let Unique(value) =
        serde_json::from_slice(line).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(line)))?;
    match value.is_object() && line.first() == Some(&b'{') && line.last() == Some(&b'}') {
        true => Ok(value),
        false => Err(format!("it is no JSON object and nothing else: {}", String::from_utf8_lossy(line))),
    }
}

/// Checks that the promised fields that an event has are of the promised types.
pub fn promises(event: &Value, fields: &[Field]) -> Result<(), String> {
    for field in fields {
        let Some(value) = at(event, &field.name) else { continue };
        if !field.json_type.fits(value) {
            return Err(format!("{} is promised as {:?}, and is {value}", field.name, field.json_type));
        }
    }
    Ok(())
}

/// What an event has under a name, or below objects by the parts of the name.
fn at<'a>(event: &'a Value, name: &str) -> Option<&'a Value> {
    let nested = || name.split('.').try_fold(event, |value, part| value.get(part));
    event.get(name).or_else(nested)
}

/// A JSON value in which no object has a name twice. Else serde_json keeps the last without a word.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E: Error>(self) -> Result<Unique, E> {
                Ok(Unique(Value::Null))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Unique, E> {
                Ok(Unique(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Unique, E> {
                Ok(Unique(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Unique, E> {
                Ok(Unique(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Unique, E> {
                let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?;
                Ok(Unique(number.into()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Unique, E> {
                Ok(Unique(text.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
                let mut array = Vec::new();
                while let Some(Unique(item)) = items.next_element()? {
                    array.push(item);
                }
                Ok(Unique(array.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
                let mut object = Map::new();
                while let Some(name) = members.next_key::<String>()? {
                    let Unique(value) = members.next_value()?;
                    match object.entry(name) {
                        Entry::Vacant(vacant) => vacant.insert(value),
                        Entry::Occupied(taken) => {
                            return Err(A::Error::custom(format!("`{}` stands there twice", taken.key())));
                        }
                    };
                }
                Ok(Unique(object.into()))
            }
        }

        input.deserialize_any(AnyValue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::bindings::elbow::mapping::types::Reject;

    fn of(events: &str, event_records: &[u32], rejects: &[u32], dropped: u32) -> Outcome {
        let rejects = rejects.iter().map(|index| Reject { index: *index, reason: "why".into() });
        Outcome {
            events: events.into(),
            event_records: event_records.into(),
            rejects: rejects.collect(),
            dropped,
            unknown: vec![],
        }
    }

    #[test]
    fn an_outcome_that_adds_up_is_right() {
        outcome(b"a\nb\nc\nd\n", &of("{\"n\":1}\n{}\n{}\n", &[0, 0, 3], &[1], 1)).unwrap();
        outcome(b"", &of("", &[], &[], 0)).unwrap();
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        for (wrong, what) in [
            (of("{}\n", &[0], &[], 0), "of 2 records 1 are mapped"),
            (of("{}\n{}", &[0, 1], &[], 0), "no newline"),
            (of("{}\n", &[0, 1], &[], 0), "1 events, but 2 entries"),
            (of("{}\n{}\n", &[1, 0], &[], 0), "falls"),
            (of("{}\n", &[0], &[0], 1), "has an event and is rejected"),
            (of("{}\n", &[0], &[2], 0), "no record 2"),
            (of("", &[], &[1, 0], 0), "does not rise"),
            (of("[]\n", &[0], &[], 1), "no JSON object"),
            (of("{} {}\n", &[0], &[], 1), "trailing characters"),
            (of("{\"a\":{\"b\":1,\"b\":2}}\n", &[0], &[], 1), "`b` stands there twice"),
            (of("{\"a\":1e999}\n", &[0], &[], 1), "number out of range"),
        ] {
            let error = outcome(b"a\nb\n", &wrong).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_promise_is_kept_at_the_top_or_below() {
        let event = event(br#"{"a.b":"x","c":{"d":1}}"#).unwrap();
        promises(&event, &[Field::text("a.b", ""), Field::number("c.d", ""), Field::text("gone", "")]).unwrap();
        assert!(promises(&event, &[Field::text("c.d", "")]).unwrap_err().contains("c.d is promised as"));
    }
}
