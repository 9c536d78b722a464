//! The map stage: batches of records go into a sandboxed guest, events come out.
//!
//! This is the one door to wasmtime. A [`Sandbox`] is the engine with its limits; a [`Mapping`] is a component that was
//! compiled and linked once; a [`session`] is one object's way through it, on a thread of its own.
//!
//! It promises that every record that goes in is accounted for on the way out, whatever the guest does: a guest that
//! traps, loops, eats memory or miscounts is stopped, and costs at most the records that it fails on. It does not promise
//! that events mean what they should: that is the guest's business.
//!
//! | module | |
//! |---|---|
//! | [`session`] | the thread of an object: batches in, mapped batches out, halving a batch that fails |
//! | [`artifact`] | components that were compiled ahead of time |
//! | `guest` | one instance, and its calls under a deadline |
//! | `outcome` | checks what a guest says became of a batch |
//! | `state` | what an instance can reach: limits, log, tables, and the little of WASI that runtimes need |

pub mod artifact;
mod guest;
mod outcome;
pub mod session;
mod state;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::config::{MappingConfig, MappingLimits};
use crate::lookup::{Granted, Tables};
use artifact::Target;
pub use outcome::{Mapped, Rejected};
use state::State;

mod bindings {
    #![allow(missing_docs, unreachable_pub, reason = "generated from the WIT, which has the docs")]
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "mapping",
        exports: { default: async },
        additional_derives: [PartialEq],
    });
}

pub use bindings::elbow::mapping::types::{
    Description, Field, Format, Framing, Header, JsonType, Object as ObjectFacts, Plan,
};

/// How often the engine's epoch advances: the precision of the deadline of a call.
const TICK: Duration = Duration::from_millis(10);

/// The mapping that is built in, as the build has made it.
const BUILTIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/aws.wasm"));

/// The engine. Shared by all mappings; its clock ends when the last of them is dropped.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<State>,
    tables: Arc<Tables>,
}

impl Sandbox {
    /// An engine with room for so many instances at a time, each with at most `max_memory` bytes of linear memory.
    pub fn new(instances: usize, max_memory: u64) -> Result<Self> {
        let engine = engine(instances, max_memory, Target::ThisMachine)?;
        let mut linker = Linker::new(&engine);
        state::add_wasi(&mut linker)?;
        state::add_host(&mut linker)?;
        spawn_clock(&engine)?;
        Ok(Self { engine, linker, tables: Arc::default() })
    }

    /// The same, with tables that the mappings which are loaded from here on may be granted.
    pub fn with_tables(self, tables: Arc<Tables>) -> Self {
        Self { tables, ..self }
    }

    /// Compiles and links a mapping, and has it accept its settings. Takes tens of milliseconds for a small component,
    /// seconds for one that brings its language's interpreter.
    pub fn load(&self, name: &str, config: &MappingConfig) -> Result<Mapping> {
        let bytes = match &config.component {
            Some(path) => Cow::Owned(read(path)?),
            None => Cow::Borrowed(BUILTIN),
        };
        let origin =
            config.component.as_ref().map_or("the mapping that is built in".into(), |path| path.display().to_string());
        let (component, digest) = match &config.component {
            Some(path) if artifact::is_named(path) => artifact::load(&self.engine, &bytes),
            _ => self.compile_now(&bytes),
        }
        .with_context(|| format!("mapping `{name}`: {origin}"))?;
        if let Some(pinned) = &config.sha256
            && !pinned.eq_ignore_ascii_case(&digest)
        {
            bail!("mapping `{name}`: {origin} has the SHA-256 {digest}, but the config pins {pinned}");
        }
        self.check_imports(&component).with_context(|| format!("mapping `{name}`: {origin}"))?;
        let pre = self.linker.instantiate_pre(&component).map_err(|error| {
            anyhow!("mapping `{name}`: {origin} does not fit the world elbow:mapping/mapping@0.1.0: {error:#}")
        })?;
        let blueprint = Arc::new(Blueprint {
            name: name.into(),
            digest,
            engine: self.engine.clone(),
            pre: bindings::MappingPre::new(pre).map_err(|error| {
                anyhow!("mapping `{name}`: {origin} does not export the world elbow:mapping/mapping@0.1.0: {error:#}")
            })?,
            settings: serde_json::Value::Object(config.settings.clone()).to_string(),
            tables: self.tables.granted(config.granted()).with_context(|| format!("mapping `{name}`"))?,
            limits: config.limits.clone(),
        });
        let description = guest::describe(&blueprint).with_context(|| format!("mapping `{name}` ({origin})"))?;
        Ok(Mapping { blueprint, description })
    }

    fn compile_now(&self, bytes: &[u8]) -> Result<(Component, String)> {
        let component = Component::new(&self.engine, bytes)
            .map_err(|error| anyhow!("it is no WebAssembly component that elbow can load: {error:#}"))?;
        Ok((component, hex(&Sha256::digest(bytes))))
    }

    /// Names the first import that a mapping is not granted, which the linker's own message would bury.
    fn check_imports(&self, component: &Component) -> Result<()> {
        for (import, _) in component.component_type().imports(&self.engine) {
            let granted = import.starts_with("elbow:mapping/")
                || state::GRANTED
                    .iter()
                    .any(|granted| import.strip_prefix("wasi:").is_some_and(|i| i.starts_with(granted)));
            if !granted {
                bail!(
                    "the component imports `{import}`, which elbow does not grant: mappings have no files and no network"
                );
            }
        }
        Ok(())
    }
}

fn engine(instances: usize, max_memory: u64, target: Target) -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    // Two for each: the instance that is being replaced may not be gone when the next one is made. A component holds a few
    // core modules, of which usually one has a memory.
    let instances = u32::try_from(instances.saturating_mul(2).max(4)).unwrap_or(u32::MAX);
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(8))
        .total_memories(instances.saturating_mul(4))
        .total_tables(instances.saturating_mul(8))
        .total_stacks(instances)
        .max_memory_size(usize::try_from(max_memory).unwrap_or(usize::MAX))
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20);
    let mut config = Config::new();
    config.epoch_interruption(true).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    target.apply(&mut config)?;
    Engine::new(&config).map_err(anyhow::Error::from).context("failed to start the WebAssembly engine")
}

/// A mapping, ready for objects. Cheap to clone: clones share the compiled code.
#[derive(Clone)]
pub struct Mapping {
    blueprint: Arc<Blueprint>,
    description: Description,
}

impl Mapping {
    /// The name in the config.
    pub fn name(&self) -> &str {
        &self.blueprint.name
    }

    /// The SHA-256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.blueprint.digest
    }

    /// What it says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

/// All that an instance is made from.
struct Blueprint {
    name: String,
    digest: String,
    engine: Engine,
    pre: bindings::MappingPre<State>,
    settings: String,
    tables: Granted,
    limits: MappingLimits,
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read the component {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Advances the epoch until the engine is gone.
fn spawn_clock(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            #[allow(clippy::disallowed_methods, reason = "the clock has a thread of its own")]
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("epoch".into()).spawn(tick).context("failed to start the epoch clock")?;
    Ok(())
}
