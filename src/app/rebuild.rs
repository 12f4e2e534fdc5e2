//! A matrix that retention dropped, made again from what the store knew then.

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;
use serde_json::Value;

use super::{App, Error};
use crate::{clock::Timestamp, corpus::ContentHash, dag::TaskState, engine, store::RunRow};

/// A matrix that is there again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rebuilt {
    /// The run that it belongs to.
    pub run_id: String,
    /// The task that made it.
    pub task: String,
    /// The moment whose knowledge it holds.
    pub as_of: Timestamp,
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: u64,
    /// The hash of its bytes.
    pub sha256: String,
    /// Whether these are the bytes that the run made.
    pub same: bool,
}

impl App {
    /// Makes the matrices of a pipeline's run of `as_of` again where they lay; of several such
    /// runs that of the newest.
    ///
    /// # Errors
    ///
    /// Where there is no run of that moment whose merge succeeded, or the work fails.
    pub async fn rebuild_matrices(
        &self,
        pipeline: &str,
        as_of: Timestamp,
    ) -> Result<Vec<Rebuilt>, Error> {
        let runs = self.store().runs(Some(pipeline), 100_000).await?;
        let mut moments = Vec::new();
        for run in &runs {
            if run.as_of != as_of {
                moments.push(run.as_of);
                continue;
            }
            let merged = self.merged(run).await?;
            if merged.is_empty() {
                continue;
            }
            let mut rebuilt = Vec::new();
            for (task, then) in merged {
                rebuilt.push(self.rebuild(run, task, &then).await?);
            }
            return Ok(rebuilt);
        }
        moments.dedup();
        let shown: Vec<String> = moments.iter().take(5).map(ToString::to_string).collect();
        Err(Error::wrong(
            format!("no run of `{pipeline}` as of {as_of} has made a matrix"),
            if shown.is_empty() {
                format!("run it first: `trendmill run {pipeline}`")
            } else {
                format!("the newest runs are as of {}", shown.join(", "))
            },
        ))
    }

    /// The tasks of a run that made a matrix, each with what it left.
    async fn merged(&self, run: &RunRow) -> Result<Vec<(String, Value)>, Error> {
        let mut found = Vec::new();
        for task in self.store().tasks(&run.id).await? {
            if task.op != "merge" || task.run.state != TaskState::Succeeded {
                continue;
            }
            let outcome: Value = task
                .outcome
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            if outcome["output"]["matrix_file"].is_object() {
                found.push((task.task_id, outcome["output"].clone()));
            }
        }
        Ok(found)
    }

    async fn rebuild(&self, run: &RunRow, task: String, then: &Value) -> Result<Rebuilt, Error> {
        let folder = engine::run_dir(self.data_dir(), &run.id);
        let done = engine::replay(
            self.store(),
            &self.catalogue(),
            Arc::clone(self.clock()),
            run,
            &task,
            &folder,
        )
        .await
        .map_err(|error| Error::Failed(crate::telemetry::chain(&error)))?;
        let file = &done.output["matrix_file"];
        let name = done.output["matrix"].as_str().unwrap_or_default();
        let path = folder.join(name);
        let sha256 =
            ContentHash::of_file(&path).map_err(|error| Error::Failed(error.to_string()))?;
        Ok(Rebuilt {
            run_id: run.id.clone(),
            task,
            as_of: run.as_of,
            rows: file["rows"].as_u64().unwrap_or_default(),
            columns: file["columns"].as_u64().unwrap_or_default(),
            sha256: sha256.to_string(),
            same: file["sha256"] == then["matrix_file"]["sha256"],
            path,
        })
    }
}
