//! MaxMind DB files: their records, as JSON.

use std::collections::HashSet;
use std::io::Read;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use maxminddb::{Reader, WithinOptions};
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};

pub(super) struct MaxMind {
    reader: Reader<Vec<u8>>,
    networks: usize,
    bytes: usize,
}

impl MaxMind {
    /// Reads a database, each record of it: a lookup must not be the first to find that a part is broken.
    pub(super) fn read(mut bytes: impl Read) -> Result<Self> {
        let mut database = Vec::new();
        bytes.read_to_end(&mut database)?;
        database.shrink_to_fit();
        let bytes = database.capacity();
        let reader = Reader::from_source(database).context("it is no MaxMind database")?;
        let networks = checked(&reader).context("the MaxMind database is broken")?;
        Ok(Self { reader, networks, bytes })
    }

    /// The record of the network that has the address.
    pub(super) fn get(&self, address: IpAddr) -> Option<String> {
        // An error is an address of v6 in a database of v4.
        let found = self.reader.lookup(address).ok()?;
        found.decode::<Json>().ok()?.map(|record| record.0)
    }

    pub(super) fn networks(&self) -> usize {
        self.networks
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Walks the whole of a database, and answers how many networks have a record. (The crate's own `verify` refuses what only
/// lacks a description, too.)
fn checked(reader: &Reader<Vec<u8>>) -> Result<usize> {
    let most = (reader.metadata().node_count as usize).saturating_add(1).saturating_mul(3);
    let mut records = HashSet::new();
    let mut networks = 0;
    for (visited, network) in reader.networks(WithinOptions::default().include_networks_without_data())?.enumerate() {
        ensure!(visited <= most, "its tree has a circle");
        let network = network?;
        if let Some(record) = network.offset() {
            networks += 1;
            if records.insert(record) {
                network.decode::<IgnoredAny>()?;
            }
        }
    }
    Ok(networks)
}

/// A record, written as JSON while it is read.
struct Json(String);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(record: D) -> Result<Self, D::Error> {
        let mut json = Vec::with_capacity(512);
        serde_transcode::transcode(record, &mut serde_json::Serializer::new(&mut json)).map_err(D::Error::custom)?;
        Ok(Self(String::from_utf8(json).map_err(D::Error::custom)?))
    }
}
