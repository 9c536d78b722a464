//! `elbow check`: whether a config will work, before it is used.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use elbow::config::{Config, Source};
use elbow::deliver::Destination;
use elbow::fetch::Fetcher;
use elbow::lookup;
use elbow::map::Sandbox;
use elbow::pipeline::Tables;

use super::Outcome;

/// Check a config: it is valid, the lookup tables load, the mappings load and accept their settings, the destinations
/// answer.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Do not connect to the destinations, nor to S3 for lookup tables
    #[arg(long)]
    offline: bool,
}

pub(crate) async fn run(args: Args) -> Result<Outcome> {
    let file = args.config.display();
    let config = Config::load(&args.config)?;
    config.validate_routes().with_context(|| file.to_string())?;
    let most_memory = config.mappings.values().map(|mapping| mapping.limits.memory).max();
    let tables = tables(&config, args.offline).await.with_context(|| file.to_string())?;
    let sandbox = Sandbox::new(1, most_memory.unwrap_or_default())?.with_tables(tables);
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

/// Loads all tables, also those that no mapping is granted. Offline, an empty one stands for each that is in S3.
async fn tables(config: &Config, is_offline: bool) -> Result<Arc<lookup::Tables>> {
    let is_left_out = |source: &Source| is_offline && matches!(source, Source::S3 { .. });
    let mut here = config.lookups.clone();
    here.retain(|_, lookup| !is_left_out(&lookup.source));
    let loaded = Tables::load(&here, &Arc::new(Fetcher::new(config.limits.read_timeout))).await?;
    for table in loaded.reports() {
        let source = &config.lookups[&table.name].source;
        say!("lookup `{}`: {source}, {} rows, {} bytes in memory", table.name, table.rows, table.bytes);
    }
    let mut tables = lookup::Tables::clone(&loaded.tables());
    for (name, lookup) in config.lookups.iter().filter(|(_, lookup)| is_left_out(&lookup.source)) {
        say!("lookup `{name}`: {}, not tried (--offline)", lookup.source);
        tables.insert(name, lookup::Table::empty());
    }
    Ok(Arc::new(tables))
}
