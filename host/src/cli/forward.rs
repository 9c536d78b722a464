//! `elbow forward`: objects, named by URIs, to a destination.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use elbow::config::{Config, DestinationConfig, Url};
use elbow::fetch::{Fetcher, Uri};
use elbow::pipeline::Pipeline;
use elbow::rung::Rung;
use elbow::settle::Summary;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::config::ConfigArgs;
use super::terminal::Terminal;

/// Forward objects to a destination, and say what became of every line.
///
/// Without a config file, objects go through the mapping `aws`, which is built in and reads classic ELB and ALB access
/// logs, to the destination that --to names, or to standard output.
///
/// Examples:
///
///   elbow forward --set style=flat access.log.gz | jq .
///
///   elbow forward --to tcp://logstash:5000 s3://my-logs/AWSLogs/111122223333/
///
///   elbow forward --config elbow.toml --summary summary.json s3://my-logs/
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

    /// The destination for all objects: tcp://host:port, stdout:, or file:PATH (which is appended to)
    #[arg(long, value_name = "URL")]
    to: Option<Url>,

    /// How far each event is followed before it counts as delivered
    #[arg(long, value_name = "RUNG")]
    confirm: Option<RungArg>,

    /// The field that each event carries its id in, the same in every replay; empty for none [default: event.id]
    #[arg(long, value_name = "FIELD")]
    event_id: Option<String>,

    /// Where the summary goes, as JSON; without this, to standard error
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Exit with 1 if more records than this were rejected; without this, rejected records are only counted
    #[arg(long, value_name = "N")]
    max_rejects: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum RungArg {
    /// The bytes are in the kernel's send buffer, or in the file
    Written,
    /// The peer's kernel has acknowledged every byte
    Received,
    /// elbow has half-closed, and the peer has read to the end and closed its side (the default over TCP)
    Closed,
    /// The receiving program has acknowledged it (the only one for Lumberjack)
    Accepted,
}

impl From<RungArg> for Rung {
    fn from(arg: RungArg) -> Self {
        match arg {
            RungArg::Written => Rung::Written,
            RungArg::Received => Rung::Received,
            RungArg::Closed => Rung::Closed,
            RungArg::Accepted => Rung::Accepted,
        }
    }
}

pub(crate) async fn run(args: Args, terminal: &Terminal) -> Result<Outcome> {
    let config = configured(&args)?;
    if let Some(path) = &args.summary {
        // Now rather than at the end; and what an earlier run has left there must not be taken for this one's.
        std::fs::write(path, "").with_context(|| format!("failed to write the summary to {}", path.display()))?;
    }
    let fetcher = Fetcher::new(config.limits.read_timeout);
    let pipeline = Pipeline::new(config, fetcher).await.with_context(|| args.config.name())?;
    let stop = stop_on_signal()?;
    let showing = terminal.show(pipeline.progress());
    let summary = pipeline.run(args.uris, stop).await;
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

/// The config file, with what the command line overrides.
fn configured(args: &Args) -> Result<Config> {
    let mut config = args.config.load()?;
    let to = args.to.clone().or_else(|| config.destinations.is_empty().then_some(Url::Stdout));
    if let Some(url) = to {
        config.destinations = BTreeMap::from([("to".into(), DestinationConfig::new(url))]);
        config.routes.iter_mut().for_each(|route| route.destination = None);
    }
    for (name, destination) in &mut config.destinations {
        if let Some(rung) = args.confirm {
            destination.set_confirm(rung.into());
        }
        if let Some(field) = &args.event_id {
            destination.event_id.clone_from(field);
        }
        destination.validate().with_context(|| format!("destination `{name}`"))?;
    }
    Ok(config)
}

/// The first SIGINT or SIGTERM stops reading and drains what is under way; the second stops at once.
fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        for time in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if time > 0 {
                tracing::error!("stopped at once: what was not confirmed is not delivered");
                std::process::exit(1);
            }
            tracing::warn!(
                "stopping: nothing more is read, and what was sent is being confirmed; once more to stop at once"
            );
            stopped.cancel();
        }
    });
    Ok(stop)
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
