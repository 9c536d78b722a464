//! Components that were compiled ahead of time: files that load in less than a millisecond.
//!
//! A line of text stands before wasmtime's own bytes: `elbow artifact`, the version of wasmtime, and the SHA-256 of the
//! component that it was made from, which stays the mapping's digest.
//!
//! An artifact is native code. The sandbox holds for what wasmtime has compiled; whoever can forge an artifact can run
//! anything. So it is loaded only where the config names a file that ends in `.cwasm`, and never because of what is in it.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

use crate::config::{Limits, MappingLimits};

const MAGIC: &str = "elbow artifact";

/// The version of wasmtime, as `build.rs` finds it in `Cargo.lock`.
const WASMTIME: &str = env!("WASMTIME_VERSION");

/// Whether the config says that this is an artifact.
pub(super) fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "cwasm")
}

/// The machine that an artifact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This one, with all that its processor can.
    ThisMachine,
    /// Any 64-bit ARM under Linux.
    Aarch64,
    /// x86-64 under Linux, of the level x86-64-v3: what has AVX2, as all of AWS Lambda's machines.
    X86_64,
}

impl Target {
    pub(super) fn apply(self, config: &mut Config) -> Result<()> {
        let triple = match self {
            Self::ThisMachine => return Ok(()),
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        };
        config.target(triple).map_err(|error| anyhow!("{error:#}"))?;
        if self == Self::X86_64 {
            // SAFETY: the flag says what instructions may be used, and a machine that lacks one of them refuses to load
            // the artifact.
            #[allow(unsafe_code, reason = "wasmtime leaves its compiler's flags to the caller")]
            unsafe {
                config.cranelift_flag_enable("x86-64-v3")
            };
        }
        Ok(())
    }
}

/// Compiles a component, or the mapping that is built in, into the bytes of an artifact.
pub fn make(component: Option<&Path>, target: Target) -> Result<Vec<u8>> {
    let bytes = match component {
        Some(path) => Cow::Owned(super::read(path)?),
        None => Cow::Borrowed(super::BUILTIN),
    };
    let name = || component.map_or("the mapping that is built in".into(), |path| path.display().to_string());
    compile(&bytes, target).with_context(name)
}

fn compile(component: &[u8], target: Target) -> Result<Vec<u8>> {
    let engine = super::engine(Limits::default().concurrency.get(), MappingLimits::default().memory, target)?;
    let compiled = engine.precompile_component(component).map_err(|error| anyhow!("{error:#}"))?;
    let digest = super::hex(&Sha256::digest(component));
    let mut artifact = format!("{MAGIC} {WASMTIME} {digest}\n").into_bytes();
    artifact.extend_from_slice(&compiled);
    Ok(artifact)
}

/// Loads an artifact, and answers the digest of its component.
pub(super) fn load(engine: &Engine, artifact: &[u8]) -> Result<(Component, String)> {
    let (digest, compiled) = read(artifact)?;
    // SAFETY: these bytes are what `make` has written, as far as the header and wasmtime's own check of its version and
    // settings can tell; beyond that it is for whoever configures a `.cwasm` to trust it, which the documentation says.
    #[allow(unsafe_code, reason = "what was compiled ahead of time cannot be verified")]
    let component = unsafe { Component::deserialize(engine, compiled) };
    let component = component.map_err(|error| anyhow!("compile it again with `elbow compile`: {error:#}"))?;
    Ok((component, digest))
}

fn read(artifact: &[u8]) -> Result<(String, &[u8])> {
    let line = memchr::memchr(b'\n', &artifact[..artifact.len().min(256)]);
    let (line, compiled) = artifact.split_at(line.map_or(0, |end| end + 1));
    let words = std::str::from_utf8(line).ok().and_then(|line| line.trim_end().strip_prefix(MAGIC)?.strip_prefix(' '));
    let (version, digest) =
        words.and_then(|words| words.split_once(' ')).context("it is no artifact: make one with `elbow compile`")?;
    ensure!(
        version == WASMTIME,
        "it was compiled for wasmtime {version}, and this elbow has {WASMTIME}: compile it again with `elbow compile`"
    );
    Ok((digest.into(), compiled))
}
