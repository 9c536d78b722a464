//! Pauses that many processes do not end at the same moment.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// At random between half of a duration and all of it.
pub fn jittered(duration: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    duration / 2 + duration.mul_f64(0.5 * (random as f64 / u64::MAX as f64))
}
