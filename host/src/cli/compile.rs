//! `elbow compile`: a mapping ahead of time.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use elbow::config::{BUILTIN_MAPPING, Limits, MappingLimits};
use elbow::map::Sandbox;

use super::Outcome;

/// Compile a mapping for this machine, so that it loads in a millisecond.
///
/// The artifact goes into the config in place of the component: `component = "orders.cwasm"`. It fits this version of
/// elbow on this kind of processor, and says so if it is used with another. It is native code: trust it as you trust
/// elbow itself.
///
/// Example:
///
///   elbow compile aws --output aws.cwasm
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The component's file, or `aws` for the mapping that is built in
    component: PathBuf,

    /// Where the artifact goes; its name ends in `.cwasm`
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let output = args.output.display();
    let is_named = args.output.extension().is_some_and(|extension| extension == "cwasm");
    ensure!(is_named, "--output {output}: the name of an artifact ends in `.cwasm`");
    let is_builtin = args.component.as_os_str() == BUILTIN_MAPPING;
    let sandbox = Sandbox::new(Limits::default().concurrency.get(), MappingLimits::default().memory)?;
    let artifact = sandbox.compile((!is_builtin).then_some(args.component.as_path()))?;
    // In one step: an elbow that starts meanwhile must not load a part of it.
    let new = args.output.with_extension("cwasm.new");
    std::fs::write(&new, &artifact).with_context(|| format!("failed to write {}", new.display()))?;
    std::fs::rename(&new, &args.output).with_context(|| format!("failed to write {output}"))?;
    say!("{output}: {} bytes", artifact.len());
    Ok(Outcome::Done)
}
