//! Lines, with each kind of header, and records of several lines.

#![no_main]

use elbow::cut::{Framing, Header};
use elbow_fuzz::cut_alike;
use libfuzzer_sys::fuzz_target;

/// Short, so that much is longer.
const MAX_RECORD: usize = 200;

fuzz_target!(|text: &[u8]| {
    let names = ["version", "account-id", "start", "action"].map(str::to_owned).to_vec();
    for framing in [
        Framing::Lines(Header::None),
        Framing::Lines(Header::W3c),
        Framing::Lines(Header::FirstLine(names)),
        Framing::Lines(Header::Prefix(b"#".to_vec())),
        Framing::LinesFrom(b"0000-00-00T00:00:00".to_vec()),
    ] {
        let cuts = cut_alike(text, &framing, MAX_RECORD);
        assert!(!cuts.is_broken);
        let lines = text.split_inclusive(|byte| *byte == b'\n').count();
        let accounted = cuts.records.len() + cuts.oversize.len() + cuts.breaks.len();
        assert_eq!(accounted as u64 + cuts.header_lines, lines as u64, "{framing:?}");
    }
});
