//! `filter`: keeps the records for which an expression holds.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    evaluation::value_or_reason,
    report::checkpoint,
    selection::{self, Selection, record_names},
    settings,
};
use crate::{
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    expression::Expression,
};

/// `filter`: keeps the records for which an expression holds and counts the others by reason.
#[derive(Clone, Debug)]
pub struct Filter(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The expression over the record's names.
    keep: Value,
}

impl Settings {
    fn expression(&self) -> Result<Expression, SettingsError> {
        let text = match &self.keep {
            Value::String(text) => text.clone(),
            // `--param keep=true` arrives as a truth value.
            other => other.to_string(),
        };
        Expression::compile(&text).map_err(|error| settings::wrong("keep", error.to_string(), None))
    }
}

impl Operator for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings)?
            .expression()
            .map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.filter(context))
    }
}

impl Filter {
    async fn filter(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let keep = settings::parse::<Settings>(&context.settings)
            .and_then(|settings| settings.expression())
            .map_err(TaskError::fail)?;
        let selection = Selection::read(&self.0.store, &context).await?;
        let mut outcome = TaskOutcome {
            rows_in: selection.records.len() as u64,
            ..TaskOutcome::default()
        };
        let mut ids = Vec::new();
        for record in selection.records {
            checkpoint(&context)?;
            let kept = keep.test(&record_names(&record));
            let reason = match value_or_reason("keep", kept)? {
                Ok(true) => {
                    ids.push(record.id);
                    continue;
                }
                Ok(false) => "not_kept".to_owned(),
                Err(reason) => reason,
            };
            *outcome.dropped.entry(reason).or_default() += 1;
        }
        outcome.rows_out = ids.len() as u64;
        let selection = selection::write(&context.run_dir, &context.task_id, ids)?;
        outcome.output = json!({ "selection": selection });
        Ok(outcome)
    }
}
