//! Why a task stands where it does, in one sentence, from the store.

mod reasons;
mod words;

use serde::Serialize;

use self::reasons::{Facts, node_of};
use super::{DiskRoom, Error, Slots, request::unknown_task};
use crate::{
    clock::Timestamp,
    dag::{RunState, TaskState},
    store::{OccupiedRow, Store},
};

/// Why a task stands where it does; the field names are part of the command line's contract.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// The run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The name of its state.
    pub state: &'static str,
    /// The kind of reason, stable: `run_queued`, `upstream`, `pool_full`, `delayed`, …
    pub reason: &'static str,
    /// The whole answer for people.
    pub sentence: String,
    /// Since when it stands there, where that is known.
    pub since: Option<Timestamp>,
    /// Until when, where that is known.
    pub until: Option<Timestamp>,
    /// The tasks that it is about, each as `TASK` of the same run or as `RUN/TASK`.
    pub because_of: Vec<String>,
}

impl Explanation {
    /// Explains one task of a run. How much may run at once and what room there is, the store does
    /// not know.
    ///
    /// # Errors
    ///
    /// Where there is no such run or task, or the store fails.
    pub async fn load(
        store: &Store,
        run_id: &str,
        task_id: &str,
        slots: &Slots,
        disk: DiskRoom,
    ) -> Result<Self, Error> {
        let run = store
            .run(run_id)
            .await?
            .ok_or_else(|| Error::UnknownRun(run_id.to_owned()))?;
        let tasks = store.tasks(run_id).await?;
        let Some(task) = tasks.iter().find(|task| task.task_id == task_id) else {
            let ids = tasks.iter().map(|task| task.task_id.clone());
            return Err(unknown_task(task_id, ids));
        };
        let graph = store.run_graph(run_id).await?;
        let attempts = store.attempts(run_id, Some(task_id)).await?;
        let facts = Facts {
            run: &run,
            graph: &graph,
            tasks: &tasks,
            attempts: &attempts,
            slots,
            disk,
        };
        let reason = match &task.run.state {
            TaskState::Ready if run.state == RunState::Running => {
                let occupied = store.occupied_slots().await?;
                let mut nodes = Vec::with_capacity(occupied.len());
                for row in &occupied {
                    nodes.push(pool_of(store, row).await?);
                }
                facts.ready(task, occupied.iter().zip(nodes))
            }
            _ => facts.reason(task),
        };
        let since = facts.since(task);
        Ok(Self {
            sentence: format!("`{task_id}` {}", reason.text),
            state: task.run.state.name(),
            reason: reason.code,
            since,
            until: reason.until,
            because_of: reason.because_of,
            task_id: task.task_id.clone(),
            run_id: run.id,
        })
    }
}

/// The pool of a task that runs.
async fn pool_of(store: &Store, row: &OccupiedRow) -> Result<Option<String>, Error> {
    let graph = store.run_graph(&row.run_id).await?;
    Ok(node_of(&graph, row.position, &row.task_id).and_then(|node| node.pool.clone()))
}
