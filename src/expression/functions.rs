//! The functions of expressions.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::{Membership, Relative, fields::describe};

/// A function that an expression may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Log1p,
    Expm1,
    Log,
    Exp,
    Sqrt,
    Abs,
    Min,
    Max,
    Round,
    Length,
    Lower,
    Upper,
    Base36,
    CommunityQuantile,
    TopDecile,
    Pairs,
    Class,
    Classes,
    Items,
}

/// Why a function gives nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// An argument has the wrong type: what is wanted, and which argument it is, from 0.
    Type(&'static str, usize),
    /// The arguments have no result.
    Domain(String),
}

impl Function {
    /// All names, in the order in which messages list them.
    pub(super) const NAMES: [&'static str; 19] = [
        "log1p",
        "expm1",
        "log",
        "exp",
        "sqrt",
        "abs",
        "min",
        "max",
        "round",
        "length",
        "lower",
        "upper",
        "base36",
        "community_quantile",
        "top_decile",
        "pairs",
        "class",
        "classes",
        "items",
    ];

    const ALL: [Self; 19] = [
        Self::Log1p,
        Self::Expm1,
        Self::Log,
        Self::Exp,
        Self::Sqrt,
        Self::Abs,
        Self::Min,
        Self::Max,
        Self::Round,
        Self::Length,
        Self::Lower,
        Self::Upper,
        Self::Base36,
        Self::CommunityQuantile,
        Self::TopDecile,
        Self::Pairs,
        Self::Class,
        Self::Classes,
        Self::Items,
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let position = Self::NAMES.iter().position(|&known| known == name)?;
        Some(Self::ALL[position])
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES[Self::ALL
            .iter()
            .position(|&known| known == self)
            .expect("every function is in the list")]
    }

    /// Where a row stands among others, for the functions that ask it.
    pub(super) const fn relative(self) -> Option<Relative> {
        match self {
            Self::CommunityQuantile => Some(Relative::CommunityQuantile),
            Self::TopDecile => Some(Relative::TopDecile),
            Self::Pairs => Some(Relative::Pairs),
            _ => None,
        }
    }

    /// How many classes a record belongs to, for the functions that give classes.
    pub(super) const fn membership(self) -> Option<Membership> {
        match self {
            Self::Class => Some(Membership::One),
            Self::Classes => Some(Membership::Any),
            _ => None,
        }
    }

    /// Whether it is the whole of a target, never a part of one.
    pub(super) const fn is_whole(self) -> bool {
        self.relative().is_some() || self.membership().is_some()
    }

    /// The least and the greatest number of arguments.
    pub(super) const fn arity(self) -> (usize, usize) {
        match self {
            Self::Min | Self::Max => (1, usize::MAX),
            Self::Round | Self::Log => (1, 2),
            _ => (1, 1),
        }
    }

    /// Calls it; the number of arguments has been checked.
    pub(super) fn call(self, arguments: &[Value]) -> Result<Value, Refusal> {
        let number = |position: usize| {
            arguments[position]
                .as_f64()
                .ok_or(Refusal::Type("a number", position))
        };
        let text = |position: usize| {
            arguments[position]
                .as_str()
                .ok_or(Refusal::Type("a text", position))
        };
        match self {
            Self::Log1p => self.finite(number(0)?.ln_1p()),
            Self::Expm1 => self.finite(number(0)?.exp_m1()),
            Self::Log if arguments.len() == 2 => self.finite(number(0)?.ln() / number(1)?.ln()),
            Self::Log => self.finite(number(0)?.ln()),
            Self::Exp => self.finite(number(0)?.exp()),
            Self::Sqrt => self.finite(number(0)?.sqrt()),
            Self::Abs => match arguments[0].as_i64().and_then(i64::checked_abs) {
                Some(whole) => Ok(Value::from(whole)),
                None => self.finite(number(0)?.abs()),
            },
            Self::Round => {
                let digits = if arguments.len() == 2 {
                    number(1)?
                } else {
                    0.0
                };
                let scale = 10_f64.powf(digits.trunc().clamp(-300.0, 300.0));
                let value = number(0)?;
                let rounded = (value * scale).round() / scale;
                self.finite(if rounded.is_finite() { rounded } else { value })
            }
            Self::Min | Self::Max => self.extreme(arguments),
            Self::Length => match &arguments[0] {
                Value::String(text) => Ok(Value::from(text.chars().count())),
                Value::Array(items) => Ok(Value::from(items.len())),
                _ => Err(Refusal::Type("a text or a list", 0)),
            },
            Self::Lower => Ok(Value::from(text(0)?.to_lowercase())),
            Self::Upper => Ok(Value::from(text(0)?.to_uppercase())),
            Self::Base36 => base36(text(0)?),
            // How that stands among other rows is found where all of them are known.
            Self::CommunityQuantile | Self::TopDecile | Self::Pairs => self.finite(number(0)?),
            Self::Class => match class(&arguments[0])? {
                Some(class) => Ok(Value::String(class)),
                None => Err(Refusal::Domain("an empty text names no class".to_owned())),
            },
            Self::Classes => classes(&arguments[0]),
            Self::Items => Ok(items(text(0)?)),
        }
    }

    fn extreme(self, arguments: &[Value]) -> Result<Value, Refusal> {
        let items = match arguments {
            [Value::Array(items)] => items.as_slice(),
            several => several,
        };
        let mut best: Option<(f64, &Value)> = None;
        for (position, item) in items.iter().enumerate() {
            let position = position.min(arguments.len() - 1);
            let number = item.as_f64().ok_or(Refusal::Type("numbers", position))?;
            let better = best.is_none_or(|(best, _)| match self {
                Self::Min => number < best,
                _ => number > best,
            });
            if better {
                best = Some((number, item));
            }
        }
        match best {
            Some((_, item)) => Ok(item.clone()),
            None => Err(Refusal::Domain(format!(
                "`{}` of an empty list",
                self.name()
            ))),
        }
    }

    fn finite(self, number: f64) -> Result<Value, Refusal> {
        match Number::from_f64(number) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(Refusal::Domain(format!(
                "`{}` has no finite result here",
                self.name()
            ))),
        }
    }
}

/// The class that a value names; of an empty text none.
fn class(value: &Value) -> Result<Option<String>, Refusal> {
    match value {
        Value::String(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        _ => Err(Refusal::Type("a text, a number or a boolean", 0)),
    }
}

/// The classes that a list or a single value names, each once, in the order of their names.
fn classes(value: &Value) -> Result<Value, Refusal> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let named: Result<BTreeSet<String>, Refusal> = items
        .iter()
        .filter_map(|item| class(item).transpose())
        .collect();
    Ok(named?.into_iter().map(Value::String).collect())
}

/// The items of a list that is written as a text, as programs do: `['a', "b"]`, `a, b`.
fn items(text: &str) -> Value {
    let text = text.trim();
    let inside = text
        .strip_prefix(['[', '(', '{'])
        .and_then(|text| text.strip_suffix([']', ')', '}']))
        .unwrap_or(text);
    let mut items = Vec::new();
    let mut rest = inside.trim_start();
    while let Some(first) = rest.chars().next() {
        // Within quotes a comma is a comma, and a backslash takes the next sign as it is.
        let quote = Some(first).filter(|first| matches!(first, '\'' | '"'));
        let mut item = String::new();
        let mut signs = rest.char_indices().skip(usize::from(quote.is_some()));
        let mut end = rest.len();
        while let Some((at, sign)) = signs.next() {
            match quote {
                None if sign == ',' => {
                    end = at;
                    break;
                }
                Some(_) if sign == '\\' => item.extend(signs.next().map(|(_, sign)| sign)),
                Some(quote) if sign == quote => {
                    end = at + sign.len_utf8();
                    break;
                }
                _ => item.push(sign),
            }
        }
        let item = if quote.is_some() {
            item.as_str()
        } else {
            item.trim()
        };
        if !item.is_empty() {
            items.push(Value::from(item));
        }
        rest = rest[end..].trim_start_matches(|sign: char| sign == ',' || sign.is_whitespace());
    }
    Value::Array(items)
}

/// The number that a text of the digits 0–9 and letters a–z stands for, exact below 2^53.
fn base36(text: &str) -> Result<Value, Refusal> {
    if let Ok(number) = i64::from_str_radix(text, 36)
        && number >= 0
        && !text.starts_with('+')
    {
        return Ok(Value::from(number));
    }
    let digits: Option<f64> = text
        .chars()
        .map(|digit| digit.to_digit(36).map(f64::from))
        .try_fold(0.0, |sum, digit| digit.map(|digit| sum * 36.0 + digit));
    match digits.and_then(Number::from_f64) {
        Some(number) if !text.is_empty() => Ok(Value::Number(number)),
        _ => Err(Refusal::Domain(format!(
            "{} is not a number in base 36 (digits 0–9 and letters a–z)",
            describe(&Value::from(text))
        ))),
    }
}
