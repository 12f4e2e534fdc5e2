//! From text to a tree of our own, by way of `minijinja`'s parser.

use std::cell::Cell;

use minijinja::machinery::{ast, parse_expr};
use serde_json::Value;

use super::{
    Error, ErrorKind,
    functions::Function,
    syntax::{Arithmetic, Comparison, Form, Node},
};
use crate::config::suggest;

/// Longest text of an expression: a long chain of operators is a deep tree, whose walk must fit
/// into the stack.
const MAX_LENGTH: usize = 4096;

/// Deepest tree of an expression.
const MAX_DEPTH: usize = 100;

/// Most brackets within each other, and most `not` and `-` in one text: the parser recurses over
/// these with large frames.
const MAX_BRACKETS: usize = 40;
const MAX_PREFIXES: usize = 200;

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Node, Error> {
    if text.trim().is_empty() {
        return Err(Error::new(
            ErrorKind::Syntax,
            text,
            0,
            "the expression is empty".to_owned(),
        ));
    }
    if text.len() > MAX_LENGTH {
        let message = format!("the expression is longer than {MAX_LENGTH} bytes");
        return Err(Error::new(ErrorKind::Syntax, text, 0, message));
    }
    check_nesting(text)?;
    if text.matches("not").count() + text.matches('-').count() > MAX_PREFIXES {
        return Err(too_deep(text, 0));
    }
    let tree = parse_expr(text).map_err(|error| parser_error(text, &error))?;
    let depth = Cell::new(0);
    Reader { text, depth }.node(&tree)
}

/// Refuses brackets that are nested so deeply that parsing would exhaust the stack.
pub(super) fn check_nesting(text: &str) -> Result<(), Error> {
    let mut depth = 0_usize;
    for (offset, character) in text.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Err(too_deep(text, offset));
        }
    }
    Ok(())
}

fn too_deep(text: &str, offset: usize) -> Error {
    let message = "this is nested too deeply".to_owned();
    Error::new(ErrorKind::Syntax, text, offset, message)
}

/// A parser's error as ours.
pub(super) fn parser_error(text: &str, error: &minijinja::Error) -> Error {
    let offset = error.range().map_or(0, |range| range.start);
    let message = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    let parsed = Error::new(ErrorKind::Syntax, text, offset, message);
    if text
        .get(offset..)
        .is_some_and(|rest| rest.starts_with('=') && !rest.starts_with("=="))
    {
        return parsed.with_hint("write `==` to compare");
    }
    parsed
}

struct Reader<'t> {
    text: &'t str,
    depth: Cell<usize>,
}

impl Reader<'_> {
    fn node(&self, expr: &ast::Expr<'_>) -> Result<Node, Error> {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > MAX_DEPTH {
            let start = expr.span().start_offset as usize;
            return Err(too_deep(self.text, start));
        }
        let node = self.form(expr);
        self.depth.set(self.depth.get() - 1);
        node
    }

    fn form(&self, expr: &ast::Expr<'_>) -> Result<Node, Error> {
        let span = expr.span();
        let (mut start, mut end) = (span.start_offset as usize, span.end_offset as usize);
        let form = match expr {
            ast::Expr::Var(var) => Form::Name(var.id.to_owned()),
            ast::Expr::Const(constant) => Form::Constant(self.constant(&constant.value, start)?),
            ast::Expr::List(list) => Form::List(self.nodes(&list.items)?),
            ast::Expr::Tuple(tuple) => Form::List(self.nodes(&tuple.items)?),
            ast::Expr::UnaryOp(unary) => match unary.op {
                ast::UnaryOpKind::Not => Form::Not(self.boxed(&unary.expr)?),
                ast::UnaryOpKind::Neg => Form::Negative(self.boxed(&unary.expr)?),
            },
            ast::Expr::BinOp(binary) => {
                let (left, right) = (self.node(&binary.left)?, self.node(&binary.right)?);
                (start, end) = (left.start, right.end);
                self.binary(binary.op, left, right)?
            }
            ast::Expr::Compare(compare) => {
                let first = self.node(&compare.expr)?;
                start = first.start;
                let mut rest = Vec::with_capacity(compare.ops.len());
                for step in &compare.ops {
                    rest.push((comparison(step.op), self.operand(&step.expr)?));
                }
                end = rest.last().map_or(end, |(_, operand)| operand.end);
                self.refuse_none(&first)?;
                Form::Compare(Box::new(first), rest)
            }
            ast::Expr::IfExpr(choice) => {
                let Some(otherwise) = &choice.false_expr else {
                    let message = "`if` without `else`; write `X if C else Y`";
                    return Err(self.error(start, message));
                };
                let then = self.boxed(&choice.true_expr)?;
                let otherwise = self.boxed(otherwise)?;
                (start, end) = (then.start, otherwise.end);
                Form::Choice(self.boxed(&choice.test_expr)?, then, otherwise)
            }
            ast::Expr::Filter(filter) => {
                let Some(subject) = &filter.expr else {
                    return Err(self.error(start, "a filter needs something to its left"));
                };
                let subject = self.node(subject)?;
                start = subject.start;
                let mut arguments = vec![subject];
                arguments.extend(self.arguments(&filter.args)?);
                self.call(filter.name, arguments, start)?
            }
            ast::Expr::Call(call) => {
                let ast::Expr::Var(function) = &call.expr else {
                    return Err(self.error(start, "only functions can be called"));
                };
                start = function.span().start_offset as usize;
                self.call(function.id, self.arguments(&call.args)?, start)?
            }
            ast::Expr::Test(test) => {
                let subject = self.node(&test.expr)?;
                start = subject.start;
                self.test(test, subject)?
            }
            ast::Expr::GetAttr(attribute) => {
                let inner = self.boxed(&attribute.expr)?;
                start = inner.start;
                Form::Attribute(inner, attribute.name.to_owned())
            }
            ast::Expr::GetItem(item) => {
                let inner = self.boxed(&item.expr)?;
                start = inner.start;
                Form::Item(inner, self.boxed(&item.subscript_expr)?)
            }
            ast::Expr::Slice(_) => {
                return Err(self.error(start, "slices are not part of expressions"));
            }
            ast::Expr::Map(_) => {
                return Err(self.error(start, "tables are not part of expressions"));
            }
        };
        Ok(Node { form, start, end })
    }

    fn nodes(&self, exprs: &[ast::Expr<'_>]) -> Result<Vec<Node>, Error> {
        exprs.iter().map(|expr| self.node(expr)).collect()
    }

    fn boxed(&self, expr: &ast::Expr<'_>) -> Result<Box<Node>, Error> {
        self.node(expr).map(Box::new)
    }

    fn binary(&self, op: ast::BinOpKind, left: Node, right: Node) -> Result<Form, Error> {
        let comparison = match op {
            ast::BinOpKind::ScAnd => return Ok(Form::And(Box::new(left), Box::new(right))),
            ast::BinOpKind::ScOr => return Ok(Form::Or(Box::new(left), Box::new(right))),
            ast::BinOpKind::Eq => Comparison::Equal,
            ast::BinOpKind::Ne => Comparison::Unequal,
            ast::BinOpKind::Lt => Comparison::Less,
            ast::BinOpKind::Lte => Comparison::LessOrEqual,
            ast::BinOpKind::Gt => Comparison::Greater,
            ast::BinOpKind::Gte => Comparison::GreaterOrEqual,
            ast::BinOpKind::In => Comparison::In,
            ast::BinOpKind::Add => return Ok(arithmetic(Arithmetic::Add, left, right)),
            ast::BinOpKind::Sub => return Ok(arithmetic(Arithmetic::Subtract, left, right)),
            ast::BinOpKind::Mul => return Ok(arithmetic(Arithmetic::Multiply, left, right)),
            ast::BinOpKind::Div => return Ok(arithmetic(Arithmetic::Divide, left, right)),
            ast::BinOpKind::FloorDiv => {
                return Ok(arithmetic(Arithmetic::FloorDivide, left, right));
            }
            ast::BinOpKind::Rem => return Ok(arithmetic(Arithmetic::Remainder, left, right)),
            ast::BinOpKind::Pow => return Ok(arithmetic(Arithmetic::Power, left, right)),
            ast::BinOpKind::Concat => return Ok(arithmetic(Arithmetic::Concatenate, left, right)),
        };
        self.refuse_none(&left)?;
        self.refuse_none(&right)?;
        Ok(Form::Compare(Box::new(left), vec![(comparison, right)]))
    }

    fn operand(&self, expr: &ast::Expr<'_>) -> Result<Node, Error> {
        let node = self.node(expr)?;
        self.refuse_none(&node)?;
        Ok(node)
    }

    fn refuse_none(&self, node: &Node) -> Result<(), Error> {
        if matches!(node.form, Form::Constant(Value::Null)) {
            return Err(self
                .error(node.start, "nothing can be compared with `none`")
                .with_hint("write `x is none` or `x is not none`"));
        }
        Ok(())
    }

    fn arguments(&self, arguments: &[ast::CallArg<'_>]) -> Result<Vec<Node>, Error> {
        arguments
            .iter()
            .map(|argument| match argument {
                ast::CallArg::Pos(expr) => self.node(expr),
                ast::CallArg::Kwarg(_, expr)
                | ast::CallArg::PosSplat(expr)
                | ast::CallArg::KwargSplat(expr) => Err(self.error(
                    expr.span().start_offset as usize,
                    "arguments are given by position",
                )),
            })
            .collect()
    }

    fn call(&self, name: &str, arguments: Vec<Node>, start: usize) -> Result<Form, Error> {
        if matches!(name, "default" | "d") {
            return match <[Node; 2]>::try_from(arguments) {
                Ok([value, fallback]) => Ok(Form::Default(Box::new(value), Box::new(fallback))),
                Err(_) => Err(self
                    .error(start, "`default` needs one value to fall back to")
                    .with_hint("write `x|default(0)`")),
            };
        }
        let Some(function) = Function::from_name(name) else {
            let known = Function::NAMES.into_iter().chain(["default"]);
            let mut error = self.error(start, &format!("unknown function `{name}`"));
            error.kind = ErrorKind::Unknown;
            return Err(error.with_hint(suggest::hint(name, known)));
        };
        let (least, most) = function.arity();
        if (least..=most).contains(&arguments.len()) {
            return Ok(Form::Call(function, arguments));
        }
        let wanted = match (least, most) {
            (1, 1) => "one argument".to_owned(),
            (1, usize::MAX) => "at least one argument".to_owned(),
            _ => format!("{least} to {most} arguments"),
        };
        let given = arguments.len();
        Err(self.error(start, &format!("`{name}` takes {wanted}, not {given}")))
    }

    fn test(&self, test: &ast::Test<'_>, subject: Node) -> Result<Form, Error> {
        let (start, end) = (subject.start, subject.end);
        let present = Form::Present(Box::new(subject));
        if !test.args.is_empty() {
            return Err(self.error(start, &format!("the test `{}` takes no value", test.name)));
        }
        match test.name {
            "defined" => Ok(present),
            "none" | "undefined" => Ok(Form::Not(Box::new(Node {
                form: present,
                start,
                end,
            }))),
            name => {
                let mut error = self.error(start, &format!("unknown test `is {name}`"));
                error.kind = ErrorKind::Unknown;
                Err(error.with_hint(suggest::hint(name, ["none", "defined", "undefined"])))
            }
        }
    }

    fn constant(&self, value: &minijinja::Value, start: usize) -> Result<Value, Error> {
        match serde_json::to_value(value) {
            Ok(Value::Number(number)) if number.as_i64().is_none() && !number.is_f64() => {
                Ok(Value::from(number.as_f64().unwrap_or(f64::MAX)))
            }
            Ok(value) => Ok(value),
            Err(_) => Err(self.error(start, &format!("`{value}` is not a value"))),
        }
    }

    fn error(&self, offset: usize, message: &str) -> Error {
        Error::new(ErrorKind::Syntax, self.text, offset, message.to_owned())
    }
}

fn arithmetic(op: Arithmetic, left: Node, right: Node) -> Form {
    Form::Arithmetic(op, Box::new(left), Box::new(right))
}

const fn comparison(op: ast::CompareOpKind) -> Comparison {
    match op {
        ast::CompareOpKind::Eq => Comparison::Equal,
        ast::CompareOpKind::Ne => Comparison::Unequal,
        ast::CompareOpKind::Lt => Comparison::Less,
        ast::CompareOpKind::Lte => Comparison::LessOrEqual,
        ast::CompareOpKind::Gt => Comparison::Greater,
        ast::CompareOpKind::Gte => Comparison::GreaterOrEqual,
        ast::CompareOpKind::In => Comparison::In,
        ast::CompareOpKind::NotIn => Comparison::NotIn,
    }
}
