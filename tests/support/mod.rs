//! What the tests are written with: elbow as a process, scripted receivers, certificates, logs with numbered lines.

pub(crate) mod elbow;
pub(crate) mod guests;
pub(crate) mod logs;
pub(crate) mod moto;
pub(crate) mod receiver;
pub(crate) mod s3;
pub(crate) mod tls;

use std::time::{Duration, Instant};

/// Waits until something is so, and fails the test if it is not within half a minute.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be: {what}");
        #[allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
        std::thread::sleep(Duration::from_millis(5));
    }
}
