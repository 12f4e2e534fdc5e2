//! Rows that have had their time.

use std::collections::{HashMap, HashSet};

use serde_json::to_string;

use super::{Error, Store};
use crate::{clock::Timestamp, dag::RunState};

/// What of a run decides how long its files are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAge {
    /// Its pipeline.
    pub pipeline: String,
    /// Where it stands.
    pub state: RunState,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The tasks whose file is a matrix.
    pub matrices: Vec<String>,
}

impl Store {
    /// How old these runs are; those that are not in the store any more are left out.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.retention.ages", skip_all)]
    pub async fn run_ages(&self, runs: &[String]) -> Result<HashMap<String, RunAge>, Error> {
        let runs = to_string(runs).expect("plain data");
        let rows = sqlx::query!(
            r#"SELECT id, pipeline, state, ended_at,
                   (SELECT json_group_array(task_id) FROM tasks
                    WHERE tasks.run_id = runs.id AND op = 'merge') AS "matrices!: String"
               FROM runs WHERE id IN (SELECT value FROM json_each(?))"#,
            runs,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let bad = |column, message: String| Error::Inconsistent {
                    table: "runs",
                    column,
                    row: row.id.clone(),
                    message,
                };
                let age = RunAge {
                    state: RunState::from_name(&row.state)
                        .ok_or_else(|| bad("state", format!("`{}` is no state", row.state)))?,
                    matrices: serde_json::from_str(&row.matrices)
                        .map_err(|error| bad("id", error.to_string()))?,
                    ended_at: row.ended_at.map(Timestamp::from_millis),
                    pipeline: row.pipeline,
                };
                Ok((row.id, age))
            })
            .collect()
    }

    /// Runs that ended before a moment and whose id is greater than `after`, in the order of their
    /// ids, at most `limit`. The newest run of each pipeline and those that made a model version
    /// are not among them.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.retention.old_runs", skip_all)]
    pub async fn old_runs(
        &self,
        before: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let before = before.as_millis();
        // Read in the order of ids: with the index of states all runs would be sorted each time.
        // No `EXISTS` for the newer run either: SQLite makes a join of all pairs of it.
        Ok(sqlx::query_scalar!(
            "SELECT id FROM runs
             WHERE id > ?1 AND +created_at < ?2
               AND +state IN ('succeeded', 'failed', 'cancelled') AND ended_at < ?2
               AND NOT EXISTS (SELECT 1 FROM model_versions WHERE run_id = runs.id)
               AND id < (SELECT max(newer.id) FROM runs AS newer
                         WHERE newer.pipeline = runs.pipeline)
             ORDER BY id LIMIT ?3",
            after,
            before,
            limit,
        )
        .fetch_all(self.state.read())
        .await?)
    }

    /// Removes runs that have ended with their tasks, attempts and moves. Returns how many.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.retention.delete_runs", skip_all)]
    pub async fn delete_runs(&self, runs: &[String]) -> Result<u64, Error> {
        let runs = to_string(runs).expect("plain data");
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "DELETE FROM model_version_runs WHERE run_id IN (SELECT value FROM json_each(?))",
            runs,
        )
        .execute(&mut *transaction)
        .await?;
        let done = sqlx::query!(
            "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))
               AND state IN ('succeeded', 'failed', 'cancelled')",
            runs,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "delete_runs").await?;
        self.delete_progress(&runs).await?;
        Ok(done.rows_affected())
    }

    async fn delete_progress(&self, runs: &str) -> Result<(), Error> {
        let mut transaction = self.content.write().await?;
        sqlx::query!(
            "DELETE FROM task_progress WHERE run_id IN (SELECT value FROM json_each(?))",
            runs,
        )
        .execute(&mut *transaction)
        .await?;
        self.content.commit(transaction, "delete_progress").await?;
        Ok(())
    }

    /// Removes what nothing names any more: texts of pipelines without a run, progress of runs
    /// that are gone, and notices that were over before a moment.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.retention.tidy", skip_all)]
    pub async fn delete_leftovers(&self, before: Timestamp) -> Result<(), Error> {
        let before = before.as_millis();
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "DELETE FROM definitions WHERE first_seen_at < ?
               AND hash NOT IN (SELECT definition_hash FROM runs)",
            before,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!("DELETE FROM notices WHERE cleared_at < ?", before)
            .execute(&mut *transaction)
            .await?;
        self.state.commit(transaction, "delete_leftovers").await?;
        // A process that died after it had removed runs has left it. A run is there before its
        // progress is, so what is without one now has lost it.
        let counted =
            sqlx::query_scalar!("SELECT DISTINCT run_id FROM task_progress ORDER BY run_id")
                .fetch_all(self.content.read())
                .await?;
        let asked = to_string(&counted).expect("plain data");
        let there: HashSet<String> = sqlx::query_scalar!(
            "SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?))",
            asked,
        )
        .fetch_all(self.state.read())
        .await?
        .into_iter()
        .collect();
        let gone: Vec<String> = counted
            .into_iter()
            .filter(|run| !there.contains(run))
            .collect();
        if !gone.is_empty() {
            self.delete_progress(&to_string(&gone).expect("plain data"))
                .await?;
        }
        Ok(())
    }
}
