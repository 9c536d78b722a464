//! Bugs that elbow does not have, for showing that the fault harness would notice them.
//!
//! Built only with the feature `planted-bugs`, and there only if the environment variable `PLANTED_BUG` names one.
//! `tests/faults` tells what comes of it.

use std::sync::LazyLock;

static PLANTED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PLANTED_BUG").ok());

/// Whether this bug is planted.
pub(crate) fn is_planted(bug: &str) -> bool {
    PLANTED.as_deref() == Some(bug)
}
