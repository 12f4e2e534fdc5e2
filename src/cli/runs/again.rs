//! `runs retry` and `runs clear`: what did not succeed runs again, in a new run or in the same.

use std::io::Write;

use anyhow::Context as _;
use serde_json::json;

use super::{Error, Scene, print_json};
use crate::{
    engine::{
        ClearSelection, Cleared, Earlier, Interval, RunRequest, Selection, Trigger, to_clear,
    },
    store::{RunRow, Store},
};

/// The request that runs again a part of an earlier run, on the definition it had.
///
/// # Errors
///
/// Where the store fails.
pub(super) async fn retry_request(
    store: &Store,
    row: &RunRow,
    from: Option<String>,
) -> anyhow::Result<RunRequest> {
    let earlier = Earlier::load(store, &row.id).await?;
    let definition = store
        .definition(&row.definition_hash)
        .await?
        .context("the run's definition is not in the store any more")?;
    Ok(RunRequest {
        pipeline: row.pipeline.clone(),
        definition,
        graph: store.run_graph(&row.id).await?,
        interval: Interval {
            start: row.interval_start,
            end: row.interval_end,
        },
        scheduled_for: row.scheduled_for,
        as_of: row.as_of,
        source: row.source.clone(),
        profile: row.profile.clone(),
        params: row.params.clone(),
        force: false,
        // The tick has its run; this one is made by hand.
        schedule: None,
        trigger: Trigger::Manual,
        selection: match from {
            Some(task) => Selection::From { task, earlier },
            None => Selection::Failed { earlier },
        },
        hold: None,
    })
}

/// Tells which tasks `clear` would let begin anew.
pub(super) async fn clear_dry_run(
    scene: Scene<'_>,
    row: &RunRow,
    selection: &ClearSelection,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let Cleared { run_id, task_ids } = to_clear(scene.store, &row.id, selection).await?;
    if scene.json {
        let document = json!({"run_id": run_id, "tasks": task_ids, "dry_run": true});
        return Ok(print_json(&document, out)?);
    }
    let tasks = task_ids.join(", ");
    Ok(writeln!(out, "would clear {tasks} of run {run_id}").map_err(anyhow::Error::from)?)
}
