//! How far an object has come, for whoever goes on with it later, in another process.

use serde::{Deserialize, Serialize};

use crate::failures::Failures;
use crate::ledger::{Bytes, Ledger};
use crate::rung::Rung;

/// Where to go on with an object, and its books until there. All that came before was delivered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Bookmark {
    /// Records that begin before this byte of the object's text have their fate.
    pub offset: u64,
    /// The SHA-256 of the mapping that it went through. Another may cut the object in other places.
    pub mapping: String,
    /// The books.
    pub ledger: Ledger,
    /// Records that could not be mapped.
    pub parsing: Failures,
    /// The weakest rung at which an event was confirmed.
    pub rung: Option<Rung>,
    /// How long it took.
    pub seconds: f64,
}

impl Bookmark {
    /// The same, with what it has in words cut to what fits into a message of a queue.
    pub fn short(&self) -> Self {
        const LONGEST: usize = 200;
        let mut short = self.clone();
        for reason in &mut short.parsing.last {
            // Those beyond are no characters of XML, which queues are built on.
            *reason = reason.chars().filter(|c| !c.is_control() && *c < '\u{fffe}').take(LONGEST).collect();
        }
        short
    }

    /// Adds what an earlier process had booked. Whoever goes on reads the text from its beginning to find the place, so
    /// that header lines and bytes of text are counted anew each time.
    pub fn add_earlier(&mut self, earlier: Bookmark) {
        let Ledger { header_lines, bytes: Bytes { decoded, .. }, .. } = self.ledger;
        self.ledger += &earlier.ledger;
        self.ledger.header_lines = header_lines;
        self.ledger.bytes.decoded = decoded;
        let mut parsing = earlier.parsing;
        parsing.merge(&self.parsing);
        self.parsing = parsing;
        self.rung = match (self.rung, earlier.rung) {
            (Some(rung), Some(earlier)) => Some(rung.min(earlier)),
            (rung, earlier) => rung.or(earlier),
        };
        self.seconds += earlier.seconds;
    }
}
