//! The tables that say what a format holds: columns in, fields out.
//!
//! From one table come the names, types and order of the output, what [`Mapping::formats`](elbow_guest::Mapping::formats)
//! promises of it, and the format's page in the documentation.

use std::borrow::Cow;

use elbow_guest::scan::Syntax;
use elbow_guest::{JsonType, Reject};

use crate::styles::Original;
use crate::values::{Slot, Values};

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

/// Where a value comes from, and what it becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Text, decoded as the format's texts are.
    Text(Slot),
    /// Text in another encoding than that of the format.
    TextIn(Slot, Encoding),
    /// Text of digits, as a status that is to be a text.
    Digits(Slot),
    /// Text exactly as it is in the line.
    Raw(Slot),
    /// A URL, or what may hold one: as text, and what `redact_query` looks at.
    Url(Slot),
    /// The query of a URL alone, without the question mark: the same.
    Query(Slot),
    /// A number, with the digits of the line.
    Number(Slot),
    /// A time in seconds; `-1` is no value.
    Seconds(Slot),
    /// A time in ISO 8601, without which there is no event; `Z` is added where the line has no zone.
    Time(Slot),
    /// The same, but it may be missing.
    OptionalTime(Slot),
    /// A date and a time, or seconds or milliseconds since 1970: of these four, what there is.
    CloudFrontTime([Slot; 4]),
    /// `[05/Oct/2026:08:15:30` in one column and `+0000]` in the next, as S3 writes them.
    BracketTime(Slot, Slot),
    /// Seconds since 1970, as time.
    EpochSeconds(Slot),
    /// Milliseconds since 1970, as time.
    EpochMilliseconds(Slot),
    /// A count of nanoseconds, from so many decimal places: 9 for a column in seconds, 6 for one in milliseconds.
    Nanoseconds(Slot, u8),
    /// Seconds in the line, whole milliseconds in the event, rounded half up; `-1` is no value.
    Milliseconds(Slot),
    /// `true`, if there is a value.
    Flag(Slot),
    /// Texts, parted by this byte.
    Texts(Slot, u8),
    /// Texts in an encoding, parted by this.
    Parted(Slot, &'static str, Encoding),
    /// Addresses parted by commas, with `%20` or `\x20` behind them.
    Forwarded(Slot),
    /// The key of an object in S3, encoded once or twice; the path of the request says which.
    Key(Slot, Slot),
    /// The name of a protocol by its number.
    Transport(Slot),
    /// `1.1` of `HTTP/1.1`.
    HttpVersion(Slot),
    /// Numbers, parted by this byte.
    Numbers(Slot, u8),
    /// The columns that no table knows yet, in order.
    Columns(Slot),
    /// A JSON value as it is in the record, of this type.
    Json(Slot, JsonType),
    /// A JSON value as text.
    JsonText(Slot),
    /// In a record of JSON, the members that no table knows, as an object.
    Members(Slot),
    /// The first where there is a value, else the second.
    Present(Slot, &'static str, &'static str),
    /// The same for each event: a JSON value.
    Constant(Cow<'static, str>),
    /// `tls`, if the protocol's name is one of TLS.
    TlsName(Slot),
    /// `1.3` of `TLSv1.3` or `tlsv13`.
    TlsVersion(Slot),
    /// `success` for an HTTP status from 100 to 399, `failure` for any other.
    HttpOutcome(Slot),
    /// `tcp` where neither of two statuses has a value, else `http`.
    ListenerProtocol(Slot, Slot),
    /// The first where the text is this, the second elsewhere.
    Choice(Slot, &'static str, &'static str, &'static str),
    /// An IP address, where the text is one.
    Address(Slot),
}

impl Source {
    /// The slot that it reads; of two, the first.
    pub fn slot(&self) -> Option<Slot> {
        use Source::*;
        match self {
            Text(slot)
            | TextIn(slot, _)
            | Digits(slot)
            | Raw(slot)
            | Url(slot)
            | Query(slot)
            | Number(slot)
            | Seconds(slot)
            | Time(slot)
            | OptionalTime(slot)
            | CloudFrontTime([slot, ..])
            | BracketTime(slot, _)
            | EpochSeconds(slot)
            | EpochMilliseconds(slot)
            | Nanoseconds(slot, _)
            | Milliseconds(slot)
            | Flag(slot)
            | Texts(slot, _)
            | Parted(slot, ..)
            | Forwarded(slot)
            | Key(slot, _)
            | Transport(slot)
            | HttpVersion(slot)
            | Numbers(slot, _)
            | Columns(slot)
            | TlsName(slot)
            | TlsVersion(slot)
            | HttpOutcome(slot)
            | Choice(slot, ..)
            | Address(slot)
            | Json(slot, _)
            | JsonText(slot)
            | Members(slot) => Some(*slot),
            Constant(_) | ListenerProtocol(..) | Present(..) => None,
        }
    }

    /// The type of what is written.
    pub fn json_type(&self) -> JsonType {
        use Source::*;
        match self {
            Number(_) | Seconds(_) | Nanoseconds(..) | Milliseconds(_) => JsonType::Number,
            Flag(_) => JsonType::Boolean,
            Json(_, json_type) => *json_type,
            Members(_) => JsonType::Object,
            Texts(..) | Parted(..) | Forwarded(_) | Numbers(..) | Columns(_) => JsonType::Array,
            Constant(json) => match json.as_bytes().first() {
                Some(b'[') => JsonType::Array,
                Some(b'{') => JsonType::Object,
                Some(b'"') => JsonType::Text,
                Some(b't' | b'f') => JsonType::Boolean,
                _ => JsonType::Number,
            },
            _ => JsonType::Text,
        }
    }
}
