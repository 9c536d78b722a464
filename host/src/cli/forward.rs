//! `elbow forward`: objects, named by URIs, to a destination.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use elbow::consume::Queue;
use elbow::fetch::{Fetcher, Uri};
use elbow::notification;
use elbow::pipeline::{Checkpoint, Pipeline, Selection};
use elbow::rung::Rung;
use elbow::settle::Summary;

use super::Outcome;
use super::config::{ConfigArgs, DeliveryArgs};
use super::signals::stop_on_signal;
use super::terminal::Terminal;

/// Forward objects to a destination, and say what became of every line.
///
/// Without a config file, objects go through the mapping `aws`, which is built in and reads the access logs of AWS, to the
/// destination that --to names, or to standard output.
///
/// Examples:
///
///   elbow forward --set style=flat access.log.gz | jq .
///
///   elbow forward --to tcp://logstash:5000 s3://my-logs/AWSLogs/111122223333/
///
///   elbow forward --config elbow.toml --summary summary.json s3://my-logs/
///
///   elbow forward --config elbow.toml --since 2026-10-01 --until 2026-11-01 --checkpoint october s3://my-logs/
///
/// Exit codes: 0 every object was settled; 1 something was not delivered; 2 wrong usage or configuration, and nothing was
/// begun. SIGINT or SIGTERM stops reading and drains what is under way, for `stop-timeout` at most; a second one stops at
/// once. ELBOW__LIMITS__CONCURRENCY=8 sets what a config file would.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What to forward: a path, `-` for standard input, s3://bucket/key, or s3://bucket/prefix/ for all objects below it
    ///
    /// The S3 endpoint, region and credentials come from the usual AWS variables and files (AWS_ENDPOINT_URL, AWS_REGION,
    /// AWS_PROFILE, ...).
    #[arg(value_name = "URI", required = true)]
    uris: Vec<Uri>,

    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    delivery: DeliveryArgs,

    /// Where the summary goes, as JSON; without this, to standard error
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Only objects of a prefix that were last modified at this time or later: 2026-10-05, 2026-10-05T08:00:00Z, or 36h
    /// for so long ago
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<SystemTime>,

    /// Only objects of a prefix that were last modified before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<SystemTime>,

    /// How many objects are read at a time [default: what the config says, else 4]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    concurrency: Option<NonZeroUsize>,

    /// A file that notes what is settled; what it notes already is not sent again
    ///
    /// After a run that was stopped, or failed in part, the same command goes on with what is left. An object that was
    /// replaced meanwhile is another, and is sent. It is for prefixes: what is named by itself is always sent. With
    /// --max-rejects, objects with rejected records are not noted.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// List the objects with their bytes and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Send a message for each object to this queue, and leave the rest to those who consume it (`elbow run`, or a Lambda
    /// function)
    #[arg(long, value_name = "QUEUE-URL", conflicts_with_all = ["checkpoint", "dry_run", "to", "confirm", "event_id"])]
    enqueue: Option<String>,

    /// Exit with 1 if more records than this were rejected; without this, rejected records are only counted
    #[arg(long, value_name = "N")]
    max_rejects: Option<u64>,
}

pub(crate) async fn run(args: Args, terminal: &Terminal) -> Result<Outcome> {
    let mut config = args.config.load()?;
    args.delivery.apply(&mut config)?;
    if let Some(concurrency) = args.concurrency {
        config.limits.concurrency = concurrency;
    }
    // A dry run makes no file.
    let path = args.checkpoint.as_deref().filter(|path| !args.dry_run || path.exists());
    let checkpoint = path.map(Checkpoint::open).transpose()?;
    let selection = Selection::between(args.since, args.until).with_checkpoint(checkpoint, args.max_rejects.is_some());
    let fetcher = Fetcher::new(config.limits.read_timeout);
    if args.dry_run {
        return list(args.uris, &selection, &fetcher).await;
    }
    if let Some(queue) = &args.enqueue {
        return enqueue(args.uris, &selection, &fetcher, queue).await;
    }
    if let Some(path) = &args.summary {
        // Now rather than at the end; and what an earlier run has left there must not be taken for this one's.
        std::fs::write(path, "").with_context(|| format!("failed to write the summary to {}", path.display()))?;
    }
    let pipeline = Pipeline::new(config, fetcher).await.with_context(|| args.config.name())?;
    let stop = stop_on_signal()?;
    let showing = terminal.show(pipeline.progress());
    let summary = pipeline.run(args.uris, selection, stop).await;
    drop(showing);
    report(&summary, args.summary.as_deref())?;
    let too_many_rejects = args.max_rejects.is_some_and(|most| summary.ledger.records.rejected > most);
    if too_many_rejects {
        tracing::error!(
            rejected = summary.ledger.records.rejected,
            "more records were rejected than --max-rejects allows"
        );
    }
    Ok(match summary.settled && !too_many_rejects {
        true => Outcome::Done,
        false => Outcome::NotDelivered,
    })
}

fn parse_count(text: &str) -> Result<NonZeroUsize> {
    text.parse().map_err(|_| anyhow!("expected a number from 1 up"))
}

/// A date, a time, or how long ago.
fn parse_time(text: &str) -> Result<SystemTime> {
    let date = format!("{text}T00:00:00Z");
    if let Ok(time) = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&date)) {
        return Ok(time);
    }
    let ago: Option<Duration> = humantime::parse_duration(text).ok();
    ago.and_then(|ago| SystemTime::now().checked_sub(ago))
        .context("expected a date (2026-10-05), a time (2026-10-05T08:00:00Z), or how long ago (36h, 7days)")
}

/// The objects that are wanted, with their bytes.
async fn list(uris: Vec<Uri>, selection: &Selection, fetcher: &Fetcher) -> Result<Outcome> {
    let (mut objects, mut bytes) = (0_u64, 0_u64);
    for uri in uris {
        let mut listing = fetcher.list(uri).await;
        while let Some(object) = listing.next().await? {
            if selection.takes(&object) {
                say!("{:>14}  {}", object.size.map_or_else(|| "?".into(), |size| size.to_string()), object);
                objects += 1;
                bytes += object.size.unwrap_or_default();
            }
        }
    }
    eprintln!("{objects} objects, {bytes} bytes as stored; nothing was done");
    Ok(Outcome::Done)
}

/// Sends a message for each object that is wanted.
async fn enqueue(uris: Vec<Uri>, selection: &Selection, fetcher: &Fetcher, queue: &str) -> Result<Outcome> {
    if uris.iter().any(|uri| matches!(uri, Uri::Stdin | Uri::File(_))) {
        bail!("--enqueue is for objects in S3: others cannot see the files of this machine");
    }
    let queue = Queue::named(queue).await;
    let mut sent = 0;
    let outcome = enqueue_all(uris, selection, fetcher, &queue, &mut sent).await;
    eprintln!("{sent} messages were sent");
    match outcome {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            tracing::error!("{error:#}");
            Ok(Outcome::NotDelivered)
        }
    }
}

async fn enqueue_all(
    uris: Vec<Uri>,
    selection: &Selection,
    fetcher: &Fetcher,
    queue: &Queue,
    sent: &mut usize,
) -> Result<()> {
    let mut bodies = Vec::new();
    for uri in uris {
        let mut listing = fetcher.list(uri).await;
        while let Some(object) = listing.next().await? {
            if !selection.takes(&object) {
                continue;
            }
            bodies.push(notification::request(&object, None));
            if bodies.len() == 10 {
                queue.send_all(&bodies).await?;
                *sent += bodies.len();
                bodies.clear();
            }
        }
    }
    if !bodies.is_empty() {
        queue.send_all(&bodies).await?;
        *sent += bodies.len();
    }
    Ok(())
}

fn report(summary: &Summary, file: Option<&Path>) -> Result<()> {
    let mut json = serde_json::to_string_pretty(summary).context("failed to write the summary")?;
    json.push('\n');
    match file {
        Some(path) => {
            std::fs::write(path, json).with_context(|| format!("failed to write the summary to {}", path.display()))?
        }
        None => eprint!("{json}"),
    }
    let (objects, records, events) = (&summary.objects, &summary.ledger.records, &summary.ledger.events);
    let rung = summary.rung.map_or("none", Rung::name);
    let what = format!(
        "{} of {} objects settled, {} skipped: {} records, {} mapped, {} rejected, {} dropped; {} events, {} confirmed ({rung}), {} failed",
        objects.settled,
        objects.total,
        objects.skipped,
        records.encountered,
        records.mapped,
        records.rejected,
        records.dropped,
        events.sent,
        events.confirmed,
        events.failed,
    );
    if records.encountered > 0 && records.rejected == records.encountered {
        let reason = summary.failures.parsing.last.back();
        tracing::warn!(reason, "every record was rejected: is it the right mapping?");
    }
    if summary.settled {
        tracing::info!("{what}");
    } else {
        for error in &summary.failures.sending.last {
            tracing::error!("{error}");
        }
        tracing::error!("{what}");
    }
    Ok(())
}
