//! `elbow run`: the objects that the messages of queues name, for as long as it is let.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use elbow::config::{Config, QueueConfig};
use elbow::consume::{End, Observer, Queue, consume};
use elbow::fetch::Fetcher;
use elbow::pipeline::Pipeline;
use elbow::service::{self, Metrics, View};
use elbow::settle::{ObjectReport, Status};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::config::{ConfigArgs, DeliveryArgs};
use super::signals::stop_on_signal;

/// Forward the objects that the messages of SQS queues name, until it is stopped.
///
/// Messages are notifications of S3, as they are or through SNS or EventBridge. A message is deleted when all its objects
/// are settled, and not before; one whose object fails comes again, as the queue's redrive policy says. Any number of
/// elbows may share a queue.
///
/// Examples:
///
///   elbow run --queue https://sqs.eu-central-1.amazonaws.com/111122223333/elbow --to tcp://logstash:5000
///
///   elbow run --config elbow.toml --listen 0.0.0.0:9600
///
/// With --listen, /healthz, /readyz and /metrics (Prometheus) are served. SIGINT or SIGTERM stops receiving, drains what
/// is under way for `stop-timeout` at most, and gives the rest back to its queue; a second one stops at once.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    delivery: DeliveryArgs,

    /// The URL of a queue, beside those of the config
    #[arg(long = "queue", value_name = "URL")]
    queues: Vec<String>,

    /// Where /healthz, /readyz and /metrics are served [default: what the config says]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

pub(crate) async fn run(args: Args) -> Result<Outcome> {
    let mut config = args.config.load()?;
    args.delivery.apply(&mut config)?;
    for url in &args.queues {
        let name = url.rsplit('/').next().unwrap_or(url);
        let replaced = config.queues.insert(name.into(), QueueConfig::new(url.clone()));
        ensure!(replaced.is_none(), "there are two queues named `{name}`: give them names in the config");
    }
    config.validate_queues()?;
    ensure!(
        !config.queues.is_empty(),
        "there is no queue: name one with --queue, or in the config below [queues.NAME]"
    );
    let listen = args.listen.or(config.service.listen);
    let queues = open(&config).await?;

    let fetcher = Fetcher::new(config.limits.read_timeout);
    let pipeline = Arc::new(Pipeline::new(config, fetcher).await.with_context(|| args.config.name())?);
    let stop = stop_on_signal()?;
    let metrics = Arc::new(Metrics::new(pipeline.config().queues.keys().cloned()));
    if let Some(address) = listen {
        let watched = Arc::clone(&pipeline);
        let view = move || View { delivery: watched.delivery(), tables: watched.table_reports() };
        let address = service::serve(address, Arc::clone(&metrics), view).await?;
        tracing::info!("serving /healthz, /readyz and /metrics on {address}");
    }
    tokio::spawn({
        let (stop, metrics) = (stop.clone(), Arc::clone(&metrics));
        async move {
            stop.cancelled().await;
            metrics.note_stopping();
        }
    });
    for (name, ..) in &queues {
        tracing::info!(queue = name, "consuming");
    }
    let (jobs, received) = mpsc::channel(1);
    let observer: Arc<dyn Observer> = Arc::new(Told { metrics, stop: stop.clone() });
    let consuming = consume(queues, pipeline.config(), jobs, stop.clone(), observer);
    let ((), consumed) = tokio::join!(pipeline.work(received, stop), consuming);
    match consumed {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            tracing::error!("{error:#}");
            Ok(Outcome::NotDelivered)
        }
    }
}

async fn open(config: &Config) -> Result<Vec<(String, QueueConfig, Queue)>> {
    let mut queues = Vec::new();
    for (name, settings) in &config.queues {
        let queue = Queue::open(settings).await.with_context(|| format!("queue `{name}`"))?;
        queues.push((name.clone(), settings.clone(), queue));
    }
    Ok(queues)
}

/// Says in the log what goes into the metrics.
struct Told {
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Observer for Told {
    fn received(&self, queue: &str, age: Option<Duration>) {
        self.metrics.received(queue, age);
    }

    fn answered(&self, queue: &str, is_well: bool) {
        self.metrics.answered(queue, is_well);
    }

    fn reported(&self, report: &ObjectReport) {
        self.metrics.reported(report);
        let (records, events) = (&report.ledger.records, &report.ledger.events);
        match (&report.error, report.status) {
            // Its message is given back.
            (Some(error), Status::Failed) if self.stop.is_cancelled() => {
                tracing::warn!(object = report.object, error, "not finished");
            }
            (Some(error), Status::Failed) => tracing::error!(object = report.object, error, "failed"),
            (_, status) => tracing::info!(
                object = report.object,
                records = records.encountered,
                rejected = records.rejected,
                events = events.confirmed,
                rung = report.rung.map(|rung| rung.name()),
                seconds = report.seconds,
                "{}",
                if status == Status::Skipped { "skipped" } else { "settled" },
            ),
        }
    }

    fn ended(&self, queue: &str, end: End) {
        self.metrics.ended(queue, end);
    }
}
