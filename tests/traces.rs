//! Traces, as a collector of OpenTelemetry receives them: elbow sends them to rotel, which passes on to the test what it has
//! understood.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;

use crate::support::elbow::Elbow;
use crate::support::guests::workspace;
use crate::support::receiver::{Receiver, free_address};
use crate::support::{eventually, logs};

/// A collector, and what it has passed on.
struct Collector {
    endpoint: String,
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    rotel: Child,
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.rotel.kill();
        let _ = self.rotel.wait();
    }
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let next = listener.local_addr().unwrap();
        let requests = Arc::default();
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || take(&listener, &kept));
        let (http, grpc) = (free_address(), free_address());
        let rotel = std::fs::read_dir(workspace().join("target/tools/lib")).unwrap();
        let mut rotel = rotel.map(|python| python.unwrap().path().join("site-packages/rotel/rotel-agent"));
        let rotel = rotel.find(|path| path.exists()).expect("rotel is there: `make tools` installs it");
        let rotel = Command::new(rotel)
            .args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-batch-timeout", "50ms"])
            .args(["--otlp-exporter-endpoint", &format!("http://{next}")])
            .args(["--otlp-http-endpoint", &http.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("rotel listens", || std::net::TcpStream::connect(http).is_ok());
        Self { endpoint: format!("http://{http}"), requests, rotel }
    }

    /// Waits for so many spans, and takes them with the name of the service.
    fn spans(&self, count: usize) -> Vec<(String, Span)> {
        let all = || {
            let requests = self.requests.lock().unwrap();
            let of_services = requests.iter().flat_map(|request| request.resource_spans.clone());
            let spans = of_services.flat_map(|service| {
                let resource = service.resource.unwrap_or_default();
                let name = texts(&resource.attributes).remove("service.name").unwrap_or_default();
                let spans = service.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.map(move |span| (name.clone(), span))
            });
            spans.collect::<Vec<_>>()
        };
        eventually("the spans have come", || all().len() >= count);
        all()
    }
}

/// Takes what is posted, and answers that all is well.
fn take(listener: &TcpListener, requests: &Mutex<Vec<ExportTraceServiceRequest>>) {
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.unwrap());
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|read| read > 0) {}
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let Some(length) = length else { break };
            let mut body = vec![0; length.trim().parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            if head.contains("content-encoding: gzip") {
                let packed = std::mem::take(&mut body);
                flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut body).unwrap();
            }
            requests.lock().unwrap().push(ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
        }
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let values = attributes.iter().filter_map(|attribute| {
        let value = match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        Some((attribute.key.clone(), value))
    });
    values.collect()
}

fn forward(to: SocketAddr, endpoint: &str) -> Elbow {
    Elbow::forward_to(to).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
}

#[test]
fn each_object_is_a_trace_whose_spans_are_the_parts_of_its_way() {
    let collector = Collector::start();
    let receiver = Receiver::plain();
    let run =
        forward(receiver.address, &collector.endpoint).input("a.log", logs::lines(20)).input("b.log", logs::lines(1));
    run.run().expect_code(0);

    let spans = collector.spans(10);
    assert!(spans.iter().all(|(service, _)| service == "elbow"));
    let roots: Vec<&Span> = spans.iter().map(|(_, span)| span).filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.len(), 2);
    for root in &roots {
        let attributes = texts(&root.attributes);
        let mapped = match attributes["aws.s3.key"].as_str() {
            "a.log" => "20",
            _ => "1",
        };
        assert_eq!(root.name, "forward");
        assert_eq!(attributes["elbow.status"], "settled");
        assert_eq!(attributes["elbow.records.mapped"], mapped);
        assert_eq!(attributes["elbow.events.confirmed"], mapped);
        let parts = spans.iter().map(|(_, span)| span).filter(|span| span.parent_span_id == root.span_id);
        let mut names = Vec::new();
        for part in parts {
            assert_eq!(part.trace_id, root.trace_id);
            assert!(root.start_time_unix_nano <= part.start_time_unix_nano);
            assert!(part.end_time_unix_nano <= root.end_time_unix_nano);
            names.push(part.name.as_str());
        }
        names.sort_unstable();
        assert_eq!(names, ["confirm", "deliver", "fetch", "read"]);
    }
}

#[test]
fn an_object_that_fails_is_a_trace_that_says_why() {
    let collector = Collector::start();
    let receiver = Receiver::plain();
    let run = forward(receiver.address, &collector.endpoint).env("OTEL_SERVICE_NAME", "logs-of-the-shop");
    run.arg("missing.log").run().expect_code(1);

    let spans = collector.spans(1);
    let (service, root) = spans.iter().find(|(_, span)| span.parent_span_id.is_empty()).unwrap();
    assert_eq!(service, "logs-of-the-shop");
    let status = root.status.as_ref().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert!(status.message.contains("missing.log"), "{}", status.message);
}

#[test]
fn a_collector_that_is_gone_costs_the_spans_only() {
    let receiver = Receiver::plain();
    let run = forward(receiver.address, &format!("http://{}", free_address())).input("a.log", logs::lines(20));
    let run = run.run().expect_code(0);
    assert_eq!(run.events(), [20, 20, 0]);
    assert!(run.stderr.contains("traces could not be exported"), "{}", run.stderr);
}

#[test]
fn an_endpoint_that_is_none_is_a_mistake() {
    let run = Elbow::forward().env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector").arg("-").run().expect_code(2);
    assert!(run.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT: invalid endpoint 'collector'"), "{}", run.stderr);
}
