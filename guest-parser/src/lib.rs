//! elbow's built-in mapping of AWS access logs, and the reference that teams copy.
//!
//! Plain Rust: a record goes in, an event comes out, and the tests call the same functions natively. The component is the
//! thin shell that [`elbow_guest::export!`] makes.
//!
//! Each of the [`formats`] is a [`table::Table`]: the columns of a line, and the fields that come of them. What the settings
//! say is compiled with the table into a [`program::Program`], the steps that write an event. A line is split into
//! [`values::Values`], parts of the batch in numbered slots; nothing is copied or converted until the steps write it. So the
//! names, types and order of the output come from one table, which is also what [`Mapping::formats`] promises.
//!
//! | module | |
//! |---|---|
//! | [`settings`] | the settings, and what each does |
//! | [`recognise`] | which format an object has, by its key, else by its first line |
//! | [`formats`] | a file for each format |
//! | [`header`] | the columns that a file names itself |
//! | [`json_record`] | from the members of a JSON object to slots |
//! | [`sound`] | JSON that every receiver reads alike |
//! | [`table`] | what a format's table can say |
//! | [`source`] | where the value of a field comes from, and what becomes of it |
//! | [`styles`] | the names that each style gives to the fields |
//! | [`values`] | the slots, and the parts that formats share: addresses, request lines |
//! | [`search`] | bytes within a batch |
//! | [`program`] | table, style and settings, compiled into steps |
//! | [`times`] | the forms of times |
//! | [`write`](mod@write) | from a part of a line to a JSON value |
//! | [`client`] | what lookup tables know of the client's address |
//! | [`condition`] | which records become events at all |
//! | [`redact`] | query parameters that are nobody's business |

pub mod client;
pub mod condition;
pub mod formats;
pub mod header;
pub mod json_record;
pub mod program;
pub mod recognise;
pub mod redact;
pub mod search;
pub mod settings;
pub mod sound;
pub mod source;
pub mod styles;
pub mod table;
pub mod times;
pub mod values;
pub mod write;

use std::cell::RefCell;

use elbow_guest::scan::{Fields, Line, Span, Syntax};
use elbow_guest::{Events, Fate, Format, Mapping, Object, Plan, Reject};

use condition::Filter;
use header::Columns;
use json_record::{Decoded, Members};
use program::Program;
use recognise::{Kind, Shape};
use redact::Scope;
use settings::{Settings, Style};
use styles::Named;
use table::Table;
use values::{Slot, Values};

/// The mapping `aws`.
pub struct Aws {
    settings: Settings,
    /// The formats whose columns the settings name.
    with_columns: Vec<Kind>,
    /// Set by `begin`.
    reader: Option<Reader>,
}

/// What an object's records go through.
struct Reader {
    table: &'static Table,
    program: Program,
    filter: Option<Filter>,
    input: Input,
    style: Style,
    /// For one record after the other.
    values: RefCell<Values>,
    decoded: RefCell<Decoded>,
}

/// What records are.
enum Input {
    /// Lines, with the columns of the format.
    Lines(Syntax),
    /// Lines, whose file or whose settings name their columns.
    Named(Syntax, Columns),
    /// JSON objects.
    Json(Members),
    /// Nothing that becomes an event: all is dropped.
    Nothing,
}

impl Aws {
    fn kinds(&self) -> Vec<Kind> {
        match self.settings.format {
            Some(kind) => vec![kind],
            None => Kind::ALL.to_vec(),
        }
    }

    /// How records of a format are read; without an object, what can be said before there is one.
    fn reader(&self, kind: Kind, object: Option<&Object>) -> Result<Reader, String> {
        let found = object.map(|object| recognise::shape(kind, object)).unwrap_or_default();
        let table = found.table.unwrap_or(kind.table());
        let place = object.map(|object| (object.bucket.as_deref().unwrap_or_default(), object.key.as_str()));
        let input = match found.shape {
            Shape::Nothing => Input::Nothing,
            Shape::Json => Input::Json(Members::new(table)),
            Shape::Lines => match self.columns(kind, object)? {
                None => Input::Lines(table.syntax),
                Some(columns) => {
                    let separator = self.separator(table.syntax, &columns, object);
                    Input::Named(Syntax { separator, ..table.syntax }, columns)
                }
            },
        };
        let mut fields = styles::named(table, &self.settings, place);
        let (syntax, raw) = match &input {
            Input::Lines(syntax) | Input::Named(syntax, _) => (*syntax, Scope::Line(*syntax)),
            Input::Json(_) | Input::Nothing => (table.syntax, Scope::Json),
        };
        match &input {
            Input::Named(_, columns) => columns.add_new(table, &self.settings, &mut fields),
            Input::Json(_) => fields.iter_mut().for_each(Named::take_members),
            _ => {}
        }
        // Conditions speak of fields as they are before they are renamed or dropped. An instance serves one object: what no
        // setting asks for is not made for it.
        let (seen, all) = match self.settings.has_conditions() {
            true => (conditions_see(table, &fields), self.all_names()?),
            false => (vec![], vec![]),
        };
        let fields = self.settings.apply(fields)?;
        let filter = Filter::compile(&self.settings, &seen, &all)?;
        let has_places = matches!(input, Input::Lines(_));
        let program = Program::compile(table, syntax, raw, has_places, &self.settings, fields);
        let style = self.settings.style;
        Ok(Reader { table, program, filter, input, style, values: RefCell::default(), decoded: RefCell::default() })
    }

    /// The columns of files that name them, or for which the settings do; a line `#Fields:` goes before the settings.
    fn columns(&self, kind: Kind, object: Option<&Object>) -> Result<Option<Columns>, String> {
        let is_w3c = object.is_some_and(|object| header::is_w3c(&object.head));
        match object {
            _ if self.with_columns.contains(&kind) && !is_w3c => {
                Columns::configured(kind.table(), &self.settings.columns).map(Some)
            }
            Some(object) => header::columns(kind.table(), &object.head),
            None => Ok(None),
        }
    }

    /// What parts the columns. Who chooses the columns also chooses what parts them.
    fn separator(&self, syntax: Syntax, columns: &Columns, object: Option<&Object>) -> u8 {
        match (self.settings.separator, object) {
            _ if !columns.are_chosen => syntax.separator,
            (Some(separator), _) => separator,
            (None, Some(object)) => recognise::separator(&object.head, syntax, columns.order.len()),
            (None, None) => syntax.separator,
        }
    }

    /// The names of the fields of all formats, as conditions, `rename` and `drop` may have them.
    fn all_names(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for kind in self.kinds() {
            let table = kind.table();
            let mut fields = styles::named(table, &self.settings, None);
            if let Some(columns) = self.columns(kind, None)? {
                columns.add_new(table, &self.settings, &mut fields);
            }
            names.extend(conditions_see(table, &fields).iter().map(Named::name));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// The fields of the style, and those of `flat`, which every format has.
fn conditions_see(table: &Table, fields: &[Named]) -> Vec<Named> {
    let flat = table.fields.iter().filter(|field| !field.flat.is_empty());
    let flat = flat.map(|field| Named::top(field.flat, field.source.clone(), field.meaning));
    fields.iter().cloned().chain(flat).collect()
}

impl Mapping for Aws {
    type Settings = Settings;
    const NAME: &'static str = "aws";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn configure(settings: Settings) -> Result<Self, String> {
        if let Some(mistake) = redact::mistake(&settings.redact_query) {
            return Err(mistake);
        }
        let mut aws = Self { settings, with_columns: vec![], reader: None };
        if let Some(mistake) = client::mistake(&aws.settings) {
            return Err(mistake);
        }
        aws.with_columns = header::formats_of(&aws.settings.columns, aws.kinds());
        if aws.with_columns.is_empty() && !aws.settings.columns.is_empty() {
            return Err("columns: expected the names of columns, none of these is one of a format of lines".into());
        }
        if !aws.settings.names_fields() {
            return Ok(aws);
        }
        if let Some(mistake) = aws.settings.unknown_names(&aws.all_names()?) {
            return Err(mistake);
        }
        for kind in aws.kinds() {
            aws.reader(kind, None)?;
        }
        Ok(aws)
    }

    fn formats(&self) -> Vec<Format> {
        let kinds = self.kinds().into_iter();
        let formats = kinds.map(|kind| {
            // `configure` has done the same.
            let promises = self.reader(kind, None).map(|reader| reader.program.promises()).unwrap_or_default();
            Format::new(kind.name(), kind.table().summary, promises)
        });
        formats.collect()
    }

    fn begin(&mut self, object: &Object) -> Result<Plan, String> {
        let kind = match self.settings.format {
            Some(kind) => kind,
            None => recognise::recognise(&object.key, &object.head)?,
        };
        self.reader = Some(self.reader(kind, Some(object))?);
        Ok(recognise::plan(kind, object, self.with_columns.contains(&kind)))
    }

    fn syntax(&self) -> Option<Syntax> {
        match self.reader.as_ref()?.input {
            Input::Lines(syntax) | Input::Named(syntax, _) => Some(syntax),
            Input::Json(_) | Input::Nothing => None,
        }
    }

    #[inline(always)]
    fn map_line(&self, line: &Line<'_>, events: &mut Events) -> Result<Fate, Reject> {
        match &self.reader {
            Some(reader) => reader.map_line(line, events),
            None => Err(Reject::from(NOT_BEGUN)),
        }
    }

    fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
        let reader = self.reader.as_ref().ok_or(NOT_BEGUN)?;
        match &reader.input {
            Input::Json(members) if !record.is_empty() => reader.map_json(members, record, events),
            _ => Ok(Fate::Dropped),
        }
    }
}

const NOT_BEGUN: &str = "`begin` must be called first";

impl Reader {
    #[inline(always)]
    fn map_line(&self, line: &Line<'_>, events: &mut Events) -> Result<Fate, Reject> {
        if line.bytes().is_empty() {
            return Ok(Fate::Dropped);
        }
        let values = &mut *self.values.borrow_mut();
        let (count, known) = match &self.input {
            Input::Named(_, columns) if columns.are_in_order() => {
                (values.take(line, columns.order.len()), columns.order.len())
            }
            Input::Named(_, columns) => (values.take_in_order(line, &columns.order), columns.order.len()),
            _ => {
                let count = values.take(line, self.table.columns.len());
                if count < self.table.min_columns {
                    return too_few(self.table, line.bytes(), count);
                }
                (count, self.table.columns.len())
            }
        };
        self.extra_columns(line, values, count, known);
        (self.table.parts)(line.batch(), values)?;
        if let Some(filter) = &self.filter
            && !filter.keeps(&self.program, line.batch(), values)?
        {
            return Ok(Fate::Dropped);
        }
        let fate = events.push_written(|out| self.program.write(line.batch(), line.is_special(), values, out))?;
        if self.has_unknown(values, count, known) {
            self.note_unknown(values, count, known, events);
        }
        if line.is_odd() {
            self.note_gaps(line, events);
        }
        self.note_zone(events);
        Ok(fate)
    }

    /// Notes more than one space between columns.
    #[cold]
    fn note_gaps(&self, line: &Line<'_>, events: &mut Events) {
        let (Input::Lines(syntax) | Input::Named(syntax, _)) = &self.input else { return };
        let mut fields = Fields::with(line.bytes(), *syntax);
        fields.by_ref().for_each(drop);
        if fields.has_gaps() {
            events.note_unknown("more than one space between columns");
        }
    }

    /// Notes a time that was taken for UTC, since it does not say.
    #[inline(always)]
    fn note_zone(&self, events: &mut Events) {
        if self.table.has_zones && self.program.was_without_zone() {
            events.note_unknown("a time without a zone");
        }
    }

    /// While AWS prepares a column, a single `-` may already stand at the end of a line: that one means nothing.
    #[inline(always)]
    fn extra_columns(&self, line: &Line<'_>, values: &mut Values, count: usize, known: usize) {
        let mut extra = Span::NONE;
        if count > known {
            extra = line.rest_after(known);
            if matches!(extra.of(line.batch()).trim_ascii_end(), b"-" | b"\"-\"" | b"") {
                extra = Span::NONE;
            }
        }
        values.set(Slot::EXTRA, extra);
        let is_short = matches!(self.input, Input::Named(..)) && count < known;
        values.set(Slot::SHORT, if is_short { line.span() } else { Span::NONE });
    }

    #[inline(always)]
    fn has_unknown(&self, values: &Values, count: usize, known: usize) -> bool {
        let has_new = match &self.input {
            Input::Named(_, columns) => columns.has_new(),
            _ => false,
        };
        has_new || (count > known && !values.get(Slot::EXTRA).is_none())
    }

    /// Notes the columns that no table knows.
    #[cold]
    fn note_unknown(&self, values: &Values, count: usize, known: usize, events: &mut Events) {
        if let Input::Named(_, columns) = &self.input {
            for (name, slot) in columns.new_columns() {
                if !values.get(slot).is_none() {
                    events.note_unknown(name);
                }
            }
        }
        if !values.get(Slot::EXTRA).is_none() {
            for column in known..count {
                events.note_unknown(&format!("column {}", column + 1));
            }
        }
    }

    fn map_json(&self, members: &Members, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
        let values = &mut *self.values.borrow_mut();
        let decoded = &mut *self.decoded.borrow_mut();
        members.read(record, values, decoded)?;
        (self.table.parts)(&decoded.bytes, values)?;
        if self.style != Style::Flat {
            decoded.gather_unknown(&self.program, self.table.is_of_lines(), values);
        }
        if let Some(filter) = &self.filter
            && !filter.keeps(&self.program, &decoded.bytes, values)?
        {
            return Ok(Fate::Dropped);
        }
        let fate = events.push_written(|out| {
            self.program.write(&decoded.bytes, true, values, out)?;
            if self.style == Style::Flat && !decoded.unknown.is_empty() {
                decoded.append_unknown(&self.program, out.bytes());
            }
            Ok(())
        })?;
        for (name, _) in &decoded.unknown {
            events.note_unknown(name);
        }
        self.note_zone(events);
        Ok(fate)
    }
}

/// A line that has too few columns, unless it is that by which a load balancer tests its permission to write.
#[cold]
fn too_few(table: &Table, line: &[u8], count: usize) -> Result<Fate, Reject> {
    if recognise::is_test_line(line) {
        return Ok(Fate::Dropped);
    }
    let (what, min) = (table.what, table.min_columns);
    Err(Reject::from(format!("expected {what} line of at least {min} columns, found {count}")))
}

elbow_guest::export!(Aws);

/// What becomes of records under these settings, for unit tests.
#[cfg(test)]
pub(crate) fn mapped(settings: serde_json::Value, head: &str, records: &str) -> elbow_guest::Outcome {
    let settings = serde_json::from_value(settings).expect("the settings are valid");
    let mut aws = Aws::configure(settings).expect("the settings are accepted");
    aws.begin(&Object::new("-", head.as_bytes())).expect("the format is known");
    elbow_guest::map_batch(&aws, records.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::mapped;

    #[test]
    fn what_is_otherwise_than_the_format_says_is_noted() {
        let line = |time, space| {
            format!(
                "{time} shop{space}192.0.2.10:51000 - 0 0 0 200 200 0 42 \"GET http://h:80/ HTTP/1.1\" \"demo  1.0\" - -\n"
            )
        };
        let [plain, gap, zone] = [("30Z", " "), ("30Z", "  "), ("30", " ")]
            .map(|(end, space)| line(format!("2026-10-05T08:15:{end}"), space));
        // A record that is rejected, or left out, notes nothing for the next.
        let rejected = zone.replace(" 42 ", " x ");
        let dropped = zone.replace(" 42 ", " 43 ");
        let records = [&plain[..], &gap, &zone, &rejected, &plain, &dropped, &plain, &gap].concat();
        let settings = json!({ "format": "classic-elb", "except": ["sent_bytes = 43", "@timestamp = 1"] });
        let outcome = mapped(settings, &plain, &records);
        assert_eq!(outcome.dropped, 1);
        let noted: Vec<_> = outcome.unknown.iter().map(|noted| (noted.name.as_str(), noted.records)).collect();
        assert_eq!(noted, [("more than one space between columns", 2), ("a time without a zone", 1)]);
        assert_eq!(outcome.rejects.len(), 1);
    }
}
