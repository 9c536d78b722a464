//! `elbow run`, against a server that is S3 and SQS in one, and notifies the queue by itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::elbow::Running;
use crate::support::logs::{expect_all, line, lines, numbers};
use crate::support::moto::Moto;
use crate::support::receiver::{Receiver, Script, free_address};
use crate::support::{eventually, get};

/// Confirms often, so that nothing waits for ten seconds to be.
fn config(moto: &Moto, receiver: SocketAddr, more: &str) -> String {
    format!(
        r#"
[destinations.receiver]
url = "tcp://{receiver}"
event-id = ""
rotate-age = "200ms"
retry-for = "1s"
[mappings.aws.settings]
style = "flat"
[queues.logs]
url = "{}"
wait = "1s"
[limits]
stop-timeout = "10s"
{more}"#,
        moto.queue
    )
}

fn start(moto: &Moto, receiver: SocketAddr, more: &str) -> Running {
    let running = moto.command("run").config(&config(moto, receiver, more)).start();
    running.wait_for_log("consuming");
    running
}

#[test]
fn a_message_is_deleted_when_its_object_is_settled() {
    let (moto, receiver) = (Moto::start(30), Receiver::plain());
    let elbow = start(&moto, receiver.address, "");
    // Its own test event came first, and went.
    for (index, key) in ["one.log", "a b+c/ü.log", "AWSLogs/1/ELBAccessLogTestFile"].iter().enumerate() {
        let text: String = (index * 100..(index + 1) * 100).map(line).collect();
        moto.put(key, text);
    }
    moto.wait_until_empty(&moto.queue);
    elbow.signal("TERM");
    let run = elbow.wait().expect_code(0);
    let arrived = numbers(&receiver.lines());
    assert_eq!(arrived.len(), 200, "each once, and nothing of the test file");
    expect_all(arrived, 200);
    assert!(run.stderr.contains("ignored: the test event of access-logs"), "{}", run.stderr);
    assert_eq!(moto.counts(&moto.dead_letters), (0, 0));
}

#[test]
fn an_object_that_takes_longer_than_the_visibility_timeout_is_kept() {
    let moto = Moto::start(4);
    let receiver = Receiver::start(|_| Script { rest: Duration::from_millis(40), ..Script::default() });
    moto.put("slow.log", lines(10_000));
    let began = Instant::now();
    let elbow = start(&moto, receiver.address, "");
    moto.wait_until_empty(&moto.queue);
    assert!(began.elapsed() > Duration::from_secs(8), "longer than the timeout: {:?}", began.elapsed());
    elbow.signal("TERM");
    elbow.wait().expect_code(0);
    let arrived = numbers(&receiver.lines());
    assert_eq!(arrived.len(), 10_000, "no other receive has sent it a second time");
}

#[test]
fn what_cannot_be_delivered_or_understood_ends_in_the_dead_letter_queue() {
    let moto = Moto::start(1);
    moto.put("one.log", lines(10));
    moto.send(&moto.queue, "hello");
    let elbow = start(&moto, free_address(), "");
    eventually("both messages are in the dead-letter queue", || moto.counts(&moto.dead_letters).0 == 2);
    elbow.signal("TERM");
    let run = elbow.wait().expect_code(0);
    assert!(run.stderr.contains("found text that begins with"), "{}", run.stderr);
    assert!(run.stderr.contains("events could not be delivered"), "{}", run.stderr);
}

#[test]
fn what_cannot_be_finished_is_given_back_at_once() {
    let moto = Moto::start(600);
    let receiver = Receiver::start(|_| Script { rest: Duration::from_millis(50), ..Script::default() });
    moto.put("long.log", lines(200_000));
    let elbow = start(&moto, receiver.address, "");
    eventually("the first lines arrive", || !receiver.lines().is_empty());
    assert_eq!(moto.counts(&moto.queue), (0, 1));
    elbow.signal("TERM");
    elbow.wait().expect_code(0);
    assert_eq!(moto.counts(&moto.queue), (1, 0), "another can have it, ten minutes before its time");
}

#[test]
fn health_and_metrics_are_served() {
    let (moto, receiver, address) = (Moto::start(30), Receiver::plain(), free_address());
    let elbow = start(&moto, receiver.address, &format!("[service]\nlisten = \"{address}\""));
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
    eventually("elbow is ready", || get(address, "/readyz").starts_with("HTTP/1.1 200"));
    moto.put("one.log", lines(100) + "garbage\n");
    moto.wait_until_empty(&moto.queue);
    let metrics = get(address, "/metrics");
    for expected in [
        "elbow_objects_total{status=\"settled\"} 1\n",
        "elbow_records_total{fate=\"mapped\"} 100\n",
        "elbow_records_total{fate=\"rejected\"} 1\n",
        "elbow_events_total{fate=\"confirmed\"} 100\n",
        "elbow_ledger_imbalance 0\n",
        "elbow_connections 0\n",
        "elbow_connections_closed_total{reason=\"confirmed\"} 1\n",
        "elbow_messages_total{queue=\"logs\",end=\"deleted\"} 2\n",
        "elbow_stage_seconds_total{stage=\"map\"} ",
        "elbow_queue_age_seconds{queue=\"logs\"}",
    ] {
        assert!(metrics.contains(expected), "{expected} is not in\n{metrics}");
    }
    assert!(get(address, "/").starts_with("HTTP/1.1 404"));
    drop(moto);
    eventually("elbow is not ready without its queue", || get(address, "/readyz").starts_with("HTTP/1.1 503"));
    elbow.signal("TERM");
    elbow.wait().expect_code(0);
}

/// Three at one queue, of which now and then one is killed, and another takes its place.
#[test]
fn replicas_that_are_killed_lose_nothing() {
    const OBJECTS: usize = 500;
    const LINES: usize = 20;
    // A message whose replica was killed counts as received.
    let (moto, receiver) = (Moto::start_with(3, 100), Receiver::plain());
    for object in 0..OBJECTS {
        let text: String = (object * LINES..(object + 1) * LINES).map(line).collect();
        moto.put(&format!("{object}.log"), text);
    }
    let limits = "concurrency = 2";
    let mut replicas: Vec<Running> = (0..3).map(|_| start(&moto, receiver.address, limits)).collect();
    let began = Instant::now();
    let mut kills = 0;
    while moto.counts(&moto.queue) != (0, 0) {
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", moto.counts(&moto.queue));
        wait(Duration::from_millis(400 + 137 * (kills % 5)));
        if kills == 8 {
            continue;
        }
        let killed = replicas.remove((kills % 3) as usize);
        killed.signal("KILL");
        killed.wait();
        replicas.push(start(&moto, receiver.address, limits));
        kills += 1;
    }
    for replica in replicas {
        replica.signal("TERM");
        replica.wait().expect_code(0);
    }
    assert!(kills >= 3, "{kills} kills");
    assert_eq!(moto.counts(&moto.dead_letters), (0, 0));
    // A message that was deleted too early would be a line that is missing.
    expect_all(numbers(&receiver.lines()), OBJECTS * LINES);
}

#[allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
fn wait(duration: Duration) {
    std::thread::sleep(duration);
}
