//! Records that are JSON values: the elements of an array in a document, or values one after the other.
//!
//! The text is walked once, in pieces as they come; nothing but the state of the walk is kept. It finds where values begin
//! and end, and is strict about what stands between them; whether a value itself is valid JSON is the mapping's business.

use std::io;

/// Where the records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The elements of the array that the document, an object, has under this name; without a name, the document is the
    /// array.
    Array(String),
    /// At the top level, with or without white space between them.
    TopLevel,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// No part of a record.
    Between,
    /// A part of a record that goes on.
    Inside,
    /// The last part of a record.
    Last,
}

/// A walk through a text.
pub(super) struct Walk {
    place: Place,
    at: At,
    /// How many bytes were walked.
    walked: u64,
    found: bool,
}

#[derive(Clone, Debug)]
enum At {
    /// Before the document's brace.
    Document,
    /// Where a member begins, or the document ends.
    Member { is_first: bool },
    /// In a member's name, as far as it was read.
    Name { name: Vec<u8>, is_escaped: bool },
    /// After a member's name.
    Colon { is_wanted: bool },
    /// Before a member's value.
    MemberValue { is_wanted: bool },
    /// After a member.
    AfterMember,
    /// Before an element of the wanted array, or its end.
    Element { is_first: bool },
    /// After an element.
    AfterElement,
    /// Between values at the top level.
    Top,
    /// In a value.
    Value { value: Value, is_record: bool },
    /// After the document.
    End,
}

/// A value that is being walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// Its first byte is still to come.
    Ahead,
    /// A number or a word, which ends where something else begins.
    Bare,
    /// A string, or something in brackets, so many of which are open.
    Enclosed { depth: u32, in_string: bool, is_escaped: bool },
}

/// Names longer than this are not the wanted one, and not kept.
const MAX_NAME: usize = 1024;

impl Walk {
    pub(super) fn new(place: Place) -> Self {
        let at = match &place {
            Place::Array(_) => At::Document,
            Place::TopLevel => At::Top,
        };
        Self { place, at, walked: 0, found: false }
    }

    /// Walks into `bytes`, which are not empty, up to the next change between parts. Answers how many bytes those were.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> io::Result<(usize, Part)> {
        let (taken, part) = match &mut self.at {
            At::Value { value, is_record } => {
                let is_record = *is_record;
                let (taken, has_ended) = value.walk(bytes);
                if has_ended {
                    self.at = match (&self.place, is_record) {
                        (Place::TopLevel, _) => At::Top,
                        (Place::Array(_), true) => At::AfterElement,
                        (Place::Array(_), false) => At::AfterMember,
                    };
                }
                let part = match (is_record, has_ended) {
                    (false, _) => Part::Between,
                    (true, false) => Part::Inside,
                    (true, true) => Part::Last,
                };
                (taken, part)
            }
            _ => (self.walk_between(bytes)?, Part::Between),
        };
        self.walked += taken as u64;
        Ok((taken, part))
    }

    /// The text has ended: whether it could. Answers whether a record ends with it.
    pub(super) fn finish(&mut self) -> io::Result<bool> {
        match (&self.at, &self.place) {
            // A number or a word at the top level is ended by nothing else.
            (At::Value { value: Value::Bare, .. }, Place::TopLevel) => {
                self.at = At::Top;
                Ok(true)
            }
            (At::Top, _) => Ok(false),
            (At::End, Place::Array(name)) if !self.found => Err(invalid(format!("the document has no array `{name}`"))),
            (At::End, _) => Ok(false),
            (At::Document, _) if self.walked == 0 => Ok(false),
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the JSON ends in the middle")),
        }
    }

    /// Walks up to where a value begins.
    fn walk_between(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            if let At::Name { name, is_escaped } = &mut self.at {
                match (*is_escaped, byte) {
                    (false, b'"') => {
                        let is_wanted = matches!(&self.place, Place::Array(wanted) if wanted.as_bytes() == name);
                        self.at = At::Colon { is_wanted };
                    }
                    _ => {
                        *is_escaped = !*is_escaped && byte == b'\\';
                        if name.len() <= MAX_NAME {
                            name.push(byte);
                        }
                    }
                }
                continue;
            }
            if byte.is_ascii_whitespace() {
                continue;
            }
            let next = self.after(byte);
            self.at = next.map_err(|expected| {
                let position = self.walked + index as u64;
                invalid(format!("at byte {position} the JSON has `{}`, expected {expected}", byte.escape_ascii()))
            })?;
            if let At::Value { .. } = self.at {
                return Ok(index);
            }
        }
        Ok(bytes.len())
    }

    /// Whether the document itself is the array.
    fn is_array(&self) -> bool {
        matches!(&self.place, Place::Array(name) if name.is_empty())
    }

    /// Where a byte leads that is no white space; the beginning of a value is not taken.
    fn after(&mut self, byte: u8) -> Result<At, &'static str> {
        let value = |is_record| At::Value { value: Value::Ahead, is_record };
        match (&self.at, byte) {
            (At::Document, b'[') if self.is_array() => {
                self.found = true;
                Ok(At::Element { is_first: true })
            }
            (At::Document, _) if self.is_array() => Err("an array"),
            (At::Document, b'{') => Ok(At::Member { is_first: true }),
            (At::Document, _) => Err("an object"),
            (At::Member { .. }, b'"') => Ok(At::Name { name: Vec::new(), is_escaped: false }),
            (At::Member { is_first: true }, b'}') => Ok(At::End),
            (At::Member { .. }, _) => Err("a name"),
            (At::Colon { is_wanted }, b':') => Ok(At::MemberValue { is_wanted: *is_wanted }),
            (At::Colon { .. }, _) => Err("a colon"),
            (At::MemberValue { is_wanted: true }, b'[') => {
                self.found = true;
                Ok(At::Element { is_first: true })
            }
            (At::AfterMember, b',') => Ok(At::Member { is_first: false }),
            (At::AfterMember, b'}') => Ok(At::End),
            (At::AfterMember, _) => Err("a comma or a closing brace"),
            (At::Element { is_first: true } | At::AfterElement, b']') => {
                Ok(if self.is_array() { At::End } else { At::AfterMember })
            }
            (At::AfterElement, b',') => Ok(At::Element { is_first: false }),
            (At::AfterElement, _) => Err("a comma or a closing bracket"),
            (At::End, _) => Err("the end of the document"),
            (_, b',' | b':' | b']' | b'}') => Err("a value"),
            (At::MemberValue { .. }, _) => Ok(value(false)),
            (At::Element { .. } | At::Top, _) => Ok(value(true)),
            (At::Name { .. } | At::Value { .. }, _) => unreachable!("walked through elsewhere"),
        }
    }
}

impl Value {
    /// Walks to the end of the value, or of the bytes. Answers how many bytes are the value's, and whether it has ended.
    fn walk(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, &byte) in bytes.iter().enumerate() {
            let (depth, in_string, is_escaped) = match self {
                Value::Enclosed { depth, in_string, is_escaped } => (depth, in_string, is_escaped),
                Value::Ahead => {
                    *self = match byte {
                        b'"' => Value::Enclosed { depth: 0, in_string: true, is_escaped: false },
                        b'{' | b'[' => Value::Enclosed { depth: 1, in_string: false, is_escaped: false },
                        _ => Value::Bare,
                    };
                    continue;
                }
                Value::Bare => match byte {
                    b'"' | b'{' | b'[' | b'}' | b']' | b',' | b':' => return (index, true),
                    _ if byte.is_ascii_whitespace() => return (index, true),
                    _ => continue,
                },
            };
            match byte {
                _ if *is_escaped => *is_escaped = false,
                b'\\' if *in_string => *is_escaped = true,
                b'"' => *in_string = !*in_string,
                _ if *in_string => {}
                b'{' | b'[' => *depth += 1,
                b'}' | b']' => *depth -= 1,
                _ => {}
            }
            if *depth == 0 && !*in_string {
                return (index + 1, true);
            }
        }
        (bytes.len(), false)
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    /// The records of a text that comes in pieces of this size.
    fn records(place: Place, text: &str, piece: usize) -> io::Result<Vec<String>> {
        let mut walk = Walk::new(place);
        let mut records = Vec::new();
        let mut record = Vec::new();
        for mut bytes in text.as_bytes().chunks(piece) {
            while !bytes.is_empty() {
                let (taken, part) = walk.advance(bytes)?;
                if part != Part::Between {
                    record.extend_from_slice(&bytes[..taken]);
                }
                if part == Part::Last {
                    records.push(String::from_utf8(std::mem::take(&mut record)).unwrap());
                }
                bytes = &bytes[taken..];
            }
        }
        if walk.finish()? {
            records.push(String::from_utf8(record).unwrap());
        }
        Ok(records)
    }

    fn array(text: &str) -> io::Result<Vec<String>> {
        records(Place::Array("Records".into()), text, 3)
    }

    #[test]
    fn the_elements_of_the_named_array_are_records() {
        let text =
            r#" { "Version": [{"Records": [9]}], "Records" : [ {"a": "]}\\\""} ,1,"x", [2 , 3] ], "Rec\"ords": {} } "#;
        let expected = [r#"{"a": "]}\\\""}"#, "1", "\"x\"", "[2 , 3]"];
        for piece in 1..20 {
            assert_eq!(records(Place::Array("Records".into()), text, piece).unwrap(), expected);
        }
        assert_eq!(array(r#"{"Records":[]}"#).unwrap(), [""; 0]);
        assert_eq!(array("").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_such_document_is_an_error() {
        for (text, expected) in [
            ("[1]", "at byte 0 the JSON has `[`, expected an object"),
            (r#"{"Other":[1]}"#, "no array `Records`"),
            (r#"{"Records":{}}"#, "no array `Records`"),
            (r#"{"Records":[1}"#, "at byte 13 the JSON has `}`, expected a comma or a closing bracket"),
            (r#"{"Records":[1,]}"#, "expected a value"),
            (r#"{"Records":[1]"#, "ends in the middle"),
            (r#"{"Records":[{"a":1"#, "ends in the middle"),
            (r#"{"Records":[1]} x"#, "expected the end of the document"),
            (r#"{Records:[1]}"#, "expected a name"),
            (r#"{"Records" [1]}"#, "expected a colon"),
        ] {
            let error = array(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn values_at_the_top_level_may_be_glued() {
        for piece in 1..10 {
            let glued = records(Place::TopLevel, "{\"a\":1}{\"b\":[2]}\n\"x\"1 2{}true", piece).unwrap();
            assert_eq!(glued, ["{\"a\":1}", "{\"b\":[2]}", "\"x\"", "1", "2", "{}", "true"]);
        }
        assert!(records(Place::TopLevel, "{} , {}", 9).unwrap_err().to_string().contains("expected a value"));
        assert!(records(Place::TopLevel, "{", 9).is_err());
        assert!(records(Place::TopLevel, " ", 9).unwrap().is_empty());
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            ".{0,8}".prop_map(Json::from)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let array = proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from);
            let object = proptest::collection::btree_map(".{0,4}", inner, 0..4);
            prop_oneof![array, object.prop_map(|members| Json::Object(members.into_iter().collect()))]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_out_once(values in proptest::collection::vec(any_json(), 0..6), before in any_json(), piece in 1_usize..20, pretty: bool) {
            let document = json!({ "A": before, "Records": values, "Z": before });
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
            let got = records(Place::Array("Records".into()), &text, piece).unwrap();
            let got: Vec<Json> = got.iter().map(|record| serde_json::from_str(record).unwrap()).collect();
            prop_assert_eq!(got, values.clone());

            let text: String = values.iter().map(|value| format!("{value}\n")).collect();
            let got = records(Place::TopLevel, &text, piece).unwrap();
            let got: Vec<Json> = got.iter().map(|record| serde_json::from_str(record).unwrap()).collect();
            prop_assert_eq!(got, values);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\ a1\\n]{0,40}", piece in 1_usize..8) {
            let _ = array(&text);
            let _ = records(Place::TopLevel, &text, piece);
        }
    }
}
