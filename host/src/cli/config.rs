//! The arguments that choose config and mapping, which several commands take.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use elbow::config::{self, BUILTIN_MAPPING, Config, DestinationConfig, MappingConfig, Url};
use elbow::rung::Rung;
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct ConfigArgs {
    /// The config file: destinations, mappings, routes and limits [default: what ELBOW_CONFIG names]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The mapping for all objects: a name from the config, `aws`, or the file of a component (`orders.wasm`)
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,

    /// A setting of the mapping, as `style=flat`; the value is read as JSON, and if it is none, taken as text
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, Value)>,
}

pub(crate) fn parse_setting(text: &str) -> Result<(String, Value)> {
    let (key, value) = text.split_once('=').context("expected KEY=VALUE, as `style=flat`")?;
    ensure!(!key.is_empty(), "expected KEY=VALUE, as `style=flat`");
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
    Ok((key.into(), value))
}

impl ConfigArgs {
    /// What to call the config in an error.
    pub(crate) fn name(&self) -> String {
        self.file().map_or_else(|| "command line".into(), |path| path.display().to_string())
    }

    fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(config::file_from_environment)
    }

    /// The config file, or none, with the mapping and the settings that the command line names.
    pub(crate) fn load(&self) -> Result<Config> {
        let mut config = match self.file() {
            Some(path) => Config::load(&path)?,
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
        None if name.ends_with(".wasm") || name.ends_with(".cwasm") => {
            MappingConfig { component: Some(name.into()), ..MappingConfig::default() }
        }
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

/// Where events go, and how they are followed.
#[derive(clap::Args)]
pub(crate) struct DeliveryArgs {
    /// The destination for all objects: tcp://host:port, stdout:, or file:PATH (which is appended to)
    #[arg(long, value_name = "URL")]
    to: Option<Url>,

    /// How far each event is followed before it counts as delivered
    #[arg(long, value_name = "RUNG")]
    confirm: Option<RungArg>,

    /// The field that each event carries its id in, the same in every replay; empty for none [default: elbow_id]
    #[arg(long, value_name = "FIELD")]
    event_id: Option<String>,
}

impl DeliveryArgs {
    pub(crate) fn names_destination(&self) -> bool {
        self.to.is_some()
    }

    /// Puts what the command line says over what the config does. Without any destination, it is standard output.
    pub(crate) fn apply(&self, config: &mut Config) -> Result<()> {
        let to = self.to.clone().or_else(|| config.destinations.is_empty().then_some(Url::Stdout));
        if let Some(url) = to {
            config.destinations = BTreeMap::from([("to".into(), DestinationConfig::new(url))]);
            config.routes.iter_mut().for_each(|route| route.destination = None);
        }
        for (name, destination) in &mut config.destinations {
            if let Some(rung) = self.confirm {
                destination.set_confirm(rung.into());
            }
            if let Some(field) = &self.event_id {
                destination.event_id.clone_from(field);
            }
            destination.validate().with_context(|| format!("destination `{name}`"))?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum RungArg {
    /// The bytes are in the kernel's send buffer, or in the file
    Written,
    /// The peer's kernel has acknowledged every byte
    Received,
    /// elbow has half-closed, and the peer has read to the end and closed its side (the default over TCP)
    Closed,
    /// The receiving program has acknowledged it (the only one for Lumberjack)
    Accepted,
}

impl From<RungArg> for Rung {
    fn from(arg: RungArg) -> Self {
        match arg {
            RungArg::Written => Rung::Written,
            RungArg::Received => Rung::Received,
            RungArg::Closed => Rung::Closed,
            RungArg::Accepted => Rung::Accepted,
        }
    }
}
