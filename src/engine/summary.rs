//! A run with its tasks, as `run --json` and `runs show --json` print it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Error, request::outcome};
use crate::{
    clock::Timestamp,
    dag::RunState,
    store::{RunRow, Store, TaskRow},
};

/// A run with its tasks; the field names are part of the command line's contract.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunSummary {
    /// Its id.
    pub run_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Where it stands.
    pub state: RunState,
    /// The moment it is for.
    pub scheduled_for: Timestamp,
    /// The data interval's first instant.
    pub interval_start: Timestamp,
    /// The first instant after the data interval.
    pub interval_end: Timestamp,
    /// From its first start to its end, or until now as far as it was recorded.
    pub seconds: f64,
    /// Its tasks, in the order of the pipeline file.
    pub tasks: Vec<TaskSummary>,
    /// The model that it ended in; the caller fills it.
    pub model: Option<Value>,
}

/// A task of a run.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TaskSummary {
    /// Its id.
    pub id: String,
    /// Its operator.
    pub op: String,
    /// The name of its state.
    pub state: &'static str,
    /// How many attempts were started.
    pub attempts: u32,
    /// How long its attempts took together.
    pub seconds: f64,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that have a result after the task.
    pub rows_out: u64,
    /// Results made by this run, over all attempts.
    pub rows_computed: u64,
    /// Results that were there.
    pub rows_reused: u64,
    /// For people.
    pub message: Option<String>,
    /// Rows that go no further, by reason.
    pub dropped: BTreeMap<String, u64>,
}

impl RunSummary {
    /// Reads a run from the store.
    ///
    /// # Errors
    ///
    /// Where there is no such run or the store fails.
    pub async fn load(store: &Store, run_id: &str) -> Result<Self, Error> {
        let row = store
            .run(run_id)
            .await?
            .ok_or_else(|| Error::UnknownRun(run_id.to_owned()))?;
        let mut summary = Self::new(&row, store.tasks(run_id).await?)?;
        // What a task without an outcome has done so far was counted with its batches.
        for task in &mut summary.tasks {
            if task.state != "succeeded" && task.attempts > 0 {
                task.rows_computed = store.task_progress(run_id, &task.id).await?.rows_computed;
            }
        }
        Ok(summary)
    }

    fn new(row: &RunRow, tasks: Vec<TaskRow>) -> Result<Self, Error> {
        let last = tasks.iter().filter_map(|task| task.ended_at).max();
        let seconds = row
            .started_at
            .zip(row.ended_at.or(last))
            .map_or(0.0, |(start, end)| end.since(start).as_secs_f64());
        let tasks = tasks
            .into_iter()
            .map(|task| TaskSummary::new(&row.id, task))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            run_id: row.id.clone(),
            pipeline: row.pipeline.clone(),
            state: row.state,
            scheduled_for: row.scheduled_for,
            interval_start: row.interval_start,
            interval_end: row.interval_end,
            seconds,
            tasks,
            model: None,
        })
    }

    /// The task of this id.
    pub fn task(&self, id: &str) -> Option<&TaskSummary> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

impl TaskSummary {
    fn new(run_id: &str, row: TaskRow) -> Result<Self, Error> {
        let outcome = outcome(run_id, &row.task_id, row.outcome.as_deref())?;
        Ok(Self {
            state: row.run.state.name(),
            attempts: row.run.attempts,
            seconds: row.seconds,
            rows_in: outcome.rows_in,
            rows_out: outcome.rows_out,
            rows_computed: outcome.rows_computed,
            rows_reused: outcome.rows_reused,
            message: row.message,
            dropped: outcome.dropped,
            id: row.task_id,
            op: row.op,
        })
    }
}
