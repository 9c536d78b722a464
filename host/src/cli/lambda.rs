//! `elbow lambda`: the objects that the invocations of an AWS Lambda function name.

use anyhow::{Context, Result, ensure};
use elbow::fetch::Fetcher;
use elbow::lambda;
use elbow::pipeline::Pipeline;

use super::Outcome;
use super::config::{ConfigArgs, DeliveryArgs};

/// Forward the objects that the invocations of an AWS Lambda function name.
///
/// This is what elbow does without a subcommand where AWS Lambda has started it. It takes notifications of S3, as they are
/// or through SNS, SQS or EventBridge. For SQS, its response names the messages whose objects were not settled (set
/// `ReportBatchItemFailures` for the trigger); otherwise an object that was not settled fails the invocation. It stops
/// before the function's time is over; what is not finished is given back, or, with `continuation-queue` in the config
/// below [lambda], handed on with its place.
///
/// ELBOW_CONFIG names the config file within the function's package: /var/task/elbow.toml.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    delivery: DeliveryArgs,
}

pub(crate) async fn run(args: Args) -> Result<Outcome> {
    let mut config = args.config.load()?;
    let has_destination = !config.destinations.is_empty() || args.delivery.names_destination();
    ensure!(has_destination, "{}: there is no destination; add one below [destinations.NAME]", args.config.name());
    args.delivery.apply(&mut config)?;
    let fetcher = Fetcher::new(config.limits.read_timeout);
    let pipeline = Pipeline::new(config, fetcher).await.with_context(|| args.config.name())?;
    lambda::run(pipeline, |summary| say!("{summary}")).await?;
    Ok(Outcome::Done)
}
