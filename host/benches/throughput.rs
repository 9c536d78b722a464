//! Records per CPU second: the mapping natively and in its sandbox, the whole way from a gzip file to a TCP receiver, what
//! settings cost, and the crate `vrl` on the same lines.
//!
//! CPU seconds of this process, all threads, so that what else runs on the machine matters little; of nine runs the best. What
//! is compared is run by turns, since a shared machine is faster at some times than at others.
//! The receiver is a process of its own. Run it with `make bench`; the figures of the README are from there.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use elbow::config::{Config, DestinationConfig, MappingConfig, Url};
use elbow::fetch::{Fetcher, Uri};
use elbow::map::session::{self, Records};
use elbow::map::{ObjectFacts, Sandbox};
use elbow::pipeline::{Pipeline, Selection};
use elbow_guest::Mapping;
use guest_parser::Aws;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const RECORDS: usize = 400_000;
const BATCH: usize = 256 << 10;

/// The lines of a format.
struct Sample {
    format: &'static str,
    /// What stands before the first line.
    header: &'static str,
    lines: String,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let sample =
        |format, header, line: fn(usize) -> String| Sample { format, header, lines: (0..RECORDS).map(line).collect() };
    let alb = sample("alb", "", alb_line);
    let classic = sample("classic-elb", "", classic_line);
    let cloudfront = sample("cloudfront", CLOUDFRONT_HEADER, cloudfront_line);
    println!("{RECORDS} records each, records per CPU second of all threads of elbow, the best of {RUNS} runs\n");
    println!("| format, style | bytes a record | native | sandboxed | ratio | gzip file to TCP, `closed` |");
    println!("|---|---|---|---|---|---|");
    for sample in [&alb, &classic, &cloudfront] {
        for style in ["flat", "ecs", "elb-processor"] {
            if style == "elb-processor" && sample.format == "cloudfront" {
                continue;
            }
            let settings = json!({ "style": style });
            let [native, sandboxed, whole] = best([
                &mut || native(&settings, sample),
                &mut || runtime.block_on(sandboxed(&settings, sample)),
                &mut || runtime.block_on(whole_way(&settings, sample)),
            ]);
            println!(
                "| {}, `{style}` | {} | {} | {} | {:.2} | {} |",
                sample.format,
                sample.lines.len() / RECORDS,
                thousands(native),
                thousands(sandboxed),
                native / sandboxed,
                thousands(whole),
            );
        }
    }
    println!("\n| settings, alb, `flat` | sandboxed | cost |\n|---|---|---|");
    let flat = json!({ "style": "flat" });
    for settings in [
        json!({}),
        json!({ "add": { "team": "shop", "tier": 1 } }),
        json!({ "drop": ["type", "classification", "conn_trace_id"] }),
        json!({ "rename": { "client_ip": "ip" } }),
        json!({ "redact_query": ["token"] }),
        json!({ "keep_message": true }),
        json!({ "except": ["user_agent ~ ELB-HealthChecker*"] }),
    ] {
        let mut all = settings.clone();
        all["style"] = "flat".into();
        let [without, with] =
            best([&mut || runtime.block_on(sandboxed(&flat, &alb)), &mut || runtime.block_on(sandboxed(&all, &alb))]);
        println!("| `{settings}` | {} | {:+.0} % |", thousands(with), (with / without - 1.0) * 100.0);
    }
    if let Some(vrl) = std::env::var_os("ELBOW_BENCH_VRL") {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        std::fs::write(&file, &alb.lines).expect("the file can be written");
        let [seconds, native, sandboxed] = best([
            &mut || {
                let run = Command::new(&vrl).arg(file.path()).output().expect("it can be started");
                String::from_utf8_lossy(&run.stdout).trim().parse().expect("it prints CPU seconds")
            },
            &mut || native(&flat, &alb),
            &mut || runtime.block_on(sandboxed(&flat, &alb)),
        ]);
        println!("\n| alb | | elbow `flat`, native | elbow `flat`, sandboxed |\n|---|---|---|---|");
        println!(
            "| `parse_aws_alb_log` of vrl | {} | {:.1} times as fast | {:.1} times as fast |",
            thousands(seconds),
            seconds / native,
            seconds / sandboxed
        );
    }
}

const RUNS: usize = 9;

/// The fewest seconds of each, run by turns.
fn best<const N: usize>(mut runs: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..RUNS {
        for (best, run) in best.iter_mut().zip(&mut runs) {
            *best = best.min(run());
        }
    }
    best
}

fn thousands(seconds: f64) -> String {
    format!("{:.0} k", RECORDS as f64 / seconds / 1e3)
}

/// CPU seconds that this process has used.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn settings(settings: &Value) -> serde_json::Map<String, Value> {
    settings.as_object().expect("settings are an object").clone()
}

fn head(sample: &Sample) -> Vec<u8> {
    [sample.header.as_bytes(), &sample.lines.as_bytes()[..4096]].concat()
}

/// The code of the mapping, compiled for this machine.
fn native(settings: &Value, sample: &Sample) -> f64 {
    let settings = serde_json::from_value(settings.clone()).expect("the settings are valid");
    let mut mapping = Aws::configure(settings).expect("the settings are accepted");
    let object = elbow_guest::Object::new("-", &head(sample));
    mapping.begin(&object).expect("the format is recognised");
    let batches = batches(&sample.lines);
    let begin = cpu();
    for batch in &batches {
        let mapped = elbow_guest::map_batch(&mapping, &batch.bytes);
        assert_eq!(mapped.event_records.len(), batch.offsets.len());
    }
    cpu() - begin
}

/// The same code in its sandbox, with epoch deadline and memory limit, over the session's channels.
async fn sandboxed(with: &Value, sample: &Sample) -> f64 {
    let config = MappingConfig { settings: settings(with), ..MappingConfig::default() };
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
        head: head(sample),
    };
    let batches = batches(&sample.lines);
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

/// The whole way: file, gunzip, cut, map, deliver, confirmed as `closed`.
async fn whole_way(with: &Value, sample: &Sample) -> f64 {
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    for part in [sample.header, &sample.lines] {
        encoder.write_all(part.as_bytes()).expect("the file can be written");
    }
    let file = encoder.finish().expect("the file can be written");
    let sink = Sink::start();
    let mut config = Config::builtin();
    let url: Url = format!("tcp://{}", sink.address).parse().expect("the URL is valid");
    config.destinations.insert("sink".into(), DestinationConfig::new(url));
    config.mappings.values_mut().for_each(|mapping| mapping.settings = settings(with));
    let pipeline =
        Pipeline::new(config, Fetcher::new(std::time::Duration::from_secs(30))).await.expect("the pipeline starts");
    let begin = cpu();
    let summary =
        pipeline.run(vec![Uri::File(file.path().into())], Selection::default(), CancellationToken::new()).await;
    let cpu = cpu() - begin;
    assert!(summary.settled && summary.ledger.events.confirmed as usize == RECORDS, "{summary:?}");
    cpu
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

/// What a file of CloudFront's standard log begins with.
const CLOUDFRONT_HEADER: &str = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem \
    sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol \
    cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status \
    fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start \
    sc-range-end\n";

/// A line as CloudFront writes it: 33 columns, the user agent percent-encoded.
fn cloudfront_line(number: usize) -> String {
    format!(
        "2026-10-05\t08:15:{:02}\tFRA56-P1\t{}\t192.0.2.{}\tGET\td0example00000.cloudfront.net\t/products/{number}/reviews\t200\t\
         https://www.example.com/\tMozilla/5.0%20(X11;%20Linux%20x86_64)%20AppleWebKit/537.36%20(KHTML,%20like%20Gecko)%20Chrome/140.0.0.0%20Safari/537.36\t\
         page={}&sort=newest\t-\tHit\tREQ{number:050x}==\twww.example.com\thttps\t{}\t0.{:03}\t-\tTLSv1.3\tTLS_AES_128_GCM_SHA256\tHit\tHTTP/2.0\t-\t-\t\
         {}\t0.{:03}\tHit\ttext/html;%20charset=utf-8\t{}\t-\t-\n",
        number % 60,
        1000 + number % 9000,
        number % 250,
        number % 20,
        200 + number % 300,
        number % 1000,
        1024 + number % 60_000,
        number % 1000,
        1000 + number % 9000,
    )
}
