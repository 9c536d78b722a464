//! `elbow lambda` under an emulator of the Lambda Runtime API, which freezes the process between invocations.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use elbow::bookmark::Bookmark;
use elbow::config::MappingConfig;
use elbow::map::Sandbox;
use elbow::notification::request;
use elbow::object::Object;
use lambda_simulator::{FreezeMode, InvocationBuilder, InvocationState, Simulator};
use serde_json::{Value, json};
use sha2::Digest;
use tokio::runtime::Runtime;

use crate::support::elbow::{Elbow, Run, Running};
use crate::support::eventually;
use crate::support::guests::{self, workspace};
use crate::support::logs::{expect_all, line, lines, numbers};
use crate::support::moto::Moto;
use crate::support::receiver::{Receiver, Script, free_address};
use crate::support::s3::S3;

/// The function, and what invokes it.
struct Function {
    runtime: Runtime,
    simulator: Simulator,
    elbow: Running,
}

impl Function {
    /// `more` is added to the config.
    fn start(aws: &[(&str, &str)], receiver: SocketAddr, more: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let simulator = Simulator::builder().function_name("elbow-logs").freeze_mode(FreezeMode::Process);
        let simulator = runtime.block_on(simulator.build()).unwrap();
        let config = format!(
            "[destinations.receiver]\nurl = \"tcp://{receiver}\"\nevent-id = \"\"\nretry-for = \"1s\"\n\
             send-buffer = \"16KiB\"\nmax-unconfirmed = \"128KiB\"\n\
             [mappings.aws.settings]\nstyle = \"flat\"\n[limits]\nbatch = \"16KiB\"\n{more}"
        );
        let variables = simulator.lambda_env_vars();
        let aws = aws.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let elbow = variables
            .into_iter()
            .chain(aws)
            .fold(Elbow::without_arguments(), |elbow, (name, value)| elbow.env(&name, &value));
        let elbow = elbow.file("elbow.toml", config).env("ELBOW_CONFIG", "elbow.toml").start();
        simulator.register_freeze_pid(elbow.pid());
        Self { runtime, simulator, elbow }
    }

    /// Invokes it, and answers when it has answered and is frozen.
    fn invoke(&self, payload: Value, timeout: Duration) -> InvocationState {
        let state = self.runtime.block_on(async {
            let invocation = InvocationBuilder::new().payload(payload).timeout_ms(timeout.as_millis() as u64);
            let id = self.simulator.enqueue(invocation.build().unwrap()).await;
            self.simulator.wait_for_invocation_complete(&id, Duration::from_secs(60)).await.unwrap()
        });
        // The simulator's own way to wait for this can miss it.
        eventually("the process is frozen", || self.simulator.is_frozen());
        state
    }

    fn respond(&self, payload: Value) -> Value {
        let state = self.invoke(payload, Duration::from_secs(30));
        state.response.unwrap_or_else(|| panic!("{:?}", state.error)).payload
    }

    /// Ends it, and answers the summary of each invocation.
    fn end(self) -> (Vec<Value>, Run) {
        self.elbow.signal("KILL");
        let run = self.elbow.wait();
        let summaries = run.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        (summaries.map(|line| serde_json::from_slice(line).unwrap()).collect(), run)
    }
}

fn fixture(name: &str) -> Value {
    let path = workspace().join("tests/notifications").join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn sqs(body: &str) -> Value {
    json!({ "Records": [{ "messageId": "m1", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs" }] })
}

fn variables(s3: &S3) -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL", s3.endpoint()),
        ("AWS_REGION", "eu-central-1".into()),
        ("AWS_ACCESS_KEY_ID", elbow::s3_server::ACCESS_KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", elbow::s3_server::SECRET_KEY.into()),
    ]
}

/// The bucket of the fixtures: two objects of ten lines.
fn bucket() -> S3 {
    let s3 = S3::start();
    s3.put("AWSLogs/111122223333/elasticloadbalancing/eu-central-1/2026/10/05/one.log", lines(10));
    s3.put("with space+and ü.log", (10..20).map(line).collect::<String>());
    s3.put("AWSLogs/111122223333/ELBAccessLogTestFile", "Enable AccessLog for ELB");
    s3
}

fn start(s3: &S3, receiver: SocketAddr, more: &str) -> Function {
    let variables = variables(s3);
    let aws: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Function::start(&aws, receiver, more)
}

#[test]
fn each_shape_of_a_notification_is_forwarded() {
    let s3 = bucket();
    for (name, response, expected) in [
        ("s3", Value::Null, 0..20),
        ("s3-test-event", Value::Null, 0..0),
        ("s3-elb-test-file", Value::Null, 0..0),
        ("s3-object-removed", Value::Null, 0..0),
        ("sns", Value::Null, 0..20),
        ("sns-envelope", Value::Null, 0..20),
        ("eventbridge", Value::Null, 10..20),
        ("sqs-s3", json!({ "batchItemFailures": [] }), 0..20),
        ("sqs-sns-s3", json!({ "batchItemFailures": [] }), 0..20),
        ("sqs-eventbridge", json!({ "batchItemFailures": [] }), 10..20),
    ] {
        let receiver = Receiver::plain();
        let function = start(&s3, receiver.address, "");
        assert_eq!(function.respond(fixture(name)), response, "{name}");
        // The process is frozen now: what is not there will not come.
        let mut arrived = numbers(&receiver.lines());
        arrived.sort_unstable();
        assert_eq!(arrived, expected.collect::<Vec<_>>(), "{name}");
        let (summaries, _) = function.end();
        assert_eq!(summaries.len(), 1, "{name}");
        assert_eq!(summaries[0]["balanced"], true, "{name}");
    }
}

#[test]
fn what_is_not_settled_is_given_back() {
    let s3 = bucket();
    let receiver = Receiver::plain();
    let function = start(&s3, receiver.address, "");
    let gone = json!({ "Records": [{
        "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "access-logs" }, "object": { "key": "gone.log" } },
    }] });
    let direct = function.invoke(gone.clone(), Duration::from_secs(30));
    let error = format!("{:?}", direct.error.unwrap());
    assert!(error.contains("NoSuchKey"), "{error}");

    let mut messages = fixture("sqs-s3");
    let records = messages["Records"].as_array_mut().unwrap();
    for (id, body) in [("bad", gone.to_string()), ("odd", "hello".into())] {
        records.push(json!({ "messageId": id, "body": body, "eventSource": "aws:sqs" }));
    }
    let failures = json!({ "batchItemFailures": [{ "itemIdentifier": "bad" }, { "itemIdentifier": "odd" }] });
    assert_eq!(function.respond(messages), failures);
    expect_all(numbers(&receiver.lines()), 20);

    let unknown = function.invoke(json!({ "hello": 1 }), Duration::from_secs(30));
    let error = format!("{:?}", unknown.error.unwrap());
    assert!(error.contains("found an object with `hello`"), "{error}");
    // It goes on after all of that, with connections of its own.
    assert_eq!(function.respond(fixture("s3")), Value::Null);
    assert_eq!(numbers(&receiver.lines()).len(), 40);
}

#[test]
fn a_receiver_that_is_down_gives_the_message_back_in_time() {
    let s3 = bucket();
    let function = start(&s3, free_address(), "");
    let response = function.respond(fixture("sqs-s3"));
    assert_eq!(response["batchItemFailures"].as_array().unwrap().len(), 1);
    let (summaries, run) = function.end();
    assert_eq!(summaries[0]["objects"]["failed"], 2, "{:#}", summaries[0]);
    // In Lambda, the log is JSON.
    let warning: Value = serde_json::from_str(run.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(warning["level"], "WARN");
}

/// Two seconds at a time, for an object that takes ten.
#[test]
fn an_object_that_takes_longer_than_the_function_is_continued_until_it_is_done() {
    const LINES: usize = 15_000;
    const TIMEOUT: Duration = Duration::from_secs(2);
    let moto = Moto::start(30);
    let receiver = Receiver::start(|_| Script { rest: Duration::from_millis(15), ..Script::default() });
    let queue = moto.runtime.block_on(moto.sqs.create_queue().queue_name("continuations").send()).unwrap();
    let queue = queue.queue_url.unwrap();
    let text: String = (0..LINES).map(|n| if n % 1000 == 500 { line(n) + "garbage\n" } else { line(n) }).collect();
    moto.put("slow.log", text.clone());
    let more = format!(
        "[lambda]\ncontinuation-queue = \"{queue}\"\nmetrics-namespace = \"elbow\"\n\
         [dead-letters]\nto = \"s3://access-logs/dead-letters/\""
    );
    let function = Function::start(&moto.variables(), receiver.address, &more);
    let mut body = Some(
        json!({ "Records": [{
            "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": "access-logs" }, "object": { "key": "slow.log" } },
        }] })
        .to_string(),
    );
    let (mut invocations, mut given_back) = (0, 0);
    while let Some(message) = body.take() {
        let began = Instant::now();
        let state = function.invoke(sqs(&message), TIMEOUT);
        // The emulator does not enforce it; the machine may be slow, Lambda would not wait.
        assert!(began.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", began.elapsed());
        invocations += 1;
        if state.response.unwrap().payload != json!({ "batchItemFailures": [] }) {
            // Too little of the time was left to drain, on a machine that is busy: the queue would give it back.
            given_back += 1;
            assert!(given_back <= 10, "{:#?}", function.end());
            body = Some(message);
            continue;
        }
        let received = moto.runtime.block_on(moto.sqs.receive_message().queue_url(&queue).send()).unwrap();
        body = received.messages.unwrap_or_default().pop().map(|message| message.body.unwrap());
    }
    assert!(invocations >= 4, "{invocations}");
    let arrived = numbers(&receiver.lines());
    assert!(arrived.len() == LINES || given_back > 0, "none twice, unless it had to be");
    expect_all(arrived, LINES);

    let (summaries, _) = function.end();
    assert_eq!(summaries.len(), invocations);
    let (last, before) = summaries.split_last().unwrap();
    for summary in before.iter().filter(|summary| summary["objects"]["failed"] == 0) {
        assert_eq!(summary["per_object"][0]["status"], "continued");
        assert_eq!(summary["objects"]["continued"], 1);
        assert_eq!(summary["ObjectsContinued"], 1);
    }
    let sum = |metric: &str| summaries.iter().map(|summary| summary[metric].as_u64().unwrap()).sum::<u64>();
    if given_back == 0 {
        assert_eq!(sum("RecordsMapped"), LINES as u64, "each is counted by the invocation that mapped it");
        assert_eq!(sum("RecordsRejected"), 15);
    }
    let object = &last["per_object"][0];
    assert_eq!(object["status"], "settled", "{last:#}");
    assert_eq!(object["records"]["encountered"], LINES + 15);
    assert_eq!(object["dead_letters"]["confirmed"], 15);
    assert_eq!(moto.lines_below("dead-letters/"), 15, "no part has overwritten another's");
    assert_eq!(object["events"]["confirmed"], LINES);
    assert_eq!(object["bytes"]["decoded"], text.len());
    assert!(object["seconds"].as_f64().unwrap() > 5.0, "of all invocations together");
    assert_eq!(last["LedgerImbalance"], 0);
    assert_eq!(last["FunctionName"], "elbow-logs");
    assert_eq!(last["_aws"]["CloudWatchMetrics"][0]["Namespace"], "elbow");
}

/// Nothing runs in a process that is frozen, and the table is due long before it is thawed.
#[test]
fn a_table_that_has_changed_while_the_function_was_frozen_is_new_at_its_next_invocation() {
    let (s3, receiver, folder) = (S3::start(), Receiver::plain(), tempfile::tempdir().unwrap());
    s3.put("a.log", "a\n");
    let table = folder.path().join("owners.csv");
    std::fs::write(&table, "host,team\na,old\n").unwrap();
    let more = format!(
        "[lookups.owners]\nsource = {table:?}\nrefresh = \"1ms\"\n\
         [mappings.lines]\ncomponent = {:?}\nlookups = [\"owners\"]\nsettings = {{ table = \"owners\" }}\n\
         [[routes]]\nmapping = \"lines\"",
        guests::fault()
    );
    let function = start(&s3, receiver.address, &more);
    let notification = json!({ "Records": [{
        "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "access-logs" }, "object": { "key": "a.log" } },
    }] });
    assert_eq!(function.respond(notification.clone()), Value::Null);
    std::fs::write(folder.path().join("new"), "host,team\na,newer\n").unwrap();
    std::fs::rename(folder.path().join("new"), &table).unwrap();
    assert_eq!(function.respond(notification), Value::Null);
    let lines = String::from_utf8(receiver.lines()).unwrap();
    let teams: Vec<bool> = lines.lines().map(|line| line.contains("newer")).collect();
    assert_eq!(teams, [false, true], "{lines}");
}

#[test]
fn without_a_queue_for_continuations_the_message_is_given_back() {
    let s3 = S3::start();
    s3.put("slow.log", lines(15_000));
    let receiver = Receiver::start(|_| Script { rest: Duration::from_millis(15), ..Script::default() });
    let function = start(&s3, receiver.address, "");
    let body = json!({ "Records": [{
        "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "access-logs" }, "object": { "key": "slow.log" } },
    }] });
    let state = function.invoke(sqs(&body.to_string()), Duration::from_secs(2));
    assert_eq!(state.response.unwrap().payload, json!({ "batchItemFailures": [{ "itemIdentifier": "m1" }] }));
}

#[test]
fn an_object_whose_mapping_has_changed_is_forwarded_from_its_beginning() {
    let s3 = S3::start();
    s3.put("a.log", lines(20));
    let receiver = Receiver::plain();
    let function = start(&s3, receiver.address, "");
    let object = Object { bucket: Some("access-logs".into()), key: "a.log".into(), ..Object::default() };
    let bookmark = Bookmark { offset: line(0).len() as u64 * 10, mapping: "0".repeat(64), ..Bookmark::default() };
    let response = function.respond(sqs(&request(&object, Some(&bookmark))));
    assert_eq!(response, json!({ "batchItemFailures": [] }));
    let (summaries, run) = function.end();
    assert_eq!(summaries[0]["records"]["encountered"], 20);
    assert!(run.stderr.contains("the mapping has changed"), "{}", run.stderr);
    expect_all(numbers(&receiver.lines()), 20);
}

#[test]
fn a_continuation_finds_its_place_under_its_header_and_behind_records_of_several_lines() {
    let sandbox = Sandbox::new(1, 64 << 20).unwrap();
    let digest = sandbox.load("aws", &MappingConfig::default()).unwrap().digest().to_owned();
    let s3 = S3::start();
    let flow = "version srcaddr start\n2 192.0.2.10 1\nversion start srcaddr\n2 2 192.0.2.10\n2 3 192.0.2.10\n";
    let classic = line(0).replace("demo/1.0", "demo\n1.0") + &line(1);
    s3.put("flow.log", flow);
    s3.put("classic.log", classic.clone());
    for (key, before, expected) in
        [("flow.log", "2 3 192.0.2.10\n", "\"start\":3}"), ("classic.log", &line(1), "/line/1")]
    {
        let text = if key == "flow.log" { flow } else { &classic };
        let receiver = Receiver::plain();
        let function = start(&s3, receiver.address, "");
        // As the server makes it.
        let etag = sha2::Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let (bucket, key) = (Some("access-logs".into()), key.into());
        let object = Object { bucket, key, etag: Some(etag), ..Object::default() };
        let offset = text.find(before).unwrap() as u64;
        let bookmark = Bookmark { offset, mapping: digest.clone(), ..Bookmark::default() };
        let response = function.respond(sqs(&request(&object, Some(&bookmark))));
        assert_eq!(response, json!({ "batchItemFailures": [] }));
        let (summaries, _) = function.end();
        assert_eq!(summaries[0]["records"]["encountered"], 1, "{:#}", summaries[0]);
        assert_eq!(summaries[0]["records"]["mapped"], 1);
        let arrived = String::from_utf8(receiver.lines()).unwrap();
        assert!(arrived.lines().count() == 1 && arrived.contains(expected), "{arrived}");
    }
}
