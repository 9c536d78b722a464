//! elbow as a process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use super::eventually;

/// A command that is being put together, with a folder of its own for what it reads and writes.
pub(crate) struct Elbow {
    folder: TempDir,
    command: Command,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// Null if none was written.
    pub(crate) summary: Value,
}

impl Elbow {
    pub(crate) fn new(subcommand: &str) -> Self {
        Self::without_arguments().arg(subcommand)
    }

    pub(crate) fn without_arguments() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_elbow"));
        command.current_dir(folder.path());
        // The machine's own settings are none of the tests' business.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_foreign(name)) {
            command.env_remove(name);
        }
        Self { folder, command }
    }

    /// `elbow forward`, with a summary in a file, and events as the mapping has made them.
    pub(crate) fn forward() -> Self {
        Self::forward_with_ids().args(["--event-id", ""])
    }

    /// `elbow forward` as it is, with a summary in a file.
    pub(crate) fn forward_with_ids() -> Self {
        Self::new("forward").args(["--summary", "summary.json"])
    }

    /// `elbow forward` to a receiver, with events in the style `flat`.
    pub(crate) fn forward_to(address: std::net::SocketAddr) -> Self {
        Self::forward_with_ids().args(["--set", "style=flat", "--to", &format!("tcp://{address}")])
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file into the folder in which elbow runs.
    pub(crate) fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Writes a file, and names it on the command line.
    pub(crate) fn input(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.file(name, bytes).arg(name)
    }

    /// Writes a config, and names it on the command line.
    pub(crate) fn config(self, text: &str) -> Self {
        self.file("elbow.toml", text).args(["--config", "elbow.toml"])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs to the end.
    pub(crate) fn run(self) -> Run {
        self.start().wait()
    }

    /// Starts, with a pipe for standard input.
    pub(crate) fn start(mut self) -> Running {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let mut log = kept.lock().unwrap();
                log.push_str(&String::from_utf8_lossy(&line.unwrap()));
                log.push('\n');
            }
        });
        Running { folder: self.folder, child: Killed(child), log, reader }
    }
}

fn is_foreign(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["AWS_", "ELBOW", "OTEL_"].iter().any(|prefix| name.starts_with(prefix))
}

/// A run that goes on.
pub(crate) struct Running {
    folder: TempDir,
    child: Killed,
    /// What it has said on standard error.
    log: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

/// A process that does not outlive its test, whatever becomes of that.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Deref for Killed {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Killed {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Goes away as the reader of its standard output.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until it has said this on standard error.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        eventually(text, || self.log.lock().unwrap().contains(text));
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, which must be a good one, and reads a file that it has written.
    pub(crate) fn wait_and_read(mut self, file: &Path) -> Vec<u8> {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        std::fs::read(file).unwrap()
    }

    /// Closes its standard input and waits for its end.
    pub(crate) fn wait(mut self) -> Run {
        drop(self.child.stdin.take());
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout).unwrap();
        }
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let stderr = std::mem::take(&mut *self.log.lock().unwrap());
        let summary = read_summary(&self.folder.path().join("summary.json"));
        Run { code: status.code(), stdout, stderr, summary }
    }
}

fn read_summary(path: &Path) -> Value {
    match std::fs::read(path) {
        // elbow makes the file before it begins, and fills it at the end.
        Ok(json) if !json.is_empty() => serde_json::from_slice(&json).unwrap(),
        _ => Value::Null,
    }
}

impl Run {
    /// Fails the test, with all that elbow said, unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{:#}", self.stderr, self.summary);
        self
    }

    /// A number in the summary, by its JSON pointer.
    #[track_caller]
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        let value = self.summary.pointer(pointer).unwrap_or(&Value::Null);
        value.as_u64().unwrap_or_else(|| panic!("{pointer} is {value} in {:#}", self.summary))
    }

    /// Encountered, mapped, rejected, dropped.
    #[track_caller]
    pub(crate) fn records(&self) -> [u64; 4] {
        ["encountered", "mapped", "rejected", "dropped"].map(|fate| self.count(&format!("/records/{fate}")))
    }

    /// Sent, confirmed, failed.
    #[track_caller]
    pub(crate) fn events(&self) -> [u64; 3] {
        ["sent", "confirmed", "failed"].map(|fate| self.count(&format!("/events/{fate}")))
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.summary.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn is(&self, pointer: &str) -> bool {
        self.summary.pointer(pointer).and_then(Value::as_bool).unwrap()
    }
}
