//! Standard error: the log, the progress bar, and keeping one out of the other's way.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use elbow::config;
use elbow::pipeline::Progress;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Standard error. The bar shows itself only if that is a terminal.
pub(crate) struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {elapsed}  {msg}");
        bar.set_style(style.expect("the template is valid"));
        Self { bar }
    }

    /// Starts the log.
    pub(crate) fn start_log(&self) {
        let filter = EnvFilter::try_new(config::log_filter()).unwrap_or_else(|error| {
            eprintln!("ELBOW_LOG: {error}; the log shows elbow's INFO");
            EnvFilter::new(config::LOG_FILTER)
        });
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(AboveTheBar(self.bar.clone()));
        match config::is_log_json() {
            true => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
            false => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        }
    }

    /// An error that ends the command, with its causes.
    pub(crate) fn print_error(&self, error: &anyhow::Error) {
        self.bar.suspend(|| eprintln!("error: {error:#}"));
    }

    /// Shows progress until the guard is dropped.
    pub(crate) fn show(&self, progress: Arc<Progress>) -> Showing {
        let bar = self.bar.clone();
        let task = tokio::spawn(async move {
            loop {
                bar.set_message(message(&progress));
                bar.tick();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Showing { bar: self.bar.clone(), task }
    }
}

fn message(progress: &Progress) -> String {
    format!(
        "{} of {} objects read  {} records  {}",
        HumanCount(progress.objects_read.load(Relaxed)),
        HumanCount(progress.objects.load(Relaxed)),
        HumanCount(progress.records.load(Relaxed)),
        HumanBytes(progress.bytes.load(Relaxed)),
    )
}

/// The bar is shown. Dropping it takes the bar off the screen.
pub(crate) struct Showing {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Showing {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

/// Writes to standard error while the bar is out of the way.
#[derive(Clone)]
struct AboveTheBar(ProgressBar);

impl Write for AboveTheBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveTheBar {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
