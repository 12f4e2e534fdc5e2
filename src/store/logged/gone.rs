//! What was deleted long ago goes for good.

use std::collections::HashSet;

use serde_json::to_string;

use crate::{
    clock::Timestamp,
    store::{Error, Store},
};

impl Store {
    /// Removes runs that were deleted before a moment, at most `limit`, with all that was logged of
    /// them, and experiments that were and have no run left. Returns the ids of the runs.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.logged.drop", skip_all)]
    pub async fn drop_logged(&self, before: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        let before = before.as_millis();
        let mut transaction = self.state.write().await?;
        let runs = sqlx::query!(
            "SELECT id, run_id FROM logged_runs WHERE deleted_at < ? ORDER BY id LIMIT ?",
            before,
            limit,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let ids = to_string(&ids).expect("plain data");
        for statement in [
            "DELETE FROM logged_params WHERE run IN (SELECT value FROM json_each(?))",
            "DELETE FROM logged_tags WHERE run IN (SELECT value FROM json_each(?))",
            "DELETE FROM logged_metrics WHERE run IN (SELECT value FROM json_each(?))",
            "DELETE FROM logged_latest WHERE run IN (SELECT value FROM json_each(?))",
            "DELETE FROM logged_runs WHERE id IN (SELECT value FROM json_each(?))",
        ] {
            sqlx::query(statement)
                .bind(&ids)
                .execute(&mut *transaction)
                .await?;
        }
        // The one in which those log that name none stays.
        sqlx::query!(
            "DELETE FROM logged_experiment_tags WHERE experiment IN (
                 SELECT id FROM logged_experiments WHERE id > 0 AND deleted_at < ?1
                     AND NOT EXISTS (SELECT 1 FROM logged_runs WHERE experiment = logged_experiments.id))",
            before,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "DELETE FROM logged_experiments WHERE id > 0 AND deleted_at < ?
                 AND NOT EXISTS (SELECT 1 FROM logged_runs WHERE experiment = logged_experiments.id)",
            before,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "logged_gone").await?;
        Ok(runs.into_iter().map(|run| run.run_id).collect())
    }

    /// Those of `runs` that are logged, also where they are deleted.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.logged.known", skip_all)]
    pub async fn known_logged_runs(&self, runs: &[String]) -> Result<HashSet<String>, Error> {
        let runs = to_string(runs).expect("plain data");
        let known = sqlx::query_scalar!(
            "SELECT run_id FROM logged_runs WHERE run_id IN (SELECT value FROM json_each(?))",
            runs,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(known.into_iter().collect())
    }
}
