//! `only`, `except` and `sample`: which records become events at all.

use std::cmp::Ordering;

use elbow_guest::Reject;
use xxhash_rust::xxh3::xxh3_64;

use crate::program::Program;
use crate::settings::{Settings, like};
use crate::source::Source;
use crate::styles::Named;
use crate::values::{Slot, Values};

/// Which records are kept.
pub struct Filter {
    only: Vec<Condition>,
    except: Vec<Condition>,
    sample: Option<u64>,
}

/// A comparison of a field with a value.
struct Condition {
    /// `None`: a field that this format does not have.
    source: Option<Source>,
    operator: Operator,
    wanted: Wanted,
}

/// What a field is compared with.
struct Wanted {
    text: Vec<u8>,
    /// The same, where it is a number.
    number: Option<f64>,
    /// What stands between its stars.
    parts: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
}

/// Longer ones first, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("~", Operator::Like),
];

impl Filter {
    /// `None` if all records are kept. `fields` are those of the format, `all` the names of all formats.
    pub fn compile(settings: &Settings, fields: &[Named], all: &[String]) -> Result<Option<Self>, String> {
        let compile = |setting: &str, texts: &[String]| -> Result<Vec<Condition>, String> {
            let conditions = texts.iter().map(|text| Condition::parse(text, fields, all));
            conditions.collect::<Result<_, _>>().map_err(|error| format!("{setting}: {error}"))
        };
        if settings.sample == Some(0) {
            return Err("sample: expected a number from 1 up: one record in so many is kept".into());
        }
        let sample = settings.sample.filter(|n| *n > 1);
        let filter =
            Self { only: compile("only", &settings.only)?, except: compile("except", &settings.except)?, sample };
        let is_needed = !filter.only.is_empty() || !filter.except.is_empty() || filter.sample.is_some();
        Ok(is_needed.then_some(filter))
    }

    /// Whether a record is kept.
    pub fn keeps(&self, program: &Program, batch: &[u8], values: &Values) -> Result<bool, Reject> {
        if self.sample.is_some_and(|n| !xxh3_64(values.get(Slot::LINE).of(batch)).is_multiple_of(n)) {
            return Ok(false);
        }
        for condition in &self.only {
            if !condition.holds(program, batch, values)? {
                return Ok(false);
            }
        }
        for condition in &self.except {
            if condition.holds(program, batch, values)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Condition {
    fn parse(text: &str, fields: &[Named], all: &[String]) -> Result<Self, String> {
        let at = text.find(['=', '!', '<', '>', '~']);
        let found = at.and_then(|at| {
            let operator = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
            Some((text[..at].trim(), operator.1, text[at + operator.0.len()..].trim()))
        });
        let (name, operator, value) = found.filter(|(name, ..)| !name.is_empty()).ok_or_else(|| {
            format!("`{text}` is no condition: expected a field, one of = != < <= > >= ~, and a value, as `elb_status_code >= 500`")
        })?;
        if !all.iter().any(|field| field == name) {
            return Err(format!("`{text}`: no format has a field `{name}`{}", like(name, all)));
        }
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let source = fields.iter().find(|field| field.name() == name).map(|field| field.source.clone());
        Ok(Self { source, operator, wanted: Wanted::new(value) })
    }

    /// A field that is not there is not equal to anything, and nothing else.
    fn holds(&self, program: &Program, batch: &[u8], values: &Values) -> Result<bool, Reject> {
        let Some(source) = &self.source else { return Ok(self.operator == Operator::NotEqual) };
        if let Some(plain) = program.plain(batch, values, source) {
            return Ok(self.compare(plain));
        }
        let json = program.value(batch, values, source)?;
        Ok(match json.first() {
            None => self.operator == Operator::NotEqual,
            Some(b'"') => serde_json::from_slice::<String>(&json).is_ok_and(|text| self.compare(text.as_bytes())),
            // A number with its own digits.
            Some(_) => self.compare(&json),
        })
    }

    fn compare(&self, is: &[u8]) -> bool {
        let order = || self.wanted.compare(is);
        match self.operator {
            Operator::Equal => order().is_some_and(Ordering::is_eq),
            Operator::NotEqual => !order().is_some_and(Ordering::is_eq),
            Operator::Less => order().is_some_and(Ordering::is_lt),
            Operator::LessOrEqual => order().is_some_and(Ordering::is_le),
            Operator::Greater => order().is_some_and(Ordering::is_gt),
            Operator::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
            Operator::Like => self.wanted.is_like(is),
        }
    }
}

impl Wanted {
    fn new(text: &str) -> Self {
        let parts = text.split('*').map(Vec::from).collect();
        Self { text: text.into(), number: text.parse().ok(), parts }
    }

    /// Which of them is less: as numbers where both are.
    fn compare(&self, is: &[u8]) -> Option<Ordering> {
        let number = || std::str::from_utf8(is).ok()?.parse::<f64>().ok();
        match self.number.and_then(|wanted| Some((number()?, wanted))) {
            Some((is, wanted)) => is.partial_cmp(&wanted),
            None => Some(is.cmp(&self.text)),
        }
    }

    /// Whether a text has this form, in which `*` stands for any text.
    fn is_like(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = &self.parts[..] else { return text == self.text };
        let Some(mut rest) = text.strip_prefix(&first[..]) else { return false };
        for part in middle {
            match memchr::memmem::find(rest, part) {
                Some(position) => rest = &rest[position + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (text, pattern, expected) in [
            ("ELB-HealthChecker/2.0", "ELB-HealthChecker*", true),
            ("/a/b/health", "*/health", true),
            ("/a/b/health", "/a*health", true),
            ("/a/b/health", "/a*c*health", false),
            ("ab", "ab", true),
            ("abc", "ab", false),
            ("aba", "ab*ba", false),
            ("", "*", true),
        ] {
            assert_eq!(Wanted::new(pattern).is_like(text.as_bytes()), expected, "{text} ~ {pattern}");
        }
    }
}
