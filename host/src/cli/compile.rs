//! `elbow compile`: a mapping ahead of time.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use elbow::config::BUILTIN_MAPPING;
use elbow::map::artifact::{self, Target};

use super::Outcome;

/// Compile a mapping ahead of time, so that it loads in a millisecond.
///
/// The artifact goes into the config in place of the component: `component = "orders.cwasm"`. It fits this version of
/// elbow on the kind of processor that it was compiled for, and says so if it is used with another. It is native code:
/// trust it as you trust elbow itself.
///
/// Examples:
///
///   elbow compile aws --output aws.cwasm
///
///   elbow compile orders.wasm --target aarch64 --output orders.cwasm
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The component's file, or `aws` for the mapping that is built in
    component: PathBuf,

    /// Where the artifact goes; its name ends in `.cwasm`
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// The machine that it is for: aarch64 (64-bit ARM), or x86_64 (with AVX2), both under Linux; without this, this one
    #[cfg(feature = "cross-compile")]
    #[arg(long, value_name = "ARCH", value_parser = parse_target)]
    target: Option<Target>,
}

#[cfg(feature = "cross-compile")]
fn parse_target(text: &str) -> Result<Target> {
    match text {
        "aarch64" | "arm64" => Ok(Target::Aarch64),
        "x86_64" => Ok(Target::X86_64),
        _ => anyhow::bail!("expected aarch64 or x86_64"),
    }
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let output = args.output.display();
    let is_named = args.output.extension().is_some_and(|extension| extension == "cwasm");
    ensure!(is_named, "--output {output}: the name of an artifact ends in `.cwasm`");
    let is_builtin = args.component.as_os_str() == BUILTIN_MAPPING;
    #[cfg(feature = "cross-compile")]
    let target = args.target.unwrap_or(Target::ThisMachine);
    #[cfg(not(feature = "cross-compile"))]
    let target = Target::ThisMachine;
    let artifact = artifact::make((!is_builtin).then_some(args.component.as_path()), target)?;
    // In one step: an elbow that starts meanwhile must not load a part of it.
    let new = args.output.with_extension("cwasm.new");
    std::fs::write(&new, &artifact).with_context(|| format!("failed to write {}", new.display()))?;
    std::fs::rename(&new, &args.output).with_context(|| format!("failed to write {output}"))?;
    say!("{output}: {} bytes", artifact.len());
    Ok(Outcome::Done)
}
