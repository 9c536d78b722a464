//! Failures of one kind: how many, and the last few in words.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How many messages are kept.
const LAST: usize = 5;

/// How often something failed, and the last few reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Failures {
    /// How often.
    pub total: u64,
    /// The last few, the newest last.
    pub last: VecDeque<String>,
}

impl Failures {
    /// Counts a failure.
    pub fn add(&mut self, reason: impl Into<String>) {
        self.total += 1;
        self.keep(reason.into());
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Failures) {
        self.total += other.total;
        for reason in &other.last {
            self.keep(reason.clone());
        }
    }

    /// The same, each reason with what it is about before it.
    pub fn of(&self, what: &str) -> Failures {
        let last = self.last.iter().map(|reason| format!("{what}: {reason}"));
        Failures { total: self.total, last: last.collect() }
    }

    fn keep(&mut self, reason: String) {
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_last_few_are_kept() {
        let mut failures = Failures::default();
        for n in 0..7 {
            failures.add(n.to_string());
        }
        let mut merged = Failures::default();
        merged.add("first");
        merged.merge(&failures);
        assert_eq!(merged.total, 8);
        assert_eq!(merged.last, ["2", "3", "4", "5", "6"]);
    }
}
