//! What changed its state, when and why: the durable events.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Store, runs::count};
use crate::clock::Timestamp;

/// A change of state of a run or of one of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventRow {
    /// Grows with every change.
    pub id: i64,
    /// The run.
    pub run_id: String,
    /// The run's pipeline.
    pub pipeline: String,
    /// The task; null for the run itself.
    pub task_id: Option<String>,
    /// How many attempts the task has had by now.
    pub attempts: Option<u32>,
    /// The state that was left.
    pub from: String,
    /// The state that came.
    pub to: String,
    /// Why, in words.
    pub cause: String,
    /// When.
    pub at: Timestamp,
    /// What is told of the task by now: its outcome's sentence, its error, why it was skipped.
    pub message: Option<String>,
    /// When the task's delay ends, where it has one by now.
    pub delayed_until: Option<Timestamp>,
}

/// The columns of an event as they are stored.
#[derive(Debug)]
struct RawEvent {
    id: i64,
    run_id: String,
    pipeline: String,
    task_id: Option<String>,
    attempts: Option<i64>,
    from: String,
    to: String,
    cause: String,
    at: i64,
    message: Option<String>,
    delayed_until: Option<i64>,
}

impl From<RawEvent> for EventRow {
    fn from(raw: RawEvent) -> Self {
        Self {
            id: raw.id,
            run_id: raw.run_id,
            pipeline: raw.pipeline,
            task_id: raw.task_id,
            attempts: raw.attempts.map(count),
            from: raw.from,
            to: raw.to,
            cause: raw.cause,
            at: Timestamp::from_millis(raw.at),
            message: raw.message,
            delayed_until: raw.delayed_until.map(Timestamp::from_millis),
        }
    }
}

impl Store {
    /// The changes of state after the one of this id, oldest first, at most `limit`; of one run or
    /// of all.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.transitions.after", skip_all, level = "debug")]
    pub async fn events_after(
        &self,
        id: i64,
        run_id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<EventRow>, Error> {
        // Two statements, because `? IS NULL OR run_id = ?` reads no index.
        let rows =
            match run_id {
                Some(run_id) => sqlx::query_as!(
                    RawEvent,
                    r#"SELECT transitions.id AS "id!", transitions.run_id AS "run_id!", pipeline AS "pipeline!", task_id AS "task_id?",
                           attempts AS "attempts?", "from" AS "from!", "to" AS "to!", transitions.cause AS "cause!", at AS "at!",
                           message AS "message?", delayed_until AS "delayed_until?"
                       FROM transitions JOIN runs ON runs.id = transitions.run_id
                           LEFT JOIN tasks USING (run_id, position)
                       WHERE transitions.run_id = ?1 AND transitions.id > ?2
                       ORDER BY transitions.id LIMIT ?3"#,
                    run_id,
                    id,
                    limit,
                )
                .fetch_all(self.state.read())
                .await?,
                None => sqlx::query_as!(
                    RawEvent,
                    r#"SELECT transitions.id AS "id!", transitions.run_id AS "run_id!", pipeline AS "pipeline!", task_id AS "task_id?",
                           attempts AS "attempts?", "from" AS "from!", "to" AS "to!", transitions.cause AS "cause!", at AS "at!",
                           message AS "message?", delayed_until AS "delayed_until?"
                       FROM transitions JOIN runs ON runs.id = transitions.run_id
                           LEFT JOIN tasks USING (run_id, position)
                       WHERE transitions.id > ?1
                       ORDER BY transitions.id LIMIT ?2"#,
                    id,
                    limit,
                )
                .fetch_all(self.state.read())
                .await?,
            };
        Ok(rows.into_iter().map(EventRow::from).collect())
    }

    /// The id of the newest change of state; 0 where there is none.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn last_event(&self) -> Result<i64, Error> {
        Ok(
            sqlx::query_scalar!("SELECT ifnull(max(id), 0) FROM transitions")
                .fetch_one(self.state.read())
                .await?,
        )
    }
}
