//! What a mapping does not know or expect, as columns that AWS has appended: each is reported once in the life of a process.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

/// What was reported. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Drift {
    seen: Arc<Mutex<HashSet<(String, String)>>>,
}

/// How many names are kept. Beyond that, something else is wrong, and the log has said enough.
const MOST: usize = 1000;

impl Drift {
    /// Reports the names that are new.
    pub(super) fn note(&self, mapping: &str, object: &str, unknown: &BTreeMap<String, u64>) {
        if unknown.is_empty() {
            return;
        }
        let mut seen = self.seen.lock().expect("no holder of this lock panics");
        for field in unknown.keys() {
            if seen.len() < MOST && seen.insert((mapping.to_owned(), field.clone())) {
                tracing::warn!(
                    mapping,
                    field,
                    object,
                    "records have something that the mapping does not know or expect; they are mapped all the same"
                );
            }
        }
    }
}
