//! Where the value of a field comes from, and what becomes of it.

use std::borrow::Cow;
use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elbow_guest::scan::{Syntax, unescape};
use elbow_guest::{Buffer, JsonType, json};

use crate::client::{Fact, Facts};
use crate::redact::{REDACTED, Redact, Scope};
use crate::table::Encoding;
use crate::times;
use crate::values::{Slot, Values};
use crate::write;

/// Where a value comes from, and what it becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Text, decoded as the format's texts are.
    Text(Slot),
    /// Text in another encoding than that of the format.
    TextIn(Slot, Encoding),
    /// The same, in base64.
    Base64(Slot),
    /// `true`, if the bytes that a text stands for are not UTF-8.
    NotUtf8(Slot),
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
    /// In a record of JSON, the members that no table knows: JSON of this type that was gathered, and redacted, for it.
    Members(Slot, JsonType),
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
    /// What a lookup table knows of an address.
    Known(Slot, Fact),
}

impl Source {
    /// The slot that it reads; of two, the first.
    pub fn slot(&self) -> Option<Slot> {
        use Source::*;
        match self {
            Text(slot)
            | TextIn(slot, _)
            | NotUtf8(slot)
            | Base64(slot)
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
            | Known(slot, _)
            | Json(slot, _)
            | JsonText(slot)
            | Members(slot, _) => Some(*slot),
            Constant(_) | ListenerProtocol(..) | Present(..) => None,
        }
    }

    /// The type of what is written.
    pub fn json_type(&self) -> JsonType {
        use Source::*;
        match self {
            Number(_) | Seconds(_) | Nanoseconds(..) | Milliseconds(_) => JsonType::Number,
            Flag(_) | NotUtf8(_) => JsonType::Boolean,
            Json(_, json_type) | Members(_, json_type) => *json_type,
            Known(_, fact) => fact.json_type(),
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

    /// What is written, as JSON, where a test of the value holds, and what where it does not, for a source of that kind.
    pub fn either(&self) -> Option<(Test, &'static str, Option<&'static str>)> {
        match self {
            Self::Flag(_) => Some((Test::Present, "true", None)),
            Self::TlsName(_) => Some((Test::Tls, "\"tls\"", None)),
            Self::HttpOutcome(_) => Some((Test::Success, "\"success\"", Some("\"failure\""))),
            _ => None,
        }
    }

    /// Writes the value as JSON, or nothing where there is none. What an event has most of is written by
    /// [`Program`](crate::program::Program) itself, faster.
    pub fn write(&self, batch: &[u8], values: &Values, how: &Writing, out: &mut Buffer) -> Result<(), Mistake> {
        let part = |slot: Slot| values.get(slot).of(batch);
        if let Self::CloudFrontTime(slots) = self {
            let [date, time, seconds, milliseconds] = slots.map(part);
            let expected = Mistake { slot: slots[0], expected: "a date and a time, as `2026-10-05` and `08:15:30`" };
            let time = times::cloudfront_time(date, time, seconds, milliseconds).ok_or(expected)?;
            json::string(out.bytes(), time.as_bytes());
            return Ok(());
        }
        let slot = self.slot().unwrap_or(Slot::LINE);
        let span = values.get(slot);
        let expected = |expected| Mistake { slot, expected };
        if span.is_none() {
            return match self {
                Self::Time(_) | Self::BracketTime(..) => Err(expected("a time")),
                _ => Ok(()),
            };
        }
        let text = span.of(batch);
        let quoted = |out: &mut Buffer, text: &[u8]| json::string(out.bytes(), &how.redacted(text, Scope::Url));
        let decoded = |out: &mut Buffer, encoding| match how.redact {
            Some(_) => quoted(out, &write::decode(text, encoding)),
            None => {
                out.push(b'"');
                write::text(out, batch, span, encoding);
                out.push(b'"');
            }
        };
        let texts = |out: &mut Buffer, encoding, by: &[u8]| {
            let items = write::parted(text, by).map(|item| write::decode(item, encoding));
            how.list(out, items, |_, _| false);
        };
        match self {
            Self::Text(_) | Self::Url(_) => decoded(out, how.encoding),
            Self::TextIn(_, encoding) => decoded(out, *encoding),
            Self::Digits(_) => match !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
                true => quoted(out, text),
                false => return Err(expected("a status, as `200`, or `-`")),
            },
            Self::Query(_) => {
                json::string(out.bytes(), &how.redacted(&write::decode(text, how.encoding), Scope::Query));
            }
            Self::Raw(_) => json::string(out.bytes(), &how.redacted(text, how.raw)),
            Self::NotUtf8(_) => {
                if std::str::from_utf8(&write::decode(text, how.encoding)).is_err() {
                    out.bytes().extend_from_slice(b"true");
                }
            }
            Self::Base64(_) => {
                out.push(b'"');
                out.bytes().extend_from_slice(STANDARD.encode(how.redacted(text, how.raw)).as_bytes());
                out.push(b'"');
            }
            Self::Number(_) | Self::Seconds(_) => {
                if matches!(self, Self::Seconds(_)) && text == b"-1" {
                    return Ok(());
                }
                if !write::number(out, batch, span) {
                    return Err(expected("a number"));
                }
            }
            Self::Time(_) | Self::OptionalTime(_) => {
                if !times::is_timestamp(batch, span) {
                    return Err(expected(times::A_TIME));
                }
                out.push(b'"');
                out.put(batch, span);
                how.note_zone(times::end_of_time(out));
            }
            Self::BracketTime(_, zone) => {
                let time = times::bracket_time(text, part(*zone));
                quoted(out, time.ok_or_else(|| expected("a time, as `[05/Oct/2026:08:15:30 +0000]`"))?.as_bytes());
            }
            Self::EpochSeconds(_) => {
                quoted(out, times::epoch_time(text, false).ok_or_else(|| expected("seconds since 1970"))?.as_bytes());
            }
            Self::EpochMilliseconds(_) => {
                quoted(
                    out,
                    times::epoch_time(text, true).ok_or_else(|| expected("milliseconds since 1970"))?.as_bytes(),
                );
            }
            Self::Nanoseconds(_, places) => {
                if text != b"-1" {
                    let count = write::scaled(text, *places).ok_or_else(|| expected("a duration"))?;
                    out.bytes().extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
                }
            }
            Self::Milliseconds(_) => {
                if text != b"-1" {
                    let count = write::milliseconds(text).ok_or_else(|| expected("a number of seconds"))?;
                    out.bytes().extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
                }
            }
            Self::Flag(_) | Self::TlsName(_) | Self::HttpOutcome(_) => {
                if let Some((test, then, otherwise)) = self.either() {
                    let written = if test.holds(text) { Some(then) } else { otherwise };
                    out.bytes().extend_from_slice(written.unwrap_or_default().as_bytes());
                }
            }
            Self::Texts(_, by) => texts(out, how.encoding, &[*by]),
            Self::Numbers(_, by) => {
                let items = text.split(|byte| byte == by).map(|item| write::decode(item, how.encoding));
                // What is no number becomes a text, so that the others keep their meaning.
                how.list(out, items, write::odd_number);
            }
            Self::Parted(_, by, encoding) => texts(out, *encoding, by.as_bytes()),
            Self::Forwarded(_) => {
                let decoded = unescape(&write::decode(text, Encoding::Percent)).into_owned();
                let items = decoded.split(|byte| *byte == b',').map(|item| Cow::Borrowed(item.trim_ascii()));
                how.list(out, items, |_, _| false);
            }
            Self::Key(_, path) => quoted(out, &write::s3_key(text, part(*path))),
            Self::Transport(_) => {
                let name: &[u8] = match text {
                    b"1" => b"icmp",
                    b"6" => b"tcp",
                    b"17" => b"udp",
                    b"58" => b"ipv6-icmp",
                    _ => return Ok(()),
                };
                quoted(out, name);
            }
            Self::HttpVersion(_) => {
                if let Some(version) = text.strip_prefix(b"HTTP/") {
                    quoted(out, version);
                }
            }
            Self::Json(_, json_type) => {
                let (first, what) = match json_type {
                    JsonType::Array => (&b"["[..], "an array"),
                    JsonType::Object => (&b"{"[..], "an object"),
                    JsonType::Boolean => (&b"tf"[..], "true or false"),
                    JsonType::Number => (&b"-0123456789"[..], "a number"),
                    JsonType::Text => (&b"\""[..], "a text"),
                };
                if !text.first().is_some_and(|byte| first.contains(byte)) {
                    return Err(expected(what));
                }
                out.bytes().extend_from_slice(&how.redacted(text, Scope::Json));
            }
            Self::Members(..) => out.bytes().extend_from_slice(text),
            Self::JsonText(_) => json::string(out.bytes(), &how.redacted(text, Scope::Json)),
            Self::Present(slot, one, other) => {
                quoted(out, if values.get(*slot).is_none() { other } else { one }.as_bytes());
            }
            Self::CloudFrontTime(_) => {}
            Self::Columns(_) => {
                out.push(b'[');
                write::columns(out, &how.redacted(text, how.raw), how.syntax);
            }
            Self::TlsVersion(_) => match text {
                [b'T' | b't', b'L' | b'l', b'S' | b's', b'v' | b'V', version @ ..] if !version.is_empty() => {
                    match version {
                        // NLB writes `tlsv13`.
                        [major @ b'1', minor @ b'0'..=b'9'] => quoted(out, &[*major, b'.', *minor]),
                        _ => quoted(out, version),
                    }
                }
                _ => {}
            },
            Self::ListenerProtocol(one, other) => {
                let is_tcp = values.get(*one).is_none() && values.get(*other).is_none();
                quoted(out, if is_tcp { b"tcp" } else { b"http" });
            }
            Self::Choice(_, is, one, other) => {
                quoted(out, if text == is.as_bytes() { one } else { other }.as_bytes());
            }
            Self::Address(_) if is_address(text) => quoted(out, text),
            Self::Address(_) => {}
            Self::Known(_, fact) => how.facts.write(*fact, text, out.bytes()),
            Self::Constant(json) => out.bytes().extend_from_slice(json.as_bytes()),
        }
        Ok(())
    }
}

/// Whether this is an IP address.
fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

/// What a value is asked.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// Whether there is one.
    Present,
    /// Whether it is an HTTP status from 100 to 399.
    Success,
    /// Whether it is the name of a version of TLS.
    Tls,
}

impl Test {
    /// Whether it holds for a value that is there.
    #[inline(always)]
    pub fn holds(self, text: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Success => matches!(text, [b'1'..=b'3', _, _]),
            Self::Tls => matches!(text, [b'T' | b't', b'L' | b'l', b'S' | b's', b'V' | b'v', _, ..]),
        }
    }
}

/// How the values of a format are written under its settings.
pub struct Writing {
    /// How texts are written in the log.
    pub encoding: Encoding,
    /// How columns are written.
    pub syntax: Syntax,
    /// What a record is as it is written.
    pub raw: Scope,
    /// What `redact_query` says.
    pub redact: Option<Redact>,
    /// What lookup tables say.
    pub facts: Facts,
    /// Whether a time of the event had no zone.
    pub without_zone: Cell<bool>,
}

impl Writing {
    /// Notes whether a time had a zone.
    #[inline(always)]
    pub fn note_zone(&self, has_zone: bool) {
        if !has_zone {
            self.without_zone.set(true);
        }
    }

    /// A list of texts, but for those items that `write_other` writes. Nothing between two separators is no item. An item
    /// behind a value that is redacted may be the rest of that, unless it is an address.
    fn list<'a>(
        &self,
        out: &mut Buffer,
        items: impl Iterator<Item = Cow<'a, [u8]>>,
        write_other: impl Fn(&mut Buffer, &[u8]) -> bool,
    ) {
        out.push(b'[');
        let mut is_first = true;
        let mut is_behind = false;
        for item in items.filter(|item| !item.is_empty()) {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            if is_behind && !is_address(&item) {
                json::string(out.bytes(), REDACTED);
            } else if !write_other(out, &item) {
                let redacted = self.redacted(&item, Scope::Url);
                json::string(out.bytes(), &redacted);
                is_behind |= matches!(redacted, Cow::Owned(_)) && redacted.ends_with(REDACTED);
            }
        }
        out.push(b']');
    }

    /// A text without the values of the parameters that are to be redacted.
    pub fn redacted<'a>(&self, text: &'a [u8], scope: Scope) -> Cow<'a, [u8]> {
        match &self.redact {
            Some(redact) => redact.apply(text, scope),
            None => Cow::Borrowed(text),
        }
    }
}

/// A value that is not what its column must hold.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// Where it is.
    pub slot: Slot,
    /// What would be right.
    pub expected: &'static str,
}
