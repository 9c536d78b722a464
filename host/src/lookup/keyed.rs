//! Rows by a key that is text.

use std::hash::BuildHasher;

use anyhow::{Result, ensure};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::rows::Rows;

#[derive(Default)]
pub(super) struct Keyed {
    /// Of each row its key, then the row.
    rows: Rows,
    /// The numbers of the keys, by their hash.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Keyed {
    /// Adds a row. The same row may be there twice, but two rows of one key would make the answer a matter of chance.
    pub(super) fn insert(&mut self, key: &str, row: &str) -> Result<()> {
        let Self { rows, index, hasher } = self;
        let hash = hasher.hash_one(key);
        match index.entry(hash, |number| rows.get(*number) == key, |number| hasher.hash_one(rows.get(*number))) {
            Entry::Occupied(found) => {
                ensure!(rows.get(found.get() + 1) == row, "the key `{key}` stands further up, with another row");
            }
            Entry::Vacant(vacant) => {
                let number = rows.push(key)?;
                rows.push(row)?;
                vacant.insert(number);
            }
        }
        Ok(())
    }

    /// Makes it as small as it can be, when no row will follow.
    pub(super) fn finished(mut self) -> Self {
        self.rows.shrink();
        self
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let number = self.index.find(self.hasher.hash_one(key), |number| self.rows.get(*number) == key)?;
        Some(self.rows.get(number + 1))
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes() + self.index.allocation_size()
    }
}
