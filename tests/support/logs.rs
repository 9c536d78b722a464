//! Logs with numbered lines, and the numbers of the events that came of them.

use std::io::Write;

/// A classic ELB line that requests `/line/NUMBER`.
pub(crate) fn line(number: usize) -> String {
    format!(
        "2026-10-05T08:15:30.120450Z demo-clb 192.0.2.10:51000 198.51.100.20:80 0.000051 0.002310 0.000044 200 200 0 42 \
         \"GET http://www.example.com:80/line/{number} HTTP/1.1\" \"demo/1.0\" - -\n"
    )
}

/// The lines with the numbers from 0 on.
pub(crate) fn lines(count: usize) -> String {
    (0..count).map(line).collect()
}

/// The numbers of events in the style `flat`, in the order in which they came. Each line must be valid JSON.
#[track_caller]
pub(crate) fn numbers(ndjson: &[u8]) -> Vec<usize> {
    let lines = ndjson.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| number(line).unwrap_or_else(|| panic!("no event: {:?}", String::from_utf8_lossy(line)))).collect()
}

fn number(line: &[u8]) -> Option<usize> {
    let event: serde_json::Value = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    event["url_path"].as_str()?.strip_prefix("/line/")?.parse().ok()
}

/// Fails the test unless each number below `count` is there, once or more.
#[track_caller]
pub(crate) fn expect_all(mut numbers: Vec<usize>, count: usize) {
    numbers.sort_unstable();
    numbers.dedup();
    let missing: Vec<usize> = (0..count).filter(|number| numbers.binary_search(number).is_err()).take(10).collect();
    assert!(missing.is_empty(), "of {count} lines {} arrived; missing: {missing:?} ...", numbers.len());
}

/// One gzip member.
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}
