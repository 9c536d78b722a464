//! Properties of the built-in mapping, for inputs that a random generator makes up.
//!
//! - [`any_bytes`]: whatever the bytes, each record has one fate, and each event is valid JSON.
//! - [`fields`]: a line that is written as AWS writes it gives back exactly the values that it was made from.
//!
//! The fuzz targets in `fuzz/` look for the same for longer, guided by coverage.

mod any_bytes;
mod column;
mod fields;

use elbow_guest::{Framing, Header, Mapping, Object, Outcome, Plan, map_batch};
use guest_parser::Aws;
use serde_json::Value;

/// What comes of an object under these settings: how it was cut, its records, and their outcome; `None` if the mapping
/// refuses it.
fn mapped(settings: Value, log: &[u8]) -> Option<(Plan, Vec<u8>, Outcome)> {
    let mut aws = Aws::configure(serde_json::from_value(settings).unwrap()).unwrap();
    let object = Object { bucket: Some("logs".into()), ..Object::new("-", &log[..log.len().min(16 << 10)]) };
    let plan = aws.begin(&object).ok()?;
    let records = records(&plan, log);
    let outcome = map_batch(&aws, &records);
    Some((plan, records, outcome))
}

/// The lines that are records, each followed by a newline. JSON is expected to have one value a line.
fn records(plan: &Plan, log: &[u8]) -> Vec<u8> {
    let lines = log.split_inclusive(|byte| *byte == b'\n').enumerate().filter(|(index, line)| match &plan.header {
        Header::None => true,
        Header::FirstLine(_) => *index > 0,
        Header::W3c => !line.starts_with(b"#"),
        Header::Prefix(prefix) => !line.starts_with(prefix.as_bytes()),
    });
    let lines = lines.map(|(_, line)| line.strip_suffix(b"\n").unwrap_or(line));
    lines.flat_map(|line| [line, b"\n"]).flatten().copied().collect()
}

/// Whether records are lines, rather than JSON.
fn has_lines(plan: &Plan) -> bool {
    matches!(plan.framing, Framing::Lines | Framing::LinesFrom(_))
}
