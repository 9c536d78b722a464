//! The tables that say what a format holds: columns in, fields out.
//!
//! From one table come the names, types and order of the output, what [`Mapping::formats`](elbow_guest::Mapping::formats)
//! promises of it, and the format's page in the documentation.

use elbow_guest::Reject;
use elbow_guest::scan::Syntax;

use crate::source::Source;
use crate::styles::Original;
use crate::values::Values;

/// A format whose records are lines of columns.
pub struct Table {
    /// What a line of it is called in an error: `an ALB`.
    pub what: &'static str,
    /// What it is, for people.
    pub summary: &'static str,
    /// How its columns are written.
    pub syntax: Syntax,
    /// How its texts are written.
    pub encoding: Encoding,
    /// What says which columns a file has.
    pub header: Header,
    /// The columns in their order, by the names of AWS's documentation. Where a file names its own, those that are known.
    pub columns: &'static [&'static str],
    /// The fewest columns that a line may have.
    pub min_columns: usize,
    /// The fields of the output, in their order.
    pub fields: &'static [Output],
    /// Finds the parts of columns, and rejects a line that is not of this format.
    pub parts: fn(&[u8], &mut Values) -> Result<(), Reject>,
    /// Whether its times say that they are in UTC.
    pub has_zones: bool,
    /// What ECS calls the kind of event.
    pub category: &'static str,
    /// Where the style `ecs` puts what ECS has no name for.
    pub ecs_prefix: &'static str,
    /// What the style `elb-processor` is made from; a format without it has the names of ECS there.
    pub original: Option<Original>,
}

impl Table {
    /// Whether its records are lines, as opposed to JSON only.
    pub fn is_of_lines(&self) -> bool {
        self.min_columns > 0
    }
}

/// What says which columns a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The format does.
    None,
    /// The first line names them.
    FirstLine,
    /// The line `#Fields:` names them, and lines that begin with `#` are no records.
    Fields,
}

/// A field of the output: where its value comes from, and its name in each style.
pub struct Output {
    /// Where the value comes from.
    pub source: Source,
    /// Its name in the style `flat`; empty if it has none.
    pub flat: &'static str,
    /// Its names in the style `ecs`, with dots.
    pub ecs: &'static [&'static str],
    /// What it means, with its unit.
    pub meaning: &'static str,
    /// When AWS has added it; empty if it was there from the beginning.
    pub since: &'static str,
}

/// A row of a format's table.
pub const fn field(source: Source, flat: &'static str, ecs: &'static [&'static str], meaning: &'static str) -> Output {
    Output { source, flat, ecs, meaning, since: "" }
}

/// A row for a column that was added later.
pub const fn since(
    since: &'static str,
    source: Source,
    flat: &'static str,
    ecs: &'static [&'static str],
    meaning: &'static str,
) -> Output {
    Output { source, flat, ecs, meaning, since }
}

/// How texts are written in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// `\xHH` for a byte, and `\"`.
    Backslash,
    /// `%HH` for a byte.
    Percent,
    /// The same, once or twice: what has no space after it was decoded once, but escaped ones, is decoded again.
    PercentUserAgent,
}

impl Encoding {
    /// What begins an escape. Where there are none, a backslash, which is never plain in JSON.
    #[inline(always)]
    pub fn escape(self) -> u8 {
        match self {
            Self::Plain | Self::Backslash => b'\\',
            Self::Percent | Self::PercentUserAgent => b'%',
        }
    }
}
