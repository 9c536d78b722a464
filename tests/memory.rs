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
    let receiver = CountingReceiver::start();
    let run = Elbow::forward_to(receiver.address).input("large.log.gz", gzip(part.as_bytes()).repeat(members)).run();
    let run = run.expect_code(0);
    assert!(run.count("/bytes/decoded") >= 2 * GIB);
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
