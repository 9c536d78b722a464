//! What the host offers: its log, and the lookup tables that the config grants.
//!
//! In a unit test, outside of a sandbox, there is no host: [`log`] writes to standard error, and the tables are those that
//! the test grants with [`TestTables`].

use serde::de::DeserializeOwned;

pub use crate::component::bindings::elbow::mapping::types::Level;
use crate::mapping::Reject;

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

/// Looks up a key in a table of the config; `None` if the table has no such key. The value is the row as JSON.
///
/// A table does not change while an object is mapped. What a key and a row are depends on the kind of the table:
/// `wit/mapping.wit` says it.
pub fn lookup(table: &str, key: &str) -> Result<Option<String>, NotGranted> {
    #[cfg(target_family = "wasm")]
    return crate::component::bindings::elbow::mapping::host::lookup(table, key).map_err(|_| NotGranted);
    #[cfg(not(target_family = "wasm"))]
    test_tables::lookup(table, key)
}

/// Looks up a key, and reads the row into a type of yours. Members that the type does not have are ignored.
///
/// For use in [`map`](crate::Mapping::map): a table that is not granted, or a row that does not fit the type, rejects the
/// record, with a reason that does not tell its content.
pub fn lookup_as<T: DeserializeOwned>(table: &str, key: &str) -> Result<Option<T>, Reject> {
    let row = lookup(table, key)
        .map_err(|NotGranted| Reject::from(format!("the config does not grant the table `{table}` to this mapping")))?;
    let read = row.map(|row| serde_json::from_str(&row)).transpose();
    read.map_err(|error| format!("a row of the table `{table}` is not as expected: {}", in_words(&error)).into())
}

/// Without the position, which in a row that was looked up helps nobody, and without the value.
fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once('`') {
        Some(("missing field ", name)) => format!("it has no `{}`", name.split('`').next().unwrap_or(name)),
        _ => "a member has another type".into(),
    }
}

#[cfg(not(target_family = "wasm"))]
pub use test_tables::TestTables;

#[cfg(not(target_family = "wasm"))]
mod test_tables {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::NotGranted;

    type Table = BTreeMap<String, String>;

    thread_local! {
        static GRANTED: RefCell<BTreeMap<String, Table>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(super) fn lookup(table: &str, key: &str) -> Result<Option<String>, NotGranted> {
        GRANTED.with_borrow(|granted| granted.get(table).map(|rows| rows.get(key).cloned()).ok_or(NotGranted))
    }

    /// Tables for a unit test of a mapping that looks things up. They are granted on this thread, until this is dropped.
    ///
    /// ```
    /// use elbow_guest::host::{self, NotGranted, TestTables};
    ///
    /// let tables = TestTables::new().grant("owners", [("shop.example.com", r#"{"team":"shop"}"#)]);
    /// assert_eq!(host::lookup("owners", "shop.example.com"), Ok(Some(r#"{"team":"shop"}"#.into())));
    /// assert_eq!(host::lookup("owners", "other.example.com"), Ok(None));
    /// assert_eq!(host::lookup("secrets", "any"), Err(NotGranted));
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Owner {
    ///     team: String,
    /// }
    /// let owner: Owner = host::lookup_as("owners", "shop.example.com").unwrap().unwrap();
    /// assert_eq!(owner.team, "shop");
    ///
    /// drop(tables);
    /// assert_eq!(host::lookup("owners", "shop.example.com"), Err(NotGranted));
    /// ```
    ///
    /// In the host, networks answer for the addresses that they have; here, a key is its own text and no more.
    #[must_use = "the tables are granted until this is dropped"]
    #[derive(Debug, Default)]
    pub struct TestTables {
        names: Vec<String>,
    }

    impl TestTables {
        /// None yet.
        pub fn new() -> Self {
            Self::default()
        }

        /// Grants a table with these rows, each a key and an object in JSON. Panics if one is no JSON.
        pub fn grant<'a>(mut self, table: &str, rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
            let checked = rows.into_iter().map(|(key, row)| {
                if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(row) {
                    panic!("table `{table}`, key `{key}`: the row is no JSON: {error}");
                }
                (key.to_owned(), row.to_owned())
            });
            let rows = checked.collect();
            GRANTED.with_borrow_mut(|granted| granted.insert(table.into(), rows));
            self.names.push(table.into());
            self
        }
    }

    impl Drop for TestTables {
        fn drop(&mut self) {
            GRANTED.with_borrow_mut(|granted| granted.retain(|name, _| !self.names.contains(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read matters")]
    struct Owner {
        team: String,
    }

    #[test]
    fn a_row_that_does_not_fit_rejects_without_telling_it() {
        let _tables =
            TestTables::new().grant("owners", [("a", "{}"), ("b", "{\"team\":\"shop\"}"), ("c", "{\"team\":4711}")]);
        let reason = |key: &str| lookup_as::<Owner>("owners", key).unwrap_err().0.into_owned();
        assert_eq!(reason("a"), "a row of the table `owners` is not as expected: it has no `team`");
        assert_eq!(reason("c"), "a row of the table `owners` is not as expected: a member has another type");
        assert!(lookup_as::<Owner>("owners", "b").unwrap().is_some());
        assert!(lookup_as::<Owner>("owners", "d").unwrap().is_none());
        let error = lookup_as::<Owner>("secrets", "a").unwrap_err();
        assert_eq!(error.0, "the config does not grant the table `secrets` to this mapping");
    }
}
