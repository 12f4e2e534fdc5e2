//! The files that the tasks of a run leave for those downstream.

use std::path::{Path, PathBuf};

use super::{Error, TaskOutcome, request::outcome};
use crate::{dag::TaskState, store::Store};

/// The folder of a run's files below the home's `data`.
pub fn run_dir(data_dir: &Path, run_id: &str) -> PathBuf {
    data_dir.join("runs").join(run_id)
}

/// Whether all files that a task has left are there still: retention removes them before the run.
pub(super) fn are_there(run_dir: &Path, outcome: &TaskOutcome) -> bool {
    outcome.files.iter().all(|name| run_dir.join(name).exists())
}

/// Which tasks of a run have succeeded but lost files, by position.
pub(super) async fn lost(store: &Store, data_dir: &Path, run_id: &str) -> Result<Vec<bool>, Error> {
    let run_dir = run_dir(data_dir, run_id);
    let tasks = store.tasks(run_id).await?;
    let lost = tasks.iter().map(|row| {
        let done = row.run.state == TaskState::Succeeded;
        Ok(done
            && !are_there(
                &run_dir,
                &outcome(run_id, &row.task_id, row.outcome.as_deref())?,
            ))
    });
    lost.collect()
}

/// Gives a new run the files that the results of an earlier one name.
///
/// Links where the file system can: files of a run are only ever replaced whole, so the earlier run
/// keeps its own. The folder is there before the run is; one without a run is never looked at.
pub(super) fn take_over(earlier: &Path, run: &Path) -> std::io::Result<()> {
    let entries = match fs_err::read_dir(earlier) {
        Ok(entries) => entries,
        // Its tasks left no files.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    fs_err::create_dir_all(run)?;
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), run.join(entry.file_name()));
        if entry.file_type()?.is_file() && fs_err::hard_link(&from, &to).is_err() {
            fs_err::copy(&from, &to)?;
        }
    }
    Ok(())
}
