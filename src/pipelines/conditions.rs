//! What can be known to be wrong with `when` and `map` before they are evaluated.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{
    Reference, Task,
    check::{Checker, Site, ancestors},
    compile::Report,
};
use crate::expression::{Error, Expression};

impl Checker<'_> {
    /// Checks the expressions that decide whether and how often a task runs.
    pub(super) fn conditions(&self, tasks: &HashMap<&str, &Task>, report: &mut Report<'_>) {
        let clauses = [("when", &self.task.when), ("map", &self.task.map)];
        for (key, clause) in clauses {
            let Some(clause) = clause else { continue };
            let sample = self.sample(tasks);
            let checked = Expression::compile(&clause.name).and_then(|expression| {
                let value = expression.check_in(&sample)?;
                Ok(value.and_then(|value| refusal(key, &value)))
            });
            match checked {
                Ok(None) => {}
                Ok(Some(message)) => report(Site::File(clause.span.start), message, None),
                Err(error) => self.wrong_condition(clause, error, tasks, report),
            }
        }
    }

    fn wrong_condition(
        &self,
        clause: &Reference,
        error: Error,
        tasks: &HashMap<&str, &Task>,
        report: &mut Report<'_>,
    ) {
        let text = &self.definition.document.text;
        let inside = text
            .get(clause.span.clone())
            .and_then(|written| written.find(clause.name.as_str()));
        let offset = clause.span.start + inside.map_or(0, |start| start + error.position.offset);
        let id = self.task.id.name.as_str();
        let named = error
            .message
            .strip_prefix("unknown name `tasks.")
            .and_then(|rest| rest.strip_suffix('`'));
        match named {
            Some(name) if tasks.contains_key(name) => {
                let message = format!("`{name}` is not upstream of `{id}`");
                let hint = format!("add `{name}` to `after`");
                report(Site::File(offset), message, Some(hint));
            }
            _ => report(Site::File(offset), error.message, error.hint),
        }
    }

    /// What an expression may see, with values that stand for those of a run.
    fn sample(&self, tasks: &HashMap<&str, &Task>) -> Map<String, Value> {
        let above = ancestors(tasks, &self.task.id.name);
        let known: Map<String, Value> = above
            .into_iter()
            .map(|id| {
                let task = json!({
                    "state": "succeeded",
                    "rows_in": 1,
                    "rows_out": 1,
                    "rows_computed": 1,
                    "rows_reused": 1,
                    "output": null,
                });
                (id.to_owned(), task)
            })
            .collect();
        let mut run = self.scope.context["run"].clone();
        if let Value::Object(run) = &mut run {
            run.remove("given");
        }
        Map::from_iter([
            ("tasks".to_owned(), Value::Object(known)),
            ("params".to_owned(), self.scope.context["params"].clone()),
            ("run".to_owned(), run),
        ])
    }
}

/// What is wrong with the value of an expression, where its kind is known.
fn refusal(key: &str, value: &Value) -> Option<String> {
    match (key, value) {
        ("when", Value::Bool(_) | Value::Number(_)) | ("map", Value::Array(_)) => None,
        ("map", Value::Number(number)) if number.as_u64().is_some() => None,
        ("when", other) => Some(format!(
            "`when` gives {other}, which is neither true nor false"
        )),
        (_, other) => Some(format!(
            "`map` gives {other}, which is neither a list nor a count"
        )),
    }
}
