//! A table and the settings, compiled into the steps that write an event.
//!
//! [`Program::compile`] takes the names of the style, applies `add`, `rename` and `drop`, gathers what ends up in the same
//! nested object, and prepares every name as JSON. For each record, [`Program::write`] only walks the steps: a setting that
//! is not used costs nothing.

use elbow_guest::scan::Span;
use elbow_guest::{Buffer, Field, JsonType, Reject, json};

use crate::redact::Redact;
use crate::settings::Settings;
use crate::styles::Named;
use crate::table::{Encoding, Source, Table};
use crate::values::{Slot, Values, find};
use crate::write;

/// The steps that write an event, and what they promise.
pub struct Program {
    /// What is written as it is: names, constants. With some bytes behind the last, so that it can be put fast.
    names: Vec<u8>,
    steps: Vec<Step>,
    promises: Vec<Field>,
    columns: &'static [&'static str],
    separator: u8,
    encoding: Encoding,
    redact: Option<Redact>,
}

/// A name is prepared as JSON, with the comma before it and the colon behind, and before a text with its quote.
#[derive(Debug)]
enum Step {
    /// An object begins.
    Open(Span),
    Close,
    Text(Span, Slot, Encoding),
    Number(Span, Slot),
    Seconds(Span, Slot),
    Time(Span, Slot),
    /// The same, but it may be missing.
    OptionalTime(Span, Slot),
    /// A list of texts, or of numbers, parted by a byte. Behind the name stands the bracket that opens it.
    List(Span, Slot, u8, Item),
    /// A name with its value.
    Constant(Span),
    Other(Span, Source),
}

/// What a list has.
#[derive(Clone, Copy, Debug)]
enum Item {
    Text,
    Number,
}

/// How deep an event can be nested.
pub(crate) const MAX_DEPTH: usize = 8;

/// How many bytes stand behind the last name: as many as a copy in steps may take too many.
const PADDING: usize = 32;

impl Program {
    /// The program that writes these fields of a format.
    pub fn compile(table: &Table, settings: &Settings, fields: Vec<Named>) -> Self {
        let promises = fields.iter().map(Named::promise).collect();
        let mut tree = Vec::new();
        for field in fields {
            insert(&mut tree, &field.path, field.source);
        }
        let mut program = Self {
            names: Vec::new(),
            steps: Vec::new(),
            promises,
            columns: table.columns,
            separator: table.syntax.separator,
            encoding: table.encoding,
            redact: Redact::new(&settings.redact_query),
        };
        program.flatten(tree, 1);
        program.names.extend_from_slice(&[0; PADDING]);
        program
    }

    /// The fields that events may carry.
    pub fn promises(&self) -> Vec<Field> {
        self.promises.clone()
    }

    /// The names of the fields.
    pub fn has(&self, name: &str) -> bool {
        self.promises.iter().any(|promise| promise.name == name)
    }

    /// Writes one event. `is_special` says whether a text may need to be decoded or escaped. An error names the value that
    /// is not what its column must hold.
    #[inline(always)]
    pub fn write(&self, batch: &[u8], is_special: bool, values: &Values, out: &mut Buffer) -> Result<(), Reject> {
        // Where an object's name begins, and where its members do.
        let mut opened = [(0, 0); MAX_DEPTH];
        let mut depth = 0;
        let begin = out.len();
        for step in &self.steps {
            match step {
                Step::Text(name, slot, encoding) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        if is_special {
                            self.write_special(out, *name, value.of(batch), *encoding);
                        } else {
                            out.put_both(&self.names, *name, batch, value, b'"');
                        }
                    }
                }
                Step::Number(name, slot) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        out.put(&self.names, *name);
                        if !write::number(out, batch, value) {
                            return Err(self.mistake(*slot, *name, "a number"));
                        }
                    }
                }
                Step::Seconds(name, slot) => {
                    let value = values.get(*slot);
                    if !value.is_none() && value.of(batch) != b"-1" {
                        out.put(&self.names, *name);
                        if !write::number(out, batch, value) {
                            return Err(self.mistake(*slot, *name, "a number of seconds"));
                        }
                    }
                }
                Step::Time(name, slot) => {
                    let value = values.get(*slot);
                    if value.is_none() || !write::is_timestamp(batch, value) {
                        return Err(self.mistake(*slot, *name, "a time, as `2026-10-05T08:15:30.120450Z`"));
                    }
                    out.put(&self.names, *name);
                    put_time(out, batch, value);
                }
                Step::OptionalTime(name, slot) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        if !write::is_timestamp(batch, value) {
                            return Err(self.mistake(*slot, *name, "a time, as `2026-10-05T08:15:30.120450Z`"));
                        }
                        out.put(&self.names, *name);
                        put_time(out, batch, value);
                    }
                }
                Step::List(name, slot, by, item) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        self.write_list(out, batch, value, *name, *by, *item, is_special);
                    }
                }
                Step::Constant(both) => out.put(&self.names, *both),
                Step::Open(name) => {
                    let before = out.len();
                    out.put(&self.names, *name);
                    opened[depth] = (before, out.len());
                    depth += 1;
                }
                Step::Close => {
                    depth -= 1;
                    let (before, members) = opened[depth];
                    match out.len() == members {
                        true => out.truncate(before),
                        false => close(out, members),
                    }
                }
                Step::Other(name, source) => self.write_other(batch, values, out, *name, source)?,
            }
        }
        match out.len() == begin {
            true => out.bytes().extend_from_slice(b"{}"),
            false => close(out, begin),
        }
        Ok(())
    }

    /// A list. Most have one item.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "a step of `write`, apart for the eye")]
    fn write_list(
        &self,
        out: &mut Buffer,
        batch: &[u8],
        value: Span,
        name: Span,
        by: u8,
        item: Item,
        is_special: bool,
    ) {
        let is_one = value.len > 0 && find(batch, value.start as usize, value.end(), by).is_none();
        if is_special || !is_one {
            out.put(&self.names, name);
            return match item {
                Item::Text => write::texts(out, value.of(batch), by, self.encoding),
                Item::Number => write::numbers(out, value.of(batch), by),
            };
        }
        match item {
            Item::Text => {
                out.put(&self.names, name);
                out.push(b'"');
                out.put(batch, value);
                out.push(b'"');
            }
            Item::Number => {
                out.put(&self.names, name);
                if !write::number(out, batch, value) {
                    json::string(out.bytes(), value.of(batch));
                }
            }
        }
        out.push(b']');
    }

    /// A text that may have to be decoded, and escaped for JSON.
    #[inline(never)]
    fn write_special(&self, out: &mut Buffer, name: Span, text: &[u8], encoding: Encoding) {
        out.put(&self.names, name);
        json::escaped(out.bytes(), &write::decode(text, encoding));
        out.push(b'"');
    }

    /// Writes a value with its name, or nothing where there is none.
    #[inline(never)]
    fn write_other(
        &self,
        batch: &[u8],
        values: &Values,
        out: &mut Buffer,
        name: Span,
        source: &Source,
    ) -> Result<(), Reject> {
        let before = out.len();
        out.put(&self.names, name);
        let named = out.len();
        self.write_value(batch, values, out, name, source)?;
        if out.len() == named {
            out.truncate(before);
        }
        Ok(())
    }

    /// Writes a value, or nothing where there is none.
    fn write_value(
        &self,
        batch: &[u8],
        values: &Values,
        out: &mut Buffer,
        name: Span,
        source: &Source,
    ) -> Result<(), Reject> {
        if let Source::CloudFrontTime(slots) = source {
            let [date, time, seconds, milliseconds] = slots.map(|slot| values.get(slot).of(batch));
            let time = write::cloudfront_time(date, time, seconds, milliseconds);
            let time =
                time.ok_or_else(|| self.mistake(slots[0], name, "a date and a time, as `2026-10-05` and `08:15:30`"))?;
            json::string(out.bytes(), time.as_bytes());
            return Ok(());
        }
        let slot = source.slot().unwrap_or(Slot::LINE);
        let span = values.get(slot);
        let expected = |what: &str| self.mistake(slot, name, what);
        if span.is_none() {
            return match source {
                Source::EpochSeconds(_) | Source::EpochMilliseconds(_) | Source::OptionalTime(_) => Ok(()),
                Source::Time(_) | Source::BracketTime(..) => Err(expected("a time")),
                _ => Ok(()),
            };
        }
        let text = span.of(batch);
        let part = |slot: Slot| values.get(slot).of(batch);
        let quoted = |out: &mut Buffer, text: &[u8]| json::string(out.bytes(), text);
        match source {
            Source::Text(_) => quoted(out, &write::decode(text, self.encoding)),
            Source::Digits(_) => match !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
                true => quoted(out, text),
                false => return Err(expected("a status, as `200`, or `-`")),
            },
            Source::TextIn(_, encoding) => quoted(out, &write::decode(text, *encoding)),
            Source::Url(_) | Source::Query(_) => {
                let decoded = write::decode(text, self.encoding);
                let is_query = matches!(source, Source::Query(_));
                match &self.redact {
                    Some(redact) => quoted(out, &redact.apply(&decoded, is_query)),
                    None => quoted(out, &decoded),
                }
            }
            Source::Raw(_) => match &self.redact {
                Some(redact) => quoted(out, &redact.apply(text, false)),
                None => quoted(out, text),
            },
            Source::Number(_) | Source::Seconds(_) => {
                if matches!(source, Source::Seconds(_)) && text == b"-1" {
                    return Ok(());
                }
                if !write::number(out, batch, span) {
                    return Err(expected("a number"));
                }
            }
            Source::Time(_) | Source::OptionalTime(_) => {
                if !write::is_timestamp(batch, span) {
                    return Err(expected("a time, as `2026-10-05T08:15:30.120450Z`"));
                }
                out.push(b'"');
                put_time(out, batch, span);
            }
            Source::BracketTime(_, zone) => {
                let time = write::bracket_time(text, part(*zone));
                quoted(out, time.ok_or_else(|| expected("a time, as `[05/Oct/2026:08:15:30 +0000]`"))?.as_bytes());
            }
            Source::EpochSeconds(_) => {
                quoted(out, write::epoch_time(text, false).ok_or_else(|| expected("seconds since 1970"))?.as_bytes());
            }
            Source::EpochMilliseconds(_) => {
                quoted(
                    out,
                    write::epoch_time(text, true).ok_or_else(|| expected("milliseconds since 1970"))?.as_bytes(),
                );
            }
            Source::Nanoseconds(_, places) => {
                if text != b"-1" {
                    let count = write::scaled(text, *places).ok_or_else(|| expected("a duration"))?;
                    out.bytes().extend_from_slice(count.to_string().as_bytes());
                }
            }
            Source::Milliseconds(_) => {
                if text != b"-1" {
                    let count = write::milliseconds(text).ok_or_else(|| expected("a number of seconds"))?;
                    out.bytes().extend_from_slice(count.to_string().as_bytes());
                }
            }
            Source::Flag(_) => out.bytes().extend_from_slice(b"true"),
            Source::Texts(_, by) => {
                out.push(b'[');
                write::texts(out, text, *by, self.encoding);
            }
            Source::Numbers(_, by) => {
                out.push(b'[');
                write::numbers(out, text, *by);
            }
            Source::Parted(_, by, encoding) => {
                out.push(b'[');
                write::parted(out, text, by, *encoding);
            }
            Source::Forwarded(_) => {
                out.push(b'[');
                write::forwarded(out, text);
            }
            Source::Key(_, path) => quoted(out, &write::s3_key(text, part(*path))),
            Source::Transport(_) => {
                let name: &[u8] = match text {
                    b"1" => b"icmp",
                    b"6" => b"tcp",
                    b"17" => b"udp",
                    b"58" => b"ipv6-icmp",
                    _ => return Ok(()),
                };
                quoted(out, name);
            }
            Source::HttpVersion(_) => {
                if let Some(version) = text.strip_prefix(b"HTTP/") {
                    quoted(out, version);
                }
            }
            Source::Json(_, json_type) => {
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
                out.bytes().extend_from_slice(text);
            }
            Source::Members(_) => out.bytes().extend_from_slice(text),
            Source::JsonText(_) => quoted(out, text),
            Source::Present(slot, one, other) => {
                quoted(out, if values.get(*slot).is_none() { other } else { one }.as_bytes());
            }
            Source::CloudFrontTime(_) => {}
            Source::Columns(_) => {
                out.push(b'[');
                write::columns(out, text, self.separator);
            }
            Source::TlsName(_) => {
                if text.len() > 4 && text[..4].eq_ignore_ascii_case(b"TLSv") {
                    quoted(out, b"tls");
                }
            }
            Source::TlsVersion(_) => match text {
                [b'T' | b't', b'L' | b'l', b'S' | b's', b'v' | b'V', version @ ..] if !version.is_empty() => {
                    match version {
                        // NLB writes `tlsv13`.
                        [major @ b'1', minor @ b'0'..=b'9'] => quoted(out, &[*major, b'.', *minor]),
                        _ => quoted(out, version),
                    }
                }
                _ => {}
            },
            Source::HttpOutcome(_) => match text {
                [b'1'..=b'3', _, _] => quoted(out, b"success"),
                _ => quoted(out, b"failure"),
            },
            Source::ListenerProtocol(one, other) => {
                let is_tcp = values.get(*one).is_none() && values.get(*other).is_none();
                quoted(out, if is_tcp { b"tcp" } else { b"http" });
            }
            Source::Choice(_, is, one, other) => {
                quoted(out, if text == is.as_bytes() { one } else { other }.as_bytes());
            }
            Source::Address(_) => {
                let address = std::str::from_utf8(text).ok().filter(|text| text.parse::<std::net::IpAddr>().is_ok());
                if let Some(address) = address {
                    quoted(out, address.as_bytes());
                }
            }
            Source::Constant(json) => out.bytes().extend_from_slice(json.as_bytes()),
        }
        Ok(())
    }

    /// The value of a source as JSON, for a condition; nothing where there is none.
    pub fn value(&self, batch: &[u8], values: &Values, source: &Source) -> Result<Vec<u8>, Reject> {
        let mut out = Buffer::default();
        self.write_value(batch, values, &mut out, Span::NONE, source)?;
        Ok(out.into_bytes())
    }

    #[cold]
    fn mistake(&self, slot: Slot, name: Span, expected: &str) -> Reject {
        match self.columns.get(usize::from(slot.0)) {
            Some(column) => Reject::from(format!("column {}, {column}: expected {expected}", slot.0 + 1)),
            None => {
                let name = String::from_utf8_lossy(name.of(&self.names)).into_owned();
                Reject::from(format!("{}: expected {expected}", name.trim_matches([',', '"', ':'])))
            }
        }
    }

    fn flatten(&mut self, tree: Vec<Node>, depth: usize) {
        assert!(depth < MAX_DEPTH, "a table of fields nests deeper than an event may");
        for node in tree {
            match node {
                Node::Branch(name, children) => {
                    let name = self.prepare(&name, "");
                    self.steps.push(Step::Open(name));
                    self.flatten(children, depth + 1);
                    self.steps.push(Step::Close);
                }
                Node::Leaf(name, source) => {
                    let step = self.step(&name, source);
                    self.steps.push(step);
                }
            }
        }
    }

    fn step(&mut self, name: &str, source: Source) -> Step {
        match source {
            Source::Text(slot) => Step::Text(self.prepare(name, "\""), slot, self.encoding),
            Source::TextIn(slot, encoding) => Step::Text(self.prepare(name, "\""), slot, encoding),
            Source::Url(slot) | Source::Query(slot) if self.redact.is_none() => {
                Step::Text(self.prepare(name, "\""), slot, self.encoding)
            }
            Source::Number(slot) => Step::Number(self.prepare(name, ""), slot),
            Source::Seconds(slot) => Step::Seconds(self.prepare(name, ""), slot),
            Source::Time(slot) => Step::Time(self.prepare(name, "\""), slot),
            Source::OptionalTime(slot) => Step::OptionalTime(self.prepare(name, "\""), slot),
            Source::Texts(slot, by) => Step::List(self.prepare(name, "["), slot, by, Item::Text),
            Source::Numbers(slot, by) => Step::List(self.prepare(name, "["), slot, by, Item::Number),
            Source::Constant(json) => Step::Constant(self.prepare(name, &json)),
            other => Step::Other(self.prepare(name, ""), other),
        }
    }

    /// A comma, the name, a colon, and what follows it.
    fn prepare(&mut self, name: &str, behind: &str) -> Span {
        let start = self.names.len();
        self.names.push(b',');
        json::string(&mut self.names, name.as_bytes());
        self.names.push(b':');
        self.names.extend_from_slice(behind.as_bytes());
        Span::between(start, self.names.len())
    }
}

/// Closes an object whose members begin here. The comma before the first of them is where the brace belongs.
#[inline(always)]
fn close(out: &mut Buffer, members: usize) {
    out.set(members, b'{');
    out.push(b'}');
}

/// A time and its closing quote; `Z` is added where it has no zone.
#[inline(always)]
fn put_time(out: &mut Buffer, batch: &[u8], span: Span) {
    out.put(batch, span);
    if out.last() != Some(b'Z') {
        out.push(b'Z');
    }
    out.push(b'"');
}

enum Node {
    Leaf(String, Source),
    Branch(String, Vec<Node>),
}

/// Puts a field into the tree. Fields of one object come together, where the first of them stands.
fn insert(tree: &mut Vec<Node>, path: &[String], source: Source) {
    let [parent, rest @ ..] = path else { return };
    if rest.is_empty() {
        return tree.push(Node::Leaf(parent.clone(), source));
    }
    for node in tree.iter_mut() {
        match node {
            Node::Branch(name, children) if name == parent => return insert(children, rest, source),
            _ => {}
        }
    }
    let mut children = Vec::new();
    insert(&mut children, rest, source);
    tree.push(Node::Branch(parent.clone(), children));
}
