//! Patterns of buckets and keys.

use std::fmt;

use anyhow::{Context, Result};
use regex::Regex;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A pattern of the whole of a bucket's name or a key. In it `*` stands for any text without a slash, `**` for any text,
/// and `{name}` for a text without a slash that is captured under this name. Everything else stands for itself.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Self> {
        expression(pattern).map(Self)
    }

    /// Whether the pattern fits, and what its braces captured, in their order.
    pub fn captures(&self, text: &str) -> Option<Vec<(String, String)>> {
        let captures = self.0.captures(text)?;
        let named = self.0.capture_names().flatten();
        let captured = named.filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned())));
        Some(captured.collect())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(input)?).map_err(D::Error::custom)
    }
}

/// The regular expression that a pattern stands for.
fn expression(pattern: &str) -> Result<Regex> {
    let mut expression = String::from("(?s)^");
    let mut rest = pattern;
    while let Some(position) = rest.find(['*', '{']) {
        expression.push_str(&regex::escape(&rest[..position]));
        rest = &rest[position..];
        if let Some(after) = rest.strip_prefix("**") {
            expression.push_str(".*");
            rest = after;
        } else if let Some(after) = rest.strip_prefix('*') {
            expression.push_str("[^/]*");
            rest = after;
        } else {
            let (name, after) =
                rest[1..].split_once('}').with_context(|| format!("pattern `{pattern}`: a `{{` without its `}}`"))?;
            expression.push_str(&format!("(?P<{name}>[^/]+)"));
            rest = after;
        }
    }
    expression.push_str(&regex::escape(rest));
    expression.push('$');
    Regex::new(&expression).with_context(|| {
        format!("pattern `{pattern}`: a name in braces is made of letters, digits and `_`, begins with a letter, and stands once")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, key: &str) -> Option<Vec<(String, String)>> {
        Pattern::new(pattern).unwrap().captures(key)
    }

    #[test]
    fn a_pattern_is_the_whole_key() {
        assert!(captures("logs/*.gz", "logs/a.gz").is_some());
        assert!(captures("logs/*.gz", "logs/a/b.gz").is_none());
        assert!(captures("logs/**.gz", "logs/a/b.gz").is_some());
        assert!(captures("logs/", "logs/a").is_none());
        assert!(captures("a.c", "abc").is_none());
        assert!(captures("**", "a\nb").is_some());
    }

    #[test]
    fn what_is_in_braces_is_captured_in_order() {
        let key = "AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/10/05/x.log";
        let captured = captures("AWSLogs/{account}/elasticloadbalancing/{region}/**", key).unwrap();
        assert_eq!(captured, [("account".into(), "111122223333".into()), ("region".into(), "us-east-1".into())]);
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        for pattern in ["a{b", "a{}", "{x}/{x}", "{1}"] {
            let error = Pattern::new(pattern).unwrap_err().to_string();
            assert!(error.contains(pattern), "{error}");
        }
    }
}
