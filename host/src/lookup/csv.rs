//! CSV (RFC 4180): the first line has the names of the columns, every further one is a row.

use std::io::Read;

use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::keyed::Keyed;

pub(super) fn read(bytes: impl Read, key: Option<&str>) -> Result<Keyed> {
    let mut lines = ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let mut line = StringRecord::new();
    ensure!(next(&mut lines, &mut line)?, "it is empty: expected a line with the names of its columns");
    let columns = Columns::new(&line)?;
    let key = columns.position(key)?;
    let mut table = Keyed::default();
    let mut row = Vec::new();
    while next(&mut lines, &mut line)? {
        row.clear();
        row.push(b'{');
        for (position, value) in line.iter().enumerate() {
            columns.write(position, value, &mut row);
        }
        row.push(b'}');
        let row = std::str::from_utf8(&row).expect("it is made of strings");
        table.insert(&line[key], row).with_context(|| place(&line))?;
    }
    Ok(table.finished())
}

/// Reads a line; `false` after the last. It must have as many columns as the first.
pub(super) fn next(lines: &mut csv::Reader<impl Read>, line: &mut StringRecord) -> Result<bool> {
    lines.read_record(line).map_err(|error| match error.into_kind() {
        ErrorKind::Io(error) => error.into(),
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let number = pos.map_or(0, |pos| pos.line());
            anyhow!("line {number} has {len} columns: expected {expected_len}, as in the first line")
        }
        ErrorKind::Utf8 { pos, .. } => anyhow!("line {} is not UTF-8", pos.map_or(0, |pos| pos.line())),
        other => anyhow!("{other:?}"),
    })
}

/// `line 12`
pub(super) fn place(line: &StringRecord) -> String {
    format!("line {}", line.position().map_or(0, |position| position.line()))
}

/// The names of the columns.
pub(super) struct Columns {
    names: Vec<String>,
    /// Each in quotes and with its colon.
    names_in_json: Vec<String>,
}

impl Columns {
    pub(super) fn new(first: &StringRecord) -> Result<Self> {
        let names: Vec<String> = first.iter().map(str::to_owned).collect();
        for (position, name) in names.iter().enumerate() {
            ensure!(!names[..position].contains(name), "the first line has the column `{name}` twice");
        }
        let in_json = |name: &String| format!("{}:", serde_json::Value::from(name.as_str()));
        Ok(Self { names_in_json: names.iter().map(in_json).collect(), names })
    }

    /// Where a column is; if none is named, the first.
    pub(super) fn position(&self, name: Option<&str>) -> Result<usize> {
        let Some(name) = name else { return Ok(0) };
        let position = self.names.iter().position(|known| known == name);
        position.with_context(|| {
            let known: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
            format!("`key` is `{name}`, which is no column of it: expected one of {}", known.join(", "))
        })
    }

    /// Writes a column's value as a member of an object, after a comma unless `{` is the last that was written.
    pub(super) fn write(&self, position: usize, value: &str, row: &mut Vec<u8>) {
        if row.last() != Some(&b'{') {
            row.push(b',');
        }
        row.extend_from_slice(self.names_in_json[position].as_bytes());
        serde_json::to_writer(row, value).expect("a vector takes any text");
    }

    /// For a table whose rows have a member `cidr` already: no column but the one at `position` may have this name.
    pub(super) fn check_no_cidr_but(&self, position: usize) -> Result<()> {
        if let Some(other) = self.names.iter().position(|name| name == "cidr").filter(|other| *other != position) {
            bail!(
                "column {} is named `cidr`, as the network that matched is in each row: name it otherwise",
                other + 1
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{error, read};

    #[test]
    fn a_row_is_an_object_of_texts() {
        let text = "id,team,note\n1,shop,\"a \"\"b\"\", c\n\"\r\n2,web,ü\n\n";
        let table = read(Format::Csv, None, text).unwrap();
        assert_eq!(table.rows(), 2);
        assert_eq!(table.get("1").unwrap(), r#"{"id":"1","team":"shop","note":"a \"b\", c\n"}"#);
        assert_eq!(table.get("2").unwrap(), r#"{"id":"2","team":"web","note":"ü"}"#);
        assert_eq!(table.get("3"), None);
        assert_eq!(table.get("id"), None);
    }

    #[test]
    fn any_column_can_be_the_key() {
        let table = read(Format::Csv, Some("team"), "id,team\n1,shop\n").unwrap();
        assert_eq!(table.get("shop").unwrap(), r#"{"id":"1","team":"shop"}"#);
        assert_eq!(table.get("1"), None);
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (key, text, expected) in [
            (None, "", "it is empty: expected a line with the names of its columns"),
            (None, "id,team\n1,shop\n2\n", "line 3 has 1 columns: expected 2, as in the first line"),
            (None, "id,team\n1,\"a\nb\"\n2,web,x\n", "line 4 has 3 columns: expected 2, as in the first line"),
            (None, "id,team\n1,shop\n1,web\n", "line 3: the key `1` stands further up, with another row"),
            (None, "id,team,id\n", "the first line has the column `id` twice"),
            (Some("teem"), "id,team\n", "`key` is `teem`, which is no column of it: expected one of `id`, `team`"),
        ] {
            assert_eq!(error(Format::Csv, key, text), expected);
        }
        let latin = super::super::Table::read(&b"id\n1\n\xE4\n"[..], Format::Csv, None, 100);
        assert_eq!(latin.err().unwrap().to_string(), "line 3 is not UTF-8");
    }

    #[test]
    fn a_row_that_stands_twice_counts_once() {
        assert_eq!(read(Format::Csv, None, "id,team\n1,shop\n1,shop\n").unwrap().rows(), 1);
    }
}
