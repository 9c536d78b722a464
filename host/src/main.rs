//! The command `elbow`: arguments, log, runtime, the subcommand, the exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = cli::Args::of_this_process();
    let terminal = cli::terminal::Terminal::new();
    terminal.start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(args, terminal));
    // Without waiting: a thread that reads standard input cannot be interrupted.
    runtime.shutdown_background();
    code
}
