//! The ledger: what became of each record and each event.
//!
//! It balances if `encountered = mapped + rejected + dropped` and `sent = confirmed + failed`. Records of an object that
//! was given up half way are on the right side as `abandoned`, so that a ledger which does not balance is a bug of elbow's,
//! always. An object is settled only if its ledger balances and nothing of it failed or was abandoned.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::account::Delivered;
use crate::rung::Rung;

/// The books of an object, or of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Ledger {
    /// Records, by their fate.
    pub records: Records,
    /// Events, by their fate.
    pub events: Events,
    /// Bytes, at three places of the pipe.
    pub bytes: Bytes,
    /// Lines that belong to the format, and are no records.
    pub header_lines: u64,
    /// Rejected records, by what became of their dead letters; all 0 if none are wanted.
    pub dead_letters: DeadLetters,
}

/// Dead letters, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct DeadLetters {
    /// Handed to where they go.
    pub sent: u64,
    /// Known to be there.
    pub confirmed: u64,
    /// Not written; their objects are not settled.
    pub failed: u64,
}

/// Records, by their fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Records {
    /// Cut from the object.
    pub encountered: u64,
    /// Became one or more events.
    pub mapped: u64,
    /// Could not be mapped.
    pub rejected: u64,
    /// Were left out on purpose.
    pub dropped: u64,
    /// Were cut, but not mapped, since the mapping had failed the object.
    pub abandoned: u64,
}

/// Events, by their fate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Events {
    /// Handed to the destination.
    pub sent: u64,
    /// Known to have reached a rung that the config accepts.
    pub confirmed: u64,
    /// The same, by the rung.
    pub confirmed_by_rung: BTreeMap<Rung, u64>,
    /// Not delivered.
    pub failed: u64,
    /// Sent again, after a connection broke before it was known that they had arrived: the receiver may have them twice.
    pub resent: u64,
}

/// Bytes, at three places of the pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Bytes {
    /// As stored.
    pub fetched: u64,
    /// After decompression.
    pub decoded: u64,
    /// Of events, each counted once.
    pub sent: u64,
}

impl Ledger {
    /// Whether each record and each event has its fate.
    pub fn is_balanced(&self) -> bool {
        self.imbalance() == 0
    }

    /// How many records, events and dead letters have no fate, or one too many.
    pub fn imbalance(&self) -> u64 {
        let Self { records, events, dead_letters, .. } = self;
        records.encountered.abs_diff(records.mapped + records.rejected + records.dropped + records.abandoned)
            + events.sent.abs_diff(events.confirmed + events.failed)
            + dead_letters.sent.abs_diff(dead_letters.confirmed + dead_letters.failed)
    }

    /// Books what became of the events.
    pub fn book(&mut self, delivered: &Delivered) {
        let by_rung = Rung::ALL.into_iter().map(|rung| (rung, delivered.confirmed[rung as usize]));
        self.events = Events {
            sent: delivered.sent,
            confirmed: delivered.confirmed_total(),
            confirmed_by_rung: by_rung.filter(|(_, events)| *events > 0).collect(),
            failed: delivered.failed,
            resent: delivered.resent,
        };
        self.bytes.sent = delivered.bytes;
    }

    /// Books what became of the dead letters.
    pub fn book_dead_letters(&mut self, delivered: &Delivered) {
        self.dead_letters =
            DeadLetters { sent: delivered.sent, confirmed: delivered.confirmed_total(), failed: delivered.failed };
    }
}

impl AddAssign<&Ledger> for Ledger {
    fn add_assign(&mut self, other: &Ledger) {
        self.records.encountered += other.records.encountered;
        self.records.mapped += other.records.mapped;
        self.records.rejected += other.records.rejected;
        self.records.dropped += other.records.dropped;
        self.records.abandoned += other.records.abandoned;
        self.events.sent += other.events.sent;
        self.events.confirmed += other.events.confirmed;
        for (rung, events) in &other.events.confirmed_by_rung {
            *self.events.confirmed_by_rung.entry(*rung).or_default() += events;
        }
        self.events.failed += other.events.failed;
        self.events.resent += other.events.resent;
        self.bytes.fetched += other.bytes.fetched;
        self.bytes.decoded += other.bytes.decoded;
        self.bytes.sent += other.bytes.sent;
        self.header_lines += other.header_lines;
        self.dead_letters.sent += other.dead_letters.sent;
        self.dead_letters.confirmed += other.dead_letters.confirmed;
        self.dead_letters.failed += other.dead_letters.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_balances_only_if_everything_has_a_fate() {
        let mut ledger = Ledger::default();
        assert!(ledger.is_balanced());
        ledger.records = Records { encountered: 7, mapped: 3, rejected: 2, dropped: 1, abandoned: 1 };
        assert!(ledger.is_balanced());
        ledger.records.mapped = 2;
        assert!(!ledger.is_balanced());
        ledger.records.mapped = 3;
        ledger.events.sent = 3;
        ledger.events.confirmed = 2;
        assert!(!ledger.is_balanced());
        ledger.events.failed = 1;
        assert!(ledger.is_balanced());
    }
}
