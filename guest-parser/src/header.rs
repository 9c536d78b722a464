//! The columns of files that name them: in their first line, or in a line `#Fields:`.

use elbow_guest::scan::Fields;

use crate::settings::Style;
use crate::source::Source;
use crate::styles::Named;
use crate::table::{Header, Table};
use crate::values::{SLOTS, Slot};

/// The columns of a file, in its own order.
pub struct Columns {
    /// Where each goes.
    pub order: Vec<Slot>,
    are_in_order: bool,
    /// Those that no table knows, with the slots they go to.
    new: Vec<(String, Slot)>,
}

/// The columns of the object that begins so. `None` if its format has no header. An error says what was expected.
pub fn columns(table: &Table, configured: &[String], head: &[u8]) -> Result<Option<Columns>, String> {
    if !configured.is_empty() {
        return Columns::named(table, configured.iter().map(String::as_str)).map(Some);
    }
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    // A format without a header of its own may be delivered with that of W3C.
    let has_fields = head.starts_with(b"#Version:") || head.starts_with(b"#Fields:");
    if table.header == Header::None && !has_fields {
        return Ok(None);
    }
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let names = match table.header {
        Header::FirstLine => lines.next(),
        _ => lines.find_map(|line| line.strip_prefix(b"#Fields:")),
    };
    let names: Vec<String> =
        Fields::new(names.unwrap_or_default()).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let is_known = names.iter().any(|name| table.columns.contains(&name.as_str()));
    if !is_known && !head.is_empty() {
        let expected = match table.header {
            Header::FirstLine => "a first line that names the columns",
            _ => "a line `#Fields:` that names the columns",
        };
        return Err(format!("expected {expected}; if the files have none, set `columns` to their names"));
    }
    Columns::named(table, names.iter().map(String::as_str)).map(Some)
}

impl Columns {
    fn named<'a>(table: &Table, names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut columns = Self { order: Vec::new(), are_in_order: false, new: Vec::new() };
        for name in names {
            let known = table.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
            let slot = match known {
                Some(index) => Slot::column(index),
                None => {
                    let index = table.columns.len() + columns.new.len();
                    if index >= Slot::FIRST_PART || columns.order.len() >= SLOTS {
                        return Err(format!(
                            "the header names too many columns that are not known, `{name}` among them"
                        ));
                    }
                    columns.new.push((name.to_owned(), Slot::column(index)));
                    Slot::column(index)
                }
            };
            if columns.order.contains(&slot) {
                return Err(format!("the header names the column `{name}` twice"));
            }
            columns.order.push(slot);
        }
        columns.are_in_order = columns.order.iter().enumerate().all(|(index, slot)| *slot == Slot::column(index));
        Ok(columns)
    }

    /// Whether they are in the table's order, from its first on.
    #[inline(always)]
    pub fn are_in_order(&self) -> bool {
        self.are_in_order
    }

    /// Whether there are columns that no table knows.
    #[inline(always)]
    pub fn has_new(&self) -> bool {
        !self.new.is_empty()
    }

    /// The columns that no table knows, and where they go.
    pub fn new_columns(&self) -> impl Iterator<Item = (&str, Slot)> {
        self.new.iter().map(|(name, slot)| (name.as_str(), *slot))
    }

    /// Fields for the columns that no table knows.
    pub fn new_fields(&self, table: &Table, style: Style) -> Vec<Named> {
        let fields = self.new.iter().map(|(name, slot)| {
            let flat = snake_case(name);
            let meaning = format!("the column `{name}`, new to this version of the mapping");
            match style {
                Style::Flat => Named::top(flat, Source::Text(*slot), meaning),
                _ => Named::nested(&format!("{}.{flat}", table.ecs_prefix), Source::Text(*slot), meaning),
            }
        });
        fields.collect()
    }
}

/// `cs(User-Agent)` as `cs_user_agent`.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for char in name.chars() {
        match char.is_ascii_alphanumeric() {
            true => snake.push(char.to_ascii_lowercase()),
            false if !snake.ends_with('_') => snake.push('_'),
            false => {}
        }
    }
    match snake.trim_matches('_') {
        // Without a letter or digit of ASCII it is a name all the same.
        "" if !name.is_empty() => name.to_owned(),
        "" => "_".to_owned(),
        snake => snake.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_snake_case() {
        for (name, snake) in [
            ("cs(User-Agent)", "cs_user_agent"),
            ("timestamp(ms)", "timestamp_ms"),
            ("asg-tag-2", "asg_tag_2"),
            ("日本", "日本"),
            ("", "_"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }
}
