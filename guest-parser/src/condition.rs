//! `only`, `except` and `sample`: which records become events at all.

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
    value: String,
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
        Ok(Self { source, operator, value: value.to_owned() })
    }

    /// A field that is not there is not equal to anything, and nothing else.
    fn holds(&self, program: &Program, batch: &[u8], values: &Values) -> Result<bool, Reject> {
        let json = match &self.source {
            Some(source) => program.value(batch, values, source)?,
            None => vec![],
        };
        Ok(match serde_json::from_slice(&json) {
            Err(_) => self.operator == Operator::NotEqual,
            Ok(serde_json::Value::String(text)) => self.compare(&text),
            Ok(other) => self.compare(&other.to_string()),
        })
    }

    fn compare(&self, text: &str) -> bool {
        let numbers = text.parse::<f64>().ok().zip(self.value.parse::<f64>().ok());
        let order = match numbers {
            Some((is, wanted)) => is.partial_cmp(&wanted),
            None => Some(text.cmp(&self.value)),
        };
        match self.operator {
            Operator::Equal => order.is_some_and(|order| order.is_eq()),
            Operator::NotEqual => !order.is_some_and(|order| order.is_eq()),
            Operator::Less => order.is_some_and(|order| order.is_lt()),
            Operator::LessOrEqual => order.is_some_and(|order| order.is_le()),
            Operator::Greater => order.is_some_and(|order| order.is_gt()),
            Operator::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
            Operator::Like => is_like(text.as_bytes(), self.value.as_bytes()),
        }
    }
}

/// Whether a text has the form of a pattern, in which `*` stands for any text.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&[u8]> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match memchr::memmem::find(rest, part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
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
            assert_eq!(is_like(text.as_bytes(), pattern.as_bytes()), expected, "{text} ~ {pattern}");
        }
    }
}
