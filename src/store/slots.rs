//! Which tasks run at this moment, over all runs.

use super::{Error, Store};

/// A task that runs, and so takes a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OccupiedRow {
    /// The run.
    pub run_id: String,
    /// The task's position in the run's graph.
    pub position: usize,
    /// The task's id.
    pub task_id: String,
}

impl Store {
    /// The tasks that run, those of the oldest run first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.tasks.occupied", skip_all)]
    pub async fn occupied_slots(&self) -> Result<Vec<OccupiedRow>, Error> {
        let rows = sqlx::query!(
            "SELECT tasks.run_id, tasks.position, tasks.task_id
             FROM runs JOIN tasks ON tasks.run_id = runs.id
             WHERE runs.state IN ('queued', 'running') AND tasks.state = 'running'
             ORDER BY tasks.run_id, tasks.position",
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| OccupiedRow {
                run_id: row.run_id,
                position: usize::try_from(row.position).unwrap_or(usize::MAX),
                task_id: row.task_id,
            })
            .collect())
    }
}
