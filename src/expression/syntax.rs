//! The tree of an expression.

use serde_json::Value;

use super::functions::Function;

/// A part of an expression and the bytes of its text.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) form: Form,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Name(String),
    Constant(Value),
    List(Vec<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    /// `a < b <= c`: each operand is compared with the one before it.
    Compare(Box<Node>, Vec<(Comparison, Node)>),
    /// `X if C else Y`: condition, then, else.
    Choice(Box<Node>, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    Default(Box<Node>, Box<Node>),
    /// Whether the value is there.
    Present(Box<Node>),
    Attribute(Box<Node>, String),
    Item(Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
    Concatenate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

impl Arithmetic {
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::FloorDivide => "//",
            Self::Remainder => "%",
            Self::Power => "**",
            Self::Concatenate => "~",
        }
    }
}

impl Node {
    /// Calls `see` for this node and every one below it, in the order of the text.
    pub(super) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        match &self.form {
            Form::Name(_) | Form::Constant(_) => {}
            Form::Not(a) | Form::Negative(a) | Form::Present(a) | Form::Attribute(a, _) => {
                a.visit(see);
            }
            Form::And(a, b)
            | Form::Or(a, b)
            | Form::Arithmetic(_, a, b)
            | Form::Default(a, b)
            | Form::Item(a, b) => {
                a.visit(see);
                b.visit(see);
            }
            Form::Choice(condition, then, otherwise) => {
                then.visit(see);
                condition.visit(see);
                otherwise.visit(see);
            }
            Form::Compare(first, rest) => {
                first.visit(see);
                for (_, operand) in rest {
                    operand.visit(see);
                }
            }
            Form::List(items) | Form::Call(_, items) => {
                for item in items {
                    item.visit(see);
                }
            }
        }
    }
}
