//! JSON: values one behind the other, the elements of a member, and those of the document.

#![no_main]

use elbow::cut::{Framing, Place};
use elbow_fuzz::cut_alike;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

const MAX_RECORD: usize = 300;

fuzz_target!(|text: &[u8]| {
    for place in [Place::TopLevel, Place::Array("Records".into()), Place::Array(String::new())] {
        let cuts = cut_alike(text, &Framing::Json(place.clone()), MAX_RECORD);
        assert!(cuts.records.iter().all(|(_, record)| !record.contains(&b'\n') && record.len() <= MAX_RECORD));
        // Of a document that serde_json can read, each record is one of its values.
        if place == Place::TopLevel && serde_json::from_slice::<IgnoredAny>(text).is_ok() {
            assert_eq!(cuts.records.len() + cuts.oversize.len(), 1);
            assert!(cuts.records.iter().all(|(_, record)| serde_json::from_slice::<IgnoredAny>(record).is_ok()));
        }
    }
});
