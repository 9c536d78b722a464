//! The tables that mappings look things up in: loaded before the first object, and again when their source has changed.
//!
//! Each table is asked for on its own, every `refresh`: a file by its time and size, an object in S3 by its etag. What has
//! changed is read beside the one in use, on a thread that may block, and takes its place at once; objects that are under
//! way keep the one that they began with. A table that cannot be read stays as it was, for as long as it takes, which is
//! a warning, once. Only a start without a table fails.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::config::{LookupConfig, Source};
use crate::decode::{Text, decode};
use crate::fetch::{Fetcher, Version};
use crate::lookup::{self, Table, TableReport};
use crate::object::Object;

/// All tables of a config, and what is known of their sources.
pub struct Tables {
    sources: Vec<Arc<Watched>>,
    tables: Arc<lookup::Tables>,
    /// The tasks that refresh them, which end with this.
    _refreshing: Vec<AbortOnDropHandle<()>>,
}

/// A table's source.
struct Watched {
    name: String,
    config: LookupConfig,
    fetcher: Arc<Fetcher>,
    /// Of what is in the table. Locked while its source is asked, so that nobody else does meanwhile.
    version: AsyncMutex<Option<Version>>,
    health: Mutex<Health>,
}

struct Health {
    /// When the source was last asked.
    asked: Moment,
    /// When it was last known to be as the table is.
    good: Moment,
    /// How often in a row it could not be read.
    failures_in_a_row: u64,
    failures: u64,
}

impl Tables {
    /// Loads the tables of these names, all at once.
    pub async fn load(lookups: &BTreeMap<String, LookupConfig>, fetcher: &Arc<Fetcher>) -> Result<Self> {
        let sources: Vec<Arc<Watched>> = lookups
            .iter()
            .map(|(name, config)| {
                let now = Moment::now();
                Arc::new(Watched {
                    name: name.clone(),
                    config: config.clone(),
                    fetcher: Arc::clone(fetcher),
                    version: AsyncMutex::default(),
                    health: Mutex::new(Health { asked: now, good: now, failures_in_a_row: 0, failures: 0 }),
                })
            })
            .collect();
        let mut tables = lookup::Tables::default();
        let loaded = join_all(sources.iter().map(|source| async move {
            let mut version = source.version.lock().await;
            source.read_if_changed(&mut version).await
        }));
        for (source, loaded) in sources.iter().zip(loaded.await) {
            match loaded.with_context(|| format!("[lookups.{}]", source.name))? {
                Some(table) => tables.insert(&source.name, table),
                None => bail!("[lookups.{}]: the source says that it has not changed, and was never read", source.name),
            }
        }
        Ok(Self { sources, tables: Arc::new(tables), _refreshing: Vec::new() })
    }

    /// The same tables, each with a task that refreshes it.
    pub fn refreshing(mut self) -> Self {
        let timed = self.sources.iter().filter(|source| !source.config.refresh.is_zero());
        self._refreshing = timed
            .map(|source| {
                let (source, tables) = (Arc::clone(source), Arc::clone(&self.tables));
                AbortOnDropHandle::new(tokio::spawn(async move {
                    loop {
                        sleep(source.config.refresh).await;
                        source.refresh(&tables).await;
                    }
                }))
            })
            .collect();
        self
    }

    /// The tables themselves.
    pub fn tables(&self) -> Arc<lookup::Tables> {
        Arc::clone(&self.tables)
    }

    /// Refreshes what is due, for a process that may have been frozen when it was. After `within`, what is still being
    /// read is left to come later.
    pub async fn refresh_due(&self, within: Duration) {
        let due = self.sources.iter().filter(|source| source.is_due());
        let refreshing: Vec<JoinHandle<()>> = due
            .map(|source| {
                let (source, tables) = (Arc::clone(source), Arc::clone(&self.tables));
                tokio::spawn(async move { source.refresh(&tables).await })
            })
            .collect();
        if timeout(within, join_all(refreshing)).await.is_err() {
            tracing::warn!("refreshing tables takes longer than {within:?}: going on with the old ones for now");
        }
    }

    /// How each table is.
    pub fn reports(&self) -> Vec<TableReport> {
        let sources = self.sources.iter();
        let report = |source: &Arc<Watched>| {
            let table = self.tables.get(&source.name)?;
            let health = source.health();
            Some(TableReport {
                name: source.name.clone(),
                rows: table.rows(),
                bytes: table.bytes(),
                age: health.good.elapsed(),
                failures: health.failures,
            })
        };
        sources.filter_map(report).collect()
    }
}

impl Watched {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().expect("no holder of this lock panics")
    }

    fn is_due(&self) -> bool {
        let refresh = self.config.refresh;
        !refresh.is_zero() && self.health().asked.elapsed() >= refresh
    }

    /// Puts a newer table in the place of the one that is there, if there is a newer one and it can be read. Dropping the
    /// future leaves the table as it was; what is being read then is read to its end, for nothing.
    async fn refresh(&self, tables: &lookup::Tables) {
        let mut version = self.version.lock().await;
        let asked = Moment::now();
        let read = self.read_if_changed(&mut version).await;
        let mut health = self.health();
        health.asked = asked;
        match read {
            Ok(changed) => {
                health.good = asked;
                let failures = std::mem::take(&mut health.failures_in_a_row);
                drop(health);
                if failures > 0 {
                    tracing::info!(table = self.name, failures, "the table can be refreshed again");
                }
                if let Some(table) = changed {
                    tracing::info!(table = self.name, rows = table.rows(), "the table has changed, and was loaded");
                    tables.replace(&self.name, table);
                }
            }
            Err(error) => {
                health.failures += 1;
                health.failures_in_a_row += 1;
                if health.failures_in_a_row == 1 {
                    let error = format!("{error:#}");
                    tracing::warn!(table = self.name, error, "failed to refresh the table, which stays as it was");
                }
            }
        }
    }

    /// Reads the table unless its source is in the state that is known, and notes the state that it was read in.
    async fn read_if_changed(&self, version: &mut Option<Version>) -> Result<Option<Table>> {
        let object = match &self.config.source {
            Source::File(path) => Object::named(None, path.display().to_string()),
            Source::S3 { bucket, key } => Object::named(Some(bucket.clone()), key),
        };
        let Some((read, stored)) = self.fetcher.open_if_changed(&object, version.as_ref()).await? else {
            return Ok(None);
        };
        // The table has a cap of its own, whose error names the right setting.
        let (_, text) = decode(stored, u64::MAX).await.with_context(|| object.to_string())?;
        let LookupConfig { format, key, max_size, .. } = self.config.clone();
        let text = Blocking { text, runtime: Handle::current() };
        let reading = tokio::task::spawn_blocking(move || Table::read(text, format, key.as_deref(), max_size));
        let table = reading.await.context("the reader of the table panicked")?.with_context(|| object.to_string())?;
        *version = Some(read);
        Ok(Some(table))
    }
}

/// Text for a reader that blocks its thread.
struct Blocking {
    text: Text,
    runtime: Handle,
}

impl io::Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.text.read(buffer))
    }
}

/// A moment by both clocks: the one stands still while the process is frozen, the other may be set.
#[derive(Clone, Copy)]
struct Moment(Instant, SystemTime);

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    /// How long ago it was, by the clock that says more.
    fn elapsed(&self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}
