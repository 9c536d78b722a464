//! Settings from the environment, for what differs between deployments.
//!
//! `ELBOW__DESTINATIONS__MAIN__WRITE_TIMEOUT=5s` is `write-timeout` below `[destinations.main]`: two underscores part the
//! levels, one stands for a dash, and case does not matter. The value is read as TOML (`8`, `true`, `["a", "b"]`) and, if
//! it is none, taken as a string.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use toml::{Table, Value};

use super::{Config, explained, in_words};

const PREFIX: &str = "ELBOW__";

/// The config with all overrides, or `None` if there are none.
pub(super) fn apply(file: &str, text: &str, variables: &BTreeMap<String, String>) -> Result<Option<Config>> {
    let overrides = variables.iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut table: Table = toml::from_str(text).map_err(|error| anyhow!("{file}: {}", explained(&error)))?;
    let mut config = None;
    for (variable, value) in overrides {
        let path: Vec<&str> = variable[PREFIX.len()..].split("__").collect();
        set(&mut table, &path, toml_value(value), false)
            .map_err(|error| anyhow!("environment variable {variable}: {error}"))?;
        // One at a time, so that an error is that of this variable; and as text, since only text has the positions that
        // the config keeps.
        let text = toml::to_string(&table)?;
        let parsed = toml::from_str(&text).map_err(|error: toml::de::Error| {
            anyhow!("environment variable {variable}={value}: {}", in_words(error.message()))
        })?;
        config = Some(parsed);
    }
    Ok(config)
}

fn toml_value(text: &str) -> Value {
    let parsed: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    let value = parsed.and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.into()))
}

fn set(table: &mut Table, path: &[&str], value: Value, is_setting: bool) -> Result<()> {
    let (first, rest) = path.split_first().ok_or_else(|| anyhow!("the name is not complete"))?;
    if first.is_empty() {
        bail!("the name is not complete");
    }
    let wanted = match is_setting {
        // The settings are the mapping's own, and so are their names.
        true => first.to_lowercase(),
        false => first.to_lowercase().replace('_', "-"),
    };
    let existing = table.keys().find(|key| key.to_lowercase().replace('_', "-") == wanted.replace('_', "-")).cloned();
    let key = existing.unwrap_or(wanted);
    if rest.is_empty() {
        table.insert(key, value);
        return Ok(());
    }
    match table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => set(inner, rest, value, is_setting || key == "settings"),
        _ => bail!("`{key}` is no table"),
    }
}
