//! The command line: a file for each subcommand, and what they share.
//!
//! | exit code | |
//! |---|---|
//! | 0 | every object was settled |
//! | 1 | something was not delivered |
//! | 2 | wrong usage or configuration: nothing was begun |

/// Prints a line to standard output. Where nobody reads that any more, as in `elbow demo | head -1`, the command ends.
macro_rules! say {
    ($($arguments:tt)*) => {{
        use std::io::Write;
        if writeln!(std::io::stdout(), $($arguments)*).is_err() {
            std::process::exit(1);
        }
    }};
}

mod check;
mod compile;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod forward;
mod inspect;
mod lambda;
mod run;
mod signals;
mod sink;
pub(crate) mod terminal;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use elbow::traces;

use terminal::Terminal;

/// Forwards log objects from S3 to TCP, and proves what was delivered.
///
/// An object is fetched, decompressed and cut into records; a mapping, a sandboxed WebAssembly component, turns the
/// records into events; and the events go to a destination, over connections that are checked before and confirmed after.
/// The summary at the end says what became of every record and every event.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Forward(forward::Args),
    Run(run::Args),
    Lambda(lambda::Args),
    Check(check::Args),
    Compile(compile::Args),
    Explain(explain::Args),
    Inspect(inspect::Args),
    Sink(sink::Args),
    #[cfg(feature = "demo")]
    Demo(demo::Args),
}

impl Args {
    /// What the command line says. AWS Lambda starts a program without any.
    pub(crate) fn of_this_process() -> Self {
        match elbow::config::is_lambda() && std::env::args_os().len() == 1 {
            true => Self::parse_from(["elbow", "lambda"]),
            false => Self::parse(),
        }
    }
}

/// How a command ended.
pub(crate) enum Outcome {
    /// Everything was delivered, or whatever the command is for was done.
    Done,
    /// Something was not delivered.
    NotDelivered,
}

/// How long the end of a command waits for a collector of traces.
const LAST_TRACES: Duration = Duration::from_secs(5);

/// Runs the subcommand.
pub(crate) async fn run(args: Args, terminal: Terminal) -> ExitCode {
    if let Err(error) = traces::start() {
        terminal.print_error(&error);
        return ExitCode::from(2);
    }
    let outcome = match args.command {
        Command::Forward(args) => forward::run(args, &terminal).await,
        Command::Run(args) => run::run(args).await,
        Command::Lambda(args) => lambda::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Compile(args) => compile::run(args),
        Command::Explain(args) => explain::run(args).await,
        Command::Inspect(args) => inspect::run(args),
        Command::Sink(args) => sink::run(args).await,
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args).await,
    };
    traces::flush(LAST_TRACES).await;
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotDelivered) => ExitCode::from(1),
        Err(error) => {
            terminal.print_error(&error);
            ExitCode::from(2)
        }
    }
}
