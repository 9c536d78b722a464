//! The fault harness: objects go from an S3 server that fails through elbow to a receiver that misbehaves, as a seed
//! decides, and an oracle judges what elbow says of it.
//!
//! For each seed: **what is settled was received, byte for byte; what was not received is not settled; the ledger balances;
//! memory stayed within its bound; and once the faults stop, everything gets through.** elbow is the binary, in a process
//! of its own, and what it says is its summary and its exit code.
//!
//! `make soak SEEDS=n` runs as many seeds as you like, and prints the script of those that fail; `FROM=seed` begins at one,
//! to have it again.
//!
//! # Planted bugs
//!
//! The harness bites. `make soak BUG=name SEEDS=60` builds elbow with a bug, and fails:
//!
//! - `counting-at-write`: an event counts as delivered when it is written, as in the forwarder that elbow descends from.
//! - `closing-without-waiting`: elbow closes its side of a connection, and takes that for the peer's close.
//! - `half-written-connection-is-used-again`: a connection on which a write has failed goes back into the pool.
//!
//! `make test` shows that each is caught.

mod oracle;
mod receiver;
mod script;

use std::fmt::Write;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::Mutex;

use crate::support::guests;
use oracle::judge;
use script::Script;

/// Runs seeds, a few at a time, and answers those that failed, with their scripts.
fn run(seeds: Range<u64>, bug: Option<&str>) -> Vec<String> {
    guests::compiled_fault();
    let next = Mutex::new(seeds);
    let failed = Mutex::new(Vec::new());
    // Most of a seed's time is waiting.
    let workers = 4 * std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(seed) = next.lock().unwrap().next() else { break };
                    let judged = catch_unwind(|| judge(seed, bug));
                    if let Err(wrong) = judged.unwrap_or_else(|_| Err("the harness panicked, see above".into())) {
                        let mut told = format!("seed {seed}: {wrong}\n");
                        writeln!(told, "{:?}", Script::new(seed)).unwrap();
                        failed.lock().unwrap().push(told);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn whatever_the_network_does_what_is_settled_was_received() {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, default: u64| variable(name).map_or(default, |text| text.parse().unwrap());
    let from = number("FROM", 0);
    let seeds = number("SEEDS", 300);
    let failed = run(from..from + seeds, variable("BUG").as_deref());
    assert!(failed.is_empty(), "{} of {seeds} seeds failed:\n{}", failed.len(), failed.join("\n"));
}

#[track_caller]
fn expect_caught(bug: &str, as_what: &str) {
    let failed = run(0..120, Some(bug));
    let caught = failed.iter().filter(|told| told.contains(as_what)).count();
    println!("{bug}: caught by {caught} of 120 seeds");
    assert!(caught >= 3, "only {caught} of 120 seeds have caught it:\n{}", failed.join("\n"));
}

#[test]
fn counting_at_write_is_caught() {
    expect_caught("counting-at-write", "was not received");
}

#[test]
#[cfg(feature = "planted-bugs")]
fn closing_without_waiting_is_caught() {
    expect_caught("closing-without-waiting", "was not received");
}

#[test]
#[cfg(feature = "planted-bugs")]
fn a_half_written_connection_that_is_used_again_is_caught() {
    expect_caught("half-written-connection-is-used-again", "was never sent");
}
