//! The columns of files that name them: in their first line, or in a line `#Fields:`.

use elbow_guest::scan::Fields;

use crate::recognise::Kind;
use crate::settings::{Settings, Style};
use crate::source::Source;
use crate::styles::Named;
use crate::table::{Header, Table};
use crate::values::{SLOTS, Slot};

/// The columns of a file, in its own order.
pub struct Columns {
    /// Where each goes.
    pub order: Vec<Slot>,
    /// Whether somebody has chosen them, and what parts them, for a delivery of their own.
    pub are_chosen: bool,
    are_in_order: bool,
    /// Those that no table knows, with the slots they go to.
    new: Vec<(String, Slot)>,
}

/// The columns of the object that begins so. `None` if its format has no header. An error says what was expected.
pub fn columns(table: &Table, head: &[u8]) -> Result<Option<Columns>, String> {
    // A format without a header of its own may be delivered with that of W3C.
    let is_w3c = is_w3c(head);
    if table.header == Header::None && !is_w3c {
        return Ok(None);
    }
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let names = match table.header {
        Header::FirstLine => lines.next(),
        _ => lines.find_map(|line| line.strip_prefix(b"#Fields:")),
    };
    let names: Vec<String> =
        Fields::new(names.unwrap_or_default()).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let is_known = names.iter().any(|name| known_column(table, name).is_some());
    if !is_known && !head.is_empty() {
        let expected = match table.header {
            Header::FirstLine => "a first line that names the columns",
            _ => "a line `#Fields:` that names the columns",
        };
        return Err(format!("expected {expected}; if the files have none, set `columns` to their names"));
    }
    let columns = Columns::named(table, &names, "the header")?;
    Ok(Some(Columns { are_chosen: is_w3c, ..columns }))
}

/// Of these formats, those that know most of these columns; none, if none knows any.
pub fn formats_of(names: &[String], kinds: Vec<Kind>) -> Vec<Kind> {
    let known = |kind: Kind| match kind.table().is_of_lines() {
        true => names.iter().filter(|name| known_column(kind.table(), name).is_some()).count(),
        false => 0,
    };
    let counts: Vec<(Kind, usize)> = kinds.into_iter().map(|kind| (kind, known(kind))).collect();
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
    counts.into_iter().filter(|(_, count)| *count == most && most > 0).map(|(kind, _)| kind).collect()
}

/// The column of a table with this name, in whatever case and with whatever between its words. AWS's interfaces have some other
/// names, too.
pub fn known_column(table: &Table, name: &str) -> Option<usize> {
    let position = |name: &str| {
        let same = table.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        same.or_else(|| table.columns.iter().position(|column| is_alike(column, name)))
    };
    let other = || ALIASES.iter().find(|(alias, _)| is_alike(alias, name)).and_then(|(_, name)| position(name));
    position(name).or_else(other)
}

/// Whether two names have the same letters and digits, and any.
fn is_alike(one: &str, other: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
    }
    letters(one).next().is_some() && letters(one).eq(letters(other))
}

/// What AWS's interfaces call a column, and its name.
const ALIASES: [(&str, &str); 2] = [("request_line", "request"), ("tls_keyexchange", "tls_named_group")];

/// Whether an object begins with the header of W3C's extended log format.
pub fn is_w3c(head: &[u8]) -> bool {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut header = head.split(|byte| *byte == b'\n').take_while(|line| line.starts_with(b"#"));
    header.any(|line| line.starts_with(b"#Version:") || line.starts_with(b"#Fields:"))
}

/// What a text in UTF-8 may begin with.
pub const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Columns {
    /// Those that the settings name.
    pub fn configured(table: &Table, names: &[String]) -> Result<Self, String> {
        Ok(Self { are_chosen: true, ..Self::named(table, names, "`columns`")? })
    }

    fn named(table: &Table, names: &[String], whose: &str) -> Result<Self, String> {
        let mut columns = Self { order: Vec::new(), are_chosen: false, are_in_order: false, new: Vec::new() };
        for name in names {
            let known = known_column(table, name);
            let slot = match known {
                Some(index) => Slot::column(index),
                None => {
                    let index = table.columns.len() + columns.new.len();
                    if index >= Slot::FIRST_PART || columns.order.len() >= SLOTS {
                        return Err(format!("{whose} names too many columns that are not known, `{name}` among them"));
                    }
                    columns.new.push((name.to_owned(), Slot::column(index)));
                    Slot::column(index)
                }
            };
            if columns.order.contains(&slot) {
                return Err(format!("{whose} names `{name}` twice"));
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

    /// Adds fields for the columns that no table knows. Each may hold a URL.
    pub fn add_new(&self, table: &Table, settings: &Settings, fields: &mut Vec<Named>) {
        let style = settings.style;
        for (name, slot) in &self.new {
            let flat = snake_case(name);
            let prefix = if style == Style::Flat { String::new() } else { format!("{}.", table.ecs_prefix) };
            let is_taken = |name: &str| {
                let name = format!("{prefix}{name}");
                let is_within =
                    |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
                let names = fields.iter().map(Named::name).chain(settings.add.keys().cloned());
                names.chain(settings.rename.values().cloned()).any(|other| {
                    other == name || (style != Style::Flat && (is_within(&other, &name) || is_within(&name, &other)))
                })
            };
            let name_of_field = free_name(&flat, is_taken);
            let meaning = format!("the column `{name}`, new to this version of the mapping");
            fields.push(match style {
                Style::Flat => Named::top(name_of_field, Source::Url(*slot), meaning),
                _ => Named::nested(&format!("{prefix}{name_of_field}"), Source::Url(*slot), meaning),
            });
        }
    }
}

/// A name for what no table knows: its own, or with a number behind it where that one is taken.
pub fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default()
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
        "" if !name.is_empty() => name.replace('.', "_"),
        "" => "_".to_owned(),
        snake => snake.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_of_a_format_are_alike() {
        for table in Kind::ALL.map(Kind::table) {
            for (index, name) in table.columns.iter().enumerate() {
                let alike = |other: &&str| is_alike(name, other);
                assert_eq!(table.columns.iter().position(alike), Some(index), "{name}");
                assert_eq!(known_column(table, &name.to_ascii_uppercase().replace('-', "_")), Some(index), "{name}");
            }
        }
        assert_eq!(known_column(Kind::Alb.table(), "REQUEST_LINE"), known_column(Kind::Alb.table(), "request"));
        assert_eq!(known_column(Kind::Alb.table(), "-"), None);
    }

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
