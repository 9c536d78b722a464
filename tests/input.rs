//! Bad input: a clear message or a counted reject, never a panic, never an object that is silently cut short.

use crate::support::elbow::{Elbow, Run};
use crate::support::guests::workspace;
use crate::support::logs::{expect_all, gzip, line, lines, numbers};
use crate::support::s3::{BUCKET, S3};

fn forward(name: &str, bytes: impl AsRef<[u8]>) -> Run {
    Elbow::forward().args(["--set", "style=flat"]).input(name, bytes).run()
}

#[test]
fn a_truncated_gzip_is_a_failed_object() {
    let stored = gzip(lines(5000).as_bytes());
    for cut in [stored.len() - 4, stored.len() / 2] {
        let run = forward("cut.log.gz", &stored[..cut]).expect_code(1);
        assert_eq!(run.text("/per_object/0/status"), "failed");
        assert!(run.text("/per_object/0/error").contains("gzip data is truncated"), "{:#}", run.summary);
        // What could be read was delivered, and is in the books.
        let [encountered, mapped, ..] = run.records();
        assert_eq!(numbers(&run.stdout).len() as u64, mapped);
        assert_eq!(encountered, mapped);
        // All of it: every whole line before the cut, after which no more than a part of one was decoded.
        let decoded = run.count("/bytes/decoded") as usize;
        let whole = lines(mapped as usize).len();
        assert!((whole..whole + line(mapped as usize).len()).contains(&decoded), "{whole} {decoded}");
        assert!(mapped > 100 && run.is("/balanced"));
    }
}

#[test]
fn a_gzip_that_breaks_in_the_middle_is_a_failed_object() {
    let mut stored = gzip(lines(5000).as_bytes());
    let middle = stored.len() / 2;
    stored[middle..middle + 64].fill(0xFF);
    let run = forward("broken.log.gz", stored).expect_code(1);
    assert!(run.text("/per_object/0/error").contains("gzip data is broken"), "{:#}", run.summary);
}

#[test]
fn garbage_is_named_or_rejected_line_by_line() {
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let run = forward("garbage", &garbage).expect_code(1);
    assert!(run.text("/per_object/0/error").contains("neither the key nor the first line"), "{:#}", run.summary);

    let count = garbage.split(|b| *b == b'\n').count() as u64;
    let run = Elbow::forward().args(["--set", "format=classic-elb"]).input("garbage", &garbage).run().expect_code(0);
    let [encountered, mapped, rejected, dropped] = run.records();
    assert_eq!((encountered, mapped), (count, 0));
    assert_eq!(rejected + dropped, count);
    let reason = run.text("/per_object/0/parsing/last/0");
    assert!(reason.contains("record") && reason.contains("expected a classic ELB line"), "{reason}");
}

#[test]
fn rejects_can_be_made_to_fail_the_run() {
    let text = format!("{}nonsense\n{}", line(0), line(1));
    let run = Elbow::forward().input("a.log", &text).run().expect_code(0);
    assert_eq!(run.records(), [3, 2, 1, 0]);
    Elbow::forward().args(["--max-rejects", "1"]).input("a.log", &text).run().expect_code(0);
    let run = Elbow::forward().args(["--max-rejects", "0"]).input("a.log", &text).run().expect_code(1);
    assert!(run.stderr.contains("--max-rejects"), "{}", run.stderr);
    assert!(run.is("/settled"), "the object is settled all the same");
}

#[test]
fn an_empty_object_is_settled() {
    for stored in [Vec::new(), gzip(b"")] {
        let run = forward("empty.log", stored).expect_code(0);
        assert_eq!(run.records(), [0, 0, 0, 0]);
        assert!(run.is("/settled"));
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn the_last_line_needs_no_newline() {
    let text = lines(3);
    let run = forward("a.log", text.trim_end()).expect_code(0);
    assert_eq!(numbers(&run.stdout), [0, 1, 2]);
}

#[test]
fn carriage_returns_and_empty_lines_are_no_part_of_a_record() {
    let run = forward("a.log", lines(3).replace('\n', "\r\n\r\n")).expect_code(0);
    assert_eq!(numbers(&run.stdout), [0, 1, 2]);
    assert_eq!(run.records(), [6, 3, 0, 3]);
    assert!(!String::from_utf8_lossy(&run.stdout).contains("\\r"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_record() {
    let run = forward("a.log", format!("\u{FEFF}{}", lines(2))).expect_code(0);
    assert_eq!(numbers(&run.stdout), [0, 1]);
}

#[test]
fn nul_and_bytes_that_are_not_utf_8_arrive_as_json() {
    let mut text = line(0).replace("demo/1.0", "demo \u{0}x").into_bytes();
    text.extend(line(1).into_bytes());
    let marker = text.len() - 5 - "demo/1.0\"".len();
    text[marker..marker + 2].copy_from_slice(b"\xC3\x28");
    let run = forward("a.log", text).expect_code(0);
    assert_eq!(numbers(&run.stdout), [0, 1]);
    let agents: Vec<String> = run.stdout.split(|b| *b == b'\n').take(2).map(agent).collect();
    assert_eq!(agents[0], "demo \u{0}x");
    assert!(agents[1].contains("\u{FFFD}("), "{agents:?}");
}

fn agent(event: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
    event["user_agent"].as_str().unwrap().to_owned()
}

#[test]
fn a_record_over_the_cap_is_rejected_and_its_neighbours_are_not() {
    let long = "x".repeat(16 << 20);
    let run = forward("a.log", format!("{}{long}\n{}{long}", line(0), line(1))).expect_code(0);
    assert_eq!(numbers(&run.stdout), [0, 1]);
    assert_eq!(run.records(), [4, 2, 2, 0]);
    let reason = run.text("/per_object/0/parsing/last/0");
    let expected = format!("the record at byte {} is 16777216 bytes long", line(0).len());
    assert!(reason.starts_with(&expected) && reason.contains("max-record"), "{reason}");
}

#[test]
fn an_object_larger_than_the_cap_fails() {
    let bomb = gzip(&vec![b'\n'; 4 << 20]);
    let run = Elbow::forward()
        .config("[limits]\nmax-decoded = \"1MiB\"")
        .args(["--set", "format=classic-elb"])
        .input("bomb.log.gz", bomb)
        .run()
        .expect_code(1);
    assert!(run.text("/per_object/0/error").contains("max-decoded"), "{:#}", run.summary);
}

#[test]
fn the_content_decides_what_an_object_is_not_its_name() {
    let text = lines(100);
    let members: Vec<u8> = text.as_bytes().chunks(777).flat_map(gzip).collect();
    for (name, stored) in [("a.log.gz", text.clone().into_bytes()), ("a.log", members)] {
        let run = forward(name, stored).expect_code(0);
        expect_all(numbers(&run.stdout), 100);
    }
}

#[test]
fn a_file_from_before_1970_is_a_file_like_any() {
    let elbow = Elbow::forward().args(["--set", "style=flat"]).input("old.log", line(0));
    let file = std::fs::File::options().append(true).open(elbow.path("old.log")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(86_400)).unwrap();
    let run = elbow.run().expect_code(0);
    assert_eq!(numbers(&run.stdout), [0]);
}

#[test]
fn a_file_that_is_not_there_fails_and_the_others_are_forwarded() {
    let run =
        Elbow::forward().args(["--set", "style=flat", "missing.log", "."]).input("a.log", line(0)).run().expect_code(1);
    assert_eq!(numbers(&run.stdout), [0]);
    assert_eq!([run.count("/objects/settled"), run.count("/objects/failed")], [1, 2]);
    let errors = run.summary["failures"]["sending"]["last"].to_string();
    assert!(errors.contains("missing.log: failed to open missing.log"), "{errors}");
    assert!(errors.contains("is a directory"), "{errors}");
}

#[test]
fn columns_of_tomorrow_are_reported_once_and_counted() {
    let line = std::fs::read_to_string(workspace().join("tests/cases/alb/thirty-six-fields.log")).unwrap();
    let run = Elbow::forward().env("ELBOW__LIMITS__CONCURRENCY", "1");
    let run = run.input("a.log", &line).input("b.log", &line).input("c.log", line.repeat(3)).run().expect_code(0);
    let warnings: Vec<&str> =
        run.stderr.lines().filter(|line| line.contains("something that the mapping does not know")).collect();
    assert_eq!(warnings.len(), 2, "{}", run.stderr);
    assert!(warnings[0].contains("column 35") && warnings[0].contains("a.log"), "{}", warnings[0]);
    assert!(warnings[1].contains("column 36"), "{}", warnings[1]);
    assert_eq!(run.count("/per_object/2/unknown_fields/column 35"), 3);
}

#[test]
fn what_is_otherwise_than_the_format_says_is_reported_and_counted() {
    let line = std::fs::read_to_string(workspace().join("tests/cases/alb/thirty-four-fields.log")).unwrap();
    let (time, rest) = line.split_once("Z ").unwrap();
    let run = Elbow::forward().input("a.log", format!("{line}{time} {rest}{time}Z  {rest}")).run().expect_code(0);
    for what in ["a time without a zone", "more than one space between columns"] {
        assert!(run.stderr.contains(what), "{}", run.stderr);
        assert_eq!(run.count(&format!("/per_object/0/unknown_fields/{what}")), 1);
    }
    assert_eq!(run.count("/records/mapped"), 3);
}

fn events(run: &Run) -> Vec<serde_json::Value> {
    run.stdout.split(|b| *b == b'\n').filter(|e| !e.is_empty()).map(|e| serde_json::from_slice(e).unwrap()).collect()
}

#[test]
fn a_line_break_in_a_user_agent_is_no_end_of_a_record() {
    const COUNT: usize = 100;
    let broken = |number| line(number).replace("demo/1.0", "demo\r\n1.0\n\"x\"");
    // A number that cannot be one: its record is rejected.
    let bad = broken(COUNT).replace(" 200 200 ", " OK 200 ");
    let text: String = (0..COUNT).map(|number| broken(number) + "nonsense\n").chain([bad.clone()]).collect();
    let s3 = S3::start();
    s3.put("a.log", text.clone());
    let uri = format!("s3://{BUCKET}/a.log");
    let config = "[dead-letters]\nto = \"same-destination\"\n[limits]\nbatch = \"1KiB\"";
    let run = s3.forward_with_ids().config(config).args(["--set", "style=flat", &uri]).run().expect_code(0);
    let count = COUNT as u64;
    assert_eq!(run.records(), [2 * count + 1, count, count + 1, 0]);
    assert!(run.is("/balanced"));
    let (letters, events): (Vec<_>, Vec<_>) = events(&run).into_iter().partition(|event| event.get("tags").is_some());
    assert_eq!(events.len(), COUNT);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["url_path"], format!("/line/{number}"));
        assert_eq!(event["user_agent"], "demo\r\n1.0\n\"x\"");
    }

    let id = events[42]["elbow_id"].as_str().unwrap();
    let explained = s3.command("explain").args([id, &uri]).run().expect_code(0);
    assert_eq!(String::from_utf8(explained.stdout).unwrap(), broken(42));
    let last = letters.last().unwrap();
    let begin = text.len() - bad.len();
    assert_eq!(last["elbow"]["bytes"], serde_json::json!({ "begin": begin, "end": text.len() - 1 }));
    assert_eq!(last["elbow"]["record"], bad.trim_end());
}

#[test]
fn records_are_read_by_the_header_that_they_are_under() {
    let [first, second] = ["version srcaddr srcport start\n", "version start dstport dstaddr\n"];
    let row = |number: usize| format!("5 {number} 443 192.0.2.10\n");
    let s3 = S3::start();
    let parts = [first, "2 192.0.2.10 80 1791188100\n", second, &row(1), second, &row(2), first, second, &row(3)];
    s3.put("flow.log.gz", parts.iter().flat_map(|part| gzip(part.as_bytes())).collect::<Vec<u8>>());
    let uri = format!("s3://{BUCKET}/flow.log.gz");
    let run = s3.forward_with_ids().args(["--set", "style=flat", &uri]).run().expect_code(0);
    assert_eq!(run.records(), [4, 4, 0, 0]);
    assert_eq!(run.count("/per_object/0/header_lines"), 5);
    assert!(run.is("/balanced"));
    let events = events(&run);
    assert_eq!((&events[0]["srcport"], &events[0]["srcaddr"]), (&80.into(), &"192.0.2.10".into()));
    for (number, event) in events[1..].iter().enumerate() {
        assert_eq!((&event["start"], &event["dstport"]), (&(number + 1).into(), &443.into()));
        let id = event["elbow_id"].as_str().unwrap();
        let explained = s3.command("explain").args([id, &uri]).run().expect_code(0);
        assert_eq!(String::from_utf8(explained.stdout).unwrap(), row(number + 1));
    }
}

#[test]
fn a_header_midway_that_cannot_be_read_fails_the_object_behind_what_it_could_be() {
    let text = "#Version: 1.0\n#Fields: date time c-ip\n2026-10-05\t08:15:30\t192.0.2.10\n#Fields: x y z\n1\t2\t3\n";
    let run = forward("a.log", text).expect_code(1);
    assert_eq!(run.records(), [2, 1, 0, 0]);
    assert_eq!(run.count("/records/abandoned"), 1);
    assert!(run.is("/balanced"));
    assert_eq!(events(&run)[0]["c_ip"], "192.0.2.10");
    let error = run.text("/per_object/0/error");
    let place = text.len() - "1\t2\t3\n".len();
    assert!(error.contains(&format!("the header before the record at byte {place}")), "{error}");
    assert!(error.contains("expected a line `#Fields:`"), "{error}");
}
