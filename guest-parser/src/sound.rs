//! JSON that every receiver reads, and reads alike: no number too large for a double, no half of a surrogate pair, no name
//! twice in one object, and not nested deeper than readers go.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep a value may be nested: most readers stop at 128, and an event nests it further.
const DEEPEST: usize = 100;

/// Whether a value is such JSON. An error says what in it is not.
pub fn check(value: &RawValue) -> Result<(), String> {
    let json = value.get();
    // A short value without any of these cannot be wrong.
    if json.len() < 300 && !json.contains(['{', '[', '\\', 'e', 'E']) {
        return Ok(());
    }
    let result = Sound(DEEPEST).deserialize(&mut serde_json::Deserializer::from_str(json));
    result.map_err(|error| {
        let text = error.to_string();
        let what = text.rfind(" at line ").map_or(text.as_str(), |position| &text[..position]);
        format!("it is JSON that not every receiver can read: {what}")
    })
}

/// A value that may be nested so deep.
#[derive(Clone, Copy)]
struct Sound(usize);

impl Sound {
    fn within<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("it is nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Sound {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let within = self.within()?;
        while seq.next_element_seed(within)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let within = self.within()?;
        let mut names = BTreeSet::new();
        while let Some(Name(name)) = map.next_key()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format!("the name `{name}` stands twice in one object")));
            }
            names.insert(name);
            map.next_value_seed(within)?;
        }
        Ok(())
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_receivers_read_differently_is_told() {
        let check = |json: &str| check(&RawValue::from_string(json.to_owned()).unwrap());
        for json in [
            "1",
            "-1.5e300",
            r#""\u65e5\"""#,
            r#"{"a":[{"b":1},{"b":2}],"c":null}"#,
            &format!("{}{}", "[".repeat(100), "]".repeat(100)),
        ] {
            assert_eq!(check(json), Ok(()), "{json}");
        }
        for (json, what) in [
            ("1e999", "number out of range"),
            (r#"[{"a":1E400}]"#, "number out of range"),
            (r#""\ud800""#, "unexpected end of hex escape"),
            (r#"{"a":{"b":1,"b":2}}"#, "the name `b` stands twice"),
            (r#"{"a":1,"\u0061":2}"#, "the name `a` stands twice"),
            (&format!("{}{}", "[".repeat(101), "]".repeat(101)), "nested too deep"),
        ] {
            let error = check(json).expect_err(json);
            assert!(error.contains(what), "{json}: {error}");
        }
    }
}
