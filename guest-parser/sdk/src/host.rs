//! What the host offers: its log, and the lookup tables that the config grants.
//!
//! In a unit test, outside of a sandbox, there is no host: [`log`] writes to standard error, and no table is granted.

pub use crate::component::bindings::elbow::mapping::types::Level;

/// A table that the config does not grant to this mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotGranted;

/// Writes a line to elbow's log. Not for every record: the number of lines is limited for each object.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::component::bindings::elbow::mapping::host::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// Looks up a key in a table of the config (which elbow 0.1 does not have yet: no table is granted); `None` if the table has no such key. The value is the row as JSON.
pub fn lookup(table: &str, key: &str) -> Result<Option<String>, NotGranted> {
    #[cfg(target_family = "wasm")]
    return crate::component::bindings::elbow::mapping::host::lookup(table, key).map_err(|_| NotGranted);
    #[cfg(not(target_family = "wasm"))]
    {
        let _ = (table, key);
        Err(NotGranted)
    }
}
