//! A run without its tasks, as `runs list --json` prints it, and which run a name means.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Error, request::unknown_task};
use crate::{
    clock::Timestamp,
    dag::RunState,
    store::{RunRow, Store, TaskRow},
};

/// A run without its tasks; the field names are part of the command line's contract.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunOverview {
    /// Its id.
    pub run_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Where it stands.
    pub state: RunState,
    /// Why, in words.
    pub cause: String,
    /// The moment it is for.
    pub scheduled_for: Timestamp,
    /// The data interval's first instant.
    pub interval_start: Timestamp,
    /// The first instant after the data interval.
    pub interval_end: Timestamp,
    /// The moment whose knowledge it may use.
    pub as_of: Timestamp,
    /// The source, where it has one.
    pub source: Option<String>,
    /// The profile, where it has one.
    pub profile: Option<String>,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// The schedule that made it.
    pub schedule: Option<String>,
    /// What made it: `manual`, `scheduled` or `backfill`.
    pub trigger: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was first started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// From its first start to its end, or until now.
    pub seconds: f64,
}

impl RunOverview {
    /// What is told of a run at this moment.
    pub fn new(row: RunRow, now: Timestamp) -> Self {
        let seconds = row.started_at.map_or(0.0, |start| {
            row.ended_at.unwrap_or(now).since(start).as_secs_f64()
        });
        Self {
            run_id: row.id,
            pipeline: row.pipeline,
            state: row.state,
            cause: row.cause,
            scheduled_for: row.scheduled_for,
            interval_start: row.interval_start,
            interval_end: row.interval_end,
            as_of: row.as_of,
            source: row.source,
            profile: row.profile,
            params: row.params,
            schedule: row.schedule,
            trigger: row.trigger,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            seconds,
        }
    }
}

/// The run that a person means by an id, its unique beginning, or `latest`.
///
/// # Errors
///
/// Where none or several fit, or the store fails.
pub async fn find_run(store: &Store, name: &str) -> Result<RunRow, Error> {
    let mut rows = if name == "latest" {
        store.runs(None, 1).await?
    } else {
        store.runs_with_prefix(name).await?
    };
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => Err(Error::SeveralRuns(name.to_owned())),
        (None, _) => Err(Error::UnknownRun(name.to_owned())),
    }
}

/// The task of a run that has this id.
///
/// # Errors
///
/// Where there is none, or the store fails.
pub async fn find_task(store: &Store, run_id: &str, task_id: &str) -> Result<TaskRow, Error> {
    let mut tasks = store.tasks(run_id).await?;
    let Some(position) = tasks.iter().position(|task| task.task_id == task_id) else {
        let ids = tasks.into_iter().map(|task| task.task_id);
        return Err(unknown_task(task_id, ids));
    };
    Ok(tasks.swap_remove(position))
}
