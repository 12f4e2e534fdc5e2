//! One task of a run that has ended, done once more beside it: for files that were removed.

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    Catalogue, Error, Interval, Mark, Progress, TaskContext, TaskOutcome,
    live::nearest_first,
    request::{outcome, position_of},
};
use crate::{
    clock::Clock,
    dag::TaskState,
    store::{RunRow, Store},
};

/// Does the work of a succeeded task again, with its files in `folder`; nothing is recorded.
///
/// The task gets what it got then: its settings, its run's `as_of` and the outputs upstream. An
/// operator that writes into the store does so again; `merge` only reads.
///
/// # Errors
///
/// Where there is no such task, it did not succeed, the store fails, or the work does.
pub async fn replay(
    store: &Store,
    catalogue: &Catalogue,
    clock: Arc<dyn Clock>,
    run: &RunRow,
    task_id: &str,
    folder: &Path,
) -> Result<TaskOutcome, Error> {
    let graph = store.run_graph(&run.id).await?;
    let position = position_of(&graph, task_id)?;
    let node = &graph.nodes()[position];
    let operator = catalogue
        .get(&node.op)
        .ok_or_else(|| Error::UnknownOperator {
            task: node.id.clone(),
            op: node.op.clone(),
            allowed: catalogue.names().map(str::to_owned).collect(),
        })?;
    let ancestors = graph.ancestors(position);
    let mut outputs = Vec::new();
    for row in store.tasks(&run.id).await? {
        let shard = graph.nodes()[row.position].shard.is_some();
        if row.run.state == TaskState::Succeeded
            && ancestors.binary_search(&row.position).is_ok()
            && !shard
        {
            let outcome = outcome(&run.id, &row.task_id, row.outcome.as_deref())?;
            if !outcome.output.is_null() {
                outputs.push((row.position, outcome.output));
            }
        }
    }
    let context = TaskContext {
        run_id: run.id.clone(),
        pipeline: run.pipeline.clone(),
        task_id: node.id.clone(),
        attempt: 1,
        first_started_at: clock.now(),
        interval: Interval {
            start: run.interval_start,
            end: run.interval_end,
        },
        as_of: run.as_of,
        force: run.force,
        params: run.params.clone(),
        settings: node.settings.clone(),
        upstream: nearest_first(&graph, outputs.into_iter()),
        run_dir: folder.to_owned(),
        clock,
        cancelled: CancellationToken::new(),
        progress: Progress::default(),
        batch_divisor: 1,
        mark: Mark::new(&uuid::Uuid::now_v7().to_string(), folder),
    };
    operator.run(context).await.map_err(|error| Error::Replay {
        task: node.id.clone(),
        message: error.to_string(),
    })
}
