//! The names and types that an expression may use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// True or false.
    Bool,
    /// An integer or a fraction.
    Number,
    /// A text; also a moment, as RFC 3339, which compares as time does.
    Text,
    /// A list of texts.
    List,
}

impl Kind {
    /// Every kind, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Bool, Self::Number, Self::Text, Self::List];

    /// The name in pipeline files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Number => "number",
            Self::Text => "text",
            Self::List => "list",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// A value of this kind that every function of its kind takes.
    pub(super) fn sample(self) -> Value {
        match self {
            Self::Bool => json!(true),
            Self::Number => json!(1),
            Self::Text => json!("a"),
            Self::List => json!(["a"]),
        }
    }
}

/// The fields that every record has for expressions; the ones that its source lacks are `null`.
///
/// A source's further fields go by the source's own names and are declared in the pipeline file
/// under `[fields]`.
pub const RECORD_FIELDS: [(&str, Kind); 8] = [
    ("id", Kind::Text),
    ("community", Kind::Text),
    ("author", Kind::Text),
    ("title", Kind::Text),
    ("created_at", Kind::Text),
    ("hour", Kind::Number),
    ("weekday", Kind::Number),
    ("media_count", Kind::Number),
];

/// What a target may use beside [`RECORD_FIELDS`]: the reading that is the label, and its age.
pub const READING_FIELDS: [(&str, Kind); 2] =
    [("score", Kind::Number), ("age_hours", Kind::Number)];

/// [`RECORD_FIELDS`] with further ones, which never hide one of these.
pub fn record_fields<'a>(
    further: impl IntoIterator<Item = (&'a str, Kind)>,
) -> BTreeMap<String, Kind> {
    further
        .into_iter()
        .chain(RECORD_FIELDS)
        .map(|(name, kind)| (name.to_owned(), kind))
        .collect()
}

/// [`RECORD_FIELDS`] and [`READING_FIELDS`] with further ones, which never hide one of these.
pub fn reading_fields<'a>(
    further: impl IntoIterator<Item = (&'a str, Kind)>,
) -> BTreeMap<String, Kind> {
    let mut fields = record_fields(further);
    fields.extend(READING_FIELDS.map(|(name, kind)| (name.to_owned(), kind)));
    fields
}

/// What type a value has.
pub(super) const fn describe_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "none",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// A value with its type, short enough for a message.
pub(super) fn describe(value: &Value) -> String {
    let shown = |value: &Value| {
        let text = value.to_string();
        match text.char_indices().nth(40) {
            Some((cut, _)) => format!("`{}…`", &text[..cut]),
            None => format!("`{text}`"),
        }
    };
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(_) => format!("the boolean {}", shown(value)),
        Value::Number(_) => format!("the number {}", shown(value)),
        Value::String(_) => format!("the text {}", shown(value)),
        Value::Array(_) => format!("the list {}", shown(value)),
        Value::Object(_) => format!("the table {}", shown(value)),
    }
}
