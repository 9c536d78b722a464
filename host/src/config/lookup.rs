//! The settings of a lookup table.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Deserializer};

use super::units;
use crate::lookup::Format;

/// A table that mappings may look things up in.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "LookupFile")]
pub struct LookupConfig {
    /// Where it comes from.
    pub source: Source,
    /// What its bytes are.
    pub format: Format,
    /// The column or member that lookups name; left out, the first column.
    pub key: Option<String>,
    /// How often its source is asked whether it has changed; zero for never.
    pub refresh: Duration,
    /// The most bytes that it may have, after decompression.
    pub max_size: u64,
}

/// A table as it is written, before the format that its name says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LookupFile {
    source: Source,
    format: Option<Format>,
    key: Option<String>,
    #[serde(default = "refresh", deserialize_with = "units::duration")]
    refresh: Duration,
    #[serde(default = "max_size", deserialize_with = "units::bytes")]
    max_size: u64,
}

fn refresh() -> Duration {
    Duration::from_secs(300)
}

fn max_size() -> u64 {
    256 << 20
}

impl TryFrom<LookupFile> for LookupConfig {
    type Error = anyhow::Error;

    fn try_from(file: LookupFile) -> Result<Self> {
        let LookupFile { source, format, key, refresh, max_size } = file;
        let format = format.or_else(|| Format::of_name(&source.to_string())).with_context(|| {
            format!(
                "the name `{source}` does not say the format of the table: add `format`, one of `csv`, `json-lines`, \
                 `cidr` or `maxmind`"
            )
        })?;
        match (format, &key) {
            (Format::JsonLines, None) => bail!("the table has no `key`: name the member that lookups go by"),
            (Format::Maxmind, Some(_)) => bail!("the table has a `key`, but a MaxMind database goes by addresses"),
            _ => Ok(Self { source, format, key, refresh, max_size }),
        }
    }
}

impl LookupConfig {
    /// A table with the defaults.
    pub fn new(source: Source, format: Format) -> Self {
        Self { source, format, key: None, refresh: refresh(), max_size: max_size() }
    }
}

/// Where a table comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path, relative to the config file.
    File(PathBuf),
    /// `s3://bucket/key`
    S3 {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
}

impl Source {
    /// With a path relative to this folder.
    pub(super) fn below(self, folder: &Path) -> Self {
        match self {
            Source::File(path) => Source::File(folder.join(path)),
            Source::S3 { .. } => self,
        }
    }
}

impl FromStr for Source {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || anyhow!("`{text}` is no source of a table: expected a path or `s3://bucket/key`");
        if let Some(location) = text.strip_prefix("s3://") {
            let (bucket, key) = location.split_once('/').ok_or_else(wrong)?;
            return match bucket.is_empty() || key.is_empty() || key.ends_with('/') {
                true => Err(wrong()),
                false => Ok(Source::S3 { bucket: bucket.into(), key: key.into() }),
            };
        }
        // Standard input could be read once, and may be what is forwarded.
        match text.is_empty() || text == "-" || text.contains("://") {
            true => Err(wrong()),
            false => Ok(Source::File(text.into())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
