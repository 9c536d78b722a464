//! The configuration: what `elbow.toml` says, with what the environment and the command line override.
//!
//! This is the one place that reads the environment (but for the AWS SDK, which reads its own variables). A mistake is an
//! error that names the file, the line and what would be right. Every setting is described in
//! `host/deploy/elbow.example.toml`, which a test loads and compares with the defaults here.

mod overrides;
mod pattern;
mod units;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_spanned::Spanned;

pub use pattern::Pattern;
pub use units::{DeadLettersTo, Endpoint, Url};

use crate::rung::Rung;

/// The name of the mapping that is built in.
pub const BUILTIN_MAPPING: &str = "aws";

/// All of `elbow.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Where events go, by name.
    pub destinations: BTreeMap<String, DestinationConfig>,
    /// What turns records into events, by name.
    pub mappings: BTreeMap<String, MappingConfig>,
    /// Which object goes through which mapping to which destination; the first that fits counts.
    pub routes: Vec<RouteConfig>,
    /// What becomes of rejected records, beside being counted.
    pub dead_letters: DeadLettersConfig,
    /// Bounds and deadlines of the process.
    pub limits: Limits,
}

/// What becomes of rejected records.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DeadLettersConfig {
    /// Where they go.
    pub to: DeadLettersTo,
}

/// A destination.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "DestinationFile")]
pub struct DestinationConfig {
    /// Where it is.
    pub url: Url,
    /// How far each batch is followed.
    pub confirm: Rung,
    /// The rung below which a batch is not delivered.
    pub require: Rung,
    /// The most connections at a time.
    pub connections: usize,
    /// For looking up the name, and for each address.
    pub connect_timeout: Duration,
    /// For the TLS handshake.
    pub tls_timeout: Duration,
    /// How long a connection may be silent before the kernel asks whether the peer is still there.
    pub keepalive: Duration,
    /// For `tls://`: whom to trust, and who to be.
    pub tls: Option<TlsConfig>,
    /// How long a connection may take no byte.
    pub write_timeout: Duration,
    /// How long the peer may take, without any progress, to close its side.
    pub close_timeout: Duration,
    /// Lumberjack: how long the receiver may say nothing while events wait to be accepted.
    pub ack_timeout: Duration,
    /// Lumberjack: the most events in a window.
    pub window: u32,
    /// Lumberjack: from 0, none, to 9, most.
    pub compression: u32,
    /// How long a connection may be unused.
    pub idle_timeout: Duration,
    /// How long a batch is tried again.
    pub retry_for: Duration,
    /// Bytes after which a connection is closed, so that they are confirmed.
    pub rotate_bytes: u64,
    /// Age at which a connection is closed that has something unconfirmed on it.
    pub rotate_age: Duration,
    /// The most bytes that are kept because they are not confirmed.
    pub max_unconfirmed: u64,
    /// The field that each event carries its id in; empty for none.
    pub event_id: String,
}

/// A destination as it is written, before the defaults that depend on its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DestinationFile {
    url: Url,
    confirm: Option<Rung>,
    require: Option<Rung>,
    #[serde(default = "defaults::connections")]
    connections: std::num::NonZeroUsize,
    #[serde(default = "defaults::connect_timeout", deserialize_with = "units::duration")]
    connect_timeout: Duration,
    #[serde(default = "defaults::write_timeout", deserialize_with = "units::duration")]
    write_timeout: Duration,
    #[serde(default = "defaults::tls_timeout", deserialize_with = "units::duration")]
    tls_timeout: Duration,
    #[serde(default = "defaults::keepalive", deserialize_with = "units::duration")]
    keepalive: Duration,
    tls: Option<TlsConfig>,
    #[serde(default = "defaults::close_timeout", deserialize_with = "units::duration")]
    close_timeout: Duration,
    #[serde(default = "defaults::ack_timeout", deserialize_with = "units::duration")]
    ack_timeout: Duration,
    #[serde(default = "defaults::window")]
    window: std::num::NonZeroU32,
    #[serde(default = "defaults::compression")]
    compression: u32,
    #[serde(default = "defaults::idle_timeout", deserialize_with = "units::duration")]
    idle_timeout: Duration,
    #[serde(default = "defaults::retry_for", deserialize_with = "units::duration")]
    retry_for: Duration,
    #[serde(default = "defaults::rotate_bytes", deserialize_with = "units::bytes")]
    rotate_bytes: u64,
    #[serde(default = "defaults::rotate_age", deserialize_with = "units::duration")]
    rotate_age: Duration,
    #[serde(default = "defaults::max_unconfirmed", deserialize_with = "units::bytes")]
    max_unconfirmed: u64,
    #[serde(default = "defaults::event_id")]
    event_id: String,
}

mod defaults {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    pub(super) fn connections() -> NonZeroUsize {
        const { NonZeroUsize::new(4).expect("4 is not 0") }
    }
    pub(super) fn connect_timeout() -> Duration {
        Duration::from_secs(5)
    }
    pub(super) fn tls_timeout() -> Duration {
        Duration::from_secs(10)
    }
    pub(super) fn keepalive() -> Duration {
        Duration::from_secs(30)
    }
    pub(super) fn write_timeout() -> Duration {
        Duration::from_secs(60)
    }
    pub(super) fn close_timeout() -> Duration {
        Duration::from_secs(30)
    }
    pub(super) fn ack_timeout() -> Duration {
        Duration::from_secs(30)
    }
    pub(super) fn window() -> std::num::NonZeroU32 {
        const { std::num::NonZeroU32::new(2048).expect("2048 is not 0") }
    }
    pub(super) fn compression() -> u32 {
        3
    }
    pub(super) fn idle_timeout() -> Duration {
        Duration::from_secs(60)
    }
    pub(super) fn retry_for() -> Duration {
        Duration::from_secs(300)
    }
    pub(super) fn rotate_bytes() -> u64 {
        4 << 20
    }
    pub(super) fn rotate_age() -> Duration {
        Duration::from_secs(10)
    }
    pub(super) fn max_unconfirmed() -> u64 {
        24 << 20
    }
    pub(super) fn event_id() -> String {
        "event.id".into()
    }
}

impl From<DestinationFile> for DestinationConfig {
    fn from(file: DestinationFile) -> Self {
        let strongest = file.url.strongest_rung();
        let confirm = file.confirm.unwrap_or(strongest);
        let is_tls = file.url.is_tls();
        Self {
            confirm,
            require: file.require.unwrap_or(confirm.min(Rung::Received)),
            url: file.url,
            connections: file.connections.get(),
            connect_timeout: file.connect_timeout,
            tls_timeout: file.tls_timeout,
            keepalive: file.keepalive,
            // Trusting the system's roots needs no setting.
            tls: file.tls.or_else(|| is_tls.then(TlsConfig::default)),
            write_timeout: file.write_timeout,
            close_timeout: file.close_timeout,
            ack_timeout: file.ack_timeout,
            window: file.window.get(),
            compression: file.compression,
            idle_timeout: file.idle_timeout,
            retry_for: file.retry_for,
            rotate_bytes: file.rotate_bytes,
            rotate_age: file.rotate_age,
            max_unconfirmed: file.max_unconfirmed,
            event_id: file.event_id,
        }
    }
}

impl Url {
    /// Whether the connections are in TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Url::Tls(_) | Url::Lumberjack { tls: true, .. })
    }

    /// The strongest rung that a destination of this kind can prove.
    pub fn strongest_rung(&self) -> Rung {
        match self {
            Url::Tcp(_) | Url::Tls(_) => Rung::Closed,
            Url::Lumberjack { .. } => Rung::Accepted,
            Url::Stdout | Url::File(_) => Rung::Written,
        }
    }
}

impl DestinationConfig {
    /// A destination with the defaults of its kind.
    pub fn new(url: Url) -> Self {
        DestinationFile {
            url,
            confirm: None,
            require: None,
            connections: defaults::connections(),
            connect_timeout: defaults::connect_timeout(),
            tls_timeout: defaults::tls_timeout(),
            keepalive: defaults::keepalive(),
            tls: None,
            write_timeout: defaults::write_timeout(),
            close_timeout: defaults::close_timeout(),
            ack_timeout: defaults::ack_timeout(),
            window: defaults::window(),
            compression: defaults::compression(),
            idle_timeout: defaults::idle_timeout(),
            retry_for: defaults::retry_for(),
            rotate_bytes: defaults::rotate_bytes(),
            rotate_age: defaults::rotate_age(),
            max_unconfirmed: defaults::max_unconfirmed(),
            event_id: defaults::event_id(),
        }
        .into()
    }

    /// Follows batches to this rung instead; `require` cannot be more than that.
    pub fn set_confirm(&mut self, rung: Rung) {
        self.confirm = rung;
        self.require = self.require.min(rung);
    }

    /// Whether the rungs can be had.
    pub fn validate(&self) -> Result<()> {
        let strongest = self.url.strongest_rung();
        if self.confirm > strongest {
            bail!("`{}` cannot confirm `{}`: the most that it can prove is `{strongest}`", self.url, self.confirm);
        }
        if self.tls.is_some() && !self.url.is_tls() {
            bail!("`{}` is not in TLS, so `tls` has no effect: write `tls://` or `lumberjacks://`", self.url);
        }
        if matches!(self.url, Url::Lumberjack { .. }) && self.confirm != Rung::Accepted {
            bail!("`{}` always confirms `accepted`: `confirm = \"{}\"` has no meaning for it", self.url, self.confirm);
        }
        if self.compression > 9 {
            bail!("`compression` is {}: expected a number from 0 (none) to 9 (most)", self.compression);
        }
        if self.require > self.confirm {
            bail!("`require` is `{}`, but `confirm` follows batches only to `{}`", self.require, self.confirm);
        }
        Ok(())
    }
}

/// TLS of a destination. The server is always verified.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TlsConfig {
    /// A PEM file with the certificates to trust; left out, the system's roots.
    pub ca: Option<PathBuf>,
    /// Whose certificate is expected; left out, the host of the URL.
    pub server_name: Option<String>,
    /// A PEM file with elbow's own certificate, and those up to the root.
    pub cert: Option<PathBuf>,
    /// A PEM file with its private key.
    pub key: Option<PathBuf>,
}

/// A mapping.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MappingConfig {
    /// The file of the component, relative to the config file; left out, the mapping that is built in.
    pub component: Option<PathBuf>,
    /// The SHA-256 that the component must have, in hex.
    pub sha256: Option<String>,
    /// What the component's `configure` gets, as JSON.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What the sandbox allows.
    pub limits: MappingLimits,
}

impl Default for MappingConfig {
    fn default() -> Self {
        Self { component: None, sha256: None, settings: serde_json::Map::new(), limits: MappingLimits::default() }
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

    fn validate(&self, name: &str, text: &str) -> Result<()> {
        for (destination, settings) in &self.destinations {
            settings.validate().with_context(|| format!("{name}: [destinations.{destination}]"))?;
        }
        for route in &self.routes {
            check_name(name, text, "mapping", route.mapping.as_ref(), self.mappings.keys())?;
            check_name(name, text, "destination", route.destination.as_ref(), self.destinations.keys())?;
        }
        Ok(())
    }
}

/// The filter of the log: `ELBOW_LOG`, as `debug` or `elbow::deliver=debug`; elbow's own INFO and others' WARN otherwise.
pub fn log_filter() -> String {
    std::env::var("ELBOW_LOG").unwrap_or_else(|_| "warn,elbow=info".into())
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
    let text = error.to_string();
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

/// The name that is most like this one, if one is like it at all.
fn nearest<'a>(wrong: &str, right: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    right
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= 3.min(wrong.len() / 2))
        .min()
        .map(|(_, name)| name)
}
