//! Backfills: runs for past intervals that somebody asked for.

use super::{Error, Store};
use crate::{clock::Timestamp, dag::RunState};

/// A backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillRow {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Source, profile and parameters of its runs, as JSON.
    pub request: String,
    /// The most runs of it at once.
    pub concurrency: u32,
    /// `running`, `paused`, `cancelled`, `succeeded` or `failed`.
    pub state: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// An interval of a backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillInterval {
    /// Its place in the order.
    pub position: u32,
    /// The moment that the run is for.
    pub scheduled_for: Timestamp,
    /// The data interval's first instant.
    pub interval_start: Timestamp,
    /// The first instant after the data interval.
    pub interval_end: Timestamp,
    /// The run; `None` until it was made.
    pub run_id: Option<String>,
    /// Where that stands.
    pub run_state: Option<RunState>,
    /// Why no run could be made.
    pub fault: Option<String>,
}

impl Store {
    /// Writes a new backfill with its intervals.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.backfills.insert", skip_all)]
    pub async fn insert_backfill(
        &self,
        row: &BackfillRow,
        intervals: &[BackfillInterval],
    ) -> Result<(), Error> {
        let (created_at, ended_at) = (
            row.created_at.as_millis(),
            row.ended_at.map(Timestamp::as_millis),
        );
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "INSERT INTO backfills (id, pipeline, request, concurrency, state, created_at, ended_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            row.id,
            row.pipeline,
            row.request,
            row.concurrency,
            row.state,
            created_at,
            ended_at,
        )
        .execute(&mut *transaction)
        .await?;
        for interval in intervals {
            let (scheduled_for, start, end) = (
                interval.scheduled_for.as_millis(),
                interval.interval_start.as_millis(),
                interval.interval_end.as_millis(),
            );
            sqlx::query!(
                "INSERT INTO backfill_intervals (backfill, position, scheduled_for,
                     interval_start, interval_end)
                 VALUES (?, ?, ?, ?, ?)",
                row.id,
                interval.position,
                scheduled_for,
                start,
                end,
            )
            .execute(&mut *transaction)
            .await?;
        }
        self.state.commit(transaction, "backfill").await?;
        Ok(())
    }

    /// All backfills, or those that have not ended, the newest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.backfills.list", skip_all, level = "debug")]
    pub async fn backfills(&self, unfinished: bool) -> Result<Vec<BackfillRow>, Error> {
        let rows = sqlx::query!(
            "SELECT id, pipeline, request, concurrency, state, created_at, ended_at
             FROM backfills WHERE ? = 0 OR state IN ('running', 'paused') ORDER BY id DESC",
            unfinished,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| BackfillRow {
                id: row.id,
                pipeline: row.pipeline,
                request: row.request,
                concurrency: super::runs::count(row.concurrency),
                state: row.state,
                created_at: Timestamp::from_millis(row.created_at),
                ended_at: row.ended_at.map(Timestamp::from_millis),
            })
            .collect())
    }

    /// The intervals of a backfill, in order.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.backfills.intervals", skip_all, level = "debug")]
    pub async fn backfill_intervals(&self, id: &str) -> Result<Vec<BackfillInterval>, Error> {
        let rows = sqlx::query!(
            r#"SELECT i.position, i.scheduled_for, i.interval_start, i.interval_end, i.run_id,
                   runs.state AS "run_state?", i.fault
               FROM backfill_intervals AS i LEFT JOIN runs ON runs.id = i.run_id
               WHERE i.backfill = ? ORDER BY i.position"#,
            id,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| BackfillInterval {
                position: super::runs::count(row.position),
                scheduled_for: Timestamp::from_millis(row.scheduled_for),
                interval_start: Timestamp::from_millis(row.interval_start),
                interval_end: Timestamp::from_millis(row.interval_end),
                run_id: row.run_id,
                run_state: row.run_state.as_deref().and_then(RunState::from_name),
                fault: row.fault,
            })
            .collect())
    }

    /// Changes the state of a backfill that has not ended. `false` where it has.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.backfills.state", skip_all)]
    pub async fn set_backfill_state(
        &self,
        id: &str,
        state: &str,
        ended_at: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let ended_at = ended_at.map(Timestamp::as_millis);
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "UPDATE backfills SET state = ?, ended_at = ?
             WHERE id = ? AND state IN ('running', 'paused')",
            state,
            ended_at,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "backfill").await?;
        Ok(done.rows_affected() > 0)
    }

    /// Says why no run could be made of an interval.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.backfills.fault", skip_all)]
    pub async fn set_backfill_fault(
        &self,
        id: &str,
        position: u32,
        fault: &str,
    ) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "UPDATE backfill_intervals SET fault = ? WHERE backfill = ? AND position = ?",
            fault,
            id,
            position,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "backfill_fault").await?;
        Ok(())
    }

    /// How the newest run of a pipeline for an interval stands; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.of_interval", skip_all)]
    pub async fn state_of_interval(
        &self,
        pipeline: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Option<RunState>, Error> {
        let (start, end) = (start.as_millis(), end.as_millis());
        let state = sqlx::query_scalar!(
            "SELECT state FROM runs
             WHERE pipeline = ? AND interval_start = ? AND interval_end = ?
             ORDER BY id DESC LIMIT 1",
            pipeline,
            start,
            end,
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(state.as_deref().and_then(RunState::from_name))
    }
}
