//! Runs elbow against a seed's script, and judges what it says.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::receiver::{Deaf, NAME, Receiver, certificates, line, pause};
use super::script::{Answer, Kind, Name, Other, Script};
use crate::support::elbow::Run;
use crate::support::guests;
use crate::support::logs::gzip;
use crate::support::s3::{BUCKET, Fault, S3};

/// Less than the text of a large object.
const PEAK_MEMORY: u64 = 48 << 20;

/// Runs a seed, and answers what is wrong with what elbow says.
pub(super) fn judge(seed: u64, bug: Option<&str>) -> Result<(), String> {
    let script = Script::new(seed);
    let s3 = S3::start();
    for object in 0..script.objects.len() {
        s3.put(&format!("{object}.log"), text(seed, &script, object, 1));
    }
    s3.fail(script.answers.iter().map(|answer| fault(answer, seed, &script)));
    let receiver = Receiver::start(seed, &script.receiver);
    let run = forward(&s3, &script, &receiver, bug);
    receiver.wait_until_read();
    check(&script, &run, &receiver)?;

    s3.fail_no_more();
    let good = match script.receiver {
        Kind::Tcp(_) => Kind::Tcp(vec![]),
        Kind::Tls(_) => Kind::Tls(vec![]),
        Kind::Lumberjack(_) => Kind::Lumberjack(vec![]),
    };
    let calm = Script {
        receiver: good,
        answers: vec![],
        name: Name::Address,
        other: None,
        interruption: None,
        ..Script::new(seed)
    };
    let receiver = Receiver::start(seed, &calm.receiver);
    let run = forward(&s3, &calm, &receiver, None);
    receiver.wait_until_read();
    if run.code != Some(0) {
        return Err(format!("without faults elbow failed: {}", run.stderr));
    }
    check(&calm, &run, &receiver)
}

/// How many lines an object has. Its second version has fewer, so that the two cannot be confused.
fn lines(script: &Script, object: usize, version: u32) -> usize {
    script.objects[object].lines / version as usize
}

fn text(seed: u64, script: &Script, object: usize, version: u32) -> Vec<u8> {
    let lines = (0..lines(script, object, version)).map(|number| line(seed, object, version, number) + "\n");
    let text: String = lines.collect();
    if script.objects[object].is_compressed { gzip(text.as_bytes()) } else { text.into_bytes() }
}

fn fault(answer: &Answer, seed: u64, script: &Script) -> Fault {
    match *answer {
        Answer::Good => Fault::None,
        Answer::Error(status, code) => Fault::Status(status, code),
        Answer::Cut(bytes) => Fault::CutBodyAfter(bytes),
        Answer::Short(bytes) => Fault::EndBodyAfter(bytes),
        Answer::Replaced(object) => Fault::Replace(format!("{object}.log"), text(seed, script, object, 2).into()),
        Answer::WrongChecksum => Fault::WrongChecksum,
        Answer::Trickle => Fault::Trickle,
    }
}

fn forward(s3: &S3, script: &Script, receiver: &Receiver, bug: Option<&str>) -> Run {
    let other = Endpoint::start(script, receiver);
    let config = config(script, receiver, other.as_ref(), bug);
    let elbow = s3.command("forward").config(&config).args(["--summary", "summary.json", &format!("s3://{BUCKET}/")]);
    let elbow = match bug {
        Some(bug) => elbow.env("PLANTED_BUG", bug),
        None => elbow,
    };
    let elbow = elbow.file("ca.pem", certificates().authority.pem());
    // It outlives elbow's own folder.
    let folder = tempfile::tempdir().unwrap();
    let addresses = folder.path().join("addresses");
    let elbow = match script.name {
        Name::Address => elbow,
        Name::OneAddressDead | Name::Forgotten { .. } => {
            know(&addresses, script);
            elbow
                .env("LD_PRELOAD", names().to_str().unwrap())
                .env("FAULTS_NAME", NAME)
                .env("FAULTS_ADDRESSES", addresses.to_str().unwrap())
        }
    };
    let running = elbow.start();
    std::thread::scope(|scope| {
        if let Name::Forgotten { after, during } = script.name {
            scope.spawn(move || {
                pause(after);
                replace(&addresses, "");
                pause(during);
                know(&addresses, script);
            });
        }
        if let Some(interruption) = &script.interruption {
            pause(interruption.after);
            running.signal(interruption.signal);
        }
        running.wait()
    })
}

/// The second endpoint of the destination.
struct Endpoint {
    address: SocketAddr,
    _holder: Option<Holder>,
}

/// What keeps an address as it is.
enum Holder {
    Deaf { _deaf: Deaf },
    Taken { _socket: Socket },
}

impl Endpoint {
    fn start(script: &Script, receiver: &Receiver) -> Option<Self> {
        Some(match script.other.as_ref()? {
            // The same receiver by another name.
            Other::Good => Self { address: receiver.address, _holder: None },
            // Bound, and nobody listens: the kernel refuses, and gives the port to no other seed's receiver.
            Other::Refused => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
                let address = socket.local_addr().unwrap().as_socket().unwrap();
                Self { address, _holder: Some(Holder::Taken { _socket: socket }) }
            }
            Other::SynIgnored => {
                let deaf = Deaf::start();
                Self { address: deaf.address, _holder: Some(Holder::Deaf { _deaf: deaf }) }
            }
        })
    }
}

fn know(addresses: &Path, script: &Script) {
    replace(addresses, if let Name::OneAddressDead = script.name { "127.0.0.2\n127.0.0.1\n" } else { "127.0.0.1\n" });
}

/// In one step, for the file may be being read.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// The library that answers for the name.
fn names() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("names.so");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library);
        let output = cc.arg(guests::workspace().join("tests/faults/names.c")).arg("-ldl").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        library
    })
}

fn config(script: &Script, receiver: &Receiver, other: Option<&Endpoint>, bug: Option<&str>) -> String {
    let (scheme, confirm, tls) = match script.receiver {
        Kind::Tcp(_) => ("tcp", "closed", String::new()),
        Kind::Tls(_) => ("tls", "closed", format!("tls = {{ ca = \"ca.pem\", server-name = \"{NAME}\" }}")),
        Kind::Lumberjack(_) => ("lumberjack", "accepted", String::new()),
    };
    let confirm = if bug == Some("counting-at-write") && scheme != "lumberjack" { "written" } else { confirm };
    let host = match script.name {
        Name::Address => "127.0.0.1",
        _ => NAME,
    };
    let port = receiver.address.port();
    let other = other.map(|other| format!(",{}", other.address)).unwrap_or_default();
    format!(
        r#"
[destinations.receiver]
url = "{scheme}://{host}:{port}{other}"
{tls}
confirm = "{confirm}"
require = "{confirm}"
connections = {connections}
send-buffer = "{send_buffer}B"
rotate-bytes = "{rotate_bytes}B"
max-unconfirmed = "{max_unconfirmed}B"
window = 50
rotate-age = "100ms"
write-timeout = "150ms"
close-timeout = "200ms"
ack-timeout = "150ms"
connect-timeout = "200ms"
tls-timeout = "1s"
retry-for = "8s"
event-id = ""
[mappings.lines]
component = "{component}"
[limits]
batch = "{batch}B"
concurrency = {concurrency}
read-timeout = "2s"
drain-timeout = "10s"
stop-timeout = "1s"
"#,
        component = Path::display(guests::compiled_fault()),
        connections = script.connections,
        rotate_bytes = script.rotate_bytes,
        send_buffer = script.send_buffer,
        max_unconfirmed = script.max_unconfirmed,
        batch = script.batch,
        concurrency = script.concurrency,
    )
}

fn check(script: &Script, run: &Run, receiver: &Receiver) -> Result<(), String> {
    if let Some(event) = receiver.received.foreign() {
        return Err(format!("an event was received that was never sent: {event:?}"));
    }
    let interrupted = script.interruption.as_ref().map(|interruption| interruption.signal);
    let summary = &run.summary;
    if summary.is_null() {
        return match (interrupted, run.code) {
            (Some("KILL"), None) => Ok(()),
            // Before it had a handler for the signal.
            (Some("TERM"), None) => Ok(()),
            (_, code) => Err(format!("no summary, exit code {code:?}: {}", run.stderr)),
        };
    }
    if !run.is("/balanced") {
        return Err(format!("the ledger does not balance: {summary:#}"));
    }
    if run.code != Some(i32::from(!run.is("/settled"))) {
        return Err(format!("exit code {:?}, but settled is {}", run.code, run.is("/settled")));
    }
    let objects = run.count("/objects/total");
    let expected = script.objects.len() as u64;
    if objects > expected || objects < expected && interrupted.is_none() {
        return Err(format!("{objects} objects of {expected}"));
    }
    let memory = run.count("/peak_memory");
    if memory > PEAK_MEMORY {
        return Err(format!("{} MiB of memory", memory >> 20));
    }
    let reports = summary["per_object"].as_array().ok_or("no objects in the summary")?;
    reports
        .iter()
        .filter(|report| report["status"] == "settled")
        .try_for_each(|report| settled(script, report, receiver))
}

/// A settled object was received: one version of it, all of its lines.
fn settled(script: &Script, report: &Value, receiver: &Receiver) -> Result<(), String> {
    let name = report["object"].as_str().unwrap();
    let object: usize = name.rsplit('/').next().unwrap().trim_end_matches(".log").parse().unwrap();
    let confirmed = report["events"]["confirmed"].as_u64().unwrap();
    let mut wrong = format!("{name}: {confirmed} confirmed events are the lines of no version");
    for version in 1..=2 {
        let lines = lines(script, object, version);
        if lines as u64 != confirmed {
            continue;
        }
        match receiver.received.missing(object, version, lines) {
            None => return Ok(()),
            Some(number) => wrong = format!("{name} is settled, but its line {number} of {lines} was not received"),
        }
    }
    Err(wrong)
}
