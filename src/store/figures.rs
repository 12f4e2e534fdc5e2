//! Figures of the whole store, for monitoring. Each is read from an index.

use super::{Error, Store};
use crate::clock::Timestamp;

/// How many tasks of unfinished runs are in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskCount {
    /// The state's name.
    pub state: String,
    /// How many.
    pub tasks: u64,
}

/// The newest version of a model, and its champion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAges {
    /// The model's name.
    pub name: String,
    /// When the version was made that `champion` points at.
    pub champion_made_at: Option<Timestamp>,
    /// When the newest record with a label in the newest version was published.
    pub newest_label_at: Option<Timestamp>,
}

impl Store {
    /// How many unfinished runs there are, by state.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.figures.runs", skip_all, level = "debug")]
    pub async fn unfinished_counts(&self) -> Result<(u64, u64), Error> {
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM runs WHERE state = 'queued') AS "queued!: i64",
                   (SELECT count(*) FROM runs WHERE state = 'running') AS "running!: i64""#
        )
        .fetch_one(self.state.read())
        .await?;
        Ok((row.queued.unsigned_abs(), row.running.unsigned_abs()))
    }

    /// How many tasks of unfinished runs there are, by state.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.figures.tasks", skip_all, level = "debug")]
    pub async fn unfinished_tasks(&self) -> Result<Vec<TaskCount>, Error> {
        let rows = sqlx::query!(
            r#"SELECT tasks.state, count(*) AS "tasks!: i64"
               FROM runs JOIN tasks ON tasks.run_id = runs.id
               WHERE runs.state IN ('queued', 'running')
               GROUP BY tasks.state"#
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| TaskCount {
                state: row.state,
                tasks: row.tasks.unsigned_abs(),
            })
            .collect())
    }

    /// How old each model's champion is, and the newest label that its newest version knew.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.figures.models", skip_all, level = "debug")]
    pub async fn model_ages(&self) -> Result<Vec<ModelAges>, Error> {
        let rows = sqlx::query!(
            r#"SELECT newest.name AS "name!: String",
                   (SELECT created_at FROM model_aliases JOIN model_versions USING (name, version)
                    WHERE alias = 'champion' AND model_aliases.name = newest.name)
                       AS "champion_made_at: i64",
                   (SELECT manifest ->> '$.data_window.to' FROM model_versions
                    WHERE name = newest.name AND version = newest.version)
                       AS "newest_label_at: String"
               FROM (SELECT name, max(version) AS version FROM model_versions GROUP BY name) newest"#
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ModelAges {
                name: row.name,
                champion_made_at: row.champion_made_at.map(Timestamp::from_millis),
                newest_label_at: row.newest_label_at.and_then(|text| text.parse().ok()),
            })
            .collect())
    }

    /// How many records each data set that is walked again and again got since a moment. What was
    /// read from a file once is none of them.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.figures.records", skip_all, level = "debug")]
    pub async fn records_since(&self, moment: Timestamp) -> Result<Vec<(String, u64)>, Error> {
        let moment = moment.as_millis();
        let rows = sqlx::query!(
            r#"SELECT dataset AS "dataset!",
                   (SELECT count(*) FROM records
                    WHERE records.dataset = walked.dataset AND stored_at >= ?)
                       AS "records!: i64"
               FROM (SELECT DISTINCT dataset FROM watermarks) AS walked"#,
            moment,
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.dataset, row.records.unsigned_abs()))
            .collect())
    }
}
