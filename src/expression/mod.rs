//! Jinja in pipeline files: templates in settings, expressions over records.
//!
//! A [template](render) fills settings when a run is prepared. An [`Expression`] is a setting
//! that is evaluated for each record: `keep`, `target`, `order`. Both are parsed by `minijinja`;
//! expressions are evaluated here, because Jinja's own rules compare a text with a number and
//! `none` with anything without a word, and a filter that silently keeps nothing is the worst
//! kind of wrong.

mod error;
mod evaluate;
mod fields;
mod functions;
mod operate;
mod parse;
mod syntax;
mod template;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How settings write lengths of time, and what to say about a wrong name: for operators, which
/// check settings but read none.
pub use crate::config::{duration, duration::parse as parse_duration, suggest};

pub use self::error::{Error, ErrorKind, Position};
pub use self::fields::{Kind, READING_FIELDS, RECORD_FIELDS, reading_fields, record_fields};
pub use self::template::{render, render_tree, uses};

use self::{
    evaluate::{Evaluator, Stop},
    functions::Function,
    syntax::{Form, Node},
};

/// An expression over the fields of a record, as in `media_count > 0 and not over_18`.
///
/// Numbers, texts, booleans and lists; `+ - * / // % **` (true division), comparisons (also
/// chained), `and`, `or`, `not`, `in`, `X if C else Y`, the functions of [`Expression::FUNCTIONS`]
/// (also as filters: `score|log1p`), `x|default(y)`, `x is none`, `x is defined`.
///
/// A filter binds more tightly than anything but a call: `not a|default(false)` is
/// `not (a|default(false))`, and `a + b|default(0)` is `a + (b|default(0))`.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    root: Node,
}

/// What an expression gives for one record.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A value.
    Value(Value),
    /// It needs these fields, which the record lacks; dotted where a part of a field is lacking.
    Missing(Vec<String>),
}

/// How a prediction goes back from the training scale to that of the expression's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inverse {
    /// The target is used as it is.
    Identity,
    /// The target is `log1p(…)`.
    Expm1,
}

/// How a target says where a row stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relative {
    /// `community_quantile(…)`: the share of its community's rows that it surpasses.
    CommunityQuantile,
    /// `top_decile(…)`: 1 in the highest tenth of all rows, else 0.
    TopDecile,
    /// `pairs(…)`: how much more than those of its community and day it has.
    Pairs,
}

/// How many classes a record belongs to, where these are the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// `class(…)`: to one.
    One,
    /// `classes(…)`: to any number of them.
    Any,
}

impl Inverse {
    /// The value on the original scale.
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Self::Identity => value,
            Self::Expm1 => value.exp_m1(),
        }
    }
}

impl Expression {
    /// The names of all functions, in the order in which messages list them.
    pub const FUNCTIONS: [&'static str; 19] = Function::NAMES;

    /// Parses an expression; names are not checked, see [`Expression::check`].
    ///
    /// # Errors
    ///
    /// Bad syntax, an unknown function or a wrong number of arguments, with the place.
    pub fn compile(text: &str) -> Result<Self, Error> {
        let expression = Self {
            text: text.to_owned(),
            root: parse::parse(text)?,
        };
        match expression.inner_whole() {
            Some(error) => Err(error),
            None => Ok(expression),
        }
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the fields it uses, each once, in order of use.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.visit(&mut |node| {
            if let Form::Name(name) = &node.form
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        });
        names
    }

    /// Checks that it uses only these names, and that its types fit, without a record.
    ///
    /// # Errors
    ///
    /// The first unknown name, with the nearest one and all that are allowed; or the first
    /// operation whose operands have the wrong types.
    pub fn check(&self, allowed: &BTreeMap<String, Kind>) -> Result<(), Error> {
        let mut fault = None;
        self.root.visit(&mut |node| {
            if let Form::Name(name) = &node.form
                && !allowed.contains_key(name)
                && fault.is_none()
            {
                fault = Some(
                    self.error(ErrorKind::Unknown, node, format!("unknown name `{name}`"))
                        .with_hint(suggest::hint(name, allowed.keys().map(String::as_str))),
                );
            }
        });
        if let Some(error) = fault {
            return Err(error);
        }
        let sample = allowed
            .iter()
            .map(|(name, kind)| (name.clone(), kind.sample()))
            .collect();
        match Evaluator::exhaustive(&self.text, &sample).evaluate(&self.root) {
            Ok(_) | Err(Stop::Missing(_)) => Ok(()),
            Err(Stop::Error(error)) => Err(*error),
        }
    }

    /// Checks that it uses only names of a sample and parts that these have, and that its types
    /// fit. What is `null` in the sample may be anything.
    ///
    /// # Errors
    ///
    /// The first unknown name or part, with the nearest one and all that are allowed; or the first
    /// operation whose operands have the wrong types.
    pub fn check_in(&self, sample: &Map<String, Value>) -> Result<Option<Value>, Error> {
        let whole = Value::Object(sample.clone());
        let mut fault = None;
        self.root.visit(&mut |node| {
            if fault.is_none()
                && let Err((path, allowed)) = self.part_of(node, &whole)
            {
                fault = Some(
                    self.error(ErrorKind::Unknown, node, format!("unknown name `{path}`"))
                        .with_hint(suggest::hint(&path, allowed.iter().map(String::as_str))),
                );
            }
        });
        if let Some(error) = fault {
            return Err(error);
        }
        match Evaluator::exhaustive(&self.text, sample).evaluate(&self.root) {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Missing(_)) => Ok(None),
            Err(Stop::Error(error)) => Err(*error),
        }
    }

    /// The part of a sample that a name or an attribute stands for, where it is one that the
    /// sample knows; else what was named, and what could have been.
    fn part_of<'a>(
        &self,
        node: &Node,
        sample: &'a Value,
    ) -> Result<Option<&'a Value>, (String, Vec<String>)> {
        let (inside, name) = match &node.form {
            Form::Name(name) => (Some(sample), name.as_str()),
            Form::Attribute(inner, name) => (self.part_of(inner, sample)?, name.as_str()),
            Form::Item(inner, index) => match &index.form {
                Form::Constant(Value::String(name)) => {
                    (self.part_of(inner, sample)?, name.as_str())
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(Value::Object(parts)) = inside else {
            return Ok(None);
        };
        if let Some(part) = parts.get(name) {
            return Ok(Some(part));
        }
        let whole = self.text.get(node.start..node.end).unwrap_or(name);
        let before = whole.strip_suffix(name).unwrap_or_default();
        let allowed = parts.keys().map(|part| format!("{before}{part}"));
        Err((whole.to_owned(), allowed.collect()))
    }

    /// Evaluates it for one record.
    ///
    /// A field that is `null` or lacking makes the whole [`Outcome::Missing`], unless it stands
    /// under `|default(…)` or in a test for `none` or `defined`, or is not reached because
    /// `and`, `or` or `if` are decided without it.
    ///
    /// # Errors
    ///
    /// Operands of types that do not go together ([`ErrorKind::Type`]) and results that are no
    /// numbers, such as `log(0)` ([`ErrorKind::Domain`]).
    pub fn evaluate(&self, record: &Map<String, Value>) -> Result<Outcome, Error> {
        match Evaluator::new(&self.text, record).evaluate(&self.root) {
            Ok(value) => Ok(Outcome::Value(value)),
            Err(Stop::Missing(names)) => Ok(Outcome::Missing(names)),
            Err(Stop::Error(error)) => Err(*error),
        }
    }

    /// Evaluates a condition such as `keep`.
    ///
    /// # Errors
    ///
    /// As [`Expression::evaluate`], and where the value is neither a boolean nor a number.
    pub fn test(&self, record: &Map<String, Value>) -> Result<Result<bool, Vec<String>>, Error> {
        match self.evaluate(record)? {
            Outcome::Missing(names) => Ok(Err(names)),
            Outcome::Value(Value::Bool(value)) => Ok(Ok(value)),
            Outcome::Value(Value::Number(number)) => Ok(Ok(number.as_f64() != Some(0.0))),
            Outcome::Value(other) => Err(self.wrong_result(&other, "true or false")),
        }
    }

    /// Evaluates a number such as `target`; booleans count as 0 and 1.
    ///
    /// # Errors
    ///
    /// As [`Expression::evaluate`], and where the value is not a number.
    pub fn number(&self, record: &Map<String, Value>) -> Result<Result<f64, Vec<String>>, Error> {
        match self.evaluate(record)? {
            Outcome::Missing(names) => Ok(Err(names)),
            Outcome::Value(Value::Bool(value)) => Ok(Ok(f64::from(u8::from(value)))),
            Outcome::Value(Value::Number(number)) => Ok(Ok(number.as_f64().unwrap_or(f64::MAX))),
            Outcome::Value(other) => Err(self.wrong_result(&other, "a number")),
        }
    }

    /// How the values of this expression go back to the scale of what it transforms: the inverse
    /// of its outermost function, where that is `log1p`.
    pub fn inverse(&self) -> Inverse {
        match &self.root.form {
            Form::Call(Function::Log1p, _) => Inverse::Expm1,
            _ => Inverse::Identity,
        }
    }

    /// How the values of this expression are to be seen among those of other rows: its outermost
    /// function, where that is `community_quantile`, `top_decile` or `pairs`. The values themselves
    /// are those of its argument.
    pub fn relative(&self) -> Option<Relative> {
        match &self.root.form {
            Form::Call(function, _) => function.relative(),
            _ => None,
        }
    }

    /// How many classes a record belongs to, where the outermost function is `class` or `classes`:
    /// then the values are classes, not numbers.
    pub fn membership(&self) -> Option<Membership> {
        match &self.root.form {
            Form::Call(function, _) => function.membership(),
            _ => None,
        }
    }

    /// Whether it can only be a target: its outermost function is one that is the whole of a target.
    pub fn is_target_only(&self) -> bool {
        matches!(&self.root.form, Form::Call(function, _) if function.is_whole())
    }

    /// Evaluates a target that gives classes, in the order of their names.
    ///
    /// # Errors
    ///
    /// As [`Expression::evaluate`], and where the value is neither a text nor a list of texts.
    pub fn classes(
        &self,
        record: &Map<String, Value>,
    ) -> Result<Result<Vec<String>, Vec<String>>, Error> {
        match self.evaluate(record)? {
            Outcome::Missing(names) => Ok(Err(names)),
            Outcome::Value(Value::String(class)) => Ok(Ok(vec![class])),
            Outcome::Value(Value::Array(items)) => {
                let classes = items.into_iter().map(|item| match item {
                    Value::String(class) => Ok(class),
                    other => Err(self.wrong_result(&other, "a class")),
                });
                classes.collect::<Result<_, _>>().map(Ok)
            }
            Outcome::Value(other) => Err(self.wrong_result(&other, "a class")),
        }
    }

    /// The error for a function that is the whole of a target and is not the outermost one.
    fn inner_whole(&self) -> Option<Error> {
        let mut fault = None;
        self.root.visit(&mut |node| {
            if let Form::Call(function, _) = &node.form
                && function.is_whole()
                && !std::ptr::eq(node, &raw const self.root)
            {
                let name = function.name();
                let message = format!(
                    "`{name}` is the whole of a target, as in `{name}(score)`, no part of one"
                );
                fault.get_or_insert_with(|| self.error(ErrorKind::Syntax, node, message));
            }
        });
        fault
    }

    fn wrong_result(&self, value: &Value, wanted: &str) -> Error {
        let kind = fields::describe(value);
        let message = format!("gives {kind}, not {wanted}");
        self.error(ErrorKind::Type, &self.root, message)
    }

    fn error(&self, kind: ErrorKind, node: &Node, message: String) -> Error {
        Error::new(kind, &self.text, node.start, message)
    }
}

#[cfg(test)]
mod tests;
