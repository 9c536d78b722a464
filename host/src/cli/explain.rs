//! `elbow explain`: from an event back to the record that it came from.

use std::io::Write;

use anyhow::{Context, Result};
use elbow::event_id::EventId;
use elbow::fetch::{Fetcher, Uri};
use elbow::pipeline::Pipeline;

use super::Outcome;
use super::config::ConfigArgs;

/// Print the record that an event came from.
///
/// An event's id (the field `elbow_id`, unless the config names another) says which object it came from, and where in its
/// text the record begins. The object must be unchanged: another version of it has other ids.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The id, as in the event or the dead letter
    #[arg(value_name = "ID")]
    id: EventId,

    /// The object: a path, or s3://bucket/key
    #[arg(value_name = "URI")]
    uri: Uri,

    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) async fn run(args: Args) -> Result<Outcome> {
    let mut config = args.config.load()?;
    // Nothing is sent, so nothing has to be opened.
    config.destinations.clear();
    config.dead_letters = Default::default();
    let fetcher = Fetcher::new(config.limits.read_timeout);
    let pipeline = Pipeline::new(config, fetcher).await.with_context(|| args.config.name())?;
    let record = pipeline.explain(&args.id, args.uri).await?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&record).and_then(|()| stdout.write_all(b"\n")).context("failed to print")?;
    Ok(Outcome::Done)
}
