//! Ids of events and dead letters: the same in every replay, and a way back to the record.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::elbow::{Elbow, Run};
use crate::support::eventually;
use crate::support::logs::{gzip, line, lines};
use crate::support::receiver::{End, Receiver, Script};
use crate::support::s3::{BUCKET, S3};

fn events(ndjson: &[u8]) -> Vec<Value> {
    let lines = ndjson.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn ids(ndjson: &[u8]) -> Vec<String> {
    events(ndjson).iter().map(|event| event["elbow_id"].as_str().unwrap().to_owned()).collect()
}

fn forward(s3: &S3, key: &str) -> Run {
    s3.forward_with_ids().arg(format!("s3://{BUCKET}/{key}")).run().expect_code(0)
}

#[test]
fn a_replay_has_the_same_ids_and_another_version_has_others() {
    let s3 = S3::start();
    s3.put("a.log.gz", gzip(lines(3000).as_bytes()));
    let first = ids(&forward(&s3, "a.log.gz").stdout);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3000, "no id is there twice");
    assert_eq!(ids(&forward(&s3, "a.log.gz").stdout), first);
    s3.put("a.log.gz", gzip(lines(3001).as_bytes()));
    let second = ids(&forward(&s3, "a.log.gz").stdout);
    assert!(second.iter().all(|id| !first.contains(id)));
}

#[test]
fn duplicates_can_be_told_by_their_ids() {
    let s3 = S3::start();
    s3.put("a.log", lines(5000));
    let receiver = Receiver::start(|index| match index {
        0 => Script { after_bytes: Some(1_000_000), end: End::Reset, ..Script::default() },
        _ => Script::default(),
    });
    let uri = format!("s3://{BUCKET}/a.log");
    let run = s3.forward_with_ids().args(["--to", &format!("tcp://{}", receiver.address), &uri]).run().expect_code(0);
    assert!(run.count("/events/resent") > 0);
    let received = ids(&receiver.lines());
    assert!(received.len() > 5000);
    assert_eq!(received.iter().collect::<BTreeSet<_>>().len(), 5000);
}

#[test]
fn a_run_that_is_killed_and_repeated_loses_nothing() {
    let s3 = S3::start();
    s3.put("a.log", lines(40_000));
    for killed_after in [1, 1_000_000, 5_000_000] {
        let receiver = Receiver::start(|_| Script { rest: Duration::from_micros(200), ..Script::default() });
        let to = format!("tcp://{}", receiver.address);
        let uri = format!("s3://{BUCKET}/a.log");
        let running = s3.forward_with_ids().args(["--to", &to, &uri]).start();
        eventually("some of it has arrived", || receiver.lines().len() >= killed_after);
        running.signal("KILL");
        assert_eq!(running.wait().code, None);
        s3.forward_with_ids().args(["--to", &to, &uri]).run().expect_code(0);
        let received = ids(&receiver.lines());
        assert!(received.len() > 40_000, "what had arrived before came again");
        assert_eq!(received.iter().collect::<BTreeSet<_>>().len(), 40_000, "and can be told by its id");
    }
}

#[test]
fn an_id_leads_back_to_its_record() {
    let s3 = S3::start();
    s3.put("a.log.gz", gzip(lines(3000).as_bytes()));
    let id = ids(&forward(&s3, "a.log.gz").stdout)[2345].clone();
    let uri = format!("s3://{BUCKET}/a.log.gz");
    let run = s3.command("explain").args([&id, &uri]).run().expect_code(0);
    assert_eq!(String::from_utf8(run.stdout).unwrap(), line(2345));

    s3.put("a.log.gz", gzip(lines(2999).as_bytes()));
    let run = s3.command("explain").args([&id, &uri]).run().expect_code(2);
    assert!(run.stderr.contains("as it is now"), "{}", run.stderr);
    let run = s3.command("explain").args(["nonsense", &uri]).run().expect_code(2);
    assert!(run.stderr.contains("is no id of elbow's"), "{}", run.stderr);
}

#[test]
fn standard_input_has_no_ids() {
    let mut running = Elbow::forward_with_ids().arg("-").start();
    running.write(lines(2).as_bytes());
    let run = running.wait().expect_code(0);
    assert!(events(&run.stdout).iter().all(|event| event.get("elbow_id").is_none()));
}

#[test]
fn the_field_can_be_chosen() {
    let run = Elbow::forward_with_ids().args(["--event-id", "id"]).input("a.log", lines(2)).run().expect_code(0);
    assert!(events(&run.stdout).iter().all(|event| event["id"].is_string() && event.get("elbow_id").is_none()));
}

/// Three records, of which the last two are rejected.
fn with_rejects() -> Vec<u8> {
    [line(0).as_bytes(), b"nonsense\n", b"\xFF\xFE\n"].concat()
}

#[track_caller]
fn expect_dead_letters(letters: &[Value], object: &str) {
    let begin = line(0).len();
    assert_eq!(letters.len(), 2, "{letters:#?}");
    for letter in letters {
        assert_eq!(letter["tags"][0], "elbow-dead-letter");
        assert_eq!(letter["elbow"]["object"], object);
        assert!(letter["elbow"]["reason"].as_str().unwrap().contains("expected a classic ELB line"));
        assert_eq!(letter["elbow"]["mapping"]["name"], "aws");
        assert_eq!(letter["elbow"]["mapping"]["sha256"].as_str().unwrap().len(), 64);
        assert!(letter["elbow_id"].as_str().unwrap().ends_with("-r"));
    }
    assert_eq!(letters[0]["elbow"]["record"], "nonsense");
    assert_eq!(letters[0]["elbow"]["bytes"], serde_json::json!({ "begin": begin, "end": begin + 8 }));
    assert_eq!(letters[1]["elbow"]["record_base64"], "//4=");
}

#[test]
fn dead_letters_go_to_a_file() {
    let elbow =
        Elbow::forward_with_ids().config("[dead-letters]\nto = \"file:dead.ndjson\"").input("a.log", with_rejects());
    let dead = elbow.path("dead.ndjson");
    let written = elbow.start().wait_and_read(&dead);
    expect_dead_letters(&events(&written), "a.log");
}

#[test]
fn dead_letters_go_to_the_same_destination() {
    let receiver = Receiver::plain();
    let run = Elbow::forward_to(receiver.address)
        .config("[dead-letters]\nto = \"same-destination\"")
        .input("a.log", with_rejects())
        .run()
        .expect_code(0);
    let received = events(&receiver.lines());
    assert_eq!(received.len(), 3);
    let letters: Vec<Value> = received.into_iter().filter(|event| event.get("elbow").is_some()).collect();
    expect_dead_letters(&letters, "a.log");
    assert_eq!(run.events(), [1, 1, 0], "dead letters are no events");
    assert_eq!(run.count("/dead_letters/confirmed"), 2);
}

#[test]
fn dead_letters_go_to_objects_in_s3_and_a_replay_adds_none() {
    let s3 = S3::start();
    s3.put("logs/a.log", with_rejects());
    let uri = format!("s3://{BUCKET}/logs/a.log");
    for _ in 0..2 {
        let config = format!("[dead-letters]\nto = \"s3://{BUCKET}/dead/\"");
        let run = s3.forward_with_ids().config(&config).arg(&uri).run().expect_code(0);
        assert_eq!(run.count("/dead_letters/confirmed"), 2);
    }
    let written = s3.store.list(BUCKET, "dead/");
    assert_eq!(written.len(), 1);
    expect_dead_letters(&events(&s3.store.get(BUCKET, &written[0]).unwrap()), &uri);
}

#[test]
fn an_object_whose_dead_letters_cannot_be_written_fails() {
    let s3 = S3::start();
    s3.put("a.log", with_rejects());
    let config = "[dead-letters]\nto = \"s3://no-such-bucket/\"";
    let run = s3.forward_with_ids().config(config).arg(format!("s3://{BUCKET}/a.log")).run().expect_code(1);
    let error = run.text("/per_object/0/error");
    assert!(error.contains("dead letters could not be written") && error.contains("NoSuchBucket"), "{error}");
    assert_eq!([run.count("/dead_letters/sent"), run.count("/dead_letters/failed")], [2, 2]);
    assert!(run.is("/balanced"));
}

#[test]
fn a_record_over_the_cap_has_a_dead_letter_with_its_place_and_its_beginning() {
    let elbow = Elbow::forward_with_ids()
        .config("[dead-letters]\nto = \"file:dead.ndjson\"\n[limits]\nmax-record = \"1KiB\"")
        .input("a.log", format!("{}{}\n", line(0), "x".repeat(5000)));
    let dead = elbow.path("dead.ndjson");
    let letters = events(&elbow.start().wait_and_read(&dead));
    let begin = line(0).len();
    assert_eq!(letters[0]["elbow"]["bytes"], serde_json::json!({ "begin": begin, "end": begin + 5000 }));
    assert_eq!(letters[0]["elbow"]["record"], "x".repeat(4096));
    assert_eq!(letters[0]["elbow"]["truncated"], true);
}
