//! Old objects: choosing them by time, going on after a stop, and leaving them to a fleet.

use crate::support::logs::{expect_all, line, lines, numbers};
use crate::support::moto::Moto;
use crate::support::receiver::Receiver;
use crate::support::s3::{Fault, S3};

const ALL: &str = "s3://access-logs/";

fn three() -> S3 {
    let s3 = S3::start();
    for object in 0..3 {
        let text: String = (object * 10..(object + 1) * 10).map(line).collect();
        s3.put(&format!("{object} ü.log"), text);
    }
    s3
}

#[test]
fn objects_are_chosen_by_their_time() {
    let s3 = three();
    for (args, expected) in [
        (&["--since", "1h"][..], 30),
        (&["--until", "1h"], 0),
        (&["--since", "2020-01-01", "--until", "2020-01-02"], 0),
        (&["--since", "2020-01-01T00:00:00Z"], 30),
    ] {
        let run = s3.forward().args(args).arg(ALL).run().expect_code(0);
        assert_eq!(run.count("/events/confirmed"), expected, "{args:?}");
    }
    let run = s3.forward().args(["--since", "yesterday", ALL]).run().expect_code(2);
    assert!(run.stderr.contains("expected a date (2026-10-05)"), "{}", run.stderr);
}

#[test]
fn a_dry_run_lists_and_does_nothing() {
    let s3 = three();
    let run = s3.command("forward").args(["--dry-run", "--to", "tcp://127.0.0.1:9", ALL]).run().expect_code(0);
    let bytes = lines(10).len();
    let listed = String::from_utf8(run.stdout).unwrap();
    assert_eq!(listed.lines().count(), 3);
    assert!(listed.contains(&format!("{bytes}  s3://access-logs/0 ü.log\n")), "{listed}");
    let all = lines(30).len();
    assert!(run.stderr.contains(&format!("3 objects, {all} bytes as stored")), "{}", run.stderr);
}

#[test]
fn what_is_settled_is_not_sent_again() {
    let s3 = three();
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    let forward = || s3.forward().args(["--checkpoint", checkpoint.to_str().unwrap(), "--concurrency", "1", ALL]);
    // The second is not there when it is asked for.
    s3.fail([Fault::None, Fault::Status(404, "NoSuchKey")]);
    let first = forward().run().expect_code(1);
    assert_eq!(first.count("/objects/settled"), 2);
    let second = forward().run().expect_code(0);
    assert_eq!(second.count("/objects/total"), 1, "{:#}", second.summary);
    expect_all([numbers(&first.stdout), numbers(&second.stdout)].concat(), 30);
    assert_eq!(numbers(&second.stdout), (10..20).collect::<Vec<_>>());
    assert!(second.stderr.contains("2 objects are settled already"), "{}", second.stderr);
    assert_eq!(forward().run().expect_code(0).count("/objects/total"), 0);
    // Replaced, it is another.
    s3.put("0 ü.log", lines(3));
    assert_eq!(numbers(&forward().run().expect_code(0).stdout), [0, 1, 2]);
}

#[test]
fn a_file_that_is_no_checkpoint_is_left_alone() {
    let s3 = three();
    let run =
        s3.forward().file("notes.txt", "buy milk\n").args(["--checkpoint", "notes.txt", ALL]).run().expect_code(2);
    assert!(run.stderr.contains("notes.txt, line 1: expected `OBJECT`, a tab, and its etag"), "{}", run.stderr);
}

#[test]
fn a_fleet_can_do_it() {
    let (moto, receiver) = (Moto::start(30), Receiver::plain());
    for object in 0..25 {
        let text: String = (object * 10..(object + 1) * 10).map(line).collect();
        moto.put(&format!("old/{object} ü+%.log"), text);
    }
    // As if nobody had been notified of them.
    moto.runtime.block_on(moto.sqs.purge_queue().queue_url(&moto.queue).send()).unwrap();
    let run = moto.command("forward").args(["--enqueue", &moto.queue, "s3://access-logs/old/"]).run().expect_code(0);
    assert!(run.stderr.contains("25 messages were sent"), "{}", run.stderr);
    assert_eq!(moto.counts(&moto.queue), (25, 0));
    let to = format!("tcp://{}", receiver.address);
    let elbow = moto.command("run").args(["--queue", &moto.queue, "--to", &to, "--set", "style=flat"]).start();
    moto.wait_until_empty(&moto.queue);
    elbow.signal("TERM");
    elbow.wait().expect_code(0);
    expect_all(numbers(&receiver.lines()), 250);
}
