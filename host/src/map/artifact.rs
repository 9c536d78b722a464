//! Components that were compiled ahead of time: files that load in less than a millisecond.
//!
//! A line of text stands before wasmtime's own bytes: `elbow artifact`, the version of wasmtime, and the SHA-256 of the
//! component that it was made from, which stays the mapping's digest.
//!
//! An artifact is native code. The sandbox holds for what wasmtime has compiled; whoever can forge an artifact can run
//! anything. So it is loaded only where the config names a file that ends in `.cwasm`, and never because of what is in it.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &str = "elbow artifact";

/// The version of wasmtime, as `build.rs` finds it in `Cargo.lock`.
const WASMTIME: &str = env!("WASMTIME_VERSION");

/// Whether the config says that this is an artifact.
pub(super) fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "cwasm")
}

/// Compiles a component for this machine.
pub(super) fn make(engine: &Engine, component: &[u8], digest: &str) -> Result<Vec<u8>> {
    let compiled = engine.precompile_component(component).map_err(|error| anyhow!("{error:#}"))?;
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
