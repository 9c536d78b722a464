//! The arguments that choose config and mapping, which several commands take.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use elbow::config::{BUILTIN_MAPPING, Config, MappingConfig};
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct ConfigArgs {
    /// The config file: destinations, mappings, routes and limits
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The mapping for all objects: a name from the config, `aws`, or the file of a component (`orders.wasm`)
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,

    /// A setting of the mapping, as `style=flat`; the value is read as JSON, and if it is none, taken as text
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, Value)>,
}

fn parse_setting(text: &str) -> Result<(String, Value)> {
    let (key, value) = text.split_once('=').context("expected KEY=VALUE, as `style=flat`")?;
    ensure!(!key.is_empty(), "expected KEY=VALUE, as `style=flat`");
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
    Ok((key.into(), value))
}

impl ConfigArgs {
    /// What to call the config in an error.
    pub(crate) fn name(&self) -> String {
        self.config.as_ref().map_or_else(|| "command line".into(), |path| path.display().to_string())
    }

    /// The config file, or none, with the mapping and the settings that the command line names.
    pub(crate) fn load(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::from_environment()?,
        };
        if let Some(name) = &self.mapping {
            choose_mapping(&mut config, name)?;
        }
        if !self.settings.is_empty() {
            let mut mappings = config.mappings.values_mut();
            let (Some(mapping), None) = (mappings.next(), mappings.next()) else {
                bail!("--set is for one mapping, and the config has several: name it with --mapping");
            };
            for (key, value) in &self.settings {
                mapping.settings.insert(key.clone(), value.clone());
            }
        }
        Ok(config)
    }
}

/// Leaves one mapping in the config, for all routes.
fn choose_mapping(config: &mut Config, name: &str) -> Result<()> {
    let chosen = match config.mappings.remove(name) {
        Some(mapping) => mapping,
        None if name == BUILTIN_MAPPING => MappingConfig::default(),
        None if name.ends_with(".wasm") => MappingConfig { component: Some(name.into()), ..MappingConfig::default() },
        None => {
            let known: Vec<String> = config.mappings.keys().map(|name| format!("`{name}`")).collect();
            bail!(
                "--mapping {name}: no such mapping; there are {}, and a component's file ends in `.wasm`",
                known.join(", ")
            );
        }
    };
    config.mappings = BTreeMap::from([(name.into(), chosen)]);
    config.routes.iter_mut().for_each(|route| route.mapping = None);
    Ok(())
}
