//! One instance, and its calls under a deadline.
//!
//! Two clocks watch a call: the engine's epoch stops a guest that computes for too long, and a timer one that waits (a
//! guest may sleep; the epoch does not tick into a host call).

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use wasmtime::{Store, Trap};

use super::bindings::Mapping as Exports;
use super::outcome::{self, Mapped};
use super::state::{GuestLog, State, shortened};
use super::{Blueprint, Description, ObjectFacts, Plan, TICK};
use crate::lookup::Snapshot;

/// An instance of a mapping, configured. Lives on the thread that made it.
pub(super) struct Guest {
    blueprint: Arc<Blueprint>,
    store: Store<State>,
    exports: Exports,
}

/// The runtime of a guest's thread: it drives the calls of one guest, and its timer.
pub(super) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().build().context("failed to start a guest's runtime")
}

/// Makes an instance only to have it accept its settings and describe itself.
pub(super) fn describe(blueprint: &Arc<Blueprint>) -> Result<Description> {
    let blueprint = Arc::clone(blueprint);
    // On a thread of its own, as all guest code: the caller may be within a runtime.
    let thread = std::thread::Builder::new().name("guest".into()).spawn(move || {
        runtime()?.block_on(async {
            let log = GuestLog::new(&blueprint.name, "-", blueprint.limits.log_lines);
            let mut guest = Guest::new(&blueprint, &log, &blueprint.tables.now()).await?;
            guest.describe().await
        })
    });
    let described = thread.context("failed to start a guest's thread")?.join();
    described.map_err(|_| anyhow!("the thread of the mapping panicked"))?
}

impl Guest {
    /// A fresh instance that has accepted its settings.
    pub(super) async fn new(blueprint: &Arc<Blueprint>, log: &GuestLog, tables: &Snapshot) -> Result<Self> {
        let mut store = Store::new(&blueprint.engine, State::new(blueprint, log.clone(), tables.clone()));
        store.limiter(|state| &mut state.limits);
        store.epoch_deadline_trap();
        set_deadline(&mut store, blueprint);
        let instantiated = timeout(blueprint.limits.call_timeout, blueprint.pre.instantiate_async(&mut store)).await;
        let exports = flatten(instantiated, blueprint).context("failed to instantiate")?;
        let mut guest = Self { blueprint: Arc::clone(blueprint), store, exports };
        let settings = guest.blueprint.settings.clone();
        set_deadline(&mut guest.store, blueprint);
        let configured =
            timeout(blueprint.limits.call_timeout, guest.exports.call_configure(&mut guest.store, &settings)).await;
        match flatten(configured, blueprint).context("`configure` failed")? {
            Ok(()) => Ok(guest),
            Err(reason) => bail!("the mapping does not accept its settings: {}", shortened(&reason)),
        }
    }

    async fn describe(&mut self) -> Result<Description> {
        set_deadline(&mut self.store, &self.blueprint);
        let described = timeout(self.blueprint.limits.call_timeout, self.exports.call_describe(&mut self.store)).await;
        flatten(described, &self.blueprint).context("`describe` failed")
    }

    /// Tells the instance what is known of the object.
    pub(super) async fn begin(&mut self, object: &ObjectFacts) -> Result<Plan> {
        set_deadline(&mut self.store, &self.blueprint);
        let begun = timeout(self.blueprint.limits.call_timeout, self.exports.call_begin(&mut self.store, object)).await;
        match flatten(begun, &self.blueprint).context("`begin` failed")? {
            Ok(plan) => Ok(plan),
            Err(reason) => bail!("{}", shortened(&reason)),
        }
    }

    /// Maps `count` records. After an error the instance is of no use any more.
    pub(super) async fn map(&mut self, records: &Bytes, count: u32) -> Result<Mapped> {
        set_deadline(&mut self.store, &self.blueprint);
        let mapped = timeout(self.blueprint.limits.call_timeout, self.exports.call_map(&mut self.store, records)).await;
        match flatten(mapped, &self.blueprint)? {
            Ok(outcome) => outcome::check(outcome, count, records.len(), self.blueprint.limits.output_ratio)
                .context("the mapping broke the contract"),
            Err(reason) => bail!("the mapping failed: {}", shortened(&reason)),
        }
    }
}

fn set_deadline(store: &mut Store<State>, blueprint: &Blueprint) {
    let ticks = blueprint.limits.call_timeout.as_millis() / TICK.as_millis();
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2).max(1));
}

/// The two ways of being late, and every other trap, in words for whoever has to repair the mapping.
fn flatten<T>(called: Result<wasmtime::Result<T>, tokio::time::error::Elapsed>, blueprint: &Blueprint) -> Result<T> {
    let error = match called {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
        Err(_) => bail!("the mapping waited for longer than `call-timeout` ({:?})", blueprint.limits.call_timeout),
    };
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            bail!("the mapping computed for longer than `call-timeout` ({:?})", blueprint.limits.call_timeout)
        }
        Some(trap) => bail!("the mapping trapped: {trap}"),
        None if error.root_cause().to_string().contains("forcing trap when growing memory") => {
            bail!("the mapping wanted more than `memory` ({} bytes)", blueprint.limits.memory)
        }
        None => bail!("the mapping trapped: {}", shortened(&error.root_cause().to_string())),
    }
}
