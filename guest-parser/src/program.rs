//! A table and the settings, compiled into the steps that write an event.
//!
//! [`Program::compile`] takes the names of the style, applies `add`, `rename` and `drop`, gathers what ends up in the same
//! nested object, and prepares every name as JSON. For each record, [`Program::write`] only walks the steps: a setting that
//! is not used costs nothing.

use std::borrow::Cow;
use std::cell::Cell;

use elbow_guest::scan::{Span, Syntax};
use elbow_guest::{Buffer, Field, Reject, json};

use crate::client::Facts;
use crate::redact::{Redact, Scope};
use crate::search::{are_digits, find, is_plain, is_short_and_plain};
use crate::settings::Settings;
use crate::source::{Mistake, Source, Test, Writing};
use crate::styles::Named;
use crate::table::{Encoding, Table};
use crate::times;
use crate::values::{Slot, Values};
use crate::write;

/// The steps that write an event, and what they promise.
pub struct Program {
    /// What is written as it is: names, constants. With some bytes behind the last, so that it can be put fast.
    names: Vec<u8>,
    steps: Vec<Step>,
    promises: Vec<Field>,
    columns: &'static [&'static str],
    /// Whether the columns of a record are in this order.
    has_places: bool,
    writing: Writing,
}

/// A name is prepared as JSON, with the comma before it and the colon behind, and before a text with its quote.
#[derive(Debug)]
enum Step {
    /// An object begins.
    Open(Span),
    Close,
    Text(Span, Slot, Encoding),
    /// A text as it is in the record, quotes and all.
    Raw(Span, Slot),
    /// A text in which parameters may have to be redacted, and its source for when one has to be.
    Redacted(Span, Slot, Encoding, Source),
    /// A text of digits, and its source for when it is none.
    Digits(Span, Slot, Source),
    Number(Span, Slot, Kind),
    /// A time, and whether it must be there.
    Time(Span, Slot, bool),
    /// A date in one slot, a time of day in another, and the source for when they are not there.
    DateTime(Span, [Slot; 2], Source),
    /// A list of texts, or of numbers, parted by a byte. Behind the name stands the bracket that opens it.
    List(Span, Slot, u8, Item, Source),
    /// A name with its value.
    Constant(Span),
    /// One of two names with their values, or of none.
    If(Test, Slot, Span, Option<Span>),
    /// The number of a version of TLS.
    TlsVersion(Span, Source, Slot),
    /// Whether the bytes that a text stands for are not UTF-8.
    NotUtf8(Span, Slot, Source),
    /// Anything else, if the slot has a value.
    Other(Span, Source, Option<Slot>),
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    /// `-1` is no value.
    Seconds,
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
const PADDING: usize = 64;

impl Program {
    /// The program that writes these fields of a format.
    pub fn compile(
        table: &Table,
        syntax: Syntax,
        raw: Scope,
        has_places: bool,
        settings: &Settings,
        fields: Vec<Named>,
    ) -> Self {
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
            has_places,
            writing: Writing {
                encoding: table.encoding,
                syntax,
                raw,
                redact: Redact::new(&settings.redact_query),
                facts: Facts::new(settings),
                without_zone: Cell::new(false),
            },
        };
        program.flatten(tree, 1);
        program.names.extend_from_slice(&[0; PADDING]);
        program
    }

    /// The fields that events may carry.
    pub fn promises(&self) -> Vec<Field> {
        self.promises.clone()
    }

    /// Whether a time of the last event had no zone.
    #[inline(always)]
    pub fn was_without_zone(&self) -> bool {
        self.writing.without_zone.get()
    }

    /// Whether an event may have a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.promises.iter().any(|promise| promise.name == name)
    }

    /// Writes one event. `is_special` says whether a text may need to be decoded or escaped. An error names the value that
    /// is not what its column must hold.
    #[inline(always)]
    pub fn write(&self, batch: &[u8], is_special: bool, values: &Values, out: &mut Buffer) -> Result<(), Reject> {
        self.writing.without_zone.set(false);
        out.lend(
            #[inline(always)]
            |out| self.write_steps(batch, is_special, values, out),
        )
    }

    /// All that is called here, rather than inlined, is lent the buffer, which otherwise is in registers.
    #[inline(always)]
    fn write_steps(&self, batch: &[u8], is_special: bool, values: &Values, out: &mut Buffer) -> Result<(), Reject> {
        // Where an object's name begins, and where its members do.
        let mut opened = [(0, 0); MAX_DEPTH];
        let mut depth = 0;
        let begin = out.len();
        // What the line does not have, none of its parts has.
        let may_be_redacted = self.touches(batch, values.get(Slot::LINE));
        for step in &self.steps {
            match step {
                Step::Text(name, slot, encoding) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        if !is_special || is_short_and_plain(batch, value, encoding.escape()) {
                            out.put_both(&self.names, *name, batch, value, Some(b'"'));
                        } else {
                            out.lend(|out| self.write_text(out, *name, batch, value, *encoding));
                        }
                    }
                }
                Step::Raw(name, slot) => {
                    let value = values.get(*slot);
                    if value.is_none() {
                        continue;
                    }
                    if may_be_redacted && self.touches(batch, value) {
                        out.lend(|out| {
                            self.write_other(batch, values, out, without_quote(*name), &Source::Raw(*slot))
                        })?;
                    } else if is_special || self.writing.syntax.separator < b' ' {
                        out.lend(|out| self.write_text(out, *name, batch, value, Encoding::Plain));
                    } else {
                        out.put(&self.names, *name);
                        out.lend(|out| out.put_quoted(batch, value));
                        out.push(b'"');
                    }
                }
                Step::Redacted(name, slot, encoding, source) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        let is_written = !is_special || is_short_and_plain(batch, value, encoding.escape());
                        if is_written && !(may_be_redacted && self.touches(batch, value)) {
                            out.put_both(&self.names, *name, batch, value, Some(b'"'));
                        } else {
                            out.lend(|out| self.write_other(batch, values, out, without_quote(*name), source))?;
                        }
                    }
                }
                Step::Digits(name, slot, source) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        if value.len > 0 && are_digits(batch, value.start as usize, value.end()) {
                            out.put_both(&self.names, *name, batch, value, Some(b'"'));
                        } else {
                            out.lend(|out| self.write_other(batch, values, out, without_quote(*name), source))?;
                        }
                    }
                }
                Step::DateTime(name, slots, source) => {
                    let [date, time] = slots.map(|slot| values.get(slot));
                    if times::is_date(batch, date) && times::is_time_of_day(batch, time) {
                        out.put_both(&self.names, *name, batch, date, Some(b'T'));
                        out.put(batch, time);
                        out.push(b'Z');
                        out.push(b'"');
                    } else {
                        out.lend(|out| self.write_other(batch, values, out, without_quote(*name), source))?;
                    }
                }
                Step::Number(name, slot, kind) => {
                    let value = values.get(*slot);
                    if write::is_plain_number(batch, value) {
                        out.put_both(&self.names, *name, batch, value, None);
                    } else if !value.is_none() {
                        out.lend(|out| self.write_odd_number(out, value.of(batch), *name, *slot, *kind))?;
                    }
                }
                Step::Time(name, slot, is_needed) => {
                    let value = values.get(*slot);
                    if !value.is_none() && times::is_timestamp(batch, value) {
                        out.put_both(&self.names, *name, batch, value, None);
                        self.writing.note_zone(times::end_of_time(out));
                    } else if *is_needed || !value.is_none() {
                        return Err(self.reject(Mistake { slot: *slot, expected: times::A_TIME }, *name));
                    }
                }
                Step::List(name, slot, by, item, source) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        let is_plain = match item {
                            Item::Text => is_one(batch, value, *by) && !(may_be_redacted && self.touches(batch, value)),
                            Item::Number => write::is_plain_number(batch, value),
                        };
                        let is_escaped =
                            is_special && !is_short_and_plain(batch, value, self.writing.encoding.escape());
                        if !is_plain || is_escaped {
                            out.lend(|out| self.write_other(batch, values, out, without_quote(*name), source))?;
                        } else if let Item::Text = item {
                            out.put(&self.names, *name);
                            out.push(b'"');
                            out.put(batch, value);
                            out.push(b'"');
                            out.push(b']');
                        } else {
                            out.put_both(&self.names, *name, batch, value, Some(b']'));
                        }
                    }
                }
                Step::NotUtf8(name, slot, source) => {
                    let value = values.get(*slot);
                    if is_special && !value.is_none() {
                        out.lend(|out| self.write_other(batch, values, out, *name, source))?;
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
                Step::If(test, slot, then, otherwise) => {
                    let value = values.get(*slot);
                    if !value.is_none() {
                        let written = if test.holds(value.of(batch)) { Some(*then) } else { *otherwise };
                        if let Some(both) = written {
                            out.put(&self.names, both);
                        }
                    }
                }
                Step::TlsVersion(name, source, slot) => {
                    let value = values.get(*slot);
                    if write::is_tls_version(batch, value) {
                        let number = Span { start: value.start + 4, len: 3 };
                        out.put_both(&self.names, *name, batch, number, Some(b'"'));
                    } else if !value.is_none() {
                        out.lend(|out| self.write_other(batch, values, out, without_quote(*name), source))?;
                    }
                }
                Step::Other(name, source, slot) => {
                    if slot.is_none_or(|slot| !values.get(slot).is_none()) {
                        out.lend(|out| self.write_other(batch, values, out, *name, source))?;
                    }
                }
            }
        }
        match out.len() == begin {
            true => {
                out.push(b'{');
                out.push(b'}');
            }
            false => close(out, begin),
        }
        Ok(())
    }

    /// What may be a number all the same, as one with an exponent.
    #[inline(never)]
    fn write_odd_number(
        &self,
        out: &mut Buffer,
        text: &[u8],
        name: Span,
        slot: Slot,
        kind: Kind,
    ) -> Result<(), Reject> {
        if kind == Kind::Seconds && text == b"-1" {
            return Ok(());
        }
        let before = out.len();
        out.put(&self.names, name);
        match write::odd_number(out, text) {
            true => Ok(()),
            false => {
                out.truncate(before);
                let expected = if kind == Kind::Seconds { "a number of seconds" } else { "a number" };
                Err(self.reject(Mistake { slot, expected }, name))
            }
        }
    }

    /// A text that may have to be decoded, and escaped for JSON.
    #[inline(never)]
    fn write_text(&self, out: &mut Buffer, name: Span, batch: &[u8], value: Span, encoding: Encoding) {
        out.put(&self.names, name);
        write::text(out, batch, value, encoding);
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
        source.write(batch, values, &self.writing, out).map_err(|mistake| self.reject(mistake, name))?;
        if out.len() == named {
            out.truncate(before);
        }
        Ok(())
    }

    /// Whether a value may have parameters that are to be redacted.
    #[inline(always)]
    fn touches(&self, batch: &[u8], value: Span) -> bool {
        self.writing.redact.as_ref().is_some_and(|redact| self.touches_closely(redact, batch, value))
    }

    #[inline(never)]
    fn touches_closely(&self, redact: &Redact, batch: &[u8], value: Span) -> bool {
        // The texts of JSON may have escapes in the middle of a name.
        self.writing.raw == Scope::Json || redact.touches(batch, value)
    }

    /// JSON without the values of the parameters that are to be redacted.
    pub fn redacted<'a>(&self, json: &'a [u8]) -> Cow<'a, [u8]> {
        self.writing.redacted(json, Scope::Json)
    }

    /// The text, or the digits, of a value that is the same in an event as in the batch; `None` of any other.
    pub fn plain<'a>(&self, batch: &'a [u8], values: &Values, source: &Source) -> Option<&'a [u8]> {
        let encoding = self.writing.encoding;
        let (slot, escape) = match source {
            _ if self.writing.redact.is_some() && !matches!(source, Source::Number(_)) => return None,
            Source::Text(slot) | Source::Url(slot) | Source::Query(slot) => (*slot, encoding.escape()),
            Source::TextIn(slot, encoding) => (*slot, encoding.escape()),
            Source::Number(slot) => {
                let value = values.get(*slot);
                return write::is_plain_number(batch, value).then(|| value.of(batch));
            }
            _ => return None,
        };
        let value = values.get(slot);
        (!value.is_none() && is_plain(batch, value, escape)).then(|| value.of(batch))
    }

    /// The value of a source as JSON; nothing where there is none.
    pub fn value(&self, batch: &[u8], values: &Values, source: &Source) -> Result<Vec<u8>, Reject> {
        let mut out = Buffer::default();
        source.write(batch, values, &self.writing, &mut out).map_err(|mistake| self.reject(mistake, Span::NONE))?;
        Ok(out.into_bytes())
    }

    #[cold]
    fn reject(&self, Mistake { slot, expected }: Mistake, name: Span) -> Reject {
        match self.columns.get(usize::from(slot.0)) {
            Some(column) if self.has_places => {
                Reject::from(format!("column {}, {column}: expected {expected}", slot.0 + 1))
            }
            Some(column) => Reject::from(format!("{column}: expected {expected}")),
            None => {
                let name = String::from_utf8_lossy(name.of(&self.names)).into_owned();
                let name = match name.trim_matches([',', '"', ':']) {
                    "" => "the field of a condition",
                    name => name,
                };
                Reject::from(format!("{name}: expected {expected}"))
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
                    match (self.steps.last_mut(), &step) {
                        // Constants in a row are one.
                        (Some(Step::Constant(before)), Step::Constant(next)) => before.len += next.len,
                        _ => self.steps.push(step),
                    }
                }
            }
        }
    }

    fn step(&mut self, name: &str, source: Source) -> Step {
        match source {
            Source::Text(slot) | Source::TextIn(slot, _) | Source::Url(slot) | Source::Query(slot) => {
                let encoding = if let Source::TextIn(_, encoding) = source { encoding } else { self.writing.encoding };
                let name = self.prepare(name, "\"");
                match self.writing.redact {
                    None => Step::Text(name, slot, encoding),
                    Some(_) => Step::Redacted(name, slot, encoding, source),
                }
            }
            Source::Raw(slot) => Step::Raw(self.prepare(name, "\""), slot),
            Source::Digits(slot) => Step::Digits(self.prepare(name, "\""), slot, source),
            Source::Number(slot) => Step::Number(self.prepare(name, ""), slot, Kind::Any),
            Source::Seconds(slot) => Step::Number(self.prepare(name, ""), slot, Kind::Seconds),
            Source::Time(slot) => Step::Time(self.prepare(name, "\""), slot, true),
            Source::OptionalTime(slot) => Step::Time(self.prepare(name, "\""), slot, false),
            Source::Texts(slot, by) => Step::List(self.prepare(name, "["), slot, by, Item::Text, source),
            Source::Numbers(slot, by) => Step::List(self.prepare(name, "["), slot, by, Item::Number, source),
            Source::Constant(json) => Step::Constant(self.prepare(name, &json)),
            Source::NotUtf8(slot) => Step::NotUtf8(self.prepare(name, ""), slot, source),
            Source::TlsVersion(slot) => Step::TlsVersion(self.prepare(name, "\""), source, slot),
            Source::CloudFrontTime([date, time, ..]) => Step::DateTime(self.prepare(name, "\""), [date, time], source),
            Source::BracketTime(..) => Step::Other(self.prepare(name, ""), source, None),
            _ => match (source.either(), source.slot()) {
                (Some((test, then, otherwise)), Some(slot)) => {
                    let otherwise = otherwise.map(|json| self.prepare(name, json));
                    Step::If(test, slot, self.prepare(name, then), otherwise)
                }
                (_, slot) => Step::Other(self.prepare(name, ""), source, slot),
            },
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

/// Whether a list has a single item.
#[inline(always)]
fn is_one(batch: &[u8], list: Span, by: u8) -> bool {
    list.len > 0 && find(batch, list.start as usize, list.end(), by).is_none()
}

/// A name that was prepared with what opens its value, for a source that writes that itself.
fn without_quote(name: Span) -> Span {
    Span { len: name.len - 1, ..name }
}

/// Closes an object whose members begin here. The comma before the first of them is where the brace belongs.
#[inline(always)]
fn close(out: &mut Buffer, members: usize) {
    out.set(members, b'{');
    out.push(b'}');
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
