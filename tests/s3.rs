//! Objects in S3: listings, bodies that break off, objects that change, errors of the server.

use serde_json::{Value, json};

use crate::support::logs::{expect_all, gzip, line, lines, numbers};
use crate::support::receiver::Receiver;
use crate::support::s3::{BUCKET, Fault, S3};

#[test]
fn an_object_is_forwarded_to_a_receiver() {
    let (s3, receiver) = (S3::start(), Receiver::plain());
    let key = "AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/10/05/111122223333_elasticloadbalancing_us-east-1_demo-clb_20261005T0820Z_203.0.113.7_1a2b3c4d.log";
    s3.put(key, gzip(lines(1000).as_bytes()));
    let uri = format!("s3://{BUCKET}/{key}");
    let run = s3.forward().args(["--to", &format!("tcp://{}", receiver.address), &uri]).run().expect_code(0);
    expect_all(numbers(&receiver.lines()), 1000);
    assert_eq!(run.text("/per_object/0/object"), uri);
    assert_eq!(run.text("/per_object/0/format"), "classic-elb");
    assert_eq!(run.count("/bytes/decoded") as usize, lines(1000).len());
    assert!(run.count("/bytes/fetched") < run.count("/bytes/decoded"));
}

#[test]
fn a_classic_log_becomes_what_the_original_processor_made_of_it() {
    let s3 = S3::start();
    let line = "2026-10-05T08:15:30.120450Z demo-clb 192.0.2.10:51000 198.51.100.20:80 0.000051 0.0023105 0.000044 200 404 310 42 \
        \"GET http://www.example.com:80/a/b?c=d#e HTTP/1.1\" \"Mozilla/5.0 (X11; Linux x86_64)\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2";
    s3.put("logs/a.log", format!("{line}\n"));
    let set = ["style=elb-processor", "application=shop", "environment=prod", "component=web"];
    let forward = s3.forward().args(set.iter().flat_map(|set| ["--set", set]));
    let run = forward.arg(format!("s3://{BUCKET}/logs/a.log")).run().expect_code(0);
    let event: Value = serde_json::from_slice(&run.stdout).unwrap();
    let expected = json!({
        "@timestamp": "2026-10-05T08:15:30.120450Z",
        "LoadBalancerName": "demo-clb",
        "PublicIpAndPort": "192.0.2.10:51000",
        "InternalIpAndPort": "198.51.100.20:80",
        "Status": "200",
        "BackendStatus": "404",
        "BytesUploadedFromClient": 310,
        "BytesDownloadedByClient": 42,
        "Component": "web",
        "SourceModuleName": "ELB",
        "Environment": "prod",
        "Application": "shop",
        "type": "logs",
        "UserAgent": "Mozilla/5.0 (X11; Linux x86_64)",
        "message": line,
        "Verb": "GET",
        "Path": "/a/b",
        "Source": { "S3": { "Bucket": BUCKET, "Key": "logs/a.log" } },
        "TimeToForwardRequest": 0,
        "TimeTaken": 2,
        "TimeToForwardResponse": 0,
    });
    assert_eq!(event, expected);
}

#[test]
fn a_prefix_is_all_objects_below_it_over_many_pages() {
    let s3 = S3::start();
    for number in 0..2100 {
        s3.put(&format!("logs/{number}.log"), line(number));
    }
    s3.put("logs/folder/", "");
    s3.put("other/a.log", line(9999));
    let run = s3.forward().arg(format!("s3://{BUCKET}/logs/")).run().expect_code(0);
    let arrived = numbers(&run.stdout);
    assert_eq!(arrived.len(), 2100);
    expect_all(arrived, 2100);
    assert_eq!(run.count("/objects/settled"), 2100);
    assert_eq!(run.summary["per_object"].as_array().unwrap().len(), 1000);
    assert_eq!(run.count("/per_object_left_out"), 1100);
}

#[test]
fn a_key_is_taken_as_it_is() {
    let s3 = S3::start();
    let keys = ["a b+c%20d.log", "ü/日本.log", "a=b&c?d#e.log", "quote\"'.log"];
    for (number, key) in keys.iter().enumerate() {
        s3.put(key, line(number));
        let run = s3.forward().arg(format!("s3://{BUCKET}/{key}")).run().expect_code(0);
        assert_eq!(numbers(&run.stdout), [number]);
    }
    let run = s3.forward().arg(format!("s3://{BUCKET}")).run().expect_code(0);
    expect_all(numbers(&run.stdout), keys.len());
}

#[test]
fn a_body_that_breaks_off_is_resumed_at_the_very_byte() {
    let s3 = S3::start();
    let text = lines(2000);
    s3.put("a.log", text.clone());
    s3.fail([
        Fault::CutBodyAfter(100_001),
        Fault::Status(503, "SlowDown"),
        Fault::CutBodyAfter(0),
        Fault::CutBodyAfter(1),
        Fault::CutBodyAfter(70_000),
    ]);
    let run = s3.forward().arg(format!("s3://{BUCKET}/a.log")).run().expect_code(0);
    assert_eq!(numbers(&run.stdout), (0..2000).collect::<Vec<_>>());
    assert_eq!(run.count("/bytes/fetched") as usize, text.len());
    assert!(run.stderr.contains("resuming"), "{}", run.stderr);
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_fails() {
    let s3 = S3::start();
    s3.put("a.log", lines(2000));
    s3.fail([Fault::CutBodyAfter(100_000), Fault::Replace("a.log".into(), lines(2001).into())]);
    let run = s3.forward().arg(format!("s3://{BUCKET}/a.log")).run().expect_code(1);
    assert!(run.text("/per_object/0/error").contains("was replaced while it was being read"), "{:#}", run.summary);
    assert!(!run.is("/settled"));
}

#[test]
fn a_body_that_breaks_off_again_and_again_fails() {
    let s3 = S3::start();
    s3.put("a.log", lines(2000));
    s3.fail([Fault::CutBodyAfter(1000)]);
    s3.fail(std::iter::repeat_n(Fault::CutBodyAfter(0), 10));
    let run = s3.forward().arg(format!("s3://{BUCKET}/a.log")).run().expect_code(1);
    assert!(run.text("/per_object/0/error").contains("beyond byte 1000, 5 times in a row"), "{:#}", run.summary);
}

#[test]
fn what_the_server_refuses_is_said_in_its_words() {
    let s3 = S3::start();
    s3.put("there.log", line(0));
    let missing = format!("s3://{BUCKET}/missing.log");
    let run = s3.forward().args([&missing, &format!("s3://{BUCKET}/there.log")]).run().expect_code(1);
    assert_eq!(numbers(&run.stdout), [0], "the other object is forwarded");
    let errors = run.summary["failures"]["sending"]["last"].to_string();
    assert!(errors.contains(&missing) && errors.contains("NoSuchKey"), "{errors}");

    let run = s3.forward().arg("s3://no-such-bucket/").run().expect_code(1);
    assert!(
        run.stderr.contains("failed to list s3://no-such-bucket/") && run.stderr.contains("NoSuchBucket"),
        "{}",
        run.stderr
    );

    s3.fail([Fault::Status(403, "AccessDenied")]);
    let run = s3.forward().arg(format!("s3://{BUCKET}/there.log")).run().expect_code(1);
    assert!(run.stderr.contains("AccessDenied"), "{}", run.stderr);
}
