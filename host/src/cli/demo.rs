//! `elbow demo`: the whole way, on one machine, in a second.
//!
//! An S3 server and a receiver start on loopback, sample logs are put into a bucket, and forwarded as `elbow forward`
//! would.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use async_compression::tokio::bufread::GzipEncoder;
use elbow::config::{Config, DestinationConfig, Endpoint, Url};
use elbow::fetch::{Fetcher, Uri, s3::S3};
use elbow::pipeline::{Pipeline, Selection};
use elbow::rung::Rung;
use elbow::s3_server::{self, Store};
use elbow::settle::{ObjectReport, Status, Summary};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::sink::Receiver;

/// Forward sample logs from an S3 server to a receiver, both started here, and show what became of every line.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The names of the fields: `ecs`, `flat` or `elb-processor`
    #[arg(long, default_value = "flat")]
    style: String,
}

const BUCKET: &str = "access-logs";

/// A key such as AWS writes, what is in the object, and whether it is compressed.
const SAMPLES: [(&str, &str, bool); 4] = [
    (
        "AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/10/05/111122223333_elasticloadbalancing_us-east-1_demo-clb_20261005T0820Z_203.0.113.7_1a2b3c4d.log",
        include_str!("../../demo/classic-elb.log"),
        false,
    ),
    (
        "AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/10/05/111122223333_elasticloadbalancing_us-east-1_app.demo-alb.0123456789abcdef_20261005T0820Z_203.0.113.7_2b3c4d5e.log.gz",
        include_str!("../../demo/alb.log"),
        true,
    ),
    (
        "AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/10/05/111122223333_elasticloadbalancing_us-east-1_demo-clb_20261005T0825Z_203.0.113.7_3c4d5e6f.log",
        include_str!("../../demo/one-line.log"),
        false,
    ),
    (
        "AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/10/05/111122223333_elasticloadbalancing_us-east-1_demo-clb_20261005T0830Z_203.0.113.7_4d5e6f70.log",
        include_str!("../../demo/malformed.log"),
        false,
    ),
];

pub(crate) async fn run(args: Args) -> Result<Outcome> {
    let endpoint = s3_server::serve(Store::default()).await?;
    let s3 = S3::at(&format!("http://{endpoint}"), s3_server::ACCESS_KEY, s3_server::SECRET_KEY);
    s3.create_bucket(BUCKET).await?;
    say!("An S3 server at http://{endpoint} with the bucket `{BUCKET}`:");
    for (key, text, compressed) in SAMPLES {
        let stored = if compressed { gzip(text.as_bytes()).await? } else { text.as_bytes().to_vec() };
        let note = if compressed { ", gzip" } else { "" };
        say!("  {:<76} {:>5} bytes{note}, {} lines", short(key), stored.len(), text.lines().count());
        s3.put(BUCKET, key, stored).await?;
    }

    let receiver = Receiver::bind("127.0.0.1:0").await?;
    let address = receiver.address;
    let counts = Arc::clone(&receiver.counts);
    let received = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&received);
    let receiving = tokio::spawn(receiver.run(move |lines| {
        keep.lock().expect("no holder of this lock panics").extend_from_slice(lines);
        Ok(())
    }));
    say!("\nA receiver at tcp://{address}. The same as:");
    say!("  elbow forward --set style={} --to tcp://{address} s3://{BUCKET}/\n", args.style);

    let url = Url::Tcp(vec![Endpoint { host: address.ip().to_string(), port: address.port() }]);
    let mut config = Config::builtin();
    config.destinations.insert("demo".into(), DestinationConfig::new(url));
    for mapping in config.mappings.values_mut() {
        mapping.settings.insert("style".into(), args.style.clone().into());
    }
    let fetcher = Fetcher::with_s3(s3, config.limits.read_timeout);
    let pipeline = Pipeline::new(config, fetcher).await?;
    let bucket = Uri::Prefix { bucket: BUCKET.into(), prefix: String::new() };
    let summary = pipeline.run(vec![bucket], Selection::default(), CancellationToken::new()).await;
    receiving.abort();

    let received = String::from_utf8_lossy(&received.lock().expect("no holder of this lock panics")).into_owned();
    print_events(&received);
    print_ledger(&summary);
    let (connections, lines, bytes) = counts.get();
    say!("\nThe receiver counted {lines} lines, {bytes} bytes, on {connections} connections.");
    print_summary(&summary)?;
    ensure!(
        lines == summary.ledger.events.confirmed,
        "the receiver has {lines} lines, the summary says {}",
        summary.ledger.events.confirmed
    );
    Ok(match summary.settled {
        true => Outcome::Done,
        false => Outcome::NotDelivered,
    })
}

/// The file's name without what it shares with the others.
fn short(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

fn print_events(received: &str) {
    say!("The first and the last event that the receiver got:");
    for line in received.lines().take(1).chain(received.lines().last()) {
        say!("  {line}");
    }
}

fn print_ledger(summary: &Summary) {
    say!("\nThe ledger (records = mapped + rejected + dropped, events = confirmed + failed):");
    say!(
        "  {:<10} {:>8} {:>8} {:>8} {:>8} | {:>6} {:>9} {:>6}",
        "",
        "records",
        "mapped",
        "rejected",
        "dropped",
        "events",
        "confirmed",
        "failed"
    );
    for report in &summary.per_object {
        print_row(format_args!("  {:<10}", report.format.as_deref().unwrap_or("-")), report);
    }
    let total = ObjectReport::new(String::new(), summary.ledger.clone(), None);
    print_row(format_args!("  {:<10}", "all"), &total);
    say!("\nWhy records were rejected:");
    for reason in &summary.failures.parsing.last {
        say!("  {}", short(reason));
    }
}

fn print_row(name: std::fmt::Arguments<'_>, report: &ObjectReport) {
    let (records, events) = (&report.ledger.records, &report.ledger.events);
    let verdict = match (report.balanced, report.status) {
        (true, Status::Settled) => "balances",
        (true, _) => "balances, but not settled",
        (false, _) => "DOES NOT BALANCE",
    };
    say!(
        "{name} {:>8} {:>8} {:>8} {:>8} | {:>6} {:>9} {:>6}  {verdict}",
        records.encountered,
        records.mapped,
        records.rejected,
        records.dropped,
        events.sent,
        events.confirmed,
        events.failed,
    );
}

/// The summary, without the part for each object that the ledger has shown.
fn print_summary(summary: &Summary) -> Result<()> {
    let mut json = serde_json::to_value(summary).context("failed to write the summary")?;
    if let Some(fields) = json.as_object_mut() {
        fields.remove("per_object");
    }
    say!("\nThe summary (without its part for each object):");
    say!("{}", serde_json::to_string_pretty(&json)?);
    say!(
        "\n`{}` means: elbow closed its side, and the receiver had read everything when it closed its own.",
        summary.rung.unwrap_or(Rung::Written)
    );
    Ok(())
}

async fn gzip(text: &[u8]) -> Result<Vec<u8>> {
    let mut stored = Vec::new();
    GzipEncoder::new(text).read_to_end(&mut stored).await?;
    Ok(stored)
}
