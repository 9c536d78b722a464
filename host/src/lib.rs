//! elbow forwards log objects from S3 to TCP.
//!
//! ```text
//! route -> fetch -> decode -> cut into batches -> map (sandboxed guest) -> deliver (connected pool) -> settle
//! ```
//!
//! A native host does the I/O and keeps the promises; what a line *means* is decided by a WebAssembly component, the
//! **mapping**, that the team which owns the API ships on its own. The contract between the two is `wit/mapping.wit`.
//!
//! # The promise, and where it ends
//!
//! **No line is lost, and no line goes uncounted.** Every record of an object is mapped, rejected or dropped; every event
//! is confirmed at a named [rung](rung::Rung), or has failed. An object is settled only if its [ledger](ledger::Ledger)
//! balances and nothing of it failed; whatever is not settled, the exit code and the summary say so.
//!
//! The promise is *at least once*: what a broken connection left unconfirmed is sent again, so a receiver may see a line
//! twice. It ends at the rung: `closed`, the strongest over plain TCP, proves that the receiver has read everything (but for
//! one that is stopped in that very moment; see `deliver/closing.rs`), not that it has stored it.
//!
//! # Layout
//!
//! Arrows point downward only: [`pipeline`] knows the stages, the stages know leaves and never each other. A test keeps it
//! so.
//!
//! - [`consume`]: from the messages of queues to objects, and back. The door to SQS.
//! - [`service`]: health and metrics of a long-running elbow, over HTTP.
//! - [`lambda`]: from the invocations of a Lambda function to objects, and back. The door to the Lambda runtime.
//! - [`pipeline`]: the order of the stages, and an object's way through them.
//!
//! Stages:
//!
//! - [`route`]: which mapping and which destination an object goes to.
//! - [`fetch`]: from a URI to objects, and from an object to its bytes. The door to the AWS SDK.
//! - [`decode`]: from bytes as stored to text.
//! - [`cut`]: from text to batches of whole records.
//! - [`map`]: from records to events, in a sandbox. The door to wasmtime.
//! - [`deliver`]: from events to confirmed events. The door to sockets.
//! - [`settle`]: reports and the summary.
//!
//! Leaves:
//!
//! - [`account`]: what became of an object's events: tickets that are owed an answer.
//! - [`aws`]: how elbow finds AWS, or a server like it.
//! - [`bookmark`]: how far an object has come, for whoever goes on with it.
//! - [`config`]: `elbow.toml` and the environment.
//! - [`connections`]: connections, counted by their ends.
//! - [`dead_letter`]: a rejected record, as a line of JSON.
//! - [`event_id`]: ids that are the same in a replay.
//! - [`failures`]: failures, counted, with the last few in words.
//! - [`jitter`]: pauses that many processes do not end at the same moment.
//! - [`ledger`]: the books, and when they balance.
//! - [`lookup`]: the tables that mappings look things up in.
//! - [`memory`]: what the kernel knows of this process's memory.
//! - [`notification`]: what tells elbow of objects.
//! - [`object`]: what is known of an object.
//! - [`planted`]: bugs for the fault harness to find, in a build of their own.
//! - [`rung`]: how far a batch has come.
//! - [`traces`]: each object's way, for OpenTelemetry. The door to OTLP.
//! - [`s3_server`]: an S3 server within the process, for the demo and the tests.

pub mod account;
pub mod aws;
pub mod bookmark;
pub mod config;
pub mod connections;
pub mod consume;
pub mod cut;
pub mod dead_letter;
pub mod decode;
pub mod deliver;
pub mod event_id;
pub mod failures;
pub mod fetch;
pub mod jitter;
pub mod lambda;
pub mod ledger;
pub mod lookup;
pub mod map;
pub mod memory;
pub mod notification;
pub mod object;
pub mod pipeline;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod route;
pub mod rung;
#[cfg(feature = "demo")]
pub mod s3_server;
pub mod service;
pub mod settle;
pub mod traces;
