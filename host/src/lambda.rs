//! The front for AWS Lambda: what a function is invoked with becomes jobs, and its response says what was not settled.
//!
//! Lambda freezes the process as soon as the response is out, for minutes or for ever. So each invocation has destinations
//! of its own, and ends with all of their connections closed and confirmed: a frozen process holds no unsent byte.
//!
//! Work stops before the time is over. What is not finished then goes on elsewhere: as a continuation, if there is a queue
//! for it, else by being given back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow, bail};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::consume::Queue;
use crate::notification::{Invocation, Notification, request};
use crate::pipeline::{Job, Pipeline};
use crate::settle::{ObjectReport, Status, Summary};
use crate::traces;

/// The longest time that is kept back for draining and answering; of a short one, half.
const LONGEST_RESERVE: Duration = Duration::from_secs(20);

/// Answers invocations until Lambda has no more. `say` gets a line of JSON for each: the summary.
pub async fn run(pipeline: Pipeline, say: impl Fn(&str) + Send + Sync + 'static) -> Result<()> {
    let continuations = match &pipeline.config().lambda.continuation_queue {
        Some(url) => Some(Queue::named(url).await),
        None => None,
    };
    let function = Arc::new(Function { pipeline, continuations, say: Box::new(say) });
    let handler = service_fn(move |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        async move { function.invoke(event).await.map_err(|error| format!("{error:#}")) }
    });
    lambda_runtime::run(handler).await.map_err(|error| anyhow!("the Lambda runtime API: {error}"))
}

struct Function {
    pipeline: Pipeline,
    continuations: Option<Queue>,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

/// What has to be done for one answer: a message, or a direct invocation.
struct Unit {
    /// Of a message.
    id: Option<String>,
    /// Objects of it that are not done yet.
    open: usize,
    /// What became of it, if that is no good.
    failure: Option<String>,
}

/// Notifications, each with the index of its unit.
type Asked = Vec<(usize, Notification)>;

impl Function {
    async fn invoke(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let LambdaEvent { payload, context } = event;
        let deadline = context.deadline();
        let left = || deadline.duration_since(SystemTime::now()).unwrap_or_default();
        // Frozen, the process could not do it when it was due.
        self.pipeline.refresh_tables(left() / 4).await;
        let left = left();
        let (mut units, jobs) = units(payload)?;
        let mut summary = Summary::new();
        let reports = self.forward(jobs, left, &mut summary).await?;
        // A unit that comes again as a whole needs no continuation of a part.
        let comes_again: Vec<bool> = (0..units.len())
            .map(|unit| {
                let is_lost = |report: &ObjectReport| report.status == Status::Failed && report.bookmark.is_none();
                reports.iter().any(|(index, report)| *index == unit && is_lost(report))
            })
            .collect();
        let answer_by = Instant::now() + deadline.duration_since(SystemTime::now()).unwrap_or_default().mul_f64(0.8);
        for (index, mut report) in reports {
            if !comes_again[index] {
                self.hand_on(&mut report, answer_by).await;
            }
            let unit = &mut units[index];
            match report.status {
                Status::Failed => unit.failure = report.error.clone(),
                Status::Settled | Status::Skipped | Status::Continued => unit.open -= 1,
            }
            summary.add(report);
        }
        summary.finish();
        (self.say)(&self.line(&summary, &context.env_config.function_name));
        // Frozen, the process would keep them, perhaps for ever.
        traces::flush(answer_by.saturating_duration_since(Instant::now())).await;

        let failed = |unit: &Unit| unit.open > 0 || unit.failure.is_some();
        if let [unit @ Unit { id: None, .. }] = units.as_slice() {
            if failed(unit) {
                let reason = unit.failure.as_deref().unwrap_or("not all objects were answered for");
                bail!("{} of {} objects were not settled: {reason}", summary.objects.failed, summary.objects.total);
            }
            return Ok(Value::Null);
        }
        let failures = units.iter().filter(|unit| failed(unit)).filter_map(|unit| unit.id.as_ref());
        let failures: Vec<Value> = failures.map(|id| json!({ "itemIdentifier": id })).collect();
        Ok(json!({ "batchItemFailures": failures }))
    }

    /// Forwards objects, with connections of their own, and stops in time.
    async fn forward(&self, jobs: Asked, left: Duration, summary: &mut Summary) -> Result<Vec<(usize, ObjectReport)>> {
        let reserve = LONGEST_RESERVE.min(left / 2);
        // What is not drained then has failed; the rest of the reserve is for the answer.
        let pipeline = Arc::new(self.pipeline.another(reserve.mul_f64(0.8)).await?);
        let stop = CancellationToken::new();
        let clock = tokio::spawn({
            let stop = stop.clone();
            async move {
                sleep(left.saturating_sub(reserve)).await;
                tracing::warn!("the function's time is nearly over: nothing more is read");
                stop.cancel();
            }
        });
        let reports = Arc::new(Mutex::new(Vec::new()));
        let (sender, receiver) = mpsc::channel(1);
        let feed = async {
            for (index, notification) in jobs {
                for (object, from) in notification.objects {
                    let kept = Arc::clone(&reports);
                    let report = Box::new(move |report| {
                        kept.lock().expect("no holder of this lock panics").push((index, report));
                    });
                    if let Err(SendError(job)) = sender.send(Job { object, from, room: None, report }).await {
                        job.refuse();
                    }
                }
            }
            drop(sender);
        };
        tokio::join!(feed, pipeline.work(receiver, stop));
        clock.abort();
        let delivery = pipeline.delivery();
        summary.add_connections(&delivery.connections, &delivery.sockets);
        Ok(std::mem::take(&mut *reports.lock().expect("no holder of this lock panics")))
    }

    /// Sends a continuation for an object that was stopped in the middle.
    async fn hand_on(&self, report: &mut ObjectReport, answer_by: Instant) {
        let (Some(queue), Some(bookmark), Some(object)) = (&self.continuations, &report.bookmark, &report.found) else {
            return;
        };
        match timeout_at(answer_by, queue.send(&request(object, Some(bookmark)))).await {
            Ok(Ok(())) => {
                report.status = Status::Continued;
                report.error = None;
            }
            Ok(Err(error)) => report.error = Some(format!("failed to hand it on: {error:#}")),
            Err(_) => report.error = Some("the queue for continuations did not answer in time".into()),
        }
    }

    /// The summary as a line of JSON; with a namespace, CloudWatch takes its metrics from it.
    fn line(&self, summary: &Summary, function: &str) -> String {
        // CloudWatch cuts lines of more than 256 KiB.
        const LISTED: usize = 100;
        let mut line = json!(summary);
        if let Some(objects) = line["per_object"].as_array_mut()
            && objects.len() > LISTED
        {
            // Those that need someone come first.
            objects.sort_by_key(|object| object["status"] != "failed");
            let left_out = objects.len() - LISTED;
            objects.truncate(LISTED);
            line["per_object_left_out"] = json!(summary.per_object_left_out + left_out as u64);
        }
        if let (Some(namespace), Some(members)) =
            (&self.pipeline.config().lambda.metrics_namespace, line.as_object_mut())
        {
            let ledger = &summary.ledger;
            let metrics = [
                ("ObjectsSettled", "Count", summary.objects.settled),
                ("ObjectsFailed", "Count", summary.objects.failed),
                ("ObjectsContinued", "Count", summary.objects.continued),
                ("RecordsMapped", "Count", ledger.records.mapped),
                ("RecordsRejected", "Count", ledger.records.rejected),
                ("EventsConfirmed", "Count", ledger.events.confirmed),
                ("EventsFailed", "Count", ledger.events.failed),
                ("EventsResent", "Count", ledger.events.resent),
                ("BytesFetched", "Bytes", ledger.bytes.fetched),
                ("LedgerImbalance", "Count", summary.imbalance),
            ];
            let names: Vec<Value> =
                metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
            members.extend(metrics.iter().map(|(name, _, count)| ((*name).to_owned(), json!(count))));
            members.insert("FunctionName".into(), json!(function));
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            members.insert(
                "_aws".into(),
                json!({
                    "Timestamp": now.as_millis() as u64,
                    "CloudWatchMetrics": [
                        { "Namespace": namespace, "Dimensions": [["FunctionName"]], "Metrics": names },
                    ],
                }),
            );
        }
        line.to_string()
    }
}

/// What an invocation asks for, and in which of its parts.
fn units(payload: Value) -> Result<(Vec<Unit>, Asked)> {
    let mut units = Vec::new();
    let mut jobs = Vec::new();
    let mut add = |id: Option<String>, notification: Result<Notification>| {
        let mut unit = Unit { id, open: 0, failure: None };
        match notification {
            Ok(notification) => {
                for ignored in &notification.ignored {
                    tracing::info!(message_id = unit.id, "ignored: {ignored}");
                }
                unit.open = notification.objects.len();
                jobs.push((units.len(), notification));
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    message_id = unit.id,
                    error,
                    "a message is not understood; it is given back to the queue"
                );
                unit.failure = Some(error);
            }
        }
        units.push(unit);
    };
    match Invocation::parse(payload)? {
        Invocation::Direct(notification) => add(None, Ok(notification)),
        Invocation::Messages(messages) => {
            for message in messages {
                add(Some(message.message_id), Notification::parse(&message.body));
            }
        }
    }
    Ok((units, jobs))
}
