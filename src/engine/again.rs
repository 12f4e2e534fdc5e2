//! A part of an earlier run, once more.

use std::path::Path;

use super::{Earlier, Error, Interval, RunRequest, Selection, Trigger};
use crate::store::{RunRow, Store};

impl RunRequest {
    /// Runs again what did not succeed in a run, or a task and all downstream of it, on the
    /// definition that the run had.
    ///
    /// # Errors
    ///
    /// Where the run has not ended, the store fails, or does not hold the definition any more.
    pub async fn again(
        store: &Store,
        data_dir: &Path,
        row: &RunRow,
        from: Option<String>,
    ) -> Result<Self, Error> {
        if !row.state.is_final() {
            return Err(Error::Unfinished(row.id.clone()));
        }
        let earlier = Earlier::load(store, data_dir, &row.id).await?;
        let definition = store
            .definition(&row.definition_hash)
            .await?
            .ok_or_else(|| {
                Error::Store(crate::store::Error::Conflict(
                    "the run's definition is not in the store any more".to_owned(),
                ))
            })?;
        Ok(Self {
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
}
