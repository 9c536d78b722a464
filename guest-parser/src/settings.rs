//! The settings of the mapping `aws`, in `elbow.toml` below `[mappings.NAME.settings]`.

use serde::Deserialize;

use crate::recognise::Kind;

/// What a user can set. Each may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The format of all objects. Left out, or `"auto"`, each object is recognised by its key, else by its first line.
    #[serde(deserialize_with = "auto_or_kind")]
    pub format: Option<Kind>,
    /// The names of the output.
    pub style: Style,
    /// Keeps the raw line: as `message`, in the style `ecs` as `event.original`. `elb-processor` always keeps it.
    pub keep_message: bool,
    /// `elb-processor` only: the values of `Application`, `Environment` and `Component`; left out if not set.
    pub application: Option<String>,
    /// See `application`.
    pub environment: Option<String>,
    /// See `application`.
    pub component: Option<String>,
    /// `elb-processor` only: the value of `SourceModuleName`; `ELB` if not set.
    pub source_module_name: Option<String>,
    /// `elb-processor` only: the value of `type`; `logs` if not set.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
}

/// How the fields of an event are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Elastic Common Schema, as nested objects.
    #[default]
    Ecs,
    /// The names of AWS's columns in snake_case, all at the top level.
    Flat,
    /// The names of the original ELB logs processor.
    ElbProcessor,
}

fn auto_or_kind<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Kind>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        Auto,
        ClassicElb,
        Alb,
    }
    Ok(match Choice::deserialize(input)? {
        Choice::Auto => None,
        Choice::ClassicElb => Some(Kind::ClassicElb),
        Choice::Alb => Some(Kind::Alb),
    })
}
