//! Settings with a unit or a shape: durations, sizes, destinations, each with an error that says what would be right.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Where a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Url {
    /// `tcp://host:port`, or several endpoints, parted by commas.
    Tcp(Vec<Endpoint>),
    /// The same over TLS, `tls://host:port`.
    Tls(Vec<Endpoint>),
    /// Lumberjack, version 2: `lumberjack://host:port`, over TLS `lumberjacks://host:port`.
    Lumberjack {
        /// One or several.
        endpoints: Vec<Endpoint>,
        /// Over TLS.
        tls: bool,
    },
    /// `stdout:`
    Stdout,
    /// `file:PATH`
    File(PathBuf),
}

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Url::Tcp(endpoints) => write!(f, "tcp://{}", joined(endpoints)),
            Url::Lumberjack { endpoints, tls: false } => write!(f, "lumberjack://{}", joined(endpoints)),
            Url::Lumberjack { endpoints, tls: true } => write!(f, "lumberjacks://{}", joined(endpoints)),
            Url::Tls(endpoints) => write!(f, "tls://{}", joined(endpoints)),
            Url::Stdout => f.write_str("stdout:"),
            Url::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

fn joined(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
}

impl FromStr for Url {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        const EXPECTED: &str =
            "expected `tcp://host:port`, `tls://`, `lumberjack://`, `lumberjacks://`, `stdout:` or `file:PATH`";
        let endpoints = |list: &str| -> Result<Vec<Endpoint>> {
            let endpoints = list.trim_end_matches('/').split(',').map(|endpoint| endpoint.trim().parse());
            endpoints.collect::<Result<_>>().map_err(|error| anyhow!("`{text}`: {error}; {EXPECTED}"))
        };
        if let Some(list) = text.strip_prefix("tcp://") {
            return Ok(Url::Tcp(endpoints(list)?));
        }
        if let Some(list) = text.strip_prefix("tls://") {
            return Ok(Url::Tls(endpoints(list)?));
        }
        if let Some(list) = text.strip_prefix("lumberjack://") {
            return Ok(Url::Lumberjack { endpoints: endpoints(list)?, tls: false });
        }
        if let Some(list) = text.strip_prefix("lumberjacks://") {
            return Ok(Url::Lumberjack { endpoints: endpoints(list)?, tls: true });
        }
        match text.split_once(':') {
            Some(("stdout", "")) => Ok(Url::Stdout),
            Some(("file", path)) if !path.is_empty() => Ok(Url::File(path.into())),
            _ => bail!("`{text}` is no destination: {EXPECTED}"),
        }
    }
}

/// Where dead letters go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeadLettersTo {
    /// Nowhere: rejected records are counted.
    #[default]
    None,
    /// To the destination of the object's events.
    SameDestination,
    /// To a file, which is appended to.
    File(PathBuf),
    /// To objects in S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys begin with: empty, or with a slash at its end.
        prefix: String,
    },
}

impl FromStr for DeadLettersTo {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        const EXPECTED: &str = "expected `none`, `same-destination`, `file:PATH` or `s3://bucket/prefix/`";
        if let Some((bucket, prefix)) = text.strip_prefix("s3://").and_then(|location| location.split_once('/')) {
            if bucket.is_empty() || !(prefix.is_empty() || prefix.ends_with('/')) {
                bail!("`{text}`: {EXPECTED}");
            }
            return Ok(Self::S3 { bucket: bucket.into(), prefix: prefix.into() });
        }
        match (text, text.strip_prefix("file:")) {
            ("none", _) => Ok(Self::None),
            ("same-destination", _) => Ok(Self::SameDestination),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => bail!("`{text}`: {EXPECTED}"),
        }
    }
}

impl<'de> Deserialize<'de> for DeadLettersTo {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(|error| D::Error::custom(format!("{error:#}")))
    }
}

impl FromStr for Endpoint {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((host, port)) = text.rsplit_once(':') else {
            bail!("the port is missing");
        };
        let unbracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match unbracketed {
            Some(address) => address,
            None if host.contains(':') => bail!("an IPv6 address needs brackets, as in `[::1]:5000`"),
            None => host,
        };
        if host.is_empty() {
            bail!("the host is missing");
        }
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self { host: host.into(), port }),
            _ => bail!("`{port}` is no port: expected a number from 1 to 65535"),
        }
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(|error| D::Error::custom(format!("{error:#}")))
    }
}

/// For `#[serde(deserialize_with)]`: a duration such as `"30s"` or `"1m 30s"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = text_of(input, "a duration in quotes with its unit, such as \"30s\" or \"500ms\"")?;
    humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format!(
            "`{text}` is no duration ({error}): expected one such as \"30s\", \"500ms\" or \"2m\""
        ))
    })
}

/// For `#[serde(deserialize_with)]`: a number of bytes such as `"256KiB"`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let text = text_of(input, "a size in quotes with its unit, such as \"256KiB\" or \"10MB\"")?;
    // bytesize would take a bare number for bytes; whoever writes one may have meant something else.
    let has_unit = text.ends_with(['B', 'b']);
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if has_unit => Ok(size.as_u64()),
        _ => {
            Err(D::Error::custom(format!("`{text}` is no size: expected one such as \"256KiB\", \"10MB\" or \"512B\"")))
        }
    }
}

/// A string; anything else gets the expectation as its error, rather than "expected a string".
fn text_of<'de, D: Deserializer<'de>>(input: D, expected: &'static str) -> Result<String, D::Error> {
    struct Text(&'static str);
    impl serde::de::Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.into())
        }
    }
    input.deserialize_str(Text(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_written_alike() {
        for url in [
            "tcp://logstash:5000",
            "tcp://[::1]:5000",
            "tls://a:1,b:2",
            "lumberjack://a:1",
            "lumberjacks://a:1,[::1]:2",
            "stdout:",
            "file:/tmp/events.ndjson",
        ] {
            assert_eq!(url.parse::<Url>().unwrap().to_string(), url);
        }
    }

    #[test]
    fn a_wrong_url_says_what_would_be_right() {
        for (url, hint) in [
            ("logstash:5000", "tcp://host:port"),
            ("tcp://logstash", "port is missing"),
            ("tcp://logstash:0", "1 to 65535"),
            ("tcp://::1:5000", "brackets"),
            ("tcp://:5000", "host is missing"),
            ("file:", "file:PATH"),
            ("http://x", "tcp://host:port"),
        ] {
            let error = format!("{:#}", url.parse::<Url>().unwrap_err());
            assert!(error.contains(hint), "{url}: {error}");
        }
    }
}
