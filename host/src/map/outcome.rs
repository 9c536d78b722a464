//! Checks what a guest says became of a batch: the sums, and the shape of the events.
//!
//! What passes here can be counted on: each record has exactly one fate, and there are as many events as said.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;

use super::bindings::elbow::mapping::types::{Outcome, UnknownField};
use super::state::shortened;

/// What became of a batch, checked.
#[derive(Debug, Default)]
pub struct Mapped {
    /// The events, each ended by a newline.
    pub ndjson: Bytes,
    /// For each event the index of the record that it came from, within the batch.
    pub event_records: Vec<u32>,
    /// How many records became events.
    pub mapped: u64,
    /// How many records were left out on purpose.
    pub dropped: u64,
    /// The records that could not be mapped.
    pub rejects: Vec<Rejected>,
    /// What the mapping did not know or expect, and in how many records.
    pub unknown: BTreeMap<String, u64>,
    /// How long the guest took.
    pub took: Duration,
}

/// A record that could not be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its index within the batch.
    pub index: u32,
    /// Why.
    pub reason: String,
}

/// Checks the outcome of a batch of `records`, which were `bytes` long, against the rules of the contract.
pub(super) fn check(outcome: Outcome, records: u32, bytes: usize, output_ratio: u64) -> Result<Mapped> {
    let Outcome { events, event_records, rejects, dropped, unknown } = outcome;
    // A short record may well become an event that is much longer, so that the ratio alone would be too strict for it.
    let most = (bytes as u64).saturating_mul(output_ratio).saturating_add(64 << 10);
    ensure!(
        events.len() as u64 <= most,
        "{} bytes of events for {bytes} bytes of records are more than `output-ratio` ({output_ratio}) allows",
        events.len()
    );
    let mapped = check_event_records(&event_records, records)?;
    check_events(&events, event_records.len())?;
    check_rejects(&rejects.iter().map(|reject| reject.index).collect::<Vec<_>>(), &event_records, records)?;
    let sum = mapped + rejects.len() as u64 + u64::from(dropped);
    ensure!(
        sum == u64::from(records),
        "of {records} records, {mapped} have events, {} are rejected and {dropped} dropped, which makes {sum}",
        rejects.len()
    );
    let rejects = rejects.into_iter().map(|reject| Rejected { index: reject.index, reason: shortened(&reject.reason) });
    Ok(Mapped {
        ndjson: events.into(),
        event_records,
        mapped,
        dropped: u64::from(dropped),
        rejects: rejects.collect(),
        unknown: check_unknown(unknown),
        took: Duration::ZERO,
    })
}

/// As many names as the contract allows, none too long.
fn check_unknown(unknown: Vec<UnknownField>) -> BTreeMap<String, u64> {
    const MOST: usize = 64;
    const LONGEST: usize = 256;
    let mut counted = BTreeMap::new();
    for field in unknown.into_iter().take(MOST) {
        let name: String = field.name.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        *counted.entry(name).or_default() += u64::from(field.records);
    }
    counted
}

/// Never falling, within the batch. Answers how many records have an event.
fn check_event_records(event_records: &[u32], records: u32) -> Result<u64> {
    let mut mapped = 0;
    let mut last = None;
    for &index in event_records {
        ensure!(index < records, "event-records names record {index}, but the batch has {records}");
        if last == Some(index) {
            continue;
        }
        ensure!(last.is_none_or(|last| last < index), "event-records falls, at record {index}");
        last = Some(index);
        mapped += 1;
    }
    Ok(mapped)
}

/// As many lines as entries, each with the braces of a JSON object.
fn check_events(ndjson: &[u8], expected: usize) -> Result<()> {
    let mut lines = 0;
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', ndjson) {
        let line = &ndjson[begin..end];
        ensure!(
            line.len() >= 2 && line.starts_with(b"{") && line.ends_with(b"}"),
            "event {lines} is no line with one JSON object"
        );
        begin = end + 1;
        lines += 1;
    }
    ensure!(begin == ndjson.len(), "the last event has no newline");
    ensure!(lines == expected, "events has {lines} lines, but event-records has {expected} entries");
    Ok(())
}

/// Rising, within the batch, and not for records that have an event.
fn check_rejects(rejects: &[u32], event_records: &[u32], records: u32) -> Result<()> {
    if !rejects.is_sorted_by(|a, b| a < b) {
        bail!("rejects is not in rising order");
    }
    let mut events = event_records.iter().peekable();
    for &index in rejects {
        ensure!(index < records, "rejects names record {index}, but the batch has {records}");
        while events.next_if(|event| **event < index).is_some() {}
        ensure!(events.peek() != Some(&&index), "record {index} has an event and is rejected");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::bindings::elbow::mapping::types::Reject;
    use super::*;

    fn outcome(events: &str, event_records: &[u32], rejects: &[u32], dropped: u32) -> Outcome {
        Outcome {
            events: events.into(),
            event_records: event_records.into(),
            rejects: rejects.iter().map(|index| Reject { index: *index, reason: "r".into() }).collect(),
            dropped,
            unknown: vec![],
        }
    }

    #[test]
    fn an_outcome_that_adds_up_is_taken() {
        let mapped = check(outcome("{}\n{}\n{}\n", &[0, 0, 3], &[1], 1), 4, 40, 32).unwrap();
        assert_eq!((&mapped.event_records[..], mapped.mapped, mapped.dropped), (&[0, 0, 3][..], 2, 1));
        assert_eq!(mapped.rejects[0].index, 1);
    }

    #[test]
    fn a_guest_that_miscounts_is_found_out() {
        for (broken, expected) in [
            (outcome("{}\n", &[0], &[], 0), "which makes 1"),
            (outcome("{}\n", &[0], &[1], 1), "which makes 3"),
            (outcome("{}\n{}\n", &[0], &[1], 0), "2 lines, but event-records has 1"),
            (outcome("{}\n", &[0, 1], &[], 0), "1 lines, but event-records has 2"),
            (outcome("{}\n{}\n", &[0, 2], &[], 0), "record 2, but the batch has 2"),
            (outcome("{}\n{}\n", &[1, 0], &[], 0), "falls"),
            (outcome("{}\n", &[0], &[0], 1), "has an event and is rejected"),
            (outcome("", &[], &[1, 0], 0), "rising"),
            (outcome("", &[], &[0, 0], 0), "rising"),
            (outcome("", &[], &[0, 7], 0), "record 7"),
            (outcome("{}\n{}", &[0, 1], &[], 0), "no newline"),
            (outcome("{}\n\n", &[0, 1], &[], 0), "event 1 is no line"),
            (outcome("[1]\n{}\n", &[0, 1], &[], 0), "event 0 is no line"),
        ] {
            let error = check(broken, 2, 40, 32).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn events_may_not_be_out_of_proportion() {
        let huge = format!("{{\"a\":\"{}\"}}\n", "x".repeat(70 << 10));
        let error = check(outcome(&huge, &[0], &[], 0), 1, 10, 32).unwrap_err();
        assert!(error.to_string().contains("output-ratio"), "{error}");
    }
}
