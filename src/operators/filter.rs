//! `filter`: keeps the records for which an expression holds.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    evaluation::value_or_reason,
    report::{checkpoint, upstream, upstream_text},
    selection::{self, Selection, record_names},
    settings,
};
use crate::{
    corpus::Record,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    expression::Expression,
};

/// `filter`: keeps the records for which an expression holds and counts the others by reason.
///
/// It looks at the newest records first and goes no further back than its window needs, so that a
/// run costs what its window costs, however long the past is.
#[derive(Clone, Debug)]
pub struct Filter(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The expression over the record's names.
    keep: Value,
    /// How many records are kept at most, the newest of them; 0: all.
    #[serde(default)]
    window: usize,
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
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        let mut sieve = Sieve {
            keep: settings.expression().map_err(TaskError::fail)?,
            window: settings.window,
            ids: Vec::new(),
            outcome: TaskOutcome::default(),
        };
        let store = &self.0.store;
        if upstream(&context, "selection").is_some() {
            let earlier = Selection::read(store, &context).await?;
            for record in earlier.records.into_iter().rev() {
                checkpoint(&context)?;
                if !sieve.look_at(record)? {
                    break;
                }
            }
        } else {
            let dataset = upstream_text(&context, "dataset", "scrape")?;
            let look = |record| {
                checkpoint(&context)?;
                sieve.look_at(record)
            };
            store.visit_newest(&dataset, context.as_of, look).await?;
        }
        let Sieve {
            mut ids,
            mut outcome,
            ..
        } = sieve;
        ids.reverse();
        outcome.rows_out = ids.len() as u64;
        let selection = selection::write(&context.run_dir, &context.task_id, ids)?;
        outcome.output = json!({ "selection": selection });
        outcome.files.push(selection);
        Ok(outcome)
    }
}

/// What is kept and dropped so far.
struct Sieve {
    keep: Expression,
    window: usize,
    /// The kept ids, the newest first.
    ids: Vec<String>,
    outcome: TaskOutcome,
}

impl Sieve {
    /// Keeps a record or counts why not; whether an older one is wanted.
    fn look_at(&mut self, record: Record) -> Result<bool, TaskError> {
        self.outcome.rows_in += 1;
        let kept = self.keep.test(&record_names(&record));
        let reason = match value_or_reason("keep", kept)? {
            Ok(true) => {
                self.ids.push(record.id);
                return Ok(self.ids.len() != self.window);
            }
            Ok(false) => "not_kept".to_owned(),
            Err(reason) => reason,
        };
        *self.outcome.dropped.entry(reason).or_default() += 1;
        Ok(true)
    }
}
