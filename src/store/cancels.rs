//! What was asked to end, by whoever does not own the run.

use super::{Error, Store};

/// What the owner of a run is asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// The run.
    pub run_id: String,
    /// The position of the task; `None` for the whole run.
    pub task: Option<usize>,
}

impl Store {
    /// Asks the owner of a run to end it. `false` where it has ended.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.request_cancel", skip_all)]
    pub async fn request_cancel(&self, run_id: &str) -> Result<bool, Error> {
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "UPDATE runs SET cancel_requested = 1
             WHERE id = ? AND state IN ('queued', 'running')",
            run_id,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "cancel_request").await?;
        Ok(done.rows_affected() > 0)
    }

    /// Asks the owner of a run to end one of its tasks. `false` where it has ended.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.tasks.request_cancel", skip_all)]
    pub async fn request_task_cancel(&self, run_id: &str, task_id: &str) -> Result<bool, Error> {
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "UPDATE tasks SET cancel_requested = 1
             WHERE run_id = ? AND task_id = ?
               AND state IN ('waiting', 'ready', 'running', 'delayed')",
            run_id,
            task_id,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "cancel_request").await?;
        Ok(done.rows_affected() > 0)
    }

    /// What is asked to end of the unfinished runs that have this owner, or none.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn cancel_requests(&self, owner: &str) -> Result<Vec<CancelRequest>, Error> {
        let rows = sqlx::query!(
            r#"SELECT id AS "run_id!: String", NULL AS "position: i64" FROM runs
               WHERE state IN ('queued', 'running') AND (owner = ?1 OR owner IS NULL)
                 AND cancel_requested = 1
               UNION ALL
               SELECT tasks.run_id, tasks.position
               FROM tasks JOIN runs ON runs.id = tasks.run_id
               WHERE tasks.cancel_requested = 1
                 AND tasks.state IN ('waiting', 'ready', 'running', 'delayed')
                 AND runs.state IN ('queued', 'running') AND runs.owner = ?1"#,
            owner,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| CancelRequest {
                run_id: row.run_id,
                task: row.position.and_then(|at| usize::try_from(at).ok()),
            })
            .collect())
    }
}
