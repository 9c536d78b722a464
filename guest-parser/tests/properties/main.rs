//! Properties of the built-in mapping, for inputs that a random generator makes up.
//!
//! - [`any_bytes`]: whatever the bytes, the [`invariants`] hold.
//! - [`fields`]: a line that is written as AWS writes it gives back exactly the values that it was made from.

mod any_bytes;
mod column;
mod fields;
mod invariants;
