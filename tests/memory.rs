//! Memory does not depend on the size of an object.

use crate::support::elbow::Elbow;
use crate::support::logs::{gzip, lines};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

#[test]
fn a_2_gib_object_goes_through_in_less_than_100_mib() {
    // One member of 16 MiB, again and again: a gzip file may have any number of members.
    let part = lines((16 * MIB as usize) / lines(1).len());
    let members = (2 * GIB).div_ceil(part.len() as u64) as usize;
    expect_little_memory("large.log.gz", &gzip(part.as_bytes()).repeat(members), 2 * GIB);
}

#[test]
fn a_document_of_1_gib_goes_through_in_less_than_100_mib() {
    // All on one line, as CloudTrail writes it.
    let record = r#"{"eventVersion":"1.11","eventTime":"2026-10-05T08:15:30Z","eventSource":"s3.amazonaws.com","eventName":"GetObject",
        "awsRegion":"us-east-1","sourceIPAddress":"192.0.2.10","userAgent":"demo/1.0","requestParameters":{"bucketName":"demo",
        "key":"a.txt"},"eventID":"00000000-0000-4000-8000-000000000000","eventType":"AwsApiCall"},"#;
    let record: String = record.lines().map(str::trim).collect();
    let part = record.repeat((16 * MIB as usize) / record.len());
    let members = GIB.div_ceil(part.len() as u64) as usize;
    let last = record.trim_end_matches(',');
    let document =
        [gzip(b"{\"Records\":["), gzip(part.as_bytes()).repeat(members), gzip(format!("{last}]}}").as_bytes())];
    let key = "111122223333_CloudTrail_us-east-1_20261005T0815Z_abcdefghijklmnop.json.gz";
    expect_little_memory(key, &document.concat(), GIB);
}

#[track_caller]
fn expect_little_memory(name: &str, object: &[u8], text: u64) {
    let receiver = CountingReceiver::start();
    let run = Elbow::forward_to(receiver.address).input(name, object).run().expect_code(0);
    assert!(run.count("/bytes/decoded") >= text);
    let sent = run.count("/events/sent");
    assert_eq!(run.events(), [sent, sent, 0]);
    assert_eq!(receiver.lines(), sent);
    let peak = run.count("/peak_memory");
    println!("peak resident memory: {} MiB", peak / MIB);
    assert!(peak > 10 * MIB, "it was measured");
    assert!(peak < 100 * MIB, "{} MiB", peak / MIB);
}

/// `elbow sink`, since the scripted receiver keeps what it gets.
struct CountingReceiver {
    address: std::net::SocketAddr,
    sink: Option<crate::support::elbow::Running>,
}

impl CountingReceiver {
    fn start() -> Self {
        let address = crate::support::receiver::free_address();
        let sink = Elbow::new("sink").args(["--quiet", "--listen", &address.to_string()]).start();
        sink.wait_for_log("listening on");
        Self { address, sink: Some(sink) }
    }

    fn lines(mut self) -> u64 {
        let sink = self.sink.take().unwrap();
        sink.signal("INT");
        let said = sink.wait().expect_code(0).stderr;
        let words: Vec<&str> = said.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "lines,").unwrap();
        words[at - 1].parse().unwrap()
    }
}
