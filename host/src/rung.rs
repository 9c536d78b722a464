//! How far a batch of events has come: the rungs of delivery.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What has happened when a batch counts as delivered, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// The bytes are in the kernel's send buffer, or in the file.
    Written,
    /// The peer's kernel has acknowledged every byte.
    Received,
    /// elbow has half-closed, and the peer has read to the end and closed its side.
    Closed,
    /// The receiving program has acknowledged it (Lumberjack).
    Accepted,
}

impl Rung {
    /// All rungs, the weakest first.
    pub const ALL: [Rung; 4] = [Rung::Written, Rung::Received, Rung::Closed, Rung::Accepted];

    /// The name, as in the config.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Written => "written",
            Rung::Received => "received",
            Rung::Closed => "closed",
            Rung::Accepted => "accepted",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
