//! The commands as people meet them: help, mistakes, exit codes, and the ones for trying elbow out.

use std::io::Write;
use std::net::TcpStream;

use crate::support::elbow::Elbow;
use crate::support::logs::{line, lines, numbers};
use crate::support::receiver::{Receiver, free_address};

#[test]
fn help_teaches_the_commands() {
    let help = |args: &[&str]| String::from_utf8(Elbow::new("--help").args(args).run().expect_code(0).stdout).unwrap();
    let all = help(&[]);
    for command in ["forward", "check", "sink", "demo"] {
        assert!(all.contains(command), "{all}");
    }
    let forward = Elbow::new("forward").arg("--help").run().expect_code(0);
    let forward = String::from_utf8(forward.stdout).unwrap();
    for taught in ["s3://bucket/prefix/", "--to tcp://logstash:5000", "received", "AWS_ENDPOINT_URL"] {
        assert!(forward.contains(taught), "{forward}");
    }
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_would_be_right() {
    for (args, hint) in [
        (&[][..], "URI"),
        (&["--to", "logstash:5000", "a.log"], "tcp://host:port"),
        (&["--confirm", "delivered", "a.log"], "received"),
        (&["--set", "style", "a.log"], "KEY=VALUE"),
        (&["--mapping", "orders", "a.log"], "there are `aws`"),
        (
            &["--set", "style=esc", "a.log"],
            "style: unknown variant `esc`, expected one of `ecs`, `flat`, `elb-processor`",
        ),
        (&["--set", "stile=ecs", "a.log"], "unknown field `stile`, expected one of `format`, `columns`"),
        (&["--confirm", "closed", "a.log"], "the most that it can prove is `written`"),
        (&["--config", "missing.toml", "a.log"], "failed to read missing.toml"),
        (&["https://b/k"], "s3://bucket/key"),
        (&["--to", "file:no/such/folder/x", "a.log"], "failed to open no/such/folder/x"),
        (&["--set", "keep_message=yes", "a.log"], "keep_message: invalid type"),
    ] {
        let run = Elbow::forward().file("a.log", line(0)).args(args).run().expect_code(2);
        assert!(run.stderr.contains(hint), "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "nothing is begun");
        assert!(!run.stderr.contains("panicked"));
    }
}

#[test]
fn a_summary_that_cannot_be_written_is_known_before_anything_is_sent() {
    let run =
        Elbow::new("forward").args(["--summary", "no/such/folder/s.json"]).input("a.log", line(0)).run().expect_code(2);
    assert!(run.stderr.contains("failed to write the summary to no/such/folder/s.json"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
}

#[test]
fn a_config_that_leaves_the_way_open_is_refused() {
    let config = "[destinations.a]\nurl = \"stdout:\"\n[destinations.b]\nurl = \"stdout:\"\n";
    for command in ["check", "forward"] {
        let elbow = Elbow::new(command).config(config);
        let elbow = if command == "check" { elbow } else { elbow.input("a.log", line(0)) };
        let run = elbow.run().expect_code(2);
        assert!(run.stderr.contains("there are 2 destinations, and not every route says which"), "{}", run.stderr);
    }
}

#[test]
fn events_are_alone_on_standard_output() {
    let run = Elbow::new("forward").args(["--set", "style=flat", "-"]).start();
    let mut run = run;
    run.write(lines(5).as_bytes());
    let run = run.wait().expect_code(0);
    assert_eq!(numbers(&run.stdout), [0, 1, 2, 3, 4]);
    // Without --summary the summary goes where the log goes.
    let json = &run.stderr[run.stderr.find('{').unwrap()..=run.stderr.rfind('}').unwrap()];
    let summary: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(summary["events"]["confirmed"], 5);
}

#[test]
fn a_reader_that_goes_away_fails_the_run() {
    let mut elbow = Elbow::forward().args(["--set", "style=flat"]).input("a.log", lines(20_000)).start();
    elbow.close_stdout();
    let run = elbow.wait().expect_code(1);
    assert!(run.text("/per_object/0/error").contains("failed to write to standard output"), "{:#}", run.summary);
}

#[test]
fn the_sink_prints_and_counts() {
    let address = free_address();
    let sink = Elbow::new("sink").args(["--listen", &address.to_string()]).start();
    sink.wait_for_log("listening on");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"one\ntwo\n").unwrap();
    drop(stream);
    let run = Elbow::forward_to(address).input("a.log", lines(3)).run().expect_code(0);
    assert_eq!(run.text("/rung"), "closed");
    sink.signal("INT");
    let run = sink.wait().expect_code(0);
    let printed = String::from_utf8(run.stdout).unwrap();
    assert!(printed.starts_with("one\ntwo\n"));
    assert_eq!(numbers(&printed.as_bytes()["one\ntwo\n".len()..]), [0, 1, 2]);
    assert!(run.stderr.contains("2 connections, 5 lines"), "{}", run.stderr);
}

#[test]
fn the_demo_shows_a_ledger_that_balances() {
    for style in ["flat", "ecs", "elb-processor"] {
        let run = Elbow::new("demo").args(["--style", style]).run().expect_code(0);
        let shown = String::from_utf8(run.stdout).unwrap();
        for expected in [
            "S3 server",
            "@timestamp",
            "balances",
            "\"rung\": \"closed\"",
            "\"settled\": true",
            "The receiver counted 11 lines",
        ] {
            assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
        }
        // One of the logs has columns of tomorrow.
        assert!(run.stderr.lines().all(|line| line.contains("that the mapping does not know")), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    }
}

#[test]
fn check_tells_what_would_work() {
    let receiver = Receiver::plain();
    let config = format!("[destinations.logstash]\nurl = \"tcp://{}\"\n", receiver.address);
    let run = Elbow::new("check").config(&config).run().expect_code(0);
    let told = String::from_utf8(run.stdout).unwrap();
    for expected in ["valid", "mapping `aws`", "classic-elb, alb", "answers, confirms `closed`, requires `received`"] {
        assert!(told.contains(expected), "{told}");
    }

    let gone = format!("[destinations.logstash]\nurl = \"tcp://{}\"\n", free_address());
    let run = Elbow::new("check").config(&gone).run().expect_code(2);
    assert!(String::from_utf8_lossy(&run.stdout).contains("does not answer"), "{run:?}");
    Elbow::new("check").arg("--offline").config(&gone).run().expect_code(0);

    let wrong = format!("{config}[mappings.aws.settings]\nstyle = \"esc\"");
    let run = Elbow::new("check").config(&wrong).run().expect_code(2);
    assert!(run.stderr.contains("elbow.toml") && run.stderr.contains("`elb-processor`"), "{}", run.stderr);
}

#[test]
fn what_a_mapping_promises_can_be_inspected() {
    let inspect = |args: &[&str]| Elbow::new("inspect").arg("aws").args(args).run();
    let text = |run: crate::support::elbow::Run| String::from_utf8(run.expect_code(0).stdout).unwrap();
    let table = text(inspect(&["--format", "nlb", "--set", "style=flat"]));
    assert!(table.contains("\n  connection_time "), "{table}");

    let template: serde_json::Value = serde_json::from_str(&text(inspect(&["--elasticsearch"]))).unwrap();
    let properties = &template["template"]["mappings"]["properties"];
    assert_eq!(properties["@timestamp"]["type"], "date");
    assert_eq!(properties["elbow_id"]["type"], "keyword");
    assert_eq!(properties["source"]["properties"]["ip"]["type"], "ip");
    assert_eq!(properties["http"]["properties"]["response"]["properties"]["status_code"]["type"], "long");

    let statement = text(inspect(&["--format", "alb", "--set", "style=flat", "--sql", "logs.access"]));
    assert!(statement.starts_with("CREATE TABLE IF NOT EXISTS `logs`.`access`\n("), "{statement}");
    assert!(statement.contains("`elb_status_code` Nullable(Int64)"), "{statement}");
    assert!(statement.contains("`target_processing_time` Nullable(Float64)"), "{statement}");
    assert!(statement.contains("`elbow_id` String"), "{statement}");

    let run = inspect(&["--format", "iis"]).expect_code(2);
    assert!(run.stderr.contains("`aws` has no such format; it reads classic-elb, alb"), "{}", run.stderr);
}
