//! elbow as its users run it: the binary, against real receivers over real sockets and an S3 server.
//!
//! | file | what it shows |
//! |---|---|
//! | `backfill` | old objects: by time, with a checkpoint, left to a fleet |
//! | `delivery` | the original sin and its relatives: receivers that are late, slow, gone, or break off |
//! | `endpoints` | several endpoints: load is spread, one that fails is left alone |
//! | `faults` | the fault harness: seeds decide what fails, an oracle judges |
//! | `ids` | ids of events, the way back to the record, dead letters |
//! | `input` | objects that are truncated, garbage, empty, or full of surprises |
//! | `sandbox` | mappings that trap, loop, eat memory, or miscount |
//! | `s3` | listings, resumed bodies, objects that change, errors of the server |
//! | `cases` | golden cases of the built-in mapping, natively and in the sandbox |
//! | `pages` | the page of each format of the built-in mapping |
//! | `cli` | the commands, their help, their errors, their exit codes |
//! | `config` | the example that documents every setting, and mistakes in a config |
//! | `lookup` | tables that mappings look things up in: formats, grants, refreshes that fail, mistakes |
//! | `lumberjack` | Beats' protocol, against two independent receivers |
//! | `memory` | a large object in little memory |
//! | `receivers` | rsyslog, over TCP and TLS |
//! | `lambda` | the Lambda function, under an emulator that freezes it |
//! | `run` | the consumer of queues, against a server that notifies them itself |
//! | `deploy` | the files in `host/deploy`, judged by their ecosystems' own linters |
//! | `layering` | which module may know which |
//! | `tls` | whom elbow trusts, and who it says that it is |
//! | `traces` | what a collector of OpenTelemetry gets |
//! | `support` | what the tests are written with |

mod backfill;
mod cases;
mod cli;
mod config;
mod delivery;
mod deploy;
mod endpoints;
mod faults;
mod ids;
mod input;
mod lambda;
mod layering;
mod lookup;
mod lumberjack;
mod memory;
mod pages;
mod receivers;
mod run;
mod s3;
mod sandbox;
mod support;
mod tls;
mod traces;
