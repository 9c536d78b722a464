//! Who sees which table, and for how long.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

use super::Table;

/// The newest table of each name. Clones share them.
#[derive(Clone, Default)]
pub struct Tables(BTreeMap<String, Arc<Place>>);

/// Where a table stands until a newer one takes its place.
struct Place(Mutex<Arc<Table>>);

impl Place {
    fn now(&self) -> Arc<Table> {
        Arc::clone(&self.0.lock().expect("no holder of this lock panics"))
    }
}

impl Tables {
    /// Adds a table, before anything is granted.
    pub fn insert(&mut self, name: &str, table: Table) {
        self.0.insert(name.into(), Arc::new(Place(Mutex::new(Arc::new(table)))));
    }

    /// Puts a newer table in the place of one. Who has the old one keeps it.
    pub fn replace(&self, name: &str, table: Table) {
        if let Some(place) = self.0.get(name) {
            let old = std::mem::replace(&mut *place.0.lock().expect("no holder of this lock panics"), Arc::new(table));
            // Outside of the lock: it may be the last one, and large.
            drop(old);
        }
    }

    /// The table of this name, as it is now.
    pub fn get(&self, name: &str) -> Option<Arc<Table>> {
        self.0.get(name).map(|place| place.now())
    }

    /// What a mapping may see.
    pub fn granted<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Granted> {
        let granted = names.into_iter().map(|name| {
            let place = self.0.get(name).with_context(|| format!("the table `{name}` is not loaded"))?;
            Ok((name.into(), Arc::clone(place)))
        });
        Ok(Granted(granted.collect::<Result<_>>()?))
    }
}

/// Tables that a mapping may see, whatever becomes of them.
#[derive(Default)]
pub struct Granted(Vec<(Arc<str>, Arc<Place>)>);

impl Granted {
    /// The tables as they are now.
    pub fn now(&self) -> Snapshot {
        Snapshot(self.0.iter().map(|(name, place)| (Arc::clone(name), place.now())).collect())
    }
}

/// Tables as they were at one moment. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot(Arc<[(Arc<str>, Arc<Table>)]>);

/// The mapping may not see a table, or there is none of this name.
#[derive(Debug, PartialEq, Eq)]
pub struct NotGranted;

impl Snapshot {
    /// The row of a key, as JSON.
    pub fn lookup(&self, table: &str, key: &str) -> Result<Option<Cow<'_, str>>, NotGranted> {
        // A mapping has a few at most.
        let (_, table) = self.0.iter().find(|(name, _)| **name == *table).ok_or(NotGranted)?;
        Ok(table.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, tests::read};
    use super::*;

    fn table(team: &str) -> Table {
        read(Format::Csv, None, &format!("id,team\n1,{team}\n")).unwrap()
    }

    #[test]
    fn a_snapshot_stays_as_it_is_and_keeps_its_table_alive() {
        let mut tables = Tables::default();
        tables.insert("owners", table("old"));
        tables.insert("secrets", table("secret"));
        let granted = tables.granted(["owners"]).unwrap();
        let before = granted.now();
        let old = Arc::downgrade(&tables.get("owners").unwrap());
        tables.replace("owners", table("new"));
        let team = |snapshot: &Snapshot| snapshot.lookup("owners", "1").unwrap().unwrap().into_owned();
        assert!(team(&before).contains("old") && team(&before.clone()).contains("old"));
        assert!(team(&granted.now()).contains("new"));
        assert_eq!(before.lookup("secrets", "1"), Err(NotGranted));
        assert!(old.upgrade().is_some());
        drop(before);
        assert!(old.upgrade().is_none(), "the old table is freed with its last snapshot");
    }

    #[test]
    fn what_is_not_there_cannot_be_granted() {
        assert!(Tables::default().granted(["owners"]).is_err());
    }
}
