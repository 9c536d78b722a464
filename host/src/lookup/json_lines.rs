//! JSON lines: each is an object, whose key is one of its members.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result, anyhow, bail};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::keyed::Keyed;

pub(super) fn read(bytes: impl Read, key: &str) -> Result<Keyed> {
    let mut lines = BufReader::with_capacity(128 << 10, bytes);
    let mut table = Keyed::default();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        add(&line, key, &mut table).with_context(|| format!("line {number}"))?;
    }
    Ok(table.finished())
}

fn add(line: &[u8], key: &str, table: &mut Keyed) -> Result<()> {
    let row = std::str::from_utf8(line).map_err(|_| anyhow!("it is not UTF-8"))?.trim();
    if row.is_empty() {
        return Ok(());
    }
    match key_of(row, key)? {
        Value::String(value) => table.insert(&value, row),
        Value::Number(value) if !value.is_f64() => table.insert(&value.to_string(), row),
        Value::Null => bail!("the object has no member `{key}`, which `key` names"),
        _ => bail!("`{key}`, which `key` names, is neither text nor a whole number"),
    }
}

/// The member of an object that is the key; null if it has none. The others are read past, and so known to be JSON.
fn key_of(row: &str, key: &str) -> Result<Value> {
    let mut json = serde_json::Deserializer::from_str(row);
    let found = KeyOf(key).deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    // It knows no other line than this.
    found.map_err(|error| {
        anyhow!("expected a JSON object: {}", error.to_string().replace(" at line 1 column", " at column"))
    })
}

struct KeyOf<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KeyOf<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut found = Value::Null;
        while let Some(name) = members.next_key::<String>()? {
            match name == self.0 {
                true => found = members.next_value()?,
                false => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{error, read};

    #[test]
    fn a_row_is_the_object_as_it_stands_there() {
        let text = "{\"id\": \"a\", \"n\": [1.50, null]}\r\n\n  {\"n\":1,\"id\":-7}";
        let table = read(Format::JsonLines, Some("id"), text).unwrap();
        assert_eq!(table.get("a").unwrap(), "{\"id\": \"a\", \"n\": [1.50, null]}");
        assert_eq!(table.get("-7").unwrap(), "{\"n\":1,\"id\":-7}");
        assert_eq!(table.rows(), 2);
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (text, expected) in [
            ("{\"id\":1}\n{\"name\":1}\n", "line 2: the object has no member `id`, which `key` names"),
            ("{\"id\":{}}\n", "line 1: `id`, which `key` names, is neither text nor a whole number"),
            ("{\"id\":1.5}\n", "line 1: `id`, which `key` names, is neither text nor a whole number"),
            ("{\"id\":1,\n", "line 1: expected a JSON object: EOF while parsing a value at column 8"),
            ("{\"id\":1} x\n", "line 1: expected a JSON object: trailing characters at column 10"),
            ("[1]\n", "line 1: expected a JSON object: invalid type: sequence, expected an object at column 0"),
            ("{\"id\":1}\n\n{\"id\":1,\"a\":2}\n", "line 3: the key `1` stands further up, with another row"),
        ] {
            assert_eq!(error(Format::JsonLines, Some("id"), text), expected);
        }
        assert!(error(Format::JsonLines, None, "").contains("name the member with `key`"));
    }
}
