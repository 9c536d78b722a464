//! What a team needs to write an elbow mapping in Rust.
//!
//! A mapping turns records of a log object into events. With this crate it is a type that implements [`Mapping`]: its
//! settings, and a function from one record to its events. [`export!`] makes the component of it.
//!
//! ```
//! use elbow_guest::{Events, Fate, Field, Format, Mapping, Reject};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     team: String,
//! }
//!
//! struct Checkout(Settings);
//!
//! impl Mapping for Checkout {
//!     type Settings = Settings;
//!     const NAME: &str = "checkout";
//!     const VERSION: &str = "1.0.0";
//!
//!     fn configure(settings: Settings) -> Result<Self, String> {
//!         Ok(Self(settings))
//!     }
//!
//!     fn formats(&self) -> Vec<Format> {
//!         vec![Format::new("checkout", "`<order> <cents>`, a line for each order", vec![
//!             Field::text("team", "from the settings"),
//!             Field::text("order", "the order's number"),
//!             Field::number("cents", "what it cost"),
//!         ])]
//!     }
//!
//!     fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
//!         let line = std::str::from_utf8(record).map_err(|_| "the line is not UTF-8")?;
//!         let (order, cents) = line.split_once(' ').ok_or("expected `<order> <cents>`")?;
//!         let cents: u64 = cents.parse().map_err(|_| "cents: expected a whole number")?;
//!         Ok(events.push(|event| {
//!             event.text("team", &self.0.team);
//!             event.text("order", order);
//!             event.unsigned("cents", cents);
//!         }))
//!     }
//! }
//!
//! elbow_guest::export!(Checkout);
//!
//! # fn main() {
//! // The same type in a unit test, without WebAssembly:
//! let mapping = Checkout::configure(Settings { team: "web".into() }).unwrap();
//! let mapped = elbow_guest::map_batch(&mapping, b"A1 250\nnonsense\n");
//! assert_eq!(mapped.events, b"{\"team\":\"web\",\"order\":\"A1\",\"cents\":250}\n");
//! assert_eq!(mapped.rejects[0].reason, "expected `<order> <cents>`");
//! # }
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2`, as a library with `crate-type = ["cdylib"]`.
//!
//! - [`Mapping`]: the trait, and what each function owes.
//! - [`Events`], [`json`]: the event writer. What it writes is valid JSON, whatever it is given.
//! - [`scan`]: splits log lines into columns; a whole batch at once, for mappings that have to be fast.
//! - [`buffer`]: where events are written.
//! - [`host`]: the log and the lookup tables of the host.
//! - [`check`]: whether an outcome is what the contract says, for tests.

pub mod batch;
pub mod buffer;
pub mod check;
pub mod host;
pub mod json;
pub mod mapping;
pub mod scan;

#[doc(hidden)]
pub mod component;

pub use batch::{Events, map_batch};
pub use buffer::Buffer;
pub use mapping::{Fate, Field, Format, Framing, Header, JsonType, Mapping, Object, Outcome, Plan, Reject};
