//! Records of JSON: from an object's members to the slots of a table.
//!
//! The columns of such a table are the names of members, and of those of an object that is taken apart, with its name before
//! them. Texts are decoded into a buffer of their own, which takes the place of the batch; everything else is kept as it is
//! written. A value that is kept whole is one that every receiver reads, and reads alike (`sound.rs`), wherever it is put.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use elbow_guest::scan::Span;
use elbow_guest::{Reject, json};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::header::{free_name, known_column, snake_case};
use crate::program::Program;
use crate::sound::{self, Name};
use crate::source::Source;
use crate::table::Table;
use crate::values::{Slot, Values};

/// How records of a table are read from JSON.
pub struct Members {
    columns: HashMap<&'static str, Column>,
    /// Other spellings of these that were met, and what else was met that is none.
    others: RefCell<HashMap<String, Option<&'static str>>>,
    table: &'static Table,
    /// The objects that are taken apart.
    apart: Vec<&'static str>,
}

/// How many spellings are remembered.
const MAX_OTHERS: usize = 256;

struct Column {
    slot: Slot,
    /// Kept as it is written, rather than decoded.
    is_json: bool,
    /// And that as JSON, rather than as a text.
    is_kept: bool,
}

/// What a record was decoded into.
#[derive(Default)]
pub struct Decoded {
    /// In place of a batch.
    pub bytes: Vec<u8>,
    /// Members that no table knows, by the names of their fields, with their values.
    pub unknown: Vec<(String, String)>,
}

impl Members {
    /// For a table whose columns are members.
    pub fn new(table: &'static Table) -> Self {
        let columns = table.columns.iter().enumerate().map(|(index, name)| {
            let slot = Slot::column(index);
            let has = |is: fn(&Source) -> bool| {
                table.fields.iter().any(|field| field.source.slot() == Some(slot) && is(&field.source))
            };
            let is_kept = has(|source| matches!(source, Source::Json(..)));
            (*name, Column { slot, is_json: is_kept || has(|source| matches!(source, Source::JsonText(_))), is_kept })
        });
        let apart = table.columns.iter().filter_map(|name| Some(name.split_once('.')?.0));
        Self { columns: columns.collect(), others: RefCell::default(), table, apart: apart.collect() }
    }

    /// Reads a record.
    pub fn read(&self, record: &[u8], values: &mut Values, decoded: &mut Decoded) -> Result<(), Reject> {
        decoded.bytes.clear();
        decoded.unknown.clear();
        values.clear();
        decoded.bytes.extend_from_slice(record);
        values.set(Slot::LINE, Span::between(0, record.len()));
        let members = parse(record)?;
        for (name, value) in members {
            match self.apart.contains(&&*name) && value.get().starts_with('{') {
                true => {
                    for (inner, value) in parse(value.get().as_bytes())? {
                        self.member(&format!("{name}.{inner}"), value, values, decoded)?;
                    }
                }
                false => self.member(&name, value, values, decoded)?,
            }
        }
        Ok(())
    }

    /// The column that a member of another spelling is, where members are columns of lines.
    fn other(&self, name: &str) -> Option<&'static str> {
        if !self.table.is_of_lines() {
            return None;
        }
        if let Some(known) = self.others.borrow().get(name) {
            return *known;
        }
        let known = known_column(self.table, name).map(|index| self.table.columns[index]);
        let mut others = self.others.borrow_mut();
        if others.len() < MAX_OTHERS {
            others.insert(name.to_owned(), known);
        }
        known
    }

    fn member(&self, name: &str, value: &RawValue, values: &mut Values, decoded: &mut Decoded) -> Result<(), Reject> {
        let json = value.get();
        // In place of lines, a text `-` is no value, as in them.
        if json == "null" || (self.table.is_of_lines() && json == "\"-\"") {
            return Ok(());
        }
        let column = self.columns.get(name).or_else(|| self.columns.get(self.other(name)?));
        if column.is_none_or(|column| column.is_kept) {
            sound::check(value).map_err(|error| Reject::from(format!("{name}: {error}")))?;
        }
        // A line break outside of a text is white space.
        let on_a_line = || json.replace(['\n', '\r'], " ");
        let Some(column) = column else {
            decoded.unknown.push((snake_case_of_camel(name), on_a_line()));
            return Ok(());
        };
        let text: Cow<'_, str> = match json.starts_with('"') && !column.is_json {
            true => serde_json::from_str(json).map_err(|_| Reject::from(format!("{name}: it is no text")))?,
            false if json == "[]" && column.is_json => return Ok(()),
            false => on_a_line().into(),
        };
        let start = decoded.bytes.len();
        decoded.bytes.extend_from_slice(text.as_bytes());
        values.set(column.slot, Span::between(start, decoded.bytes.len()));
        Ok(())
    }
}

impl Decoded {
    /// Puts the members that no table knows where the style has them, in the slot for what is extra: as one object, or as a list
    /// of texts, each of which is an object with one member.
    pub fn gather_unknown(&mut self, program: &Program, is_list: bool, values: &mut Values) {
        if self.unknown.is_empty() {
            return;
        }
        let start = self.bytes.len();
        self.bytes.push(if is_list { b'[' } else { b'{' });
        let members = members(&self.unknown, program, |_| false)
            .map(|member| if is_list { text(&[b"{", &member[..], b"}"].concat()) } else { member });
        for (index, member) in members.enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            self.bytes.extend_from_slice(&member);
        }
        self.bytes.push(if is_list { b']' } else { b'}' });
        values.set(Slot::EXTRA, Span::between(start, self.bytes.len()));
    }

    /// Writes the members that no table knows behind an event's last, each under its own name.
    pub fn append_unknown(&self, program: &Program, event: &mut Vec<u8>) {
        event.pop();
        for member in members(&self.unknown, program, |name| program.has(name)) {
            if event.last() != Some(&b'{') {
                event.push(b',');
            }
            event.extend_from_slice(&member);
        }
        event.push(b'}');
    }
}

/// Members as JSON, under names of their own.
fn members(
    unknown: &[(String, String)],
    program: &Program,
    is_taken: impl Fn(&str) -> bool,
) -> impl Iterator<Item = Vec<u8>> {
    let mut written: Vec<String> = Vec::new();
    unknown.iter().map(move |(name, value)| {
        let name = free_name(name, |name| is_taken(name) || written.iter().any(|other| other == name));
        let member = [&text(name.as_bytes())[..], b":", &program.redacted(value.as_bytes())].concat();
        written.push(name);
        member
    })
}

/// A text as JSON.
fn text(text: &[u8]) -> Vec<u8> {
    let mut json = Vec::new();
    json::string(&mut json, text);
    json
}

/// `httpRequest.newMember` as `http_request_new_member`.
pub fn snake_case_of_camel(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut parted = String::new();
    for (index, char) in chars.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| chars[before]);
        let after = chars.get(index + 1);
        let begins_word = char.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if begins_word {
            parted.push('_');
        }
        parted.push(*char);
    }
    snake_case(&parted)
}

/// The members of an object, in their order.
fn parse(record: &[u8]) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Reject> {
    let List(members) = serde_json::from_slice(record)
        .map_err(|error| Reject::from(format!("it is no JSON object that can be read: {error}")))?;
    Ok(members)
}

struct List<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(List(members))
            }
        }
        input.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_whose_name_is_taken_is_kept_under_another() {
        let settings = serde_json::json!({ "format": "waf", "style": "flat" });
        let line = "{\"timestamp\":1791188130120,\"action\":\"ALLOW\",\"Action\":1,\"ACTION\":2}\n";
        let events = String::from_utf8(crate::mapped(settings, line, line).events).unwrap();
        assert!(events.ends_with(",\"action\":\"ALLOW\",\"action_2\":1,\"action_3\":2}\n"), "{events}");
    }

    #[test]
    fn camel_case_is_parted_into_words() {
        for (name, snake) in [
            ("httpRequest.clientIp", "http_request_client_ip"),
            ("sourceIPAddress", "source_ip_address"),
            ("eventID", "event_id"),
            ("webaclId", "webacl_id"),
            ("ja3Fingerprint", "ja3_fingerprint"),
            ("demo_new", "demo_new"),
            ("HTTPStatus", "http_status"),
        ] {
            assert_eq!(snake_case_of_camel(name), snake);
        }
    }
}
