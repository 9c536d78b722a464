//! The tables that mappings look things up in: read-only, granted by name, replaced only as a whole.
//!
//! A [`Table`] is read once, from bytes that somebody else fetches, and never changes. [`Tables`] hold the newest of each
//! name. A mapping is [`Granted`] some of them, and each object takes a [`Snapshot`] of those: whatever is refreshed
//! meanwhile, its instances get the same answer for the same key, and so `map` stays a pure function of its batch. A
//! table that was replaced is freed with the last snapshot that has it.
//!
//! A million rows cost two or three times their file (networks of IPv6 that are far apart, four or five times): rows lie
//! one after the other as the JSON that a lookup answers, and what finds them is a few bytes for each. A lookup allocates
//! nothing but, where the row is put together when it is asked for (networks, MaxMind databases), the row.
//!
//! | module | |
//! |---|---|
//! | `rows` | many short texts in one allocation |
//! | `keyed` | rows by a key that is text: CSV and JSON lines |
//! | `csv`, `json_lines` | the readers of these |
//! | `networks` | rows by network, of which the most specific one that has an address answers: CIDR lists |
//! | `maxmind` | MaxMind databases |
//! | `snapshot` | who sees which table, and for how long |

mod csv;
mod json_lines;
mod keyed;
mod maxmind;
mod networks;
mod rows;
mod snapshot;

use std::borrow::Cow;
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;

use keyed::Keyed;
use maxmind::MaxMind;
use networks::Networks;
pub use snapshot::{Granted, NotGranted, Snapshot, Tables};

/// What the bytes of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-separated values (RFC 4180) below a line with the columns' names. A row is an object of texts.
    Csv,
    /// A JSON object a line. A row is the object as it stands there.
    JsonLines,
    /// A network or an address a line, `10.0.0.0/8`, alone or as a column of CSV. The key of a lookup is an address.
    Cidr,
    /// A MaxMind DB file, version 2. The key of a lookup is an address, a row the record of its network.
    Maxmind,
}

impl Format {
    /// What the ending of a file's name says, if it says it. One of a compression may follow.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "cidr" | "netset" => Some(Self::Cidr),
            "mmdb" => Some(Self::Maxmind),
            _ => None,
        }
    }
}

/// A table, read.
pub struct Table(Kind);

#[allow(clippy::large_enum_variant, reason = "there are a few tables, and each has its place on the heap")]
enum Kind {
    Keyed(Keyed),
    Networks(Networks),
    MaxMind(MaxMind),
}

impl Table {
    /// A table without rows.
    pub fn empty() -> Self {
        Self(Kind::Keyed(Keyed::default()))
    }

    /// Reads a table, which takes as long as it takes: not for a thread of the runtime. `key` is the column or member
    /// that lookups name; left out, it is the first column. An error says what is wrong in which line.
    pub fn read(bytes: impl Read, format: Format, key: Option<&str>, max_size: u64) -> Result<Self> {
        let bytes = Capped { bytes, left: max_size, cap: max_size };
        Ok(Self(match (format, key) {
            (Format::Csv, key) => Kind::Keyed(csv::read(bytes, key)?),
            (Format::JsonLines, Some(key)) => Kind::Keyed(json_lines::read(bytes, key)?),
            (Format::JsonLines, None) => bail!("JSON lines have no first column: name the member with `key`"),
            (Format::Cidr, key) => Kind::Networks(networks::read(bytes, key)?),
            (Format::Maxmind, _) => Kind::MaxMind(MaxMind::read(bytes)?),
        }))
    }

    /// The row of a key, as JSON.
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        match &self.0 {
            Kind::Keyed(rows) => rows.get(key).map(Cow::Borrowed),
            Kind::Networks(rows) => rows.get(address(key)?).map(Cow::Owned),
            Kind::MaxMind(database) => database.get(address(key)?).map(Cow::Owned),
        }
    }

    /// How many rows it has; of a MaxMind database, how many networks.
    pub fn rows(&self) -> usize {
        match &self.0 {
            Kind::Keyed(rows) => rows.len(),
            Kind::Networks(rows) => rows.len(),
            Kind::MaxMind(database) => database.networks(),
        }
    }

    /// About how much memory it takes; of networks, at most, since those that are next to each other share theirs.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Kind::Keyed(rows) => rows.bytes(),
            Kind::Networks(rows) => rows.bytes(),
            Kind::MaxMind(database) => database.bytes(),
        }
    }
}

/// How a table is, for whoever watches.
#[derive(Clone, Debug)]
pub struct TableReport {
    /// Its name in the config.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// About how much memory they take.
    pub bytes: usize,
    /// How long ago its source was last found to be as the table is, or was read.
    pub age: Duration,
    /// Refreshes that have failed.
    pub failures: u64,
}

/// An address as it is meant: a v4 address in the clothes of v6 (`::ffff:192.0.2.1`) is a v4 address.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Bytes up to a cap.
struct Capped<R> {
    bytes: R,
    left: u64,
    cap: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                let message = format!("it is larger than `max-size` ({} bytes) allows", self.cap);
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    pub(super) fn read(format: Format, key: Option<&str>, text: &str) -> Result<Table> {
        Table::read(text.as_bytes(), format, key, 1 << 20)
    }

    #[track_caller]
    pub(super) fn error(format: Format, key: Option<&str>, text: &str) -> String {
        read(format, key, text).map(|table| table.rows()).map_or_else(|error| format!("{error:#}"), |n| n.to_string())
    }

    #[test]
    fn the_ending_of_a_name_says_the_format() {
        for (name, format) in [
            ("a/owners.csv", Some(Format::Csv)),
            ("owners.CSV.gz", Some(Format::Csv)),
            ("x.jsonl.zst", Some(Format::JsonLines)),
            ("x.ndjson", Some(Format::JsonLines)),
            ("office.cidr", Some(Format::Cidr)),
            ("bad.netset", Some(Format::Cidr)),
            ("GeoLite2-City.mmdb", Some(Format::Maxmind)),
            ("owners.txt", None),
            ("owners", None),
        ] {
            assert_eq!(Format::of_name(name), format, "{name}");
        }
    }

    #[test]
    fn a_table_over_its_cap_is_refused() {
        let read = |max_size| Table::read(&b"id,team\n1,shop\n"[..], Format::Csv, None, max_size);
        assert_eq!(read(15).unwrap().rows(), 1);
        let Err(error) = read(14) else { panic!("it is too large") };
        assert_eq!(error.to_string(), "it is larger than `max-size` (14 bytes) allows");
    }
}
