//! The connections of a destination, counted.

use std::collections::BTreeMap;

use serde::Serialize;

/// Why a connection is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// elbow closed it, and all that it carried was confirmed.
    Confirmed,
    /// It carried nothing that was not confirmed, and was idle for too long, or not needed any more.
    Idle,
    /// The peer closed it first.
    PeerClosed,
    /// The peer reset it, or the network did.
    Reset,
    /// Nothing could be written to it for too long.
    WriteTimeout,
    /// The peer did not close its side in time after elbow had.
    CloseTimeout,
    /// elbow stopped.
    Stopped,
}

impl Ending {
    /// The name, as in the summary and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Confirmed => "confirmed",
            Ending::Idle => "idle",
            Ending::PeerClosed => "peer-closed",
            Ending::Reset => "reset",
            Ending::WriteTimeout => "write-timeout",
            Ending::CloseTimeout => "close-timeout",
            Ending::Stopped => "stopped",
        }
    }
}

/// How many connections there were.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Connections {
    /// How many were opened.
    pub created: u64,
    /// How many ended, by the reason.
    pub destroyed: BTreeMap<Ending, u64>,
    /// How many sends had to wait for a connection.
    pub waited: u64,
}

impl Connections {
    /// Adds those of another destination.
    pub fn merge(&mut self, other: &Connections) {
        self.created += other.created;
        self.waited += other.waited;
        for (ending, count) in &other.destroyed {
            *self.destroyed.entry(*ending).or_default() += count;
        }
    }
}
