//! What there may be to tell: ends of runs, deadlines, champions, arrivals.

use crate::{
    clock::Timestamp,
    store::{Error, Store},
};

/// A run's move into a last state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The run.
    pub run_id: String,
    /// Its pipeline.
    pub pipeline: String,
    /// The name of the state.
    pub state: String,
    /// Why, in words.
    pub cause: String,
    /// When.
    pub at: Timestamp,
}

/// Up to where the engine's moves are known, and the ends among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunEnds {
    /// The last move that was looked at.
    pub cursor: i64,
    /// In order.
    pub ends: Vec<RunEnd>,
    /// Whether there may be more.
    pub more: bool,
}

/// How many moves are looked through at once.
const MOVES: i64 = 20_000;

impl Store {
    /// The ends of runs since the cursor. The first time there are none: what was before is old.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.notices.run_ends", skip_all, level = "debug")]
    pub async fn new_run_ends(&self) -> Result<RunEnds, Error> {
        let last = sqlx::query_scalar!("SELECT max(id) FROM transitions")
            .fetch_one(self.state.read())
            .await?
            .unwrap_or(0);
        let Some(from) = sqlx::query_scalar!("SELECT transition_id FROM notice_cursor")
            .fetch_optional(self.state.read())
            .await?
        else {
            return Ok(RunEnds {
                cursor: last,
                ..RunEnds::default()
            });
        };
        let to = last.min(from.saturating_add(MOVES));
        let rows = sqlx::query!(
            r#"SELECT transitions.run_id, runs.pipeline, transitions."to", transitions.cause,
                   transitions.at
               FROM transitions JOIN runs ON runs.id = transitions.run_id
               WHERE transitions.id > ? AND transitions.id <= ? AND position IS NULL
                 AND "to" IN ('succeeded', 'failed')
               ORDER BY transitions.id"#,
            from,
            to,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(RunEnds {
            cursor: to.max(from),
            more: to < last,
            ends: rows
                .into_iter()
                .map(|row| RunEnd {
                    run_id: row.run_id,
                    pipeline: row.pipeline,
                    state: row.to,
                    cause: row.cause,
                    at: Timestamp::from_millis(row.at),
                })
                .collect(),
        })
    }

    /// The runs that have not ended by their schedule's deadline: run, pipeline, deadline.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn missed_deadlines(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(String, String, Timestamp)>, Error> {
        let now = now.as_millis();
        let rows = sqlx::query!(
            r#"SELECT id, pipeline, deadline_at AS "at!: i64" FROM runs
               WHERE state IN ('queued', 'running') AND deadline_at <= ? ORDER BY id"#,
            now,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.id, row.pipeline, Timestamp::from_millis(row.at)))
            .collect())
    }

    /// By model: when a version of it last became champion, or was first made where none did.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn last_promotions(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        let rows = sqlx::query!(
            r#"SELECT name AS "name!", ifnull(
                   (SELECT moved_at FROM model_aliases
                    WHERE model_aliases.name = model_versions.name AND alias = 'champion'),
                   min(created_at)) AS "at!: i64"
               FROM model_versions GROUP BY name"#,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.name, Timestamp::from_millis(row.at)))
            .collect())
    }

    /// By data set that is walked newest first: when its newest record was stored.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn newest_arrivals(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        let rows = sqlx::query!(
            r#"SELECT dataset AS "dataset!",
                   (SELECT max(stored_at) FROM records
                    WHERE records.dataset = walked.dataset) AS "at: i64"
               FROM (SELECT DISTINCT dataset FROM watermarks) AS walked"#,
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| Some((row.dataset, Timestamp::from_millis(row.at?))))
            .collect())
    }
}
