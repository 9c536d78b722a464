//! The settings of a destination, and the defaults that depend on its kind.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;

use super::units::{self, Url};
use crate::rung::Rung;

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
    /// The kernel's buffer for what a connection sends; 0 leaves its size to the kernel.
    pub send_buffer: u64,
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
    #[serde(default, deserialize_with = "units::bytes")]
    send_buffer: u64,
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
        crate::config::EVENT_ID.into()
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
            send_buffer: file.send_buffer,
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
            send_buffer: 0,
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
