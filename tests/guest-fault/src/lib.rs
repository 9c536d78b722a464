//! A mapping that misbehaves in the way its settings name, on the records that contain a text that they name.
//!
//! Otherwise each line becomes `{"line": "…"}`, with the row of a table that the settings name as text, and empty lines
//! are dropped. It is written against the bare bindings, since
//! the SDK would not let it break the contract.

use elbow_guest::component::bindings::Guest;
use elbow_guest::component::bindings::elbow::mapping::types::Reject;
use elbow_guest::mapping::Description;
use elbow_guest::{Format, Framing, Object, Outcome, Plan, host, json};
use serde::Deserialize;
use std::cell::RefCell;

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Settings {
    fault: Fault,
    /// Only for records that contain this; all if it is empty.
    on: String,
    header: Option<String>,
    /// The name of the array that holds the records; empty for values at the top level.
    json: Option<String>,
    /// The table in which each line is looked up.
    table: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    #[default]
    None,
    Reject,
    Trap,
    Loop,
    Sleep,
    Memory,
    Stack,
    Exit,
    Error,
    Miscount,
    NotJson,
    Flood,
    Log,
    Print,
    Configure,
    Begin,
    BeginLoop,
    Lookup,
}

thread_local! {
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

struct Component;

impl Guest for Component {
    fn describe() -> Description {
        Description {
            name: "guest-fault".into(),
            version: "1".into(),
            formats: vec![Format::new("lines", "any line", vec![])],
        }
    }

    fn configure(settings: String) -> Result<(), String> {
        let settings: Settings = serde_json::from_str(&settings).map_err(|error| error.to_string())?;
        if settings.fault == Fault::Configure {
            return Err("told to refuse its settings".into());
        }
        SETTINGS.set(settings);
        Ok(())
    }

    fn begin(_: Object) -> Result<Plan, String> {
        let settings = SETTINGS.with_borrow(Settings::clone);
        match settings.fault {
            Fault::Begin => return Err("told to refuse the object".into()),
            Fault::BeginLoop => compute_for_ever(),
            _ => {}
        }
        let mut plan = Plan::lines("lines");
        if let Some(prefix) = settings.header {
            plan.header = elbow_guest::Header::Prefix(prefix);
        }
        plan.framing = match settings.json {
            None => Framing::Lines,
            Some(name) if name.is_empty() => Framing::JsonValues,
            Some(name) => Framing::JsonArray(name),
        };
        Ok(plan)
    }

    fn map(records: Vec<u8>) -> Result<Outcome, String> {
        let settings = SETTINGS.with_borrow(Settings::clone);
        let mut outcome =
            Outcome { events: vec![], event_records: vec![], rejects: vec![], dropped: 0, unknown: vec![] };
        for (index, line) in (0..).zip(records.split_inclusive(|byte| *byte == b'\n')) {
            let line = &line[..line.len() - 1];
            let text = String::from_utf8_lossy(line);
            if line.is_empty() {
                outcome.dropped += 1;
                continue;
            }
            if text.contains(&settings.on) {
                match settings.fault {
                    Fault::Reject => {
                        outcome.rejects.push(Reject { index, reason: "told to".into() });
                        continue;
                    }
                    Fault::Miscount => continue,
                    Fault::Error => return Err("told to fail".into()),
                    fault => misbehave(fault, &mut outcome.events),
                }
            }
            let row = settings.table.as_ref().map(|table| host::lookup(table, &text));
            json::object(&mut outcome.events, |event| {
                event.text("line", &text);
                match &row {
                    Some(Ok(Some(row))) => event.text("row", row),
                    Some(Err(host::NotGranted)) => event.text("row", "not granted"),
                    Some(Ok(None)) | None => {}
                }
            });
            outcome.events.push(b'\n');
            outcome.event_records.push(index);
        }
        Ok(outcome)
    }
}

fn misbehave(fault: Fault, events: &mut Vec<u8>) {
    match fault {
        Fault::Trap => panic!("told to trap"),
        Fault::Loop => compute_for_ever(),
        #[allow(clippy::disallowed_methods, reason = "that is the fault")]
        Fault::Sleep => std::thread::sleep(std::time::Duration::from_secs(3600)),
        Fault::Memory => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        Fault::Stack => {
            std::hint::black_box(recurse(1));
        }
        Fault::Exit => std::process::exit(0),
        Fault::NotJson => events.extend_from_slice(b"nonsense\n"),
        Fault::Flood => events.resize(8 << 20, b' '),
        Fault::Log => host::log(host::Level::Warn, "told to log"),
        Fault::Print => println!("told to print"),
        Fault::Lookup => assert_eq!(host::lookup("secrets", "key"), Err(host::NotGranted)),
        _ => {}
    }
}

fn compute_for_ever() -> ! {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

#[allow(unconditional_recursion, reason = "that is the fault")]
fn recurse(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + room[0]
}

#[cfg(target_family = "wasm")]
elbow_guest::component::bindings::export_bindings!(Component with_types_in elbow_guest::component::bindings);

// Natively there is nothing to export to.
#[cfg(not(target_family = "wasm"))]
#[used]
static MAP: fn(Vec<u8>) -> Result<Outcome, String> = <Component as Guest>::map;
