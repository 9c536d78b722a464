//! The configuration: what `elbow.toml` says, with what the environment and the command line override.
//!
//! This is the one place that reads the environment (but for the AWS SDK, which reads its own variables). A mistake is an
//! error that names the file, the line and what would be right. Every setting is described in
//! `host/deploy/elbow.example.toml`, which a test loads and compares with the defaults here.

mod destination;
mod lookup;
mod overrides;
mod pattern;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_spanned::Spanned;

pub use destination::{DestinationConfig, TlsConfig};
pub use lookup::{LookupConfig, Source};
pub use pattern::Pattern;
pub use units::{DeadLettersTo, Endpoint, Url};

/// The name of the mapping that is built in.
pub const BUILTIN_MAPPING: &str = "aws";

/// The field that events have their ids in, unless the config names another.
pub const EVENT_ID: &str = "elbow_id";

/// All of `elbow.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Where events go, by name.
    pub destinations: BTreeMap<String, DestinationConfig>,
    /// What turns records into events, by name.
    pub mappings: BTreeMap<String, MappingConfig>,
    /// Tables that mappings may be granted, by name.
    pub lookups: BTreeMap<String, LookupConfig>,
    /// Which object goes through which mapping to which destination; the first that fits counts.
    pub routes: Vec<RouteConfig>,
    /// What becomes of rejected records, beside being counted.
    pub dead_letters: DeadLettersConfig,
    /// Queues that `elbow run` consumes, by name.
    pub queues: BTreeMap<String, QueueConfig>,
    /// What `elbow run` shows of itself.
    pub service: ServiceConfig,
    /// What is special of `elbow lambda`.
    pub lambda: LambdaConfig,
    /// Bounds and deadlines of the process.
    pub limits: Limits,
}

/// A queue of SQS, whose messages name objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct QueueConfig {
    /// Where it is: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`.
    pub url: String,
    /// The most messages that are held at a time.
    #[serde(default = "QueueConfig::in_flight")]
    pub in_flight: std::num::NonZeroUsize,
    /// How long to wait for messages in one call; SQS allows 20 seconds.
    #[serde(default = "QueueConfig::wait", deserialize_with = "units::duration")]
    pub wait: Duration,
}

impl QueueConfig {
    /// A queue with the defaults.
    pub fn new(url: String) -> Self {
        Self { url, in_flight: Self::in_flight(), wait: Self::wait() }
    }

    fn in_flight() -> std::num::NonZeroUsize {
        const { std::num::NonZeroUsize::new(1000).expect("1000 is not 0") }
    }

    fn wait() -> Duration {
        Duration::from_secs(10)
    }

    fn validate(&self) -> Result<()> {
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            bail!(
                "`url` is `{}`: expected the URL of a queue, `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`",
                self.url
            );
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(20)).contains(&self.wait) {
            bail!("`wait` is {:?}: SQS waits for whole seconds, from 1 to 20", self.wait);
        }
        Ok(())
    }
}

/// What `elbow run` shows of itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ServiceConfig {
    /// Where `/healthz`, `/readyz` and `/metrics` are served; left out, nowhere.
    pub listen: Option<SocketAddr>,
}

/// What is special of `elbow lambda`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct LambdaConfig {
    /// The URL of the queue that gets what could not be finished in time.
    pub continuation_queue: Option<String>,
    /// The CloudWatch namespace of the metrics in the summary's line (embedded metric format); left out, none.
    pub metrics_namespace: Option<String>,
}

/// What becomes of rejected records.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DeadLettersConfig {
    /// Where they go.
    pub to: DeadLettersTo,
}

/// A mapping.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MappingConfig {
    /// The file of the component, relative to the config file; left out, the mapping that is built in.
    pub component: Option<PathBuf>,
    /// The SHA-256 that the component must have, in hex.
    pub sha256: Option<String>,
    /// What the component's `configure` gets, as JSON.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The names of the tables that it may look things up in.
    pub lookups: Vec<Spanned<String>>,
    /// What the sandbox allows.
    pub limits: MappingLimits,
}

impl MappingConfig {
    /// The tables that it is granted.
    pub fn granted(&self) -> impl Iterator<Item = &str> {
        self.lookups.iter().map(|name| name.get_ref().as_str())
    }
}

/// What the sandbox allows a mapping.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MappingLimits {
    /// The longest that a call may take.
    #[serde(deserialize_with = "units::duration")]
    pub call_timeout: Duration,
    /// The most linear memory of an instance.
    #[serde(deserialize_with = "units::bytes")]
    pub memory: u64,
    /// The most bytes of events for each byte of records.
    pub output_ratio: u64,
    /// The most lines in the log for each object.
    pub log_lines: u64,
    /// How often it may fail in one object before the object has failed.
    pub failures: u64,
}

impl Default for MappingLimits {
    fn default() -> Self {
        Self { call_timeout: Duration::from_secs(5), memory: 64 << 20, output_ratio: 32, log_lines: 100, failures: 100 }
    }
}

/// A route.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteConfig {
    /// Pattern of the bucket; left out, any object, one that is not in S3 as well.
    pub bucket: Option<Pattern>,
    /// Pattern of the key; left out, any.
    pub key: Option<Pattern>,
    /// The mapping's name; left out, the only one.
    pub mapping: Option<Spanned<String>>,
    /// The destination's name; left out, the only one.
    pub destination: Option<Spanned<String>>,
    /// Objects that fit are counted as skipped, and not read.
    #[serde(default)]
    pub skip: bool,
}

/// Bounds and deadlines of the process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Limits {
    /// How many objects are read at a time.
    pub concurrency: std::num::NonZeroUsize,
    /// About how many bytes of records a mapping gets in one call.
    #[serde(deserialize_with = "units::bytes")]
    pub batch: u64,
    /// The longest record; a longer one is rejected.
    #[serde(deserialize_with = "units::bytes")]
    pub max_record: u64,
    /// The most bytes of one object after decompression; a larger one has failed.
    #[serde(deserialize_with = "units::bytes")]
    pub max_decoded: u64,
    /// How long S3 may send nothing.
    #[serde(deserialize_with = "units::duration")]
    pub read_timeout: Duration,
    /// How long, after a signal to stop, what is under way may take.
    #[serde(deserialize_with = "units::duration")]
    pub stop_timeout: Duration,
    /// How long, at the end, events may take to be confirmed.
    #[serde(deserialize_with = "units::duration")]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: const { std::num::NonZeroUsize::new(4).expect("4 is not 0") },
            batch: 256 << 10,
            max_record: 1 << 20,
            max_decoded: 64 << 30,
            read_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(25),
            drain_timeout: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// Reads a file, and what the environment overrides: `ELBOW__DESTINATIONS__MAIN__URL` is `url` below
    /// `[destinations.main]`.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {name}"))?;
        let variables = std::env::vars().collect();
        let mut config = Self::parse(&name, &text, &variables)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for tls in config.destinations.values_mut().filter_map(|destination| destination.tls.as_mut()) {
            for path in [&mut tls.ca, &mut tls.cert, &mut tls.key].into_iter().flatten() {
                *path = folder.join(&path);
            }
        }
        if let DeadLettersTo::File(path) = &mut config.dead_letters.to {
            *path = folder.join(&path);
        }
        for mapping in config.mappings.values_mut() {
            mapping.component = mapping.component.take().map(|component| folder.join(component));
        }
        for lookup in config.lookups.values_mut() {
            lookup.source = lookup.source.clone().below(folder);
        }
        Ok(config)
    }

    /// The config without a file: what the environment says, else the mapping that is built in, and no destination.
    pub fn from_environment() -> Result<Self> {
        Self::parse("the config without a file", "", &std::env::vars().collect())
    }

    /// The mapping that is built in, and no destination yet.
    pub fn builtin() -> Self {
        let mappings = BTreeMap::from([(BUILTIN_MAPPING.into(), MappingConfig::default())]);
        Self { mappings, ..Self::default() }
    }

    /// Parses the text of a config file.
    pub fn parse(name: &str, text: &str, variables: &BTreeMap<String, String>) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| anyhow!("{name}: {}", explained(&error)))?;
        let (mut config, text) = match overrides::apply(name, text, variables)? {
            // Its lines are not those of the file, so an error cannot name one.
            Some(overridden) => (overridden, ""),
            None => (config, text),
        };
        let is_named =
            |route: &RouteConfig| route.mapping.as_ref().is_some_and(|name| name.get_ref() == BUILTIN_MAPPING);
        if config.mappings.is_empty() || config.routes.iter().any(is_named) {
            config.mappings.entry(BUILTIN_MAPPING.into()).or_default();
        }
        config.validate(name, text)?;
        Ok(config)
    }

    /// The tables that a mapping is granted. Of no use are the others.
    pub fn granted_lookups(&self) -> BTreeMap<String, LookupConfig> {
        let is_granted =
            |name: &str| self.mappings.values().any(|mapping| mapping.granted().any(|table| table == name));
        let granted = self.lookups.iter().filter(|(name, _)| is_granted(name));
        granted.map(|(name, lookup)| (name.clone(), lookup.clone())).collect()
    }

    /// Whether each route that forwards leads to one mapping and one destination.
    pub fn validate_routes(&self) -> Result<()> {
        let forwards = self.routes.iter().filter(|route| !route.skip);
        let has_no_name = |is_none: fn(&RouteConfig) -> bool| self.routes.is_empty() || forwards.clone().any(is_none);
        for (kind, count, has_no_name) in [
            ("mapping", self.mappings.len(), has_no_name(|route| route.mapping.is_none())),
            ("destination", self.destinations.len(), has_no_name(|route| route.destination.is_none())),
        ] {
            if count > 1 && has_no_name {
                bail!(
                    "there are {count} {kind}s, and not every route says which: add `{kind} = \"NAME\"` to each of [[routes]]"
                );
            }
        }
        Ok(())
    }

    /// Whether the queues can be asked as they are.
    pub fn validate_queues(&self) -> Result<()> {
        for (name, queue) in &self.queues {
            queue.validate().with_context(|| format!("[queues.{name}]"))?;
        }
        Ok(())
    }

    fn validate(&self, name: &str, text: &str) -> Result<()> {
        for (destination, settings) in &self.destinations {
            settings.validate().with_context(|| format!("{name}: [destinations.{destination}]"))?;
        }
        self.validate_queues().with_context(|| name.to_owned())?;
        for table in self.mappings.values().flat_map(|mapping| &mapping.lookups) {
            check_name(name, text, "lookup", Some(table), self.lookups.keys())?;
        }
        for route in &self.routes {
            check_name(name, text, "mapping", route.mapping.as_ref(), self.mappings.keys())?;
            check_name(name, text, "destination", route.destination.as_ref(), self.destinations.keys())?;
        }
        Ok(())
    }
}

/// The log as it is without `ELBOW_LOG`: elbow's own INFO and others' WARN. The AWS SDK warns of each place in which it
/// looked in vain for a region, at length.
pub const LOG_FILTER: &str = "warn,elbow=info,aws_config=error";

/// The filter of the log: `ELBOW_LOG`, as `debug` or `elbow::deliver=debug`, or [`LOG_FILTER`].
pub fn log_filter() -> String {
    std::env::var("ELBOW_LOG").unwrap_or_else(|_| LOG_FILTER.into())
}

/// The config file that the environment names, `ELBOW_CONFIG`.
pub fn file_from_environment() -> Option<PathBuf> {
    std::env::var_os("ELBOW_CONFIG").map(PathBuf::from)
}

/// Whether the log is to be JSON: `ELBOW_LOG_FORMAT`, `json` or `text`.
pub fn is_log_json() -> bool {
    match std::env::var("ELBOW_LOG_FORMAT") {
        Ok(format) => format == "json",
        // CloudWatch reads it.
        Err(_) => is_lambda(),
    }
}

/// Whether this process was started by AWS Lambda.
pub fn is_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Whether the environment says where traces go. OpenTelemetry's SDK reads these variables itself, but has a default, and
/// does not tell.
pub fn has_traces_endpoint() -> bool {
    let says = |name, what: &str| std::env::var(name).is_ok_and(|value| value.eq_ignore_ascii_case(what));
    let is_off = says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none");
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    !is_off && endpoints.iter().any(|name| std::env::var(name).is_ok_and(|endpoint| !endpoint.is_empty()))
}

/// Whether the environment says what OpenTelemetry is to call this service.
pub fn has_service_name() -> bool {
    let attributes = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    std::env::var_os("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=")
}

/// Whether the environment names an S3 endpoint. The AWS SDK reads these variables itself, but does not tell.
pub fn has_s3_endpoint() -> bool {
    ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().any(|name| std::env::var_os(name).is_some())
}

/// A route's reference must be the name of something.
fn check_name<'a>(
    file: &str,
    text: &str,
    kind: &str,
    name: Option<&Spanned<String>>,
    known: impl Iterator<Item = &'a String> + Clone,
) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    if known.clone().any(|k| k == name.get_ref()) {
        return Ok(());
    }
    let listed: Vec<String> = known.clone().map(|k| format!("`{k}`")).collect();
    let hint = match (nearest(name.get_ref(), known.map(String::as_str)), listed.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => format!("there is no [{kind}s.NAME] in the file"),
        (None, false) => format!("expected one of {}", listed.join(", ")),
    };
    bail!("{}: {kind} `{}` is not defined: {hint}", place(file, text, name.span()), name.get_ref());
}

/// `elbow.toml, line 12`, or only the file if the text is not at hand.
fn place(file: &str, text: &str, span: Range<usize>) -> String {
    match text.get(..span.start) {
        Some(before) => format!("{file}, line {}", before.matches('\n').count() + 1),
        None => file.into(),
    }
}

/// serde's message, with the position that the TOML parser adds, and the name that was probably meant.
fn explained(error: &toml::de::Error) -> String {
    let text = in_words(&error.to_string());
    let text = text.trim_end();
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((wrong, right)) if error.message().starts_with("unknown") => match nearest(wrong, right.iter().copied()) {
            Some(near) => format!("{text}\ndid you mean `{near}`?"),
            None => text.into(),
        },
        _ => text.into(),
    }
}

/// serde's message, without the names of Rust's types.
fn in_words(message: &str) -> String {
    message.replace("a nonzero usize", "a number from 1 up").replace("a nonzero u32", "a number from 1 up")
}

/// The name that is most like this one, if one is like it at all.
fn nearest<'a>(wrong: &str, right: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    right
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= 3.min(wrong.len() / 2))
        .min()
        .map(|(_, name)| name)
}
