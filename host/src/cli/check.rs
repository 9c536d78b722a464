//! `elbow check`: whether a config will work, before it is used.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use elbow::config::Config;
use elbow::deliver::Destination;
use elbow::map::Sandbox;

use super::Outcome;

/// Check a config: it is valid, the mappings load and accept their settings, the destinations answer.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Do not connect to the destinations
    #[arg(long)]
    offline: bool,
}

pub(crate) async fn run(args: Args) -> Result<Outcome> {
    let file = args.config.display();
    let config = Config::load(&args.config)?;
    config.validate_routes().with_context(|| file.to_string())?;
    let most_memory = config.mappings.values().map(|mapping| mapping.limits.memory).max();
    let sandbox = Sandbox::new(1, most_memory.unwrap_or_default())?;
    for (name, mapping) in &config.mappings {
        let loaded = tokio::task::block_in_place(|| sandbox.load(name, mapping)).with_context(|| file.to_string())?;
        let description = loaded.description();
        let formats: Vec<&str> = description.formats.iter().map(|format| format.name.as_str()).collect();
        say!(
            "mapping `{name}`: {} {}, sha256 {}, reads {}",
            description.name,
            description.version,
            loaded.digest(),
            formats.join(", ")
        );
    }
    let mut unreachable = 0;
    for (name, destination) in &config.destinations {
        let url = &destination.url;
        let promise = format!("confirms `{}`, requires `{}`", destination.confirm, destination.require);
        if args.offline {
            say!("destination `{name}`: {url}, {promise}, not tried (--offline)");
            continue;
        }
        match Destination::probe(destination).await {
            Ok(()) => say!("destination `{name}`: {url} answers, {promise}"),
            Err(error) => {
                unreachable += 1;
                say!("destination `{name}`: {url} does not answer: {error:#}");
            }
        }
    }
    ensure!(unreachable == 0, "{file}: {unreachable} of {} destinations do not answer", config.destinations.len());
    say!("{file}: valid");
    Ok(Outcome::Done)
}
