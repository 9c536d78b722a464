//! The original sin and its relatives. Wherever delivery is possible, each line arrives, at least once, and the ledger says
//! so; where it is not, the exit code and the summary say so.

use std::time::Duration;

use crate::support::elbow::Elbow;
use crate::support::eventually;
use crate::support::logs::{expect_all, line, lines, numbers};
use crate::support::receiver::{End, Receiver, Script, free_address};

const MANY: usize = 60_000;

#[test]
fn a_small_object_arrives_at_a_receiver_that_accepts_late() {
    let receiver = Receiver::start(|_| Script { accept_after: Duration::from_millis(1500), ..Script::default() });
    let run = Elbow::forward_to(receiver.address).input("one.log", line(0)).run().expect_code(0);
    assert_eq!(numbers(&receiver.lines()), [0]);
    assert_eq!(run.events(), [1, 1, 0]);
    assert_eq!(run.text("/rung"), "closed");
}

#[test]
fn many_lines_arrive_at_a_receiver_that_reads_slowly() {
    let receiver = Receiver::start(|_| Script { rest: Duration::from_micros(500), ..Script::default() });
    let run = Elbow::forward_to(receiver.address).input("many.log", lines(MANY)).run().expect_code(0);
    let arrived = numbers(&receiver.lines());
    assert_eq!(arrived.len(), MANY, "nothing broke, so nothing was sent twice");
    expect_all(arrived, MANY);
    assert_eq!(run.events(), [MANY as u64, MANY as u64, 0]);
    assert_eq!(run.count("/events/resent"), 0);
    assert_eq!(run.text("/rung"), "closed");
}

#[test]
fn a_reset_in_the_middle_loses_nothing_and_splits_no_event() {
    let receiver = Receiver::start(|index| match index {
        0 => Script { after_bytes: Some(1_000_000), end: End::Reset, ..Script::default() },
        1 => Script { after_bytes: Some(3), end: End::Reset, ..Script::default() },
        _ => Script::default(),
    });
    let run = Elbow::forward_to(receiver.address).input("many.log", lines(MANY)).run().expect_code(0);
    // `numbers` takes whole events only: one that was glued to half of another would fail the test.
    expect_all(numbers(&receiver.lines()), MANY);
    assert_eq!(run.events(), [MANY as u64, MANY as u64, 0]);
    assert!(run.is("/balanced"));
    assert!(run.count("/connections/destroyed/reset") >= 2, "{:#}", run.summary);
    assert!(run.count("/failures/sockets/total") >= 1);
}

#[test]
fn a_receiver_that_is_down_and_comes_up_gets_everything() {
    let address = free_address();
    let running = Elbow::forward_to(address).input("one.log", lines(100)).start();
    running.wait_for_log("retrying");
    let receiver = Receiver::start_at(address, |_| Script::default());
    let run = running.wait().expect_code(0);
    expect_all(numbers(&receiver.lines()), 100);
    assert_eq!(run.events(), [100, 100, 0]);
    assert!(run.count("/failures/sockets/total") >= 1);
    assert!(run.stderr.contains("retrying"), "{}", run.stderr);
}

#[test]
fn a_connection_that_the_receiver_closes_while_it_is_idle_loses_nothing() {
    let receiver = Receiver::plain();
    let mut running = Elbow::forward_to(receiver.address).arg("-").start();
    running.write(line(0).as_bytes());
    eventually("the first line is there", || !receiver.lines().is_empty());
    receiver.close_connections();
    // What was unconfirmed on it goes out again without waiting for another line.
    eventually("the first line is there again", || receiver.connection_count() == 2);
    running.write(line(1).as_bytes());
    let run = running.wait().expect_code(0);
    expect_all(numbers(&receiver.lines()), 2);
    assert_eq!(run.events(), [2, 2, 0]);
    assert!(run.count("/events/resent") >= 1);
    assert_eq!(run.count("/connections/destroyed/peer-closed"), 1);
}

#[test]
fn a_receiver_that_is_never_there_fails_the_run() {
    let run = Elbow::forward()
        .config(&format!("[destinations.gone]\nurl = \"tcp://{}\"\nretry-for = \"300ms\"", free_address()))
        .input("ten.log", lines(10))
        .run()
        .expect_code(1);
    assert_eq!(run.events(), [10, 0, 10]);
    assert!(run.is("/balanced"), "what failed is accounted for");
    assert!(!run.is("/settled"));
    assert_eq!(run.text("/per_object/0/status"), "failed");
    let error = run.text("/per_object/0/error");
    assert!(error.contains("refused") && error.contains("gave up after 300ms"), "{error}");
}

#[test]
fn a_receiver_that_stops_reading_for_ever_fails_the_run() {
    let receiver =
        Receiver::start(|_| Script { after_bytes: Some(10_000), end: End::StopReading, ..Script::default() });
    let run = Elbow::forward()
        .config(&format!(
            "[destinations.stuck]\nurl = \"tcp://{}\"\nretry-for = \"1s\"\nwrite-timeout = \"300ms\"\nclose-timeout = \"300ms\"",
            receiver.address
        ))
        .input("many.log", lines(MANY))
        .run()
        .expect_code(1);
    assert_eq!(run.count("/events/confirmed"), 0);
    assert!(!run.is("/settled"));
    assert!(run.is("/balanced"));
}

#[test]
fn a_receiver_that_never_closes_its_side_is_known_to_have_received() {
    let receiver = Receiver::start(|_| Script { end: End::StayOpen, ..Script::default() });
    let config = format!("[destinations.open]\nurl = \"tcp://{}\"\nclose-timeout = \"500ms\"\n", receiver.address);
    let run = Elbow::forward().config(&config).input("ten.log", lines(10)).run().expect_code(0);
    assert_eq!(run.text("/rung"), "received");
    assert_eq!(run.count("/events/confirmed_by_rung/received"), 10);
    assert_eq!(run.count("/connections/destroyed/close-timeout"), 1);

    let demanding = format!("{config}require = \"closed\"");
    let run = Elbow::forward().config(&demanding).input("ten.log", lines(10)).run().expect_code(1);
    assert_eq!(run.events(), [10, 0, 10]);
    assert!(run.text("/per_object/0/error").contains("`require` is `closed`"));
}

#[test]
fn a_receiver_that_talks_all_the_time_does_not_put_the_close_deadline_off() {
    let receiver = Receiver::start(|_| Script { end: End::StayOpen, talks: true, ..Script::default() });
    let config = format!("[destinations.open]\nurl = \"tcp://{}\"\nclose-timeout = \"500ms\"\n", receiver.address);
    let run = Elbow::forward().config(&config).input("ten.log", lines(10)).run().expect_code(0);
    assert_eq!(run.text("/rung"), "received");
}

#[test]
fn a_receiver_that_closes_in_the_middle_again_and_again_gets_everything() {
    let receiver = Receiver::start(|index| match index % 2 {
        0 if index < 20 => Script { after_bytes: Some(300_000 + index), ..Script::default() },
        _ => Script::default(),
    });
    let run = Elbow::forward_to(receiver.address).input("many.log", lines(MANY)).run().expect_code(0);
    expect_all(numbers(&receiver.lines()), MANY);
    assert_eq!(run.events(), [MANY as u64, MANY as u64, 0]);
    assert!(run.count("/events/resent") > 0);
}

#[test]
fn each_rung_is_reached_and_named() {
    for rung in ["written", "received", "closed"] {
        let receiver = Receiver::plain();
        let run = Elbow::forward_to(receiver.address)
            .args(["--confirm", rung])
            .input("a.log", lines(1000))
            .run()
            .expect_code(0);
        assert_eq!(run.text("/rung"), rung);
        assert_eq!(run.events(), [1000, 1000, 0]);
        if rung != "written" {
            expect_all(numbers(&receiver.lines()), 1000);
        }
    }
}

#[test]
fn unconfirmed_events_stay_within_their_bound_and_all_arrive() {
    let receiver = Receiver::plain();
    let run = Elbow::forward()
        .config(&format!(
            "[destinations.a]\nurl = \"tcp://{}\"\nmax-unconfirmed = \"600KiB\"\n[mappings.aws.settings]\nstyle = \"flat\"",
            receiver.address
        ))
        .input("many.log", lines(MANY))
        .run()
        .expect_code(0);
    expect_all(numbers(&receiver.lines()), MANY);
    // Twenty-five megabytes of events can be held to 600 KiB only by closing connections all the time.
    assert!(run.count("/connections/destroyed/confirmed") > 20, "{:#}", run.summary["connections"]);
    assert_eq!(run.text("/rung"), "closed");
}

#[test]
fn objects_share_connections() {
    let receiver = Receiver::plain();
    let mut elbow = Elbow::forward_to(receiver.address);
    for index in 0..50 {
        elbow = elbow.input(&format!("{index}.log"), line(index));
    }
    let run = elbow.run().expect_code(0);
    expect_all(numbers(&receiver.lines()), 50);
    assert_eq!(run.count("/objects/settled"), 50);
    assert!(run.count("/connections/created") <= 4, "{:#}", run.summary["connections"]);
}

#[test]
fn a_signal_stops_reading_and_what_was_read_is_delivered() {
    let receiver = Receiver::plain();
    let mut running = Elbow::forward_to(receiver.address).arg("-").start();
    running.write(lines(20).as_bytes());
    eventually("the lines are there", || numbers(&receiver.lines()).len() == 20);
    running.signal("TERM");
    // Its standard input is still open.
    eventually("elbow has stopped", || running.has_ended());
    let run = running.wait().expect_code(1);
    assert_eq!(run.events(), [20, 20, 0]);
    assert!(run.text("/per_object/0/error").contains("stopped before the end"), "{:#}", run.summary);
}

#[test]
fn a_signal_ends_a_run_whose_receiver_is_down() {
    let config = format!("[destinations.gone]\nurl = \"tcp://{}\"\n[limits]\nstop-timeout = \"300ms\"", free_address());
    let mut running = Elbow::forward().config(&config).input("ten.log", lines(10)).start();
    running.wait_for_log("retrying");
    running.signal("TERM");
    eventually("elbow has stopped", || running.has_ended());
    let run = running.wait().expect_code(1);
    assert_eq!(run.events(), [10, 0, 10]);
    assert!(run.is("/balanced"));
}

#[test]
fn a_file_and_standard_output_are_destinations() {
    let run = Elbow::forward().args(["--set", "style=flat"]).input("a.log", lines(3)).run().expect_code(0);
    assert_eq!(numbers(&run.stdout), [0, 1, 2]);
    assert_eq!(run.text("/rung"), "written");

    let elbow = Elbow::forward().args(["--set", "style=flat", "--to", "file:events.ndjson"]).input("a.log", lines(3));
    let elbow = elbow.file("events.ndjson", "{\"url_path\":\"/line/9\"}\n");
    let events = elbow.path("events.ndjson");
    let written = elbow.start().wait_and_read(&events);
    assert_eq!(numbers(&written), [9, 0, 1, 2], "a file is appended to");
}
