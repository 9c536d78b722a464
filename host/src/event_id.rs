//! Ids of events: the same record of the same object always has the same id, so that a replay is idempotent downstream.
//!
//! An id is a hash of the object (bucket, key, etag), the offset of the record in the object's text, and the index of the
//! event among those of its record: `5f0c8b1e9a7d4c3b2a190807f6e5d4c3-1a2b-0`, the two numbers in hex. The offset stands in
//! it openly, so that `elbow explain` finds the record without reading all others.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::object::Object;

/// The hash of an object's identity, in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHash(String);

impl ObjectHash {
    /// Of bucket, key and etag; for a local file of its path, size and time. Standard input has no identity: two texts
    /// that came that way would share their ids, and a receiver would take one for the other.
    pub fn of(object: &Object) -> Option<Self> {
        if object.bucket.is_none() && object.key == "-" {
            return None;
        }
        let size = object.size.filter(|_| object.etag.is_none()).map(|size| size.to_string());
        let modified = object.last_modified.as_ref().filter(|_| object.etag.is_none());
        let parts = [object.bucket.as_ref(), Some(&object.key), object.etag.as_ref(), size.as_ref(), modified];
        let mut hash = Sha256::new();
        for part in parts.into_iter().map(|part| part.map(String::as_str).unwrap_or_default()) {
            // With its length before it, a part cannot run on into the next.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Some(Self(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()))
    }
}

impl fmt::Display for ObjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An id, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    /// Which object.
    pub object: ObjectHash,
    /// Where the record begins in the object's text.
    pub offset: u64,
    /// Which of the record's events; `None` for its dead letter.
    pub index: Option<u64>,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}-{:x}-{index:x}", self.object, self.offset),
            None => write!(f, "{}-{:x}-r", self.object, self.offset),
        }
    }
}

impl FromStr for EventId {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let shape =
            || format!("`{text}` is no id of elbow's: expected one such as `5f0c8b1e9a7d4c3b2a190807f6e5d4c3-1a2b-0`");
        let mut parts = text.split('-');
        let (Some(hash), Some(offset), Some(index), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            bail!(shape());
        };
        if hash.len() != 32 || !hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            bail!(shape());
        }
        Ok(Self {
            object: ObjectHash(hash.into()),
            offset: u64::from_str_radix(offset, 16).with_context(shape)?,
            index: match index {
                "r" => None,
                index => Some(u64::from_str_radix(index, 16).with_context(shape)?),
            },
        })
    }
}

/// Puts ids into the events of one object.
pub struct Stamp {
    /// `"elbow_id":"HASH-`
    begin: Vec<u8>,
}

impl Stamp {
    /// Under this name, at the top level of each event.
    pub fn new(field: &str, object: &ObjectHash) -> Self {
        let name = serde_json::Value::from(field).to_string();
        Self { begin: format!("{name}:\"{object}-").into_bytes() }
    }

    /// Adds the id as the last member of each event. `event_records` says for each event which record it came from, and
    /// never falls; `offsets` where each record begins.
    pub fn put(&self, ndjson: &[u8], event_records: &[u32], offsets: &[u64]) -> Bytes {
        let room = ndjson.len() + event_records.len() * (self.begin.len() + 24);
        let mut stamped = BytesMut::with_capacity(room);
        let mut last_record = None;
        let mut index = 0_u64;
        let mut begin = 0;
        for (&record, end) in event_records.iter().zip(memchr::memchr_iter(b'\n', ndjson)) {
            index = if last_record == Some(record) { index + 1 } else { 0 };
            last_record = Some(record);
            let body = ndjson[begin..end].strip_suffix(b"}").unwrap_or(&ndjson[begin..end]);
            stamped.put_slice(body);
            if body.trim_ascii_end() != b"{" {
                stamped.put_u8(b',');
            }
            stamped.put_slice(&self.begin);
            put_hex(&mut stamped, offsets.get(record as usize).copied().unwrap_or_default());
            stamped.put_u8(b'-');
            put_hex(&mut stamped, index);
            stamped.put_slice(b"\"}\n");
            begin = end + 1;
        }
        stamped.freeze()
    }
}

fn put_hex(out: &mut BytesMut, number: u64) {
    let digits = (64 - (number | 1).leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.put_u8(b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(key: &str, etag: &str) -> Object {
        Object { etag: Some(etag.into()), ..Object::named(Some("bucket".into()), key) }
    }

    #[test]
    fn an_object_has_one_hash_and_another_has_another() {
        let hash = |key: &str, etag: &str| ObjectHash::of(&object(key, etag)).unwrap();
        assert_eq!(hash("a", "1"), hash("a", "1"));
        assert_ne!(hash("a", "1"), hash("a", "2"));
        assert_ne!(hash("a1", ""), hash("a", "1"));
        assert_eq!(ObjectHash::of(&Object::named(None, "-")), None);
    }

    #[test]
    fn each_event_gets_the_id_of_its_place() {
        let hash = ObjectHash::of(&object("a", "1")).unwrap();
        let stamp = Stamp::new("event.\"id", &hash);
        let stamped = stamp.put(b"{\"a\":1}\n{ }\n{}\n{\"b\":{}}\n", &[0, 2, 2, 3], &[0, 7, 0x1a2b, 0xFFFF_FFFF_FFFF]);
        let ids: Vec<String> = stamped
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                serde_json::from_slice::<serde_json::Value>(line).unwrap()["event.\"id"].as_str().unwrap().to_owned()
            })
            .collect();
        let expected = ["0-0", "1a2b-0", "1a2b-1", "ffffffffffff-0"].map(|place| format!("{hash}-{place}"));
        assert_eq!(ids, expected);
    }

    proptest! {
        #[test]
        fn an_id_is_read_and_written_alike(offset: u64, index: Option<u64>) {
            let id = EventId { object: ObjectHash::of(&object("a", "1")).unwrap(), offset, index };
            prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        }

        #[test]
        fn hex_is_hex(number: u64) {
            let mut out = BytesMut::new();
            put_hex(&mut out, number);
            prop_assert_eq!(String::from_utf8(out.to_vec()).unwrap(), format!("{number:x}"));
        }
    }

    #[test]
    fn what_is_no_id_is_said_to_be_none() {
        for text in
            ["", "x", "5f0c8b1e9a7d4c3b2a190807f6e5d4c3-1a2b", "5f0c8b1e9a7d4c3b2a190807f6e5d4c3-xyz-0", "5f-1-0"]
        {
            assert!(text.parse::<EventId>().unwrap_err().to_string().contains("is no id"), "{text}");
        }
    }
}
