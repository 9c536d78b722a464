//! What a long-running elbow shows of itself: `/healthz`, `/readyz` and `/metrics`.
//!
//! The metrics say the same as the summary, as it grows: what became of each object, record and event. One of them,
//! `elbow_ledger_imbalance`, must be 0 for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;

use crate::consume::{End, Observer};
use crate::deliver::counters::DeliveryReport;
use crate::lookup::TableReport;
use crate::settle::{ObjectReport, Status};

/// One label and its value.
type Label = [(&'static str, String); 1];

/// The metrics, and what readiness depends on. Shared by all that has something to tell.
pub struct Metrics {
    registry: Registry,
    objects: Family<Label, Counter>,
    records: Family<Label, Counter>,
    unknown: Family<[(&'static str, String); 2], Counter>,
    events: Family<Label, Counter>,
    dead_letters: Family<Label, Counter>,
    bytes: Family<Label, Counter>,
    stages: Family<Label, Counter<f64, AtomicU64>>,
    messages: Family<[(&'static str, String); 2], Counter>,
    queue_age: Family<Label, Gauge<f64, AtomicU64>>,
    imbalance: Gauge,
    connections: Gauge,
    opened: Counter,
    closed: Family<Label, Counter>,
    waited: Counter,
    table_rows: Family<Label, Gauge>,
    table_bytes: Family<Label, Gauge>,
    table_age: Family<Label, Gauge<f64, AtomicU64>>,
    table_failures: Family<Label, Counter>,
    state: Mutex<State>,
}

/// What is looked at when somebody asks, rather than told when it happens.
pub struct View {
    /// The connections.
    pub delivery: DeliveryReport,
    /// The lookup tables.
    pub tables: Vec<TableReport>,
}

#[derive(Default)]
struct State {
    /// The connections when they were looked at last.
    seen: DeliveryReport,
    /// The refreshes of each table that had failed then.
    table_failures: BTreeMap<String, u64>,
    /// The mappings and fields that `unknown_fields` has a series for.
    unknown: BTreeSet<(String, String)>,
    /// For each queue whether it answers.
    queues: BTreeMap<String, bool>,
    is_stopping: bool,
}

/// How many series of `unknown_fields` there are; what is beyond is `other`. The names come from logs.
const MOST_UNKNOWN: usize = 100;

impl State {
    /// The label of a field that a mapping does not know.
    fn series_of(&mut self, mapping: &str, field: &str) -> String {
        let key = (mapping.to_owned(), field.to_owned());
        if !self.unknown.contains(&key) && self.unknown.len() >= MOST_UNKNOWN {
            return "other".into();
        }
        self.unknown.insert(key);
        field.to_owned()
    }
}

impl Metrics {
    /// Metrics that are all 0. elbow is ready when each of these queues has answered.
    pub fn new(queues: impl Iterator<Item = String>) -> Self {
        let mut registry = Registry::with_prefix("elbow");
        let metrics = Self {
            objects: Family::default(),
            records: Family::default(),
            unknown: Family::default(),
            events: Family::default(),
            dead_letters: Family::default(),
            bytes: Family::default(),
            stages: Family::default(),
            messages: Family::default(),
            queue_age: Family::default(),
            imbalance: Gauge::default(),
            connections: Gauge::default(),
            opened: Counter::default(),
            closed: Family::default(),
            waited: Counter::default(),
            table_rows: Family::default(),
            table_bytes: Family::default(),
            table_age: Family::default(),
            table_failures: Family::default(),
            registry: Registry::default(),
            state: Mutex::new(State { queues: queues.map(|name| (name, false)).collect(), ..State::default() }),
        };
        registry.register("objects", "Objects, by what became of them", metrics.objects.clone());
        registry.register("records", "Records, by their fate", metrics.records.clone());
        registry.register("events", "Events, by their fate", metrics.events.clone());
        registry.register("dead_letters", "Dead letters, by their fate", metrics.dead_letters.clone());
        registry.register(
            "unknown_fields",
            "Records with something that the mapping does not know or expect, as a column that was appended since",
            metrics.unknown.clone(),
        );
        registry.register_with_unit(
            "data",
            "Bytes fetched as stored, decoded, and sent as events",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register_with_unit(
            "stage",
            "Time spent reading (fetch, decode, cut), mapping, and delivering, over all objects",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register("messages", "Messages of queues, by what became of them", metrics.messages.clone());
        registry.register_with_unit(
            "queue_age",
            "Age of the message that was received last, when it was received",
            Unit::Seconds,
            metrics.queue_age.clone(),
        );
        registry.register(
            "ledger_imbalance",
            "Records and events without a fate; anything but 0 is a bug of elbow's",
            metrics.imbalance.clone(),
        );
        registry.register("connections", "Connections that are open", metrics.connections.clone());
        registry.register("connections_opened", "Connections opened", metrics.opened.clone());
        registry.register("connections_closed", "Connections closed, by the reason", metrics.closed.clone());
        registry.register("connection_waits", "Sends that waited for a connection", metrics.waited.clone());
        registry.register("lookup_rows", "Rows of a lookup table", metrics.table_rows.clone());
        registry.register_with_unit(
            "lookup",
            "About how much memory a lookup table takes",
            Unit::Bytes,
            metrics.table_bytes.clone(),
        );
        registry.register_with_unit(
            "lookup_age",
            "How long ago the source of a lookup table was last known to be as the table is",
            Unit::Seconds,
            metrics.table_age.clone(),
        );
        registry.register(
            "lookup_refresh_failures",
            "Refreshes of a lookup table that have failed, and have left it as it was",
            metrics.table_failures.clone(),
        );
        // Shown as 0 before the first object, so that a rate has where to begin.
        for status in ["settled", "failed", "skipped"] {
            let _ = metrics.objects.get_or_create(&label("status", status));
        }
        for fate in ["mapped", "rejected", "dropped", "abandoned"] {
            let _ = metrics.records.get_or_create(&label("fate", fate));
        }
        for fate in ["confirmed", "failed", "resent"] {
            let _ = metrics.events.get_or_create(&label("fate", fate));
        }
        Self { registry, ..metrics }
    }

    /// elbow is not ready any more.
    pub fn note_stopping(&self) {
        self.state().is_stopping = true;
    }

    fn is_ready(&self) -> bool {
        let state = self.state();
        !state.is_stopping && state.queues.values().all(|answers| *answers)
    }

    /// Adds what has happened since the last time to connections and tables.
    fn look_at(&self, view: &impl Fn() -> View) {
        // Asked under the lock, so that no other scrape has seen later counts before.
        let mut state = self.state();
        let View { delivery, tables } = view();
        for table in tables {
            let label = label("table", &table.name);
            self.table_rows.get_or_create(&label).set(i64::try_from(table.rows).unwrap_or(i64::MAX));
            self.table_bytes.get_or_create(&label).set(i64::try_from(table.bytes).unwrap_or(i64::MAX));
            self.table_age.get_or_create(&label).set(table.age.as_secs_f64());
            let before = state.table_failures.insert(table.name, table.failures).unwrap_or_default();
            self.table_failures.get_or_create(&label).inc_by(table.failures.saturating_sub(before));
        }
        let (now, seen) = (&delivery.connections, &state.seen.connections);
        self.opened.inc_by(now.created.saturating_sub(seen.created));
        self.waited.inc_by(now.waited.saturating_sub(seen.waited));
        for (ending, count) in &now.destroyed {
            let before = seen.destroyed.get(ending).copied().unwrap_or_default();
            self.closed.get_or_create(&label("reason", ending.name())).inc_by(count.saturating_sub(before));
        }
        let closed: u64 = now.destroyed.values().sum();
        self.connections.set(now.created.saturating_sub(closed) as i64);
        state.seen = delivery;
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

fn label(name: &'static str, value: &str) -> Label {
    [(name, value.to_owned())]
}

impl Observer for Metrics {
    fn received(&self, queue: &str, age: Option<Duration>) {
        let age = age.unwrap_or_default().as_secs_f64();
        self.queue_age.get_or_create(&label("queue", queue)).set(age);
    }

    fn answered(&self, queue: &str, is_well: bool) {
        self.state().queues.insert(queue.to_owned(), is_well);
    }

    fn reported(&self, report: &ObjectReport) {
        let status = match report.status {
            Status::Settled => "settled",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
            Status::Continued => "continued",
        };
        self.objects.get_or_create(&label("status", status)).inc();
        for (field, records) in &report.unknown_fields {
            let mapping = report.mapping.clone().unwrap_or_default();
            let field = self.state().series_of(&mapping, field);
            self.unknown.get_or_create(&[("mapping", mapping), ("field", field)]).inc_by(*records);
        }
        let ledger = &report.part;
        for (family, name, counts) in [
            (
                &self.records,
                "fate",
                &[
                    ("mapped", ledger.records.mapped),
                    ("rejected", ledger.records.rejected),
                    ("dropped", ledger.records.dropped),
                    ("abandoned", ledger.records.abandoned),
                ][..],
            ),
            (
                &self.events,
                "fate",
                &[
                    ("confirmed", ledger.events.confirmed),
                    ("failed", ledger.events.failed),
                    ("resent", ledger.events.resent),
                ],
            ),
            (
                &self.dead_letters,
                "fate",
                &[("confirmed", ledger.dead_letters.confirmed), ("failed", ledger.dead_letters.failed)],
            ),
            (
                &self.bytes,
                "stage",
                &[("fetched", ledger.bytes.fetched), ("decoded", ledger.bytes.decoded), ("sent", ledger.bytes.sent)],
            ),
        ] {
            for (value, count) in counts {
                family.get_or_create(&label(name, value)).inc_by(*count);
            }
        }
        let stages = &report.stages;
        for (stage, seconds) in [("read", stages.read), ("map", stages.map), ("deliver", stages.deliver)] {
            self.stages.get_or_create(&label("stage", stage)).inc_by(seconds);
        }
        self.imbalance.inc_by(i64::try_from(report.ledger.imbalance()).unwrap_or(i64::MAX));
    }

    fn ended(&self, queue: &str, end: End) {
        let labels = [("queue", queue.to_owned()), ("end", end.name().to_owned())];
        self.messages.get_or_create(&labels).inc();
    }
}

/// Serves the pages on an address, for as long as the runtime lives, and answers the address. `view` is asked for what
/// there is to see.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    view: impl Fn() -> View + Send + Sync + 'static,
) -> Result<SocketAddr> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("[service] listen: failed to listen on {address}"))?;
    let address = listener.local_addr().context("failed to learn the address of the service")?;
    let view = Arc::new(view);
    tokio::spawn(async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection for the metrics");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (metrics, view) = (Arc::clone(&metrics), Arc::clone(&view));
            let answer = service_fn(move |request: Request<Incoming>| {
                let answer = answer(request.uri().path(), &metrics, &*view);
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(async move {
                let timer = hyper_util::rt::TokioTimer::new();
                let mut server = http1::Builder::new();
                let server = server.timer(timer).header_read_timeout(Duration::from_secs(10));
                if let Err(error) = server.serve_connection(TokioIo::new(stream), answer).await {
                    tracing::debug!(%error, "a connection for the metrics broke");
                }
            });
        }
    });
    Ok(address)
}

fn answer(path: &str, metrics: &Metrics, view: &impl Fn() -> View) -> Response<String> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let (status, kind, text) = match path {
        "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => match metrics.is_ready() {
            true => (StatusCode::OK, TEXT, "ready\n".to_owned()),
            false => {
                (StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready: stopping, or a queue does not answer\n".to_owned())
            }
        },
        "/metrics" => {
            metrics.look_at(view);
            match metrics.text() {
                Ok(text) => (StatusCode::OK, OPEN_METRICS, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
            }
        }
        _ => (StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz and /metrics\n".to_owned()),
    };
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind);
    response.body(text).expect("the parts are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_logs_do_not_make_series_without_end() {
        let mut state = State::default();
        let series: BTreeSet<String> =
            (0..1000).map(|name| state.series_of("aws", &format!("column {name}"))).collect();
        assert_eq!(series.len(), MOST_UNKNOWN + 1);
        assert_eq!(state.series_of("aws", "column 0"), "column 0");
        assert_eq!(state.series_of("aws", "column 999"), "other");
    }
}
