//! Templates: texts with `{{ … }}` in a pipeline's settings.

use std::{ops::Range, sync::LazyLock};

use minijinja::{
    Environment, UndefinedBehavior,
    machinery::{ast, parse},
    syntax::SyntaxConfig,
    value::Serde,
};
use serde_json::{Map, Value};

use super::{Error, ErrorKind, parse as expressions};
use crate::config::suggest;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
});

/// Renders a text. A lone `{{ … }}` gives a value of its own type, anything else a text.
///
/// # Errors
///
/// Bad syntax, or a name that `context` does not have, with the nearest one and all that there
/// are.
pub fn render(text: &str, context: &Value) -> Result<Value, Error> {
    if !text.contains(['{', '}']) {
        return Ok(Value::from(text));
    }
    expressions::check_nesting(text)?;
    let template = ENVIRONMENT
        .template_from_str(text)
        .map_err(|error| expressions::parser_error(text, &error))?;
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort_by_key(|name| (text.find(name.as_str()), name.len()));
    for name in &names {
        check_name(text, name, context)?;
    }
    let failed = |start: usize, error: &minijinja::Error| {
        let offset = start + error.range().map_or(0, |range| range.start);
        let message = error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned);
        Error::new(ErrorKind::Type, text, offset, message)
    };
    let values = minijinja::Value::from(Serde(context));
    if let Some(start) = lone_expression(text) {
        let expression = &text[start.clone()];
        let value = ENVIRONMENT
            .compile_expression(expression)
            .and_then(|expression| expression.eval(values))
            .map_err(|error| failed(start.start, &error))?;
        if value.is_undefined() {
            let message = format!("`{}` has no value", expression.trim());
            return Err(Error::new(ErrorKind::Unknown, text, 0, message));
        }
        return serde_json::to_value(&value).map_err(|_| {
            let message = format!(
                "`{}` is not a value that a setting can have",
                expression.trim()
            );
            Error::new(ErrorKind::Type, text, 0, message)
        });
    }
    template
        .render(values)
        .map(Value::from)
        .map_err(|error| failed(0, &error))
}

/// Whether a template uses a name, or a dotted part of one.
pub fn uses(text: &str, name: &str) -> bool {
    if !text.contains('{') {
        return false;
    }
    let Ok(template) = ENVIRONMENT.template_from_str(text) else {
        return false;
    };
    let used = template.undeclared_variables(true);
    used.iter().any(|used| {
        used.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Renders every text in a tree of settings; keys stay as they are.
///
/// # Errors
///
/// The first text that cannot be rendered, after its dotted path in the tree.
pub fn render_tree(tree: &Value, context: &Value) -> Result<Value, (String, Error)> {
    let below = |key: String| {
        move |(path, error): (String, Error)| {
            let dot = if path.is_empty() { "" } else { "." };
            (format!("{key}{dot}{path}"), error)
        }
    };
    match tree {
        Value::String(text) => render(text, context).map_err(|error| (String::new(), error)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| render_tree(item, context).map_err(below(i.to_string())))
            .collect::<Result<Vec<Value>, _>>()
            .map(Value::Array),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| {
                let value = render_tree(value, context).map_err(below(key.clone()))?;
                Ok((key.clone(), value))
            })
            .collect::<Result<Map<String, Value>, _>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}

/// The place of the text within the braces, where the whole template is one `{{ … }}`.
fn lone_expression(text: &str) -> Option<Range<usize>> {
    let ast::Stmt::Template(tree) = parse(text, "<template>", SyntaxConfig::default()).ok()? else {
        return None;
    };
    let [ast::Stmt::EmitExpr(_)] = tree.children.as_slice() else {
        return None;
    };
    let inner = text.strip_prefix("{{")?.trim_end().strip_suffix("}}")?;
    let start = 2 + usize::from(inner.starts_with(['-', '+']));
    let end = 2 + inner.len() - usize::from(inner.ends_with(['-', '+']));
    (start <= end).then_some(start..end)
}

/// Checks that a dotted name is in the context.
fn check_name(text: &str, name: &str, context: &Value) -> Result<(), Error> {
    let mut scope = context;
    let mut path = String::new();
    for part in name.split('.') {
        let Value::Object(entries) = scope else {
            return Ok(()); // An attribute of a text or a list is Jinja's to judge.
        };
        let Some(value) = entries.get(part) else {
            if path.is_empty() && ENVIRONMENT.globals().any(|(global, _)| global == part) {
                return Ok(());
            }
            let allowed: Vec<String> = entries.keys().map(|key| format!("{path}{key}")).collect();
            let unknown = format!("{path}{part}");
            let hint = suggest::hint(&unknown, allowed.iter().map(String::as_str));
            let offset = text.find(name).unwrap_or(0);
            let message = format!("unknown name `{unknown}`");
            return Err(Error::new(ErrorKind::Unknown, text, offset, message).with_hint(hint));
        };
        scope = value;
        path = format!("{path}{part}.");
    }
    Ok(())
}
