//! The trait that a team implements, and the nouns of the contract.
//!
//! The nouns are those of `wit/mapping.wit`, which says what each field means and where its limits are.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::batch::Events;
pub use crate::component::bindings::elbow::mapping::types::{
    Description, Field, Format, Framing, Header, JsonType, Object, Outcome, Plan,
};
use crate::scan::{Line, Syntax};

/// A mapping: from one record to its events.
///
/// After [`begin`](Mapping::begin), what [`map`](Mapping::map) answers depends on nothing but the record: the host may
/// map a record again, in another batch, in another instance.
pub trait Mapping: Sized + 'static {
    /// The settings from the config. Use `#[serde(deny_unknown_fields)]`, so that a misspelt setting is an error, and
    /// `#[serde(default)]` where a setting may be left out. A mapping without settings uses [`NoSettings`].
    type Settings: DeserializeOwned;

    /// A short name in kebab-case, for logs and summaries.
    const NAME: &'static str;

    /// The mapping's own version; usually `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;

    /// Takes the settings, once. An error names the setting and says what would be right.
    fn configure(settings: Self::Settings) -> Result<Self, String>;

    /// The formats that this mapping reads under its settings, and the fields that it promises.
    fn formats(&self) -> Vec<Format>;

    /// Takes what is known of the object, and answers how it is cut into records. Without an implementation of its own
    /// a mapping reads lines, in the first of its [`formats`](Mapping::formats). Where a header in the midst of an object names
    /// other columns (see [`Header`]), a fresh instance gets the text from there on as `object.head`.
    fn begin(&mut self, _object: &Object) -> Result<Plan, String> {
        let first = self.formats().into_iter().next();
        Ok(Plan::lines(first.map(|f| f.name).unwrap_or_default()))
    }

    /// Maps one record. The record comes without its newline and without a carriage return before it. A line break within it
    /// is `\x0A` with [`Framing::LinesFrom`], which [`unescape`](crate::scan::unescape) gives back.
    ///
    /// What `events` got before an error is taken back.
    fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject>;

    /// How the lines of the object are split into columns. A mapping that answers this is given lines with their columns, to
    /// [`map_line`](Mapping::map_line) rather than to `map`: the columns of a whole batch are found at once, which is
    /// several times as fast as line by line.
    fn syntax(&self) -> Option<Syntax> {
        None
    }

    /// Maps one record, a line with its columns. See [`syntax`](Mapping::syntax).
    #[inline(always)]
    fn map_line(&self, line: &Line<'_>, events: &mut Events) -> Result<Fate, Reject> {
        self.map(line.bytes(), events)
    }
}

/// For a mapping that has no settings; any setting is an error.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What became of a record that was not rejected.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It became one or more events. [`Events::push`] returns this.
    Mapped,
    /// It was left out on purpose. It is counted.
    Dropped,
}

/// A record cannot be mapped, and why: the field and what was expected, without the record's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject(pub Cow<'static, str>);

impl From<&'static str> for Reject {
    fn from(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

impl From<String> for Reject {
    fn from(reason: String) -> Self {
        Self(Cow::Owned(reason))
    }
}

impl Object {
    /// An object of which nothing more is known than its key and its first bytes, as a unit test has it.
    pub fn new(key: &str, head: &[u8]) -> Self {
        Self {
            id: key.into(),
            bucket: None,
            key: key.into(),
            size: None,
            etag: None,
            last_modified: None,
            captures: vec![],
            head: head.into(),
        }
    }
}

impl JsonType {
    /// Whether a value is of this type.
    pub fn fits(self, value: &serde_json::Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

impl Plan {
    /// Lines, without header lines.
    pub fn lines(format: impl Into<String>) -> Self {
        Self { format: format.into(), framing: Framing::Lines, header: Header::None }
    }
}

impl Format {
    /// A format by its name, what it is in a sentence, and the fields that its events may carry.
    pub fn new(name: impl Into<String>, summary: impl Into<String>, fields: Vec<Field>) -> Self {
        Self { name: name.into(), summary: summary.into(), fields }
    }
}

impl Field {
    /// A field of any type.
    pub fn new(name: impl Into<String>, json_type: JsonType, meaning: impl Into<String>) -> Self {
        Self { name: name.into(), json_type, meaning: meaning.into() }
    }

    /// A field that is a JSON string.
    pub fn text(name: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self::new(name, JsonType::Text, meaning)
    }

    /// A field that is a JSON number.
    pub fn number(name: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self::new(name, JsonType::Number, meaning)
    }
}
