//! Golden cases of the built-in mapping: `tests/cases/FORMAT/NAME.log`, and beside it what comes of it in each style,
//! `NAME.STYLE.ndjson`. A line that is rejected stands there as `{"rejected": record, "reason": …}`.
//!
//! `FORMAT/settings.json` has settings for the styles `flat` and `ecs`, and `FORMAT/settings.STYLE.ndjson` what comes of all logs
//! of the format under these. Why a case is read as it is, where that is a judgement, `README.md` says.
//!
//! Each case runs natively and in the sandbox, with the same result. To add a case, add its log and run the tests with
//! `BLESS=1`, which writes what comes of it; read that before it is committed.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use elbow_guest::Mapping;
use guest_parser::Aws;
use serde_json::{Value, json};

use elbow::cut::{Ahead, Cut, Cutter, Framing, Header, Place};

use crate::support::elbow::Elbow;
use crate::support::guests::workspace;

const STYLES: [&str; 3] = ["flat", "ecs", "elb-processor"];

const FORMATS: [&str; 10] = [
    "alb",
    "alb-connection",
    "alb-health-check",
    "classic-elb",
    "cloudfront",
    "cloudtrail",
    "nlb",
    "s3-access",
    "vpc-flow",
    "waf",
];

/// Only load balancers have names in the style of the original processor.
fn styles(format: &str) -> &'static [&'static str] {
    if ["alb", "classic-elb"].contains(&format) { &STYLES } else { &STYLES[..2] }
}

fn cases(format: &str) -> Vec<PathBuf> {
    let folder = workspace().join("tests/cases").join(format);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect();
    logs.sort();
    assert!(logs.len() > 5);
    logs
}

/// The settings under which a case is read that has none of its own.
fn plain(format: &str, style: &str) -> Value {
    json!({ "format": format, "style": style, "application": "shop", "environment": "test" })
}

/// Those that `settings.json` has for a style.
fn of_their_own(format: &str, style: &str) -> Value {
    let file = workspace().join("tests/cases").join(format).join("settings.json");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut settings = settings[style].take();
    settings["format"] = format.into();
    settings["style"] = style.into();
    settings
}

/// What the mapping makes of an object, natively; cut as the host cuts it.
fn natively(settings: &Value, log: &[u8]) -> elbow_guest::Outcome {
    let log = log.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(log);
    let (mut mapping, plan) = begun(settings, &log[..log.len().min(16 << 10)]);
    let mut cutter = Cutter::new(Ahead::new(log), cut(&plan));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut count = 0;
    let mut whole =
        elbow_guest::Outcome { events: vec![], event_records: vec![], rejects: vec![], dropped: 0, unknown: vec![] };
    // Text that is no JSON ends with an error; what came before it is mapped all the same.
    while let Ok(Some(batch)) = runtime.block_on(cutter.next()) {
        if let Some(head) = &batch.head {
            let (new, new_plan) = begun(settings, head);
            assert_eq!(format!("{new_plan:?}"), format!("{plan:?}"));
            mapping = new;
        }
        let outcome = elbow_guest::map_batch(&mapping, &batch.records);
        let first = u32::try_from(count).unwrap();
        count += batch.offsets.len();
        whole.events.extend(outcome.events);
        whole.event_records.extend(outcome.event_records.into_iter().map(|record| first + record));
        let rejects = outcome.rejects.into_iter();
        whole.rejects.extend(rejects.map(|mut reject| {
            reject.index += first;
            reject
        }));
        whole.dropped += outcome.dropped;
    }
    whole
}

fn begun(settings: &Value, head: &[u8]) -> (Aws, elbow_guest::Plan) {
    let mut mapping = Aws::configure(serde_json::from_value(settings.clone()).unwrap()).unwrap();
    let object = elbow_guest::Object::new("-", head);
    let plan = mapping.begin(&object).unwrap();
    (mapping, plan)
}

fn cut(plan: &elbow_guest::Plan) -> Cut {
    let framing = match (plan.framing.clone(), plan.header.clone()) {
        (elbow_guest::Framing::Lines, elbow_guest::Header::None) => Framing::Lines(Header::None),
        (elbow_guest::Framing::Lines, elbow_guest::Header::FirstLine(names)) => {
            Framing::Lines(Header::FirstLine(names))
        }
        (elbow_guest::Framing::Lines, elbow_guest::Header::W3c) => Framing::Lines(Header::W3c),
        (elbow_guest::Framing::Lines, elbow_guest::Header::Prefix(prefix)) => {
            Framing::Lines(Header::Prefix(prefix.into_bytes()))
        }
        (elbow_guest::Framing::LinesFrom(shape), _) => Framing::LinesFrom(shape.into_bytes()),
        (elbow_guest::Framing::JsonArray(name), _) => Framing::Json(Place::Array(name)),
        (elbow_guest::Framing::JsonValues, _) => Framing::Json(Place::TopLevel),
    };
    Cut { framing, batch_bytes: 16 << 20, max_record: 1 << 20 }
}

/// Events and rejects in the order of their records.
fn golden(outcome: &elbow_guest::Outcome) -> String {
    let events = String::from_utf8(outcome.events.clone()).unwrap();
    let events = outcome.event_records.iter().zip(events.lines()).map(|(record, event)| (*record, event.to_owned()));
    let rejects = outcome.rejects.iter().map(|reject| {
        let line = json!({ "rejected": reject.index, "reason": reject.reason });
        (reject.index, line.to_string())
    });
    let mut lines: Vec<(u32, String)> = events.chain(rejects).collect();
    lines.sort_by_key(|(record, _)| *record);
    lines.into_iter().fold(String::new(), |mut text, (_, line)| {
        writeln!(text, "{line}").unwrap();
        text
    })
}

#[track_caller]
fn compare(path: &Path, got: &str) {
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(path, got).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    expect_same_lines(&path.display().to_string(), got, &expected);
}

/// Shows the first line that differs only.
#[track_caller]
fn expect_same_lines(what: &str, got: &str, expected: &str) {
    let differs = got.lines().zip(expected.lines()).find(|(got, expected)| got != expected);
    assert!(differs.is_none(), "{what}: {differs:#?}");
    assert_eq!(got.lines().count(), expected.lines().count(), "{what}");
}

#[test]
fn every_case_gives_what_stands_beside_it() {
    for format in FORMATS {
        for log in cases(format) {
            let text = std::fs::read(&log).unwrap();
            for style in styles(format) {
                let outcome = natively(&plain(format, style), &text);
                for event in elbow_guest::check::events(&outcome) {
                    elbow_guest::check::event(event).unwrap();
                }
                compare(&log.with_extension(format!("{style}.ndjson")), &golden(&outcome));
            }
        }
    }
}

#[test]
fn settings_give_what_stands_beside_them() {
    for format in FORMATS {
        for style in ["flat", "ecs"] {
            let settings = of_their_own(format, style);
            let outcomes = cases(format).into_iter().map(|log| natively(&settings, &std::fs::read(log).unwrap()));
            let outcomes: Vec<_> = outcomes.collect();
            assert!(
                outcomes.iter().any(|outcome| outcome.dropped > 0),
                "{format}, {style}: a condition drops something"
            );
            let file = workspace().join("tests/cases").join(format).join(format!("settings.{style}.ndjson"));
            compare(&file, &outcomes.iter().map(golden).collect::<String>());
        }
    }
}

#[test]
fn the_sandbox_gives_the_same_as_native_code() {
    for format in FORMATS {
        for style in styles(format) {
            compare_with_sandbox(format, &plain(format, style));
        }
        for style in ["flat", "ecs"] {
            compare_with_sandbox(format, &of_their_own(format, style));
        }
    }
}

fn compare_with_sandbox(format: &str, settings: &Value) {
    let logs = cases(format);
    let config = toml::to_string(&json!({ "mappings": { "aws": { "settings": settings } } })).unwrap();
    // An object whose text is cut off is not settled; its events are what they are.
    let run = Elbow::forward().config(&config).args(&logs).env("ELBOW__LIMITS__CONCURRENCY", "1").run();
    let natively = logs.iter().flat_map(|log| natively(settings, &std::fs::read(log).unwrap()).events);
    let natively = String::from_utf8(natively.collect()).unwrap();
    expect_same_lines(&settings.to_string(), std::str::from_utf8(&run.stdout).unwrap(), &natively);
}
