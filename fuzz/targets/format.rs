//! A log of the format that the target is named after, in one of the styles.

#![no_main]

#[path = "../../guest-parser/tests/properties/invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

const FORMAT: &str = env!("CARGO_BIN_NAME");

/// The length of the input chooses.
const STYLES: [(&str, bool); 4] = [("flat", false), ("ecs", true), ("elb-processor", false), ("flat", true)];

fuzz_target!(|log: &[u8]| {
    let (style, has_settings) = STYLES[log.len() % STYLES.len()];
    if let Err(error) = invariants::hold(FORMAT, style, has_settings, log) {
        panic!("{FORMAT}, {style}: {error}");
    }
});
