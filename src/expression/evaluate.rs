//! The value of an expression for one record.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::{
    Error, ErrorKind,
    fields::{describe, describe_type},
    functions::{Function, Refusal},
    syntax::{Arithmetic, Comparison, Form, Node},
};

/// Why an evaluation ends without a value.
#[derive(Debug)]
pub(super) enum Stop {
    /// These fields are needed and lacking.
    Missing(Vec<String>),
    /// Something is wrong.
    Error(Box<Error>),
}

type Evaluated = Result<Value, Stop>;

/// Walks an expression's tree over one record.
pub(super) struct Evaluator<'a> {
    text: &'a str,
    record: &'a Map<String, Value>,
    /// Walk every branch, decided or not, and take 1 for a result that is no number: what is
    /// left are faults of type, which is what a check without a record looks for.
    exhaustive: bool,
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
    fn both(&self, left: &Node, right: &Node) -> Result<(Value, Value), Stop> {
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

    fn also_missing(&self, mut names: Vec<String>, other: &Node) -> Stop {
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
        match (&value, value.as_f64()) {
            (Value::Number(_), Some(number)) => self.finite(node, -number),
            _ => {
                let message = format!("cannot apply `-` to {}", self.operand(inner, &value));
                Err(self.fault(ErrorKind::Type, inner, message))
            }
        }
    }

    fn arithmetic(&self, node: &Node, op: Arithmetic, left: &Node, right: &Node) -> Evaluated {
        let (a, b) = self.both(left, right)?;
        if op == Arithmetic::Concatenate {
            return self.concatenate(left, &a, right, &b);
        }
        let (Value::Number(x), Value::Number(y)) = (&a, &b) else {
            let message = format!(
                "cannot apply `{}` to {} and {}",
                op.symbol(),
                self.operand(left, &a),
                self.operand(right, &b)
            );
            return Err(self.fault(ErrorKind::Type, node, message));
        };
        if let (Some(x), Some(y)) = (x.as_i64(), y.as_i64())
            && let Some(whole) = whole(op, x, y)
        {
            return Ok(Value::from(whole));
        }
        let (x, y) = (
            x.as_f64().unwrap_or(f64::NAN),
            y.as_f64().unwrap_or(f64::NAN),
        );
        let result = match op {
            Arithmetic::Add | Arithmetic::Concatenate => x + y,
            Arithmetic::Subtract => x - y,
            Arithmetic::Multiply => x * y,
            Arithmetic::Power => x.powf(y),
            Arithmetic::Divide | Arithmetic::FloorDivide | Arithmetic::Remainder if y == 0.0 => {
                if self.exhaustive {
                    return Ok(Value::from(1));
                }
                let message = format!("division by zero: {} is 0", self.shown(right));
                return Err(self.fault(ErrorKind::Domain, node, message));
            }
            Arithmetic::Divide => x / y,
            Arithmetic::FloorDivide => (x / y).floor(),
            Arithmetic::Remainder => x - y * (x / y).floor(),
        };
        self.finite(node, result)
    }

    fn concatenate(&self, left: &Node, a: &Value, right: &Node, b: &Value) -> Evaluated {
        let text = |node: &Node, value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            other => {
                let message = format!("cannot apply `~` to {}", self.operand(node, other));
                Err(self.fault(ErrorKind::Type, node, message))
            }
        };
        Ok(Value::String(text(left, a)? + &text(right, b)?))
    }

    fn compare(&self, first: &Node, rest: &[(Comparison, Node)]) -> Evaluated {
        let mut left_node = first;
        let mut left = self.evaluate(first);
        let mut holds = true;
        for (op, right_node) in rest {
            let right = match left {
                Ok(_) => self.evaluate(right_node),
                Err(Stop::Missing(names)) => return Err(self.also_missing(names, right_node)),
                Err(stop) => return Err(stop),
            };
            let (a, b) = (left?, right?);
            holds &= self.compares(*op, (left_node, &a), (right_node, &b))?;
            if !holds && !self.exhaustive {
                break;
            }
            (left_node, left) = (right_node, Ok(b));
        }
        Ok(Value::Bool(holds))
    }

    fn compares(
        &self,
        op: Comparison,
        (left, a): (&Node, &Value),
        (right, b): (&Node, &Value),
    ) -> Result<bool, Stop> {
        if matches!(op, Comparison::In | Comparison::NotIn) {
            let found = match (a, b) {
                (Value::String(part), Value::String(text)) => text.contains(part.as_str()),
                (_, Value::Array(items)) => {
                    let mut found = false;
                    for item in items {
                        found |= self.order(left, a, right, item)? == Ordering::Equal;
                    }
                    found
                }
                _ => return Err(self.incomparable("look for", left, a, right, b)),
            };
            return Ok(found == (op == Comparison::In));
        }
        if matches!(op, Comparison::Equal | Comparison::Unequal)
            && let (Value::Array(_), Value::Array(_)) = (a, b)
        {
            return Ok((a == b) == (op == Comparison::Equal));
        }
        let order = self.order(left, a, right, b)?;
        let is_order = !matches!(op, Comparison::Equal | Comparison::Unequal);
        if is_order && a.is_boolean() {
            return Err(self.incomparable("order", left, a, right, b));
        }
        Ok(match op {
            Comparison::Equal | Comparison::In => order == Ordering::Equal,
            Comparison::Unequal | Comparison::NotIn => order != Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterOrEqual => order != Ordering::Less,
        })
    }

    /// How two values of one type stand to each other.
    fn order(&self, left: &Node, a: &Value, right: &Node, b: &Value) -> Result<Ordering, Stop> {
        match (a, b) {
            (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
            (Value::Number(x), Value::Number(y)) => Ok(match (x.as_i64(), y.as_i64()) {
                (Some(x), Some(y)) => x.cmp(&y),
                _ => x
                    .as_f64()
                    .partial_cmp(&y.as_f64())
                    .unwrap_or(Ordering::Equal),
            }),
            _ => Err(self.incomparable("compare", left, a, right, b)),
        }
    }

    fn incomparable(&self, verb: &str, left: &Node, a: &Value, right: &Node, b: &Value) -> Stop {
        let join = if verb == "look for" { "in" } else { "with" };
        let (a, b) = (self.operand(left, a), self.operand(right, b));
        let message = format!("cannot {verb} {a} {join} {b}");
        self.fault(ErrorKind::Type, left, message)
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

    fn finite(&self, node: &Node, number: f64) -> Evaluated {
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

    fn fault(&self, kind: ErrorKind, node: &Node, message: String) -> Stop {
        Stop::Error(Box::new(Error::new(kind, self.text, node.start, message)))
    }

    fn source(&self, node: &Node) -> &'a str {
        self.text.get(node.start..node.end).unwrap_or(self.text)
    }

    /// An operand as messages show it, with its value; without a record, with its type.
    fn operand(&self, node: &Node, value: &Value) -> String {
        match (&node.form, self.exhaustive) {
            (Form::Constant(_), _) => describe(value),
            (_, true) => format!("{} ({})", self.shown(node), describe_type(value)),
            (_, false) => format!("{} ({})", self.shown(node), describe(value)),
        }
    }

    fn shown(&self, node: &Node) -> String {
        format!("`{}`", self.source(node))
    }
}

/// An operation on integers, where its result is one.
fn whole(op: Arithmetic, x: i64, y: i64) -> Option<i64> {
    match op {
        Arithmetic::Add => x.checked_add(y),
        Arithmetic::Subtract => x.checked_sub(y),
        Arithmetic::Multiply => x.checked_mul(y),
        Arithmetic::Power => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
        Arithmetic::FloorDivide => floor_divide(x, y),
        Arithmetic::Remainder => {
            let quotient = floor_divide(x, y)?;
            x.checked_sub(quotient.checked_mul(y)?)
        }
        Arithmetic::Divide | Arithmetic::Concatenate => None,
    }
}

/// Division rounded towards minus infinity.
fn floor_divide(x: i64, y: i64) -> Option<i64> {
    let quotient = x.checked_div(y)?;
    let inexact = x.checked_rem(y)? != 0;
    Some(quotient - i64::from(inexact && (x < 0) != (y < 0)))
}
