//! Records per CPU second: the mapping natively and in its sandbox, and the whole way from a gzip file to a TCP receiver.
//!
//! CPU seconds of this process, all threads, so that what else runs on the machine matters little. The receiver is a
//! process of its own. Run it with `make bench`; the figures of the README are from there.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use elbow::config::{Config, DestinationConfig, MappingConfig, Url};
use elbow::fetch::{Fetcher, Uri};
use elbow::map::session::{self, Records};
use elbow::map::{ObjectFacts, Sandbox};
use elbow::pipeline::{Pipeline, Selection};
use elbow_guest::Mapping;
use guest_parser::Aws;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

const RECORDS: usize = 400_000;
const BATCH: usize = 256 << 10;

type Line = fn(usize) -> String;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    println!("{RECORDS} records each, CPU seconds of all threads of elbow\n");
    println!(
        "| format      | style         | bytes/record | native, records/s | sandboxed, records/s | ratio | gzip file to TCP, records/s | wall |"
    );
    println!(
        "|-------------|---------------|--------------|-------------------|----------------------|-------|-----------------------------|------|"
    );
    let formats: [(&str, Line); 2] = [("alb", alb_line), ("classic-elb", classic_line)];
    for (format, line) in formats {
        let text: String = (0..RECORDS).map(line).collect();
        for style in ["flat", "ecs", "elb-processor"] {
            let native = native(style, &text);
            let sandboxed = runtime.block_on(sandboxed(style, &text));
            let (whole, wall) = runtime.block_on(whole_way(style, &text));
            println!(
                "| {format:<11} | {style:<13} | {:>12} | {:>17.0} | {:>20.0} | {:>5.2} | {:>27.0} | {wall:>3.1}s |",
                text.len() / RECORDS,
                rate(native),
                rate(sandboxed),
                native / sandboxed,
                rate(whole),
            );
        }
    }
}

fn rate(seconds: f64) -> f64 {
    RECORDS as f64 / seconds
}

/// CPU seconds that this process has used.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn settings(style: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::Map::from_iter([("style".to_owned(), style.into())])
}

/// The code of the mapping, compiled for this machine.
fn native(style: &str, text: &str) -> f64 {
    let settings = serde_json::from_value(settings(style).into()).expect("the settings are valid");
    let mut mapping = Aws::configure(settings).expect("the settings are accepted");
    let object = elbow_guest::Object {
        id: "-".into(),
        bucket: None,
        key: "-".into(),
        size: None,
        etag: None,
        last_modified: None,
        captures: vec![],
        head: text.as_bytes()[..4096].into(),
    };
    mapping.begin(&object).expect("the format is recognised");
    let batches = batches(text);
    let begin = cpu();
    for batch in &batches {
        let mapped = elbow_guest::map_batch(&mapping, &batch.bytes);
        assert_eq!(mapped.event_records.len(), batch.offsets.len());
    }
    cpu() - begin
}

/// The same code in its sandbox, with epoch deadline and memory limit, over the session's channels.
async fn sandboxed(style: &str, text: &str) -> f64 {
    let config = MappingConfig { settings: settings(style), ..MappingConfig::default() };
    let sandbox = Sandbox::new(1, config.limits.memory).expect("the engine starts");
    let mapping = sandbox.load("aws", &config).expect("the mapping loads");
    let facts = ObjectFacts {
        id: "-".into(),
        bucket: None,
        key: "-".into(),
        size: None,
        etag: None,
        last_modified: None,
        captures: vec![],
        head: text.as_bytes()[..4096].into(),
    };
    let batches = batches(text);
    let (_, feed, mut yields) = session::begin(&mapping, facts).await.expect("the session begins");
    let begin = cpu();
    let feeding = async {
        for batch in batches {
            feed.send(None, batch).await.expect("the session goes on");
        }
        drop(feed);
    };
    let taking = async {
        let mut events = 0;
        while let Some(mapped) = yields.next().await {
            events += mapped.map_err(|broken| broken.error).expect("the batch is mapped").1.event_records.len();
        }
        assert_eq!(events, RECORDS);
    };
    tokio::join!(feeding, taking);
    cpu() - begin
}

/// The whole way: file, gunzip, cut, map, deliver, confirmed as `closed`. Answers CPU and wall seconds.
async fn whole_way(style: &str, text: &str) -> (f64, f64) {
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("the file can be written");
    let file = encoder.finish().expect("the file can be written");
    let sink = Sink::start();
    let mut config = Config::builtin();
    let url: Url = format!("tcp://{}", sink.address).parse().expect("the URL is valid");
    config.destinations.insert("sink".into(), DestinationConfig::new(url));
    config.mappings.values_mut().for_each(|mapping| mapping.settings = settings(style));
    let pipeline =
        Pipeline::new(config, Fetcher::new(std::time::Duration::from_secs(30))).await.expect("the pipeline starts");
    let (begin, clock) = (cpu(), Instant::now());
    let summary =
        pipeline.run(vec![Uri::File(file.path().into())], Selection::default(), CancellationToken::new()).await;
    let (cpu, wall) = (cpu() - begin, clock.elapsed().as_secs_f64());
    assert!(summary.settled && summary.ledger.events.confirmed as usize == RECORDS, "{summary:?}");
    (cpu, wall)
}

fn batches(text: &str) -> Vec<Records> {
    let mut batches = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let end = match rest.len() > BATCH {
            true => memchr::memrchr(b'\n', &rest[..BATCH]).expect("a line is shorter than a batch") + 1,
            false => rest.len(),
        };
        let offsets = memchr::memchr_iter(b'\n', &rest[..end]).map(|newline| newline as u64).collect();
        batches.push(Records { bytes: Bytes::copy_from_slice(&rest[..end]), offsets, breaks: vec![] });
        rest = &rest[end..];
    }
    batches
}

/// `elbow sink --quiet`.
struct Sink {
    process: Child,
    address: SocketAddr,
}

impl Sink {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elbow"));
        command.args(["sink", "--quiet", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the sink starts");
        let stderr = process.stderr.take().expect("it is piped");
        let first = BufReader::new(stderr).lines().next().expect("it says its address").expect("in UTF-8");
        let address = first.rsplit(' ').next().and_then(|address| address.parse().ok());
        Self { process, address: address.expect("it says its address") }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A line as ALB writes it in autumn 2026: 34 columns.
fn alb_line(number: usize) -> String {
    format!(
        "https 2026-10-05T08:15:30.{:06}Z app/demo-alb/0123456789abcdef 192.0.2.{}:{} 198.51.100.{}:8080 0.001 0.{:03} 0.000 200 200 {} {} \
         \"GET https://www.example.com:443/products/{number}/reviews?page={}&sort=newest HTTP/1.1\" \
         \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\" \
         TLS_AES_128_GCM_SHA256 TLSv1.3 arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/demo-tg/fedcba9876543210 \
         \"Root=1-00000000-{number:024x}\" \"www.example.com\" \"session-reused\" 5 2026-10-05T08:15:30.{:06}Z \"forward\" \"-\" \"-\" \
         \"198.51.100.{}:8080\" \"200\" \"-\" \"-\" TID_{number:032x} \"-\" \"-\" \"-\" 203.0.113.7\n",
        number % 1_000_000,
        number % 250,
        1024 + number % 60_000,
        number % 16,
        number % 1000,
        200 + number % 300,
        1000 + number % 9000,
        number % 20,
        number % 1_000_000,
        number % 16,
    )
}

/// A line as a Classic Load Balancer writes it.
fn classic_line(number: usize) -> String {
    format!(
        "2026-10-05T08:15:30.{:06}Z demo-clb 192.0.2.{}:{} 198.51.100.{}:80 0.000051 0.00{:04} 0.000044 200 200 0 {} \
         \"GET https://www.example.com:443/products/{number}/reviews?page={} HTTP/1.1\" \
         \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\" \
         ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2\n",
        number % 1_000_000,
        number % 250,
        1024 + number % 60_000,
        number % 16,
        number % 10_000,
        1000 + number % 9000,
        number % 20,
    )
}
