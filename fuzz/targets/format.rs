//! A log of the format that the target is named after, in one of the styles.

#![no_main]

#[path = "../../guest-parser/tests/properties/invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

const FORMAT: &str = env!("CARGO_BIN_NAME");

const STYLES: [&str; 3] = ["flat", "ecs", "elb-processor"];

// The length of the input chooses style and settings.
fuzz_target!(|log: &[u8]| {
    let (style, settings) = (STYLES[log.len() % STYLES.len()], log.len() / STYLES.len() % invariants::SETTINGS);
    if let Err(error) = invariants::hold(FORMAT, style, settings, log) {
        panic!("{FORMAT}, {style}, {settings}: {error}");
    }
});
