//! What holds whatever the bytes: each record has one fate, the same as alone, and each event is JSON as it was promised.
//!
//! The fuzz targets in `fuzz/` check the same, for inputs that coverage guides.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elbow_guest::{Framing, Header, Mapping, Object, Outcome, Plan, check, map_batch};
use guest_parser::Aws;
use guest_parser::recognise::Kind;
use serde_json::{Value, json};

/// How many settings there are to choose from, beside the style.
pub(crate) const SETTINGS: usize = 4;

/// Whether it does for a log of this format. An error says what does not.
pub(crate) fn hold(format: &str, style: &str, settings: usize, log: &[u8]) -> Result<(), String> {
    let more = match settings {
        0 => json!({}),
        1 => json!({
            "add": { "labels.tier": "web", "tags": ["a", { "b": null }] },
            "redact_query": ["token"],
            "only": ["@timestamp > 1"],
            "keep_message": style != "elb-processor",
        }),
        2 => json!({
            "rename": { "@timestamp": "time" },
            "keep_raw": true,
            "redact_query": ["token", "x"],
            "except": ["@timestamp ~ *5Z", "@timestamp != 2026-10-05T08:15:30Z"],
        }),
        // Columns that the settings name, without the last few that the format knows, and with one that it does not.
        _ if Kind::named(format).unwrap().table().is_of_lines() => {
            let known = Kind::named(format).unwrap().table().columns;
            let columns = known[..known.len().saturating_sub(2)].iter().chain(&["new_column"]);
            json!({ "columns": columns.collect::<Vec<_>>(), "keep_message": style != "elb-processor", "redact_query": ["token"] })
        }
        _ => json!({ "sample": 2 }),
    };
    let mut settings = json!({ "style": style, "format": format });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let is_redacted = settings.get("redact_query").is_some();
    let promised = Aws::configure(serde_json::from_value(settings.clone()).unwrap()).unwrap().formats().remove(0);
    // A header that names a column twice, say, is refused.
    let Some((plan, _, outcome)) = mapped(settings, log)? else { return Ok(()) };
    let has_lines = matches!(plan.framing, Framing::Lines | Framing::LinesFrom(_));
    for event in check::events(&outcome) {
        let event = check::event(event)?;
        if has_lines && is_redacted && leaks(&event) {
            return Err(format!("a parameter that is to be redacted is there: {event}"));
        }
        // As JSON, S3's log has members of its own, of types that AWS does not tell.
        if has_lines || format != "s3-access" {
            check::promises(&event, &promised.fields)?;
        }
    }
    Ok(())
}

/// What comes of an object under these settings: how it was cut, its records, and their outcome; `None` if the mapping refuses
/// it. An error, if the outcome does not add up, or is not that of each record alone.
pub(crate) fn mapped(settings: Value, log: &[u8]) -> Result<Option<(Plan, Vec<u8>, Outcome)>, String> {
    let mut aws = Aws::configure(serde_json::from_value(settings).unwrap()).unwrap();
    let object = Object { bucket: Some("logs".into()), ..Object::new("-", &log[..log.len().min(16 << 10)]) };
    let Ok(plan) = aws.begin(&object) else { return Ok(None) };
    let records = records(&plan, log);
    let outcome = map_batch(&aws, &records);
    check::sums(&records, &outcome)?;
    check::alone(&aws, &records, &outcome)?;
    Ok(Some((plan, records, outcome)))
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

/// Whether a text has a value of the parameter `token`.
fn leaks(value: &Value) -> bool {
    let has_value = |text: &str, begin: &str| {
        text.match_indices(begin).any(|(at, _)| !text[at + begin.len()..].starts_with("REDACTED"))
    };
    match value {
        Value::String(text) => {
            // The field `raw`, if it is one.
            let raw = STANDARD.decode(text).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let texts = [Some(text.clone()), raw].into_iter().flatten();
            texts.into_iter().any(|text| ["?token=", "&token="].iter().any(|begin| has_value(&text, begin)))
        }
        Value::Array(items) => items.iter().any(leaks),
        Value::Object(members) => members.values().any(leaks),
        _ => false,
    }
}
