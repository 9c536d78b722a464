//! A dead letter: a record that could not be mapped, with its place and the reason, as one line of JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The tag by which a receiver tells dead letters from events.
pub const TAG: &str = "elbow-dead-letter";

/// A rejected record.
pub struct DeadLetter<'a> {
    /// `s3://bucket/key`, the path, or `-`.
    pub object: &'a str,
    /// The id, and the field that it goes into.
    pub id: Option<(&'a str, String)>,
    /// Where the record begins in the object's text.
    pub begin: u64,
    /// Where it ends, its newline not counted.
    pub end: u64,
    /// Why it was rejected.
    pub reason: &'a str,
    /// The mapping's name in the config.
    pub mapping: &'a str,
    /// The SHA-256 of its component.
    pub digest: &'a str,
    /// The record; of one over the cap, what it begins with, if that was kept.
    pub record: Option<&'a [u8]>,
}

impl DeadLetter<'_> {
    /// One line, ended by a newline.
    pub fn to_line(&self) -> String {
        let mut about = json!({
            "object": self.object,
            "bytes": { "begin": self.begin, "end": self.end },
            "reason": self.reason,
            "mapping": { "name": self.mapping, "sha256": self.digest },
        });
        if let Some(record) = self.record {
            let is_truncated = record.len() as u64 != self.end - self.begin;
            let whole_characters = match std::str::from_utf8(record) {
                // The cut may have gone through a character.
                Err(error) if is_truncated && error.error_len().is_none() => &record[..error.valid_up_to()],
                _ => record,
            };
            let (name, record) = match std::str::from_utf8(whole_characters) {
                Ok(text) => ("record", Value::from(text)),
                // As it is: a receiver can have every byte of it back.
                Err(_) => ("record_base64", Value::from(STANDARD.encode(record))),
            };
            about[name] = record;
            if is_truncated {
                about["truncated"] = true.into();
            }
        }
        let mut line = Map::from_iter([("tags".to_owned(), json!([TAG])), ("elbow".to_owned(), about)]);
        if let Some((field, id)) = &self.id {
            line.insert((*field).to_owned(), id.as_str().into());
        }
        format!("{}\n", Value::from(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(record: Option<&[u8]>, bytes: u64) -> Value {
        let id = Some(("elbow_id", "x-0-r".to_owned()));
        let end = 7 + bytes;
        let letter =
            DeadLetter { object: "s3://b/k", id, begin: 7, end, reason: "why", mapping: "aws", digest: "00", record };
        serde_json::from_str(&letter.to_line()).unwrap()
    }

    #[test]
    fn every_byte_of_a_record_can_be_had_back() {
        let line = letter(Some(b"a\"b"), 3);
        assert_eq!(line["elbow"]["record"], "a\"b");
        assert_eq!(line["elbow"]["bytes"], json!({ "begin": 7, "end": 10 }));
        assert_eq!(line["elbow_id"], "x-0-r");
        assert_eq!(line["tags"], json!([TAG]));
        assert!(line["elbow"].get("truncated").is_none());
        let line = letter(Some(b"\xFF\0"), 2);
        assert_eq!(STANDARD.decode(line["elbow"]["record_base64"].as_str().unwrap()).unwrap(), b"\xFF\0");
    }

    #[test]
    fn a_record_that_was_cut_says_so() {
        let line = letter(Some(&"né".as_bytes()[..2]), 9);
        assert_eq!((&line["elbow"]["record"], &line["elbow"]["truncated"]), (&json!("n"), &json!(true)));
        let line = letter(Some(b"\xFFa"), 9);
        assert_eq!((&line["elbow"]["record_base64"], &line["elbow"]["truncated"]), (&json!("/2E="), &json!(true)));
        assert!(letter(None, 9)["elbow"].get("record").is_none());
    }
}
