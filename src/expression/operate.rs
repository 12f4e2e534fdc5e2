//! What operators do with two values: arithmetic and comparison, with the types they take.

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    ErrorKind,
    evaluate::{Evaluated, Evaluator, Stop},
    syntax::{Arithmetic, Comparison, Node},
};

impl Evaluator<'_> {
    pub(super) fn arithmetic(
        &self,
        node: &Node,
        op: Arithmetic,
        left: &Node,
        right: &Node,
    ) -> Evaluated {
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

    pub(super) fn compare(&self, first: &Node, rest: &[(Comparison, Node)]) -> Evaluated {
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

    pub(super) fn incomparable(
        &self,
        verb: &str,
        left: &Node,
        a: &Value,
        right: &Node,
        b: &Value,
    ) -> Stop {
        let join = if verb == "look for" { "in" } else { "with" };
        let (a, b) = (self.operand(left, a), self.operand(right, b));
        let message = format!("cannot {verb} {a} {join} {b}");
        self.fault(ErrorKind::Type, left, message)
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
