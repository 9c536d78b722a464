//! `elbow inspect`: what a mapping promises of its events, as a table, an index template or a table of a database.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use elbow::config::{BUILTIN_MAPPING, EVENT_ID, MappingConfig};
use elbow::map::{Field, Format, JsonType, Sandbox};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::config::parse_setting;

/// Show the formats that a mapping reads, and the fields that it promises of its events.
///
/// Examples:
///
///   elbow inspect aws
///
///   elbow inspect aws --format alb --set style=flat --sql access_logs
///
///   elbow inspect orders.wasm --elasticsearch
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The component's file, or `aws` for the mapping that is built in
    component: PathBuf,

    /// A setting of the mapping, as style=flat; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, Value)>,

    /// Only this format of the mapping's
    #[arg(long, value_name = "NAME")]
    format: Option<String>,

    /// Print an index template for Elasticsearch or OpenSearch, for the indices elbow-*
    #[arg(long, conflicts_with = "sql")]
    elasticsearch: bool,

    /// Print the statement that makes this table in ClickHouse
    #[arg(long, value_name = "TABLE")]
    sql: Option<String>,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let is_builtin = args.component.as_os_str() == BUILTIN_MAPPING;
    let config = MappingConfig {
        component: (!is_builtin).then_some(args.component),
        settings: args.settings.into_iter().collect(),
        ..MappingConfig::default()
    };
    let sandbox = Sandbox::new(1, config.limits.memory)?;
    let mapping = tokio::task::block_in_place(|| sandbox.load("inspected", &config))?;
    let description = mapping.description();
    let names: Vec<&str> = description.formats.iter().map(|format| format.name.as_str()).collect();
    let wanted = |format: &&Format| args.format.as_ref().is_none_or(|name| *name == format.name);
    let formats: Vec<&Format> = description.formats.iter().filter(wanted).collect();
    if formats.is_empty() {
        let name = args.format.unwrap_or_default();
        bail!("--format {name}: `{}` has no such format; it reads {}", description.name, names.join(", "));
    }
    if args.elasticsearch {
        let template =
            serde_json::to_string_pretty(&index_template(&formats)?).context("failed to write the template")?;
        say!("{template}");
    } else if let Some(table) = &args.sql {
        say!("{}", statement(table, &formats)?);
    } else {
        say!("{} {}, sha256 {}", description.name, description.version, mapping.digest());
        for format in formats {
            say!("\n{}: {}\n", format.name, format.summary);
            let width = format.fields.iter().map(|field| field.name.len()).max().unwrap_or_default();
            for field in &format.fields {
                say!("  {:<width$}  {:<7}  {}", field.name, type_name(field.json_type), field.meaning);
            }
        }
    }
    Ok(Outcome::Done)
}

fn type_name(json_type: JsonType) -> &'static str {
    match json_type {
        JsonType::Text => "text",
        JsonType::Number => "number",
        JsonType::Boolean => "boolean",
        JsonType::Array => "array",
        JsonType::Object => "object",
    }
}

/// All fields of some formats, each once. The same name must have the same type in all of them.
fn fields<'a>(formats: &[&'a Format]) -> Result<BTreeMap<&'a str, &'a Field>> {
    let mut all: BTreeMap<&str, &Field> = BTreeMap::new();
    for format in formats {
        for field in &format.fields {
            let known = all.entry(&field.name).or_insert(field);
            if known.json_type != field.json_type {
                bail!(
                    "`{}` is a {} in one format and a {} in another: choose one with --format",
                    field.name,
                    type_name(known.json_type),
                    type_name(field.json_type)
                );
            }
        }
    }
    Ok(all)
}

/// Times are dates, addresses addresses, and texts keywords, which can be counted and filtered. The host adds the
/// id: here under its usual name.
fn index_template(formats: &[&Format]) -> Result<Value> {
    let mut properties = Map::new();
    for (name, field) in fields(formats)? {
        let end = name.rsplit('.').next().unwrap_or(name);
        let mapping = match field.json_type {
            JsonType::Text if is_time(name) => json!({ "type": "date" }),
            JsonType::Text if end == "ip" || end.ends_with("_ip") => json!({ "type": "ip", "ignore_malformed": true }),
            JsonType::Text | JsonType::Array => json!({ "type": "keyword", "ignore_above": 8192 }),
            JsonType::Number if is_whole(name) => json!({ "type": "long" }),
            JsonType::Number => json!({ "type": "double" }),
            JsonType::Boolean => json!({ "type": "boolean" }),
            JsonType::Object if name.ends_with("geo.location") || name.ends_with("geo_location") => {
                json!({ "type": "geo_point" })
            }
            JsonType::Object => json!({ "type": "flattened" }),
        };
        insert(&mut properties, name, mapping);
    }
    if !properties.contains_key(EVENT_ID) {
        insert(&mut properties, EVENT_ID, json!({ "type": "keyword" }));
    }
    Ok(json!({
        "index_patterns": ["elbow-*"],
        "template": { "mappings": { "properties": properties } },
    }))
}

/// Puts the mapping of a field with a nested name into the properties around it.
fn insert(properties: &mut Map<String, Value>, name: &str, mapping: Value) {
    let Some((parent, rest)) = name.split_once('.') else {
        properties.insert(name.to_owned(), mapping);
        return;
    };
    let parent = properties.entry(parent).or_insert_with(|| json!({ "properties": {} }));
    if let Some(inner) = parent.get_mut("properties").and_then(Value::as_object_mut) {
        insert(inner, rest, mapping);
    }
}

/// A table for `INSERT ... FORMAT JSONEachRow`, with the id that the host adds, under its usual name. In a nested style, names
/// are joined with dots, for `input_format_json_named_tuples_as_objects` or flattening on the way.
fn statement(table: &str, formats: &[&Format]) -> Result<String> {
    let columns = fields(formats)?.into_iter().map(|(name, field)| {
        let column_type = match field.json_type {
            JsonType::Text if name == "@timestamp" => "DateTime64(6, 'UTC')",
            JsonType::Text if is_time(name) => "Nullable(DateTime64(6, 'UTC'))",
            JsonType::Text | JsonType::Object => "Nullable(String)",
            JsonType::Number if is_whole(name) => "Nullable(Int64)",
            JsonType::Number => "Nullable(Float64)",
            JsonType::Boolean => "Nullable(Bool)",
            JsonType::Array => "Array(String)",
        };
        format!(
            "    {} {column_type} COMMENT '{}'",
            quoted(name),
            field.meaning.replace('\\', "\\\\").replace('\'', "\\'")
        )
    });
    let id = format!("    {} String COMMENT 'id of the event, the same in every replay'", quoted(EVENT_ID));
    let has_id = formats.iter().any(|format| format.fields.iter().any(|field| field.name == EVENT_ID));
    let columns: Vec<String> = columns.chain((!has_id).then_some(id)).collect();
    let name = table.split('.').map(quoted).collect::<Vec<_>>().join(".");
    Ok(format!(
        "CREATE TABLE IF NOT EXISTS {name}\n(\n{}\n)\nENGINE = MergeTree\nORDER BY `@timestamp`;",
        columns.join(",\n")
    ))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "\\`"))
}

fn is_time(name: &str) -> bool {
    let end = name.rsplit('.').next().unwrap_or(name);
    matches!(name, "@timestamp" | "event.start" | "event.end")
        || end.ends_with("creation_time")
        || end.ends_with("not_before")
        || end.ends_with("not_after")
}

/// Of numbers, those that have no fraction: all but durations in seconds.
fn is_whole(name: &str) -> bool {
    let has_fraction = ["processing_time", "latency", "sec", "time_taken", "first_byte", "fbl", "lbl"];
    !has_fraction.iter().any(|end| name.ends_with(end))
}
