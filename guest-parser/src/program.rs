//! Fields and style, compiled into the steps that write an event.
//!
//! A format describes its output as a table of [`Output`]s. [`Program::compile`] picks the names of the style, gathers
//! what ends up in the same nested object, and prepares every name as JSON. For each record, [`Program::write`] only
//! walks the steps. This is below the SDK's writer for speed; what it keeps of the writer's promise is tested against
//! `serde_json` for arbitrary lines.

use elbow_guest::{Field, JsonType, Reject, json, scan};

use crate::settings::{Settings, Style};
use crate::values::{Slot, Values};

/// A field of the output: where its value comes from, and its name in each style.
pub struct Output {
    /// Where the value comes from.
    pub source: Source,
    /// Its name in the style `flat`; empty if it has none.
    pub flat: &'static str,
    /// Its names in the style `ecs`, with dots.
    pub ecs: &'static [&'static str],
    /// What it means, with its unit.
    pub meaning: &'static str,
}

/// A row of a format's table.
pub const fn field(source: Source, flat: &'static str, ecs: &'static [&'static str], meaning: &'static str) -> Output {
    Output { source, flat, ecs, meaning }
}

/// Where a value comes from, and what it becomes.
#[derive(Clone)]
pub enum Source {
    /// Text, its escapes decoded.
    Text(Slot),
    /// Text exactly as it is in the line.
    Raw(Slot),
    /// A number, with the digits of the line.
    Number(Slot),
    /// A time; `Z` is added where the line has no zone.
    Time(Slot),
    /// Seconds in the line, whole milliseconds in the event, rounded half up.
    Milliseconds(Slot),
    /// `true`, if there is a value.
    Flag(Slot),
    /// Texts, parted by this byte.
    Texts(Slot, u8),
    /// Numbers, parted by this byte.
    Numbers(Slot, u8),
    /// The columns that no table knows yet, in order.
    Columns(Slot),
    /// The same for each event: a JSON value.
    Constant(String),
}

use Source::{Columns, Constant, Flag, Milliseconds, Number, Numbers, Raw, Text, Texts, Time};

/// The steps that write an event, and what they promise.
pub struct Program {
    steps: Vec<Step>,
    promises: Vec<Field>,
}

/// Names are prepared as JSON, up to and with the colon.
enum Step {
    Open(Box<[u8]>),
    Close,
    Write(Box<[u8]>, Source),
}

/// How deep an event can be nested.
const MAX_DEPTH: usize = 8;

impl Program {
    /// The program for a format's fields under these settings.
    pub fn compile(fields: &[Output], settings: &Settings) -> Self {
        let named = match settings.style {
            Style::Flat => flat(fields, settings),
            Style::Ecs => ecs(fields, settings),
            Style::ElbProcessor => elb_processor(settings),
        };
        let promises = named.iter().map(Named::promise).collect();
        let mut tree = Vec::new();
        for field in named {
            insert(&mut tree, &field.path, field.source);
        }
        let mut steps = Vec::new();
        flatten(tree, &mut steps, 1);
        Self { steps, promises }
    }

    /// The fields that events may carry.
    pub fn promises(&self) -> Vec<Field> {
        self.promises.clone()
    }

    /// Writes one event. An error names the value that is not what its column must hold.
    pub fn write(&self, values: &Values<'_>, out: &mut Vec<u8>) -> Result<(), Reject> {
        let mut opened = [0; MAX_DEPTH];
        let mut depth = 0;
        out.push(b'{');
        for step in &self.steps {
            match step {
                Step::Open(name) => {
                    opened[depth] = out.len();
                    depth += 1;
                    write_name(out, name);
                    out.push(b'{');
                }
                Step::Close => {
                    depth -= 1;
                    match out.last() {
                        Some(b'{') => out.truncate(opened[depth]),
                        _ => out.push(b'}'),
                    }
                }
                Step::Write(name, source) => write_value(out, name, source, values)?,
            }
        }
        out.push(b'}');
        Ok(())
    }
}

#[inline]
fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(name);
}

#[inline]
fn write_value(out: &mut Vec<u8>, name: &[u8], source: &Source, values: &Values<'_>) -> Result<(), Reject> {
    let slot = match source {
        Constant(json) => {
            write_name(out, name);
            out.extend_from_slice(json.as_bytes());
            return Ok(());
        }
        Text(slot)
        | Raw(slot)
        | Number(slot)
        | Time(slot)
        | Milliseconds(slot)
        | Flag(slot)
        | Texts(slot, _)
        | Numbers(slot, _)
        | Columns(slot) => *slot,
    };
    let Some(value) = values.get(slot) else {
        return Ok(());
    };
    write_name(out, name);
    match source {
        Text(_) => write_text(out, value),
        Raw(_) => json::string(out, value),
        Number(_) => out.extend_from_slice(json::as_number(value).ok_or_else(|| no_number(name))?),
        Time(_) => {
            out.push(b'"');
            out.extend_from_slice(value);
            out.extend_from_slice(if value.ends_with(b"Z") { b"\"" } else { b"Z\"" });
        }
        Milliseconds(_) => {
            let milliseconds = milliseconds(value).ok_or_else(|| no_number(name))?;
            out.extend_from_slice(milliseconds.to_string().as_bytes());
        }
        Flag(_) => out.extend_from_slice(b"true"),
        Texts(_, by) => write_list(out, value.split(|b| b == by), write_text),
        Numbers(_, by) => write_list(out, value.split(|b| b == by), |out, item| match json::as_number(item) {
            Some(digits) => out.extend_from_slice(digits),
            None => write_text(out, item),
        }),
        Columns(_) => write_list(out, scan::Fields::new(value), write_text),
        Constant(_) => unreachable!("written above"),
    }
    Ok(())
}

#[inline]
fn write_text(out: &mut Vec<u8>, value: &[u8]) {
    let plain = json::plain_prefix(value);
    out.push(b'"');
    out.extend_from_slice(&value[..plain]);
    if plain < value.len() {
        json::escaped(out, &scan::unescape(&value[plain..]));
    }
    out.push(b'"');
}

fn write_list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = &'a [u8]>, write: impl Fn(&mut Vec<u8>, &'a [u8])) {
    out.push(b'[');
    for (index, item) in items.filter(|item| !item.is_empty()).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

#[cold]
fn no_number(name: &[u8]) -> Reject {
    let name = String::from_utf8_lossy(name);
    Reject::from(format!("{}: expected a number", name.trim_matches(['"', ':'])))
}

/// Seconds with any number of decimals as whole milliseconds, rounded half up.
fn milliseconds(seconds: &[u8]) -> Option<u64> {
    let digits = json::as_number(seconds)?;
    let (whole, fraction) = match memchr::memchr(b'.', digits) {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &b""[..]),
    };
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let place = |index: usize| fraction.get(index).map_or(Some(0), |d| number(&[*d]));
    let thousandths = place(0)? * 100 + place(1)? * 10 + place(2)?;
    let rounded_up = u64::from(place(3)? >= 5);
    number(whole)?.checked_mul(1000)?.checked_add(thousandths + rounded_up)
}

/// A field with the name that a style gives it.
struct Named {
    path: String,
    source: Source,
    meaning: String,
}

impl Named {
    fn new(path: impl Into<String>, source: Source, meaning: impl Into<String>) -> Self {
        Self { path: path.into(), source, meaning: meaning.into() }
    }

    fn promise(&self) -> Field {
        let json_type = match &self.source {
            Text(_) | Raw(_) | Time(_) => JsonType::Text,
            Number(_) | Milliseconds(_) => JsonType::Number,
            Flag(_) => JsonType::Boolean,
            Texts(..) | Numbers(..) | Columns(_) => JsonType::Array,
            Constant(json) if json.starts_with('[') => JsonType::Array,
            Constant(_) => JsonType::Text,
        };
        Field::new(&self.path, json_type, &self.meaning)
    }
}

const MESSAGE: &str = "the line as it was";

fn flat(fields: &[Output], settings: &Settings) -> Vec<Named> {
    let mut named: Vec<Named> =
        fields.iter().filter(|f| !f.flat.is_empty()).map(|f| Named::new(f.flat, f.source.clone(), f.meaning)).collect();
    if settings.keep_message {
        named.push(Named::new("message", Raw(Slot::Line), MESSAGE));
    }
    named
}

fn ecs(fields: &[Output], settings: &Settings) -> Vec<Named> {
    let constant = |path: &str, json: &str, meaning: &str| Named::new(path, Constant(json.into()), meaning);
    let mut named: Vec<Named> =
        fields.iter().flat_map(|f| f.ecs.iter().map(|path| Named::new(*path, f.source.clone(), f.meaning))).collect();
    named.push(constant("event.kind", "\"event\"", "always `event`"));
    named.push(constant("event.category", "[\"web\"]", "always `web`"));
    named.push(constant("cloud.provider", "\"aws\"", "always `aws`"));
    named.push(constant("ecs.version", "\"8.11.0\"", "the version of ECS that the names are from"));
    if settings.keep_message {
        named.push(Named::new("event.original", Raw(Slot::Line), MESSAGE));
    }
    named
}

/// The original ELB logs processor knew one set of names, whatever the load balancer.
fn elb_processor(settings: &Settings) -> Vec<Named> {
    let mut named = vec![
        Named::new("@timestamp", Time(Slot::Time), "when the line was logged"),
        Named::new("LoadBalancerName", Text(Slot::Elb), "name of the load balancer"),
        Named::new("PublicIpAndPort", Text(Slot::Client), "client's address and port"),
        Named::new("InternalIpAndPort", Text(Slot::Target), "backend's address and port"),
        Named::new("Status", Text(Slot::ElbStatus), "status that the load balancer answered"),
        Named::new("BackendStatus", Text(Slot::TargetStatus), "status that the backend answered"),
        Named::new("BytesUploadedFromClient", Number(Slot::ReceivedBytes), "bytes"),
        Named::new("BytesDownloadedByClient", Number(Slot::SentBytes), "bytes"),
    ];
    for (name, setting, default) in [
        ("Component", &settings.component, None),
        ("SourceModuleName", &settings.source_module_name, Some("ELB")),
        ("Environment", &settings.environment, None),
        ("Application", &settings.application, None),
        ("type", &settings.event_type, Some("logs")),
    ] {
        if let Some(value) = setting.as_deref().or(default) {
            let mut json = Vec::new();
            json::string(&mut json, value.as_bytes());
            let json = String::from_utf8_lossy(&json).into_owned();
            named.push(Named::new(name, Constant(json), "from the settings"));
        }
    }
    named.extend([
        Named::new("UserAgent", Text(Slot::UserAgent), "user agent, without quotes"),
        Named::new("message", Raw(Slot::Line), MESSAGE),
        Named::new("Verb", Text(Slot::Method), "HTTP method"),
        Named::new("Path", Text(Slot::UrlPath), "path of the URL"),
        Named::new("Source.S3.Bucket", Raw(Slot::Bucket), "bucket of the log object"),
        Named::new("Source.S3.Key", Raw(Slot::Key), "key of the log object"),
        Named::new("TimeToForwardRequest", Milliseconds(Slot::RequestTime), "ms"),
        Named::new("TimeTaken", Milliseconds(Slot::TargetTime), "ms"),
        Named::new("TimeToForwardResponse", Milliseconds(Slot::ResponseTime), "ms"),
    ]);
    named
}

enum Node {
    Leaf(String, Source),
    Branch(String, Vec<Node>),
}

/// Puts a field into the tree. Fields of one object come together, where the first of them stands.
fn insert(tree: &mut Vec<Node>, path: &str, source: Source) {
    let Some((parent, rest)) = path.split_once('.') else {
        return tree.push(Node::Leaf(path.into(), source));
    };
    for node in tree.iter_mut() {
        match node {
            Node::Branch(name, children) if name == parent => {
                return insert(children, rest, source);
            }
            _ => {}
        }
    }
    let mut children = Vec::new();
    insert(&mut children, rest, source);
    tree.push(Node::Branch(parent.into(), children));
}

fn flatten(tree: Vec<Node>, steps: &mut Vec<Step>, depth: usize) {
    assert!(depth < MAX_DEPTH, "a table of fields nests deeper than an event may");
    for node in tree {
        match node {
            Node::Leaf(name, source) => steps.push(Step::Write(prepared(&name), source)),
            Node::Branch(name, children) => {
                steps.push(Step::Open(prepared(&name)));
                flatten(children, steps, depth + 1);
                steps.push(Step::Close);
            }
        }
    }
}

fn prepared(name: &str) -> Box<[u8]> {
    let mut json = Vec::new();
    json::string(&mut json, name.as_bytes());
    json.push(b':');
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_whole_milliseconds_rounded_half_up() {
        for (seconds, expected) in [
            ("0", Some(0)),
            ("0.000051", Some(0)),
            ("0.0005", Some(1)),
            ("0.0004999", Some(0)),
            ("1.0015", Some(1002)),
            ("12.3", Some(12300)),
            ("x", None),
            ("-1", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(milliseconds(seconds.as_bytes()), expected, "{seconds}");
        }
    }
}
