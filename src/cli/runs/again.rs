//! `runs clear`: which tasks would begin anew.

use std::io::Write;

use serde_json::json;

use super::{Error, Scene, print_json};
use crate::{
    engine::{ClearSelection, Cleared, to_clear},
    store::RunRow,
};

/// Tells which tasks `clear` would let begin anew.
pub(super) async fn clear_dry_run(
    scene: Scene<'_>,
    row: &RunRow,
    selection: &ClearSelection,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let Cleared { run_id, task_ids } =
        to_clear(scene.store, scene.data_dir, &row.id, selection).await?;
    if scene.json {
        let document = json!({"run_id": run_id, "tasks": task_ids, "dry_run": true});
        return Ok(print_json(&document, out)?);
    }
    let tasks = task_ids.join(", ");
    Ok(writeln!(out, "would clear {tasks} of run {run_id}").map_err(anyhow::Error::from)?)
}
