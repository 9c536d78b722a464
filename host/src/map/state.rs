//! What an instance can reach: its limits, the log, the tables that it is granted, and the little of WASI that language
//! runtimes need to start.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use anyhow::Result;
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable, WasmStr};
use wasmtime::{StoreContextMut, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::Blueprint;
use super::bindings::elbow::mapping::types::{Level, LookupError};
use crate::lookup::{NotGranted, Snapshot};

/// The WASI packages that a mapping may import, without `wasi:`. No files, no sockets, no HTTP.
pub(super) const GRANTED: &[&str] = &["cli/", "clocks/", "io/", "random/"];

/// The longest message of a guest that is kept.
pub(super) const MAX_MESSAGE: usize = 1024;

/// The state of one instance.
pub(super) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) limits: StoreLimits,
    log: GuestLog,
    tables: Snapshot,
}

impl State {
    pub(super) fn new(blueprint: &Blueprint, log: GuestLog, tables: Snapshot) -> Self {
        let memory = usize::try_from(blueprint.limits.memory).unwrap_or(usize::MAX);
        Self {
            wasi: WasiCtx::builder()
                .stdout(Output { log: log.clone(), stream: "stdout" })
                .stderr(Output { log: log.clone(), stream: "stderr" })
                .build(),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new()
                .memory_size(memory)
                // Or the guest's allocator would meet the limit, and its runtime would abort without a word.
                .trap_on_grow_failure(true)
                .build(),
            log,
            tables,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Links what [`GRANTED`] names.
pub(super) fn add_wasi(linker: &mut Linker<State>) -> Result<()> {
    use wasmtime_wasi::p2::bindings::{cli, random};

    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<State, WasiRandom>(linker, |state| state.wasi.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, |state| state.wasi.random())?;
    cli::environment::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    Ok(())
}

/// Links the two imports of the contract. By hand, since the generated code would copy both texts of each lookup: these are
/// read where they lie in the guest's memory.
pub(super) fn add_host(linker: &mut Linker<State>) -> Result<()> {
    let mut host = linker.instance("elbow:mapping/host@0.1.0")?;
    host.func_wrap("log", |store: StoreContextMut<'_, State>, (level, message): (Level, String)| {
        store.data().log.line(level, &message);
        Ok(())
    })?;
    host.func_wrap("lookup", |store: StoreContextMut<'_, State>, (table, key): (WasmStr, WasmStr)| {
        let (table, key) = (table.to_str(&store)?, key.to_str(&store)?);
        let row = match store.data().tables.lookup(&table, &key) {
            Ok(row) => Ok(row.map(Cow::into_owned)),
            Err(NotGranted) => Err(LookupError::NotGranted),
        };
        Ok((row,))
    })?;
    Ok(())
}

/// The log of a guest, with a bound on its lines for each object. Shared by the instances that an object takes.
#[derive(Clone)]
pub(super) struct GuestLog {
    mapping: Arc<str>,
    object: Arc<str>,
    lines: Arc<Mutex<Lines>>,
}

struct Lines {
    left: u64,
    left_out: u64,
}

impl GuestLog {
    pub(super) fn new(mapping: &str, object: &str, max_lines: u64) -> Self {
        Self {
            mapping: mapping.into(),
            object: object.into(),
            lines: Arc::new(Mutex::new(Lines { left: max_lines, left_out: 0 })),
        }
    }

    fn line(&self, level: Level, message: &str) {
        let mut lines = self.lines.lock().expect("no holder of this lock panics");
        if lines.left == 0 {
            lines.left_out += 1;
            return;
        }
        lines.left -= 1;
        drop(lines);
        let message = shortened(message);
        let (mapping, object) = (&*self.mapping, &*self.object);
        match level {
            Level::Trace => tracing::trace!(target: "elbow::guest", mapping, object, "{message}"),
            Level::Debug => tracing::debug!(target: "elbow::guest", mapping, object, "{message}"),
            Level::Info => tracing::info!(target: "elbow::guest", mapping, object, "{message}"),
            Level::Warn => tracing::warn!(target: "elbow::guest", mapping, object, "{message}"),
            Level::Error => tracing::error!(target: "elbow::guest", mapping, object, "{message}"),
        }
    }

    /// Says how many lines were left out, at the end of an object.
    pub(super) fn finish(&self) {
        let left_out = self.lines.lock().expect("no holder of this lock panics").left_out;
        if left_out > 0 {
            tracing::warn!(
                mapping = &*self.mapping,
                object = &*self.object,
                left_out,
                "the mapping logs more than `log-lines` allows"
            );
        }
    }
}

/// A guest's text, on one line and within its bound.
pub(super) fn shortened(text: &str) -> String {
    let text = text.trim_end();
    let end = text.floor_char_boundary(MAX_MESSAGE);
    let one_line = text[..end].replace(|c: char| c.is_control(), " ");
    match end < text.len() {
        true => format!("{one_line}…"),
        false => one_line,
    }
}

/// Standard output or error of a guest, which go to the log.
struct Output {
    log: GuestLog,
    stream: &'static str,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LogWriter { log: self.log.clone(), stream: self.stream })
    }
}

/// Each write is a line: language runtimes write whole lines.
struct LogWriter {
    log: GuestLog,
    stream: &'static str,
}

impl AsyncWrite for LogWriter {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let shown = &bytes[..bytes.len().min(MAX_MESSAGE + 1)];
        let text = String::from_utf8_lossy(shown);
        if !text.trim().is_empty() {
            let level = if self.stream == "stderr" { Level::Warn } else { Level::Info };
            self.log.line(level, &format!("{}: {}", self.stream, text.trim_end()));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
