//! What the expressions of tasks say: `when`, which skips and branches, and `map`, which makes one
//! task several.
//!
//! Both see `tasks.<id>` of every task upstream (`state`, `rows_in`, `rows_out`, `rows_computed`,
//! `rows_reused`, `output`), `params` and `run` (`scheduled_for`, `interval_start`,
//! `interval_end`, `as_of`, `date`).

use serde_json::{Map, Value, json};

use super::{Catalogue, live::Live};
use crate::{
    dag::{Decision, MAX_SHARDS, Mapping, NewShard, Node},
    expression::{Expression, Outcome, render_tree},
};

impl Live {
    /// Evaluates the expressions of a task whose trigger rule holds.
    pub(super) fn decide(&self, catalogue: &Catalogue, task: usize) -> Decision {
        let graph = self.graph();
        let node = &graph.nodes()[task];
        let decided = self.names(task).and_then(|names| {
            if let Some(when) = &node.when
                && !holds(when, &names)?
            {
                let reason = format!("when: {when}");
                return Ok(Decision::Skip { reason });
            }
            match &node.map {
                None => Ok(Decision::Start),
                Some(map) => shards(node, map, &names, catalogue),
            }
        });
        decided.unwrap_or_else(|cause| Decision::Fail { cause })
    }

    /// What expressions see.
    fn names(&self, task: usize) -> Result<Map<String, Value>, String> {
        let graph = self.graph();
        let mut tasks = Map::new();
        for above in graph.ancestors(task) {
            let node = &graph.nodes()[above];
            if node.shard.is_some() {
                continue;
            }
            let rows = self.rows.get(&above).copied().unwrap_or_default();
            let state = self.run.tasks()[above].state.name();
            let output = self.outputs.get(&above);
            let known = json!({
                "state": state,
                "rows_in": rows.rows_in,
                "rows_out": rows.rows_out,
                "rows_computed": rows.rows_computed,
                "rows_reused": rows.rows_reused,
                "output": output,
            });
            tasks.insert(node.id.clone(), known);
        }
        let about = &self.about;
        let names = json!({
            "tasks": tasks,
            "params": about.params,
            "run": {
                "scheduled_for": about.scheduled_for,
                "interval_start": about.interval.start,
                "interval_end": about.interval.end,
                "as_of": about.as_of,
                "date": about.interval.start.date().to_string(),
            },
        });
        match names {
            Value::Object(names) => Ok(names),
            _ => Err("expressions see nothing".to_owned()),
        }
    }
}

fn holds(when: &str, names: &Map<String, Value>) -> Result<bool, String> {
    let expression = Expression::compile(when).map_err(|error| format!("`when`: {error}"))?;
    match expression.test(names) {
        Ok(Ok(holds)) => Ok(holds),
        Ok(Err(missing)) => Err(lacking("when", when, &missing)),
        Err(error) => Err(format!("`when = \"{when}\"`: {error}")),
    }
}

fn shards(
    node: &Node,
    map: &Mapping,
    names: &Map<String, Value>,
    catalogue: &Catalogue,
) -> Result<Decision, String> {
    let text = &map.expression;
    let expression = Expression::compile(text).map_err(|error| format!("`map`: {error}"))?;
    let value = match expression.evaluate(names) {
        Ok(Outcome::Value(value)) => value,
        Ok(Outcome::Missing(missing)) => return Err(lacking("map", text, &missing)),
        Err(error) => return Err(format!("`map = \"{text}\"`: {error}")),
    };
    let count = value
        .as_u64()
        .map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let items: Vec<Value> = match (value, count) {
        (Value::Array(items), _) => items,
        (_, Some(count)) => (0..count.min(MAX_SHARDS + 1)).map(Value::from).collect(),
        (other, None) => {
            return Err(format!(
                "`map = \"{text}\"` gives {other}, which is neither a list nor a count"
            ));
        }
    };
    if items.is_empty() {
        let reason = format!("map: {text} gives nothing");
        return Ok(Decision::Skip { reason });
    }
    if items.len() > MAX_SHARDS {
        let limit = format!("a task has at most {MAX_SHARDS} shards");
        return Err(format!("`map = \"{text}\"` gives more than that: {limit}"));
    }
    let count = items.len();
    let shards = items.into_iter().enumerate().map(|(index, item)| {
        let settings = settings_of(node, map, index, count, &item)?;
        if let Some(operator) = catalogue.get(&node.op) {
            operator
                .check(&settings)
                .map_err(|error| format!("shard {index} cannot run: {error}"))?;
        }
        Ok(NewShard { item, settings })
    });
    let shards = shards.collect::<Result<Vec<NewShard>, String>>()?;
    Ok(Decision::Expand { shards })
}

/// The settings of a shard: those of its task, with the templates that name the shard rendered.
fn settings_of(
    node: &Node,
    map: &Mapping,
    index: usize,
    count: usize,
    item: &Value,
) -> Result<Map<String, Value>, String> {
    let mut settings = node.settings.clone();
    let mut scope = map.scope.clone();
    if let Value::Object(scope) = &mut scope {
        let shard = json!({"index": index, "count": count, "item": item});
        scope.insert("shard".to_owned(), shard);
    }
    for (key, template) in &map.templates {
        let value = render_tree(template, &scope)
            .map_err(|(_, error)| format!("setting `{key}` of shard {index}: {error}"))?;
        settings.insert(key.clone(), value);
    }
    Ok(settings)
}

fn lacking(key: &str, text: &str, missing: &[String]) -> String {
    let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "`{key} = \"{text}\"` needs {}, which has no value",
        names.join(", ")
    )
}
