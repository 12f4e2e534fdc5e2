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
    clock::Timestamp,
    corpus::Record,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    expression::Expression,
    store::Store,
};

/// `filter`: keeps the records for which an expression holds and counts the others by reason.
///
/// It looks at the newest records first and goes no further back than its window needs, so that a
/// run costs what its window costs, however long the past is. Records without a time are neither
/// new nor old: a window is none of them.
#[derive(Clone, Debug)]
pub struct Filter(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The expression over the record's names.
    keep: Value,
    /// How many of the records with a time are kept at most, the newest of them; 0: all. Those
    /// without one are all kept.
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
        let mut sieve = Sieve::new(&context.settings)?;
        let store = &self.0.store;
        let mut look = |record: Record| {
            checkpoint(&context)?;
            sieve.look_at(record)
        };
        if upstream(&context, "selection").is_some() {
            let earlier = Selection::read(store, &context).await?;
            let records = earlier.records.into_iter().rev();
            let (timed, untimed): (Vec<Record>, Vec<Record>) =
                records.partition(|record| record.created_at.is_some());
            for records in [timed, untimed] {
                for record in records {
                    if !look(record)? {
                        break;
                    }
                }
            }
        } else {
            let (dataset, as_of) = (upstream_text(&context, "dataset", "scrape")?, context.as_of);
            store.visit_newest(&dataset, as_of, &mut look).await?;
            store.visit_untimed(&dataset, as_of, &mut look).await?;
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

/// The records of a data set, as they are known at `as_of`, that pass filters of these settings one
/// after the other; in the order of creation time and id.
pub(super) async fn kept(
    store: &Store,
    dataset: &str,
    as_of: Timestamp,
    filters: &[Map<String, Value>],
) -> Result<Vec<Record>, TaskError> {
    let Some((first, others)) = filters.split_first() else {
        return Ok(store.records(dataset, as_of).await?);
    };
    let mut sieve = Sieve::new(first)?;
    let mut records = Vec::new();
    let mut look = |record: Record| sieve.take(record, &mut records);
    store.visit_newest(dataset, as_of, &mut look).await?;
    store.visit_untimed(dataset, as_of, &mut look).await?;
    for settings in others {
        let mut sieve = Sieve::new(settings)?;
        let (timed, untimed): (Vec<Record>, Vec<Record>) = std::mem::take(&mut records)
            .into_iter()
            .partition(|record| record.created_at.is_some());
        for part in [timed, untimed] {
            for record in part {
                if !sieve.take(record, &mut records)? {
                    break;
                }
            }
        }
    }
    records.reverse();
    Ok(records)
}

/// What is kept and dropped so far.
struct Sieve {
    keep: Expression,
    window: usize,
    /// How many of the kept have a time.
    timed: usize,
    /// The kept ids, the newest first, then those without a time.
    ids: Vec<String>,
    outcome: TaskOutcome,
}

impl Sieve {
    fn new(settings: &Map<String, Value>) -> Result<Self, TaskError> {
        let settings: Settings = settings::parse(settings).map_err(TaskError::fail)?;
        Ok(Self {
            keep: settings.expression().map_err(TaskError::fail)?,
            window: settings.window,
            timed: 0,
            ids: Vec::new(),
            outcome: TaskOutcome::default(),
        })
    }

    /// As [`Sieve::look_at`]; a record that is kept goes into `kept`.
    fn take(&mut self, record: Record, kept: &mut Vec<Record>) -> Result<bool, TaskError> {
        let before = self.ids.len();
        let goes_on = self.look_at(record.clone())?;
        if self.ids.len() > before {
            kept.push(record);
        }
        Ok(goes_on)
    }

    /// Keeps a record or counts why not; whether one that comes after it is wanted.
    fn look_at(&mut self, record: Record) -> Result<bool, TaskError> {
        let is_timed = record.created_at.is_some();
        self.outcome.rows_in += 1;
        let kept = self.keep.test(&record_names(&record));
        let reason = match value_or_reason("keep", kept)? {
            Ok(true) => {
                self.ids.push(record.id);
                self.timed += usize::from(is_timed);
                return Ok(!is_timed || self.timed != self.window);
            }
            Ok(false) => "not_kept".to_owned(),
            Err(reason) => reason,
        };
        *self.outcome.dropped.entry(reason).or_default() += 1;
        Ok(true)
    }
}
