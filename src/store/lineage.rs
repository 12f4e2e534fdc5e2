//! What the process of an attempt reads of its run: not more than concerns it, for a run may have
//! thousands of such processes.

use super::{Error, Store};
use crate::{
    clock::Timestamp,
    dag::{Lineage, Node},
};

impl Store {
    /// The task at `position` of a run's graph, and what is upstream of it.
    ///
    /// # Errors
    ///
    /// Where the database fails, or there is no such run or task.
    #[tracing::instrument(name = "db.tasks.lineage", skip_all)]
    pub async fn lineage(&self, run_id: &str, position: usize) -> Result<Lineage, Error> {
        let unreadable = |message: String| Error::Inconsistent {
            table: "runs",
            column: "graph",
            row: run_id.to_owned(),
            message,
        };
        let part = self
            .graph_part(run_id, position)
            .await?
            .into_iter()
            .map(|(at, node)| Ok((at, serde_json::from_str(&node)?)))
            .collect::<Result<Vec<(usize, Node)>, serde_json::Error>>()
            .map_err(|error| unreadable(error.to_string()))?;
        Lineage::new(&part, position)
            .map_err(|error| unreadable(error.to_string()))?
            .ok_or_else(|| Error::Conflict(format!("run `{run_id}` has no task {position}")))
    }

    /// The tasks that [`Lineage::new`] asks for, as they are stored.
    async fn graph_part(
        &self,
        run_id: &str,
        position: usize,
    ) -> Result<Vec<(usize, String)>, Error> {
        let own = i64::try_from(position).unwrap_or(i64::MAX);
        let rows = sqlx::query!(
            r#"SELECT CAST(node.key AS INTEGER) AS "position!: i64",
                   CAST(node.value AS TEXT) AS "node!: String"
               FROM runs, json_each(runs.graph) AS node
               WHERE runs.id = ?
                 AND (node.key = ?
                      OR json_extract(node.value, '$.shard') IS NULL
                      OR json_extract(node.value, '$.shard.index')
                         = json_extract(node.value, '$.shard.count') - 1)
               ORDER BY node.key"#,
            run_id,
            own,
        )
        .fetch_all(self.state.read())
        .await?;
        let part = rows.into_iter().map(|row| {
            let position = usize::try_from(row.position).unwrap_or(usize::MAX);
            (position, row.node)
        });
        Ok(part.collect())
    }

    /// What those of these tasks have left that have succeeded, by position.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.tasks.outcomes", skip_all)]
    pub async fn outcomes(
        &self,
        run_id: &str,
        positions: &[usize],
    ) -> Result<Vec<(usize, String)>, Error> {
        let positions = serde_json::json!(positions).to_string();
        let rows = sqlx::query!(
            r#"SELECT position, outcome AS "outcome!" FROM tasks
               WHERE run_id = ? AND position IN (SELECT value FROM json_each(?))
                 AND state = 'succeeded' AND outcome IS NOT NULL"#,
            run_id,
            positions,
        )
        .fetch_all(self.state.read())
        .await?;
        let outcomes = rows.into_iter().map(|row| {
            let position = usize::try_from(row.position).unwrap_or(usize::MAX);
            (position, row.outcome)
        });
        Ok(outcomes.collect())
    }

    /// When a task's first attempt started; none, if none has.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.tasks.first_started", skip_all)]
    pub async fn first_started(
        &self,
        run_id: &str,
        position: usize,
    ) -> Result<Option<Timestamp>, Error> {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        let started_at = sqlx::query_scalar!(
            "SELECT started_at FROM tasks WHERE run_id = ? AND position = ?",
            run_id,
            position,
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(started_at.flatten().map(Timestamp::from_millis))
    }
}
