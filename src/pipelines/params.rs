//! A pipeline's parameters, and how `--param K=V` sets them.

use serde_json::{Map, Number, Value};

use super::{Definition, Error};
use crate::config::{duration, suggest};

/// A value that `--param` can set.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type; that of the default where the file says none.
    pub kind: ParamKind,
    /// The value where none is given.
    pub default: Value,
    /// The values that are allowed; all of its type where there are none.
    pub choices: Vec<Value>,
    /// One line for `pipelines show`.
    pub description: Option<String>,
    /// The byte of the file at which the default stands.
    pub offset: usize,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// Values with commas between them, or a JSON list.
    List,
    /// A length of time, such as `36h`.
    Duration,
}

impl ParamKind {
    /// Every type, in the order in which messages list them.
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::Integer,
        Self::Number,
        Self::Bool,
        Self::List,
        Self::Duration,
    ];

    /// The name in pipeline files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::List => "list",
            Self::Duration => "duration",
        }
    }

    /// The type that a default has by itself; `None` for a table.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(_) => Some(Self::Text),
            Value::Number(number) if number.is_f64() => Some(Self::Number),
            Value::Number(_) => Some(Self::Integer),
            Value::Bool(_) => Some(Self::Bool),
            Value::Array(_) => Some(Self::List),
            Value::Null | Value::Object(_) => None,
        }
    }

    /// Whether a value is of this type.
    pub fn allows(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Number => value.is_number(),
            Self::Bool => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Duration => value.as_str().is_some_and(|v| duration::parse(v).is_some()),
        }
    }

    /// What a value of this type looks like.
    pub const fn form(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Bool => "`true` or `false`",
            Self::List => "values with commas between them, or a JSON list",
            Self::Duration => duration::FORM,
        }
    }
}

impl Param {
    /// Reads a value as `--param` writes it.
    ///
    /// # Errors
    ///
    /// Where the text is not of the parameter's type, or not one of its choices.
    pub fn parse(&self, text: &str) -> Result<Value, Error> {
        let wrong = |hint: String| Error::Argument {
            message: format!("`{text}` is no value for the parameter `{}`", self.name),
            hint: Some(hint),
        };
        let value = self
            .read(text)
            .filter(|value| self.kind.allows(value))
            .ok_or_else(|| wrong(format!("write {}", self.kind.form())))?;
        if self.choices.is_empty() || self.choices.contains(&value) {
            return Ok(value);
        }
        let choices: Vec<String> = self.choices.iter().map(shown).collect();
        Err(wrong(suggest::hint(
            text,
            choices.iter().map(String::as_str),
        )))
    }

    fn read(&self, text: &str) -> Option<Value> {
        match self.kind {
            ParamKind::Text | ParamKind::Duration => Some(Value::from(text)),
            ParamKind::Integer => text.trim().parse::<i64>().ok().map(Value::from),
            ParamKind::Number => number(text),
            ParamKind::Bool => text.trim().parse::<bool>().ok().map(Value::from),
            ParamKind::List if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).ok()
            }
            ParamKind::List if text.trim().is_empty() => Some(Value::Array(Vec::new())),
            ParamKind::List => {
                let numbers = matches!(&self.default, Value::Array(items)
                    if items.first().is_some_and(Value::is_number));
                text.split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(|part| match part.parse::<i64>() {
                        Ok(whole) if numbers => Some(Value::from(whole)),
                        _ if numbers => number(part),
                        _ => Some(Value::from(part)),
                    })
                    .collect::<Option<Vec<Value>>>()
                    .map(Value::Array)
            }
        }
    }
}

/// The parameters of a run, and the names of those that were given.
pub(super) fn resolve(
    definition: &Definition,
    given: &[(String, String)],
) -> Result<(Map<String, Value>, Vec<String>), Error> {
    let mut values: Map<String, Value> = definition
        .params
        .iter()
        .map(|param| (param.name.clone(), param.default.clone()))
        .collect();
    let mut names = Vec::new();
    for (name, text) in given {
        let Some(param) = definition.params.iter().find(|param| &param.name == name) else {
            let known = definition.params.iter().map(|param| param.name.as_str());
            return Err(Error::Argument {
                message: format!("pipeline `{}` has no parameter `{name}`", definition.name),
                hint: Some(suggest::hint(name, known)),
            });
        };
        values.insert(name.clone(), param.parse(text)?);
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok((values, names))
}

/// A value as `--param` writes it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(text: &str) -> Option<Value> {
    let number = text.trim().parse::<f64>().ok()?;
    Number::from_f64(number).map(Value::Number)
}
