//! The page of each format of the built-in mapping, `guest-parser/docs/FORMAT.md`, is made from the format's table: a page
//! that does not say what the table says fails. `BLESS=1` writes the pages anew.

use std::fmt::Write;

use elbow_guest::JsonType;
use guest_parser::recognise::Kind;
use guest_parser::styles;
use guest_parser::table::{Header, Output, Table};

use crate::support::guests::workspace;

fn page(kind: Kind) -> String {
    let table = kind.table();
    let mut page = String::new();
    let mut line = |text: &str| writeln!(page, "{text}").unwrap();
    line(&format!("# `{}`: {}", kind.name(), table.summary));
    line("");
    line("Made from the format's table by `BLESS=1 cargo test --release --test integration -- pages`.");
    line("");
    line(&columns(table));
    line("| `flat` | `ecs` | type | since | meaning |");
    line("|---|---|---|---|---|");
    for field in table.fields {
        line(&row(field));
    }
    line("");
    line("A field without a value is left out. `since` says when AWS has added what the field comes from.");
    if table.original.is_some() {
        line(ELB_PROCESSOR);
        line("| `elb-processor` | type | meaning |");
        line("|---|---|---|");
        let settings = serde_json::json!({
            "style": "elb-processor", "component": "c", "environment": "e", "application": "a",
        });
        let settings = serde_json::from_value(settings).unwrap();
        for field in styles::named(table, &settings, None) {
            let promise = field.promise();
            line(&format!("| `{}` | {} | {} |", promise.name, type_name(promise.json_type), promise.meaning));
        }
    }
    page
}

const ELB_PROCESSOR: &str = "
## The style `elb-processor`

The names, types and values of the original ELB logs processor, the same for all load balancers. What differs from it:

- `UserAgent` is without the quotes that are around it in the log.
- What has no value in the line (`-`, a time of `-1`), or in the settings, is left out; there is no `null` and no `NaN`.
- `Source.S3` is there for objects in S3, not for files.
";

fn columns(table: &Table) -> String {
    match (table.header, table.is_of_lines()) {
        (_, false) => "Records are JSON objects. Members that the table does not have are fields all the same: under their own \
             names in snake_case in `flat`, in one object in `ecs`.\n"
            .into(),
        (Header::None, _) => format!(
            "A line has {} columns or more; {} are known. Those behind them are kept, in order, in `extra_fields`.\n",
            table.min_columns,
            table.columns.len()
        ),
        (_, true) => "Each file names its columns, in its own order. Those that the table does not have become fields all the same, \
             under their own names in snake_case.\n"
            .into(),
    }
}

fn row(field: &Output) -> String {
    let code = |name: &str| if name.is_empty() { String::new() } else { format!("`{name}`") };
    let json_type = type_name(field.source.json_type());
    let ecs: Vec<String> = field.ecs.iter().map(|name| code(name)).collect();
    format!("| {} | {} | {json_type} | {} | {} |", code(field.flat), ecs.join(", "), field.since, field.meaning)
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

#[test]
fn the_page_of_each_format_says_what_its_table_says() {
    let folder = workspace().join("guest-parser/docs");
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::TestFile);
    for kind in kinds {
        let path = folder.join(format!("{}.md", kind.name()));
        let page = page(kind);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, page).unwrap();
            continue;
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "{} is not what its table says; BLESS=1 writes it anew", path.display());
    }
}
