//! The value of an expression for one record.

use serde_json::{Map, Number, Value};

use super::{
    Error, ErrorKind,
    fields::{describe, describe_type},
    functions::{Function, Refusal},
    syntax::{Form, Node},
};

/// Why an evaluation ends without a value.
#[derive(Debug)]
pub(super) enum Stop {
    /// These fields are needed and lacking.
    Missing(Vec<String>),
    /// Something is wrong.
    Error(Box<Error>),
}

pub(super) type Evaluated = Result<Value, Stop>;

/// Walks an expression's tree over one record.
pub(super) struct Evaluator<'a> {
    text: &'a str,
    record: &'a Map<String, Value>,
    /// Walk every branch, decided or not, and take 1 for a result that is no number: what is
    /// left are faults of type, which is what a check without a record looks for.
    pub(super) exhaustive: bool,
}

impl<'a> Evaluator<'a> {
    pub(super) const fn new(text: &'a str, record: &'a Map<String, Value>) -> Self {
        Self {
            text,
            record,
            exhaustive: false,
        }
    }

    pub(super) const fn exhaustive(text: &'a str, record: &'a Map<String, Value>) -> Self {
        Self {
            text,
            record,
            exhaustive: true,
        }
    }

    pub(super) fn evaluate(&self, node: &Node) -> Evaluated {
        match &node.form {
            Form::Name(name) => match self.record.get(name) {
                None | Some(Value::Null) => Err(Stop::Missing(vec![name.clone()])),
                Some(value) => Ok(value.clone()),
            },
            Form::Constant(Value::Null) => Err(self.fault(
                ErrorKind::Type,
                node,
                "`none` is not a value to calculate with".to_owned(),
            )),
            Form::Constant(value) => Ok(value.clone()),
            Form::List(items) => self.all(items).map(Value::Array),
            Form::Not(inner) => Ok(Value::Bool(!self.truth(inner)?)),
            Form::Negative(inner) => self.negative(node, inner),
            Form::And(left, right) => self.decide(left, right, false),
            Form::Or(left, right) => self.decide(left, right, true),
            Form::Arithmetic(op, left, right) => self.arithmetic(node, *op, left, right),
            Form::Compare(first, rest) => self.compare(first, rest),
            Form::Choice(condition, then, otherwise) => self.choose(condition, then, otherwise),
            Form::Call(function, arguments) => self.call(node, *function, arguments),
            Form::Default(value, fallback) => match self.evaluate(value) {
                Err(Stop::Missing(_)) => self.evaluate(fallback),
                Ok(value) => {
                    if self.exhaustive {
                        self.evaluate(fallback)?;
                    }
                    Ok(value)
                }
                error => error,
            },
            Form::Present(inner) => match self.evaluate(inner) {
                Ok(_) => Ok(Value::Bool(true)),
                Err(Stop::Missing(_)) => Ok(Value::Bool(false)),
                error => error,
            },
            Form::Attribute(inner, name) => self.part(node, inner, name),
            Form::Item(inner, index) => self.item(node, inner, index),
        }
    }

    /// `and` (`deciding` false) and `or` (`deciding` true): the operand that decides.
    fn decide(&self, left: &Node, right: &Node, deciding: bool) -> Evaluated {
        let decided = self
            .evaluate(left)
            .and_then(|value| Ok((self.is_true(left, &value)? == deciding, value)));
        match decided {
            Ok((true, value)) if !self.exhaustive => Ok(value),
            Ok(_) => {
                let value = self.evaluate(right)?;
                self.is_true(right, &value)?;
                Ok(value)
            }
            Err(Stop::Missing(names)) => Err(self.also_missing(names, right)),
            Err(stop) => Err(stop),
        }
    }

    fn choose(&self, condition: &Node, then: &Node, otherwise: &Node) -> Evaluated {
        let holds = self.truth(condition)?;
        if self.exhaustive {
            self.evaluate(otherwise)?;
            return self.evaluate(then);
        }
        self.evaluate(if holds { then } else { otherwise })
    }

    /// Both operands; what either lacks is reported together.
    pub(super) fn both(&self, left: &Node, right: &Node) -> Result<(Value, Value), Stop> {
        match self.evaluate(left) {
            Ok(value) => Ok((value, self.evaluate(right)?)),
            Err(Stop::Missing(names)) => Err(self.also_missing(names, right)),
            Err(stop) => Err(stop),
        }
    }

    fn all(&self, nodes: &[Node]) -> Result<Vec<Value>, Stop> {
        let mut values = Vec::with_capacity(nodes.len());
        for (position, node) in nodes.iter().enumerate() {
            match self.evaluate(node) {
                Ok(value) => values.push(value),
                Err(Stop::Missing(names)) => {
                    return Err(nodes[position + 1..].iter().fold(
                        Stop::Missing(names),
                        |stop, rest| match stop {
                            Stop::Missing(names) => self.also_missing(names, rest),
                            error @ Stop::Error(_) => error,
                        },
                    ));
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(values)
    }

    pub(super) fn also_missing(&self, mut names: Vec<String>, other: &Node) -> Stop {
        match self.evaluate(other) {
            Ok(_) => Stop::Missing(names),
            Err(Stop::Missing(more)) => {
                for name in more {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                Stop::Missing(names)
            }
            Err(error) => error,
        }
    }

    fn truth(&self, node: &Node) -> Result<bool, Stop> {
        let value = self.evaluate(node)?;
        self.is_true(node, &value)
    }

    fn is_true(&self, node: &Node, value: &Value) -> Result<bool, Stop> {
        match value {
            Value::Bool(value) => Ok(*value),
            Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
            other => {
                let message = format!("{} is neither true nor false", self.operand(node, other));
                let mut error = Error::new(ErrorKind::Type, self.text, node.start, message);
                if matches!(other, Value::String(_) | Value::Array(_)) {
                    error = error.with_hint("compare it, as in `length(x) > 0`");
                }
                Err(Stop::Error(Box::new(error)))
            }
        }
    }

    fn negative(&self, node: &Node, inner: &Node) -> Evaluated {
        let value = self.evaluate(inner)?;
        if let Some(whole) = value.as_i64().and_then(i64::checked_neg) {
            return Ok(Value::from(whole));
        }
        if let (Value::Number(_), Some(number)) = (&value, value.as_f64()) {
            return self.finite(node, -number);
        }
        let message = format!("cannot apply `-` to {}", self.operand(inner, &value));
        Err(self.fault(ErrorKind::Type, inner, message))
    }

    fn call(&self, node: &Node, function: Function, arguments: &[Node]) -> Evaluated {
        let values = self.all(arguments)?;
        function.call(&values).or_else(|refusal| match refusal {
            Refusal::Domain(_) if self.exhaustive => Ok(Value::from(1)),
            Refusal::Domain(message) => Err(self.fault(ErrorKind::Domain, node, message)),
            Refusal::Type(wanted, position) => {
                let message = format!(
                    "`{}` takes {wanted}, not {}",
                    function.name(),
                    self.operand(&arguments[position], &values[position])
                );
                Err(self.fault(ErrorKind::Type, &arguments[position], message))
            }
        })
    }

    fn part(&self, node: &Node, inner: &Node, name: &str) -> Evaluated {
        match self.evaluate(inner)? {
            Value::Object(parts) => match parts.get(name) {
                None | Some(Value::Null) => Err(Stop::Missing(vec![self.source(node).to_owned()])),
                Some(value) => Ok(value.clone()),
            },
            other => {
                let message = format!("{} has no part `{name}`", self.operand(inner, &other));
                Err(self.fault(ErrorKind::Type, node, message))
            }
        }
    }

    fn item(&self, node: &Node, inner: &Node, index: &Node) -> Evaluated {
        let (value, key) = self.both(inner, index)?;
        let item = match (&value, &key) {
            (Value::Object(parts), Value::String(name)) => parts.get(name),
            (Value::Array(items), Value::Number(number)) => number.as_i64().and_then(|position| {
                let position = usize::try_from(position)
                    .ok()
                    .or_else(|| items.len().checked_sub(usize::try_from(-position).ok()?));
                position.and_then(|position| items.get(position))
            }),
            _ => return Err(self.incomparable("look up", inner, &value, index, &key)),
        };
        match item {
            None | Some(Value::Null) => Err(Stop::Missing(vec![self.source(node).to_owned()])),
            Some(item) => Ok(item.clone()),
        }
    }

    pub(super) fn finite(&self, node: &Node, number: f64) -> Evaluated {
        match Number::from_f64(number) {
            Some(number) => Ok(Value::Number(number)),
            None if self.exhaustive => Ok(Value::from(1)),
            None => Err(self.fault(
                ErrorKind::Domain,
                node,
                format!("{} has no finite result here", self.shown(node)),
            )),
        }
    }

    pub(super) fn fault(&self, kind: ErrorKind, node: &Node, message: String) -> Stop {
        Stop::Error(Box::new(Error::new(kind, self.text, node.start, message)))
    }

    fn source(&self, node: &Node) -> &'a str {
        self.text.get(node.start..node.end).unwrap_or(self.text)
    }

    /// An operand as messages show it, with its value; without a record, with its type.
    pub(super) fn operand(&self, node: &Node, value: &Value) -> String {
        match (&node.form, self.exhaustive) {
            (Form::Constant(_), _) => describe(value),
            (_, true) => format!("{} ({})", self.shown(node), describe_type(value)),
            (_, false) => format!("{} ({})", self.shown(node), describe(value)),
        }
    }

    pub(super) fn shown(&self, node: &Node) -> String {
        format!("`{}`", self.source(node))
    }
}
