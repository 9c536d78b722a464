//! elbow as its users run it: the binary, against real receivers over real sockets and an S3 server.
//!
//! | file | what it shows |
//! |---|---|
//! | `delivery` | the original sin and its relatives: receivers that are late, slow, gone, or break off |
//! | `endpoints` | several endpoints: load is spread, one that fails is left alone |
//! | `faults` | the fault harness: seeds decide what fails, an oracle judges |
//! | `ids` | ids of events, the way back to the record, dead letters |
//! | `input` | objects that are truncated, garbage, empty, or full of surprises |
//! | `sandbox` | mappings that trap, loop, eat memory, or miscount |
//! | `s3` | listings, resumed bodies, objects that change, errors of the server |
//! | `cases` | golden cases of the built-in mapping, natively and in the sandbox |
//! | `cli` | the commands, their help, their errors, their exit codes |
//! | `config` | the example that documents every setting, and mistakes in a config |
//! | `lumberjack` | Beats' protocol, against two independent receivers |
//! | `memory` | a large object in little memory |
//! | `receivers` | rsyslog, over TCP and TLS |
//! | `layering` | which module may know which |
//! | `tls` | whom elbow trusts, and who it says that it is |
//! | `support` | what the tests are written with |

mod cases;
mod cli;
mod config;
mod delivery;
mod endpoints;
mod faults;
mod ids;
mod input;
mod layering;
mod lumberjack;
mod memory;
mod receivers;
mod s3;
mod sandbox;
mod support;
mod tls;
