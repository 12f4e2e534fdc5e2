//! A TOML document that remembers where each key and value stands.

use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

/// A parsed TOML text. Keys keep the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The text it was read from.
    pub text: String,
    /// The entries of the top level.
    pub root: Table,
}

/// The entries of a table, in the order of the file.
pub type Table = Vec<Entry>;

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The bytes of the text at which the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Item,
}

/// A value with its place in the text.
#[derive(Clone, Debug)]
pub struct Item {
    /// The bytes of the text at which the value stands, quotes included.
    pub span: Range<usize>,
    /// What it holds.
    pub data: Data,
}

/// What a TOML value holds; dates and times are read as text.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are TOML's own types")]
pub enum Data {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Item>),
    Table(Table),
}

/// A text that is not TOML, or holds a number that no setting can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxFault {
    /// The byte of the text where the parser gave up.
    pub offset: usize,
    /// What it expected or found.
    pub message: String,
}

impl Document {
    /// Parses a text; as much as can be read, with everything that is wrong in it.
    pub fn parse(text: &str) -> (Self, Vec<SyntaxFault>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut faults: Vec<SyntaxFault> = errors
            .iter()
            .map(|error| SyntaxFault {
                offset: error.span().map_or(0, |span| span.start),
                message: error.message().lines().collect::<Vec<_>>().join(", "),
            })
            .collect();
        let root = table(root.get_ref(), &mut faults);
        let document = Self {
            text: text.to_owned(),
            root,
        };
        (document, faults)
    }

    /// The line and column of a byte, both from 1; columns count characters.
    pub fn locate(&self, offset: usize) -> (usize, usize) {
        locate(&self.text, offset)
    }
}

/// The line and column of a byte of `text`, both from 1; columns count characters.
pub fn locate(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// The entry of this key.
pub fn find<'a>(table: &'a [Entry], key: &str) -> Option<&'a Entry> {
    table.iter().find(|entry| entry.key == key)
}

impl Item {
    /// The same value as JSON.
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Bool(value) => Value::Bool(*value),
            Data::Integer(value) => Value::from(*value),
            Data::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
            Data::Text(value) => Value::String(value.clone()),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Table(entries) => Value::Object(to_map(entries)),
        }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self.data {
            Data::Bool(_) => "a boolean",
            Data::Integer(_) => "an integer",
            Data::Float(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }
}

/// The same entries as a JSON object.
pub fn to_map(entries: &[Entry]) -> Map<String, Value> {
    entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.value.to_json()))
        .collect()
}

fn table(entries: &DeTable<'_>, faults: &mut Vec<SyntaxFault>) -> Table {
    entries
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            value: item(value, faults),
        })
        .collect()
}

fn item(value: &toml::Spanned<DeValue<'_>>, faults: &mut Vec<SyntaxFault>) -> Item {
    let span = value.span();
    let data = match value.get_ref() {
        DeValue::Boolean(value) => Data::Bool(*value),
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Datetime(time) => Data::Text(time.to_string()),
        DeValue::Integer(value) => Data::Integer(integer(value, &span, faults)),
        DeValue::Float(value) => Data::Float(float(value, &span, faults)),
        DeValue::Array(items) => Data::List(items.iter().map(|i| item(i, faults)).collect()),
        DeValue::Table(entries) => Data::Table(table(entries, faults)),
    };
    Item { span, data }
}

fn integer(value: &DeInteger<'_>, span: &Range<usize>, faults: &mut Vec<SyntaxFault>) -> i64 {
    i64::from_str_radix(value.as_str(), value.radix()).unwrap_or_else(|_| {
        faults.push(SyntaxFault {
            offset: span.start,
            message: format!("`{value}` does not fit into 64 bits"),
        });
        0
    })
}

fn float(value: &DeFloat<'_>, span: &Range<usize>, faults: &mut Vec<SyntaxFault>) -> f64 {
    match value.as_str().parse::<f64>() {
        Ok(number) if number.is_finite() => number,
        _ => {
            faults.push(SyntaxFault {
                offset: span.start,
                message: format!("`{value}` is not a finite number"),
            });
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_places() {
        let (document, faults) = Document::parse("b = 1\n[\"ä\"]\n  x = \"é\"\ny = 1_0\n");
        assert_eq!(faults, []);
        assert_eq!(document.root[0].key, "b");
        let Data::Table(inner) = &document.root[1].value.data else {
            panic!("a table")
        };
        assert_eq!(document.locate(inner[0].value.span.start), (3, 7));
        assert_eq!(inner[1].value.to_json(), Value::from(10));
    }

    #[test]
    fn refuses_numbers_that_no_setting_can_hold() {
        let (_, faults) = Document::parse("a = 99999999999999999999\nb = inf\n");
        let messages: Vec<&str> = faults.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`99999999999999999999` does not fit into 64 bits",
                "`inf` is not a finite number"
            ]
        );
    }
}
