//! Schedules: up to which tick each is decided, which ticks became no run, and which pipelines are
//! paused.

use super::{Error, Store};
use crate::clock::Timestamp;

/// A schedule as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// `pipeline/name`.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Its name in the pipeline.
    pub name: String,
    /// When it fires.
    pub timing: String,
    /// Everything that the file says, as JSON.
    pub spec: String,
    /// Up to here every tick became a run or was left out.
    pub handled_until: Timestamp,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// When it was found to be gone from the file.
    pub removed_at: Option<Timestamp>,
    /// Why a due tick cannot become a run at present.
    pub fault: Option<String>,
}

/// Ticks that became no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedTicks {
    /// The schedule.
    pub schedule: String,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many they are.
    pub count: u32,
    /// Why, in words.
    pub reason: String,
    /// When that was decided.
    pub at: Timestamp,
}

/// A run of a schedule that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedTick {
    /// The run.
    pub run_id: String,
    /// The schedule.
    pub schedule: String,
    /// The pipeline.
    pub pipeline: String,
    /// The tick.
    pub scheduled_for: Timestamp,
    /// Why it must not start yet.
    pub hold: Option<String>,
    /// Whether it was told to end.
    pub cancel_requested: bool,
}

impl Store {
    /// All schedules, those that are gone from their files too.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.list", skip_all, level = "debug")]
    pub async fn schedules(&self) -> Result<Vec<ScheduleRow>, Error> {
        let rows = sqlx::query!(
            "SELECT id, pipeline, name, timing, spec, handled_until, first_seen_at, removed_at,
                 fault
             FROM schedules ORDER BY id"
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ScheduleRow {
                id: row.id,
                pipeline: row.pipeline,
                name: row.name,
                timing: row.timing,
                spec: row.spec,
                handled_until: Timestamp::from_millis(row.handled_until),
                first_seen_at: Timestamp::from_millis(row.first_seen_at),
                removed_at: row.removed_at.map(Timestamp::from_millis),
                fault: row.fault,
            })
            .collect())
    }

    /// Writes schedules as they are now, whole.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.put", skip_all)]
    pub async fn put_schedules(&self, rows: &[ScheduleRow]) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        for row in rows {
            let (handled_until, first_seen_at, removed_at) = (
                row.handled_until.as_millis(),
                row.first_seen_at.as_millis(),
                row.removed_at.map(Timestamp::as_millis),
            );
            sqlx::query!(
                "INSERT INTO schedules (id, pipeline, name, timing, spec, handled_until,
                     first_seen_at, removed_at, fault)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET
                     timing = excluded.timing, spec = excluded.spec,
                     handled_until = excluded.handled_until, removed_at = excluded.removed_at,
                     fault = excluded.fault",
                row.id,
                row.pipeline,
                row.name,
                row.timing,
                row.spec,
                handled_until,
                first_seen_at,
                removed_at,
                row.fault,
            )
            .execute(&mut *transaction)
            .await?;
        }
        self.state.commit(transaction, "schedules").await?;
        Ok(())
    }

    /// Moves the mark of a schedule, to where no run is made for what lies before it.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.mark", skip_all)]
    pub async fn mark_schedule(&self, id: &str, handled_until: Timestamp) -> Result<(), Error> {
        let handled_until = handled_until.as_millis();
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "UPDATE schedules SET handled_until = ? WHERE id = ?",
            handled_until,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "tick_handled").await?;
        Ok(())
    }

    /// Says why a due tick of a schedule cannot become a run, or that it can.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.fault", skip_all)]
    pub async fn set_schedule_fault(&self, id: &str, fault: Option<&str>) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        sqlx::query!("UPDATE schedules SET fault = ? WHERE id = ?", fault, id)
            .execute(&mut *transaction)
            .await?;
        self.state.commit(transaction, "schedule_fault").await?;
        Ok(())
    }

    /// Records ticks that become no run, and moves the schedule's mark behind them.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.skip", skip_all)]
    pub async fn skip_ticks(&self, skipped: &SkippedTicks) -> Result<(), Error> {
        let (first, last, at) = (
            skipped.first.as_millis(),
            skipped.last.as_millis(),
            skipped.at.as_millis(),
        );
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "INSERT INTO skipped_ticks (schedule, first, last, count, reason, at)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (schedule, first) DO UPDATE SET
                 last = excluded.last, count = excluded.count, reason = excluded.reason,
                 at = excluded.at",
            skipped.schedule,
            first,
            last,
            skipped.count,
            skipped.reason,
            at,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "UPDATE schedules SET handled_until = max(handled_until, ?) WHERE id = ?",
            last,
            skipped.schedule,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "ticks_skipped").await?;
        Ok(())
    }

    /// The newest ticks of a schedule that became no run, at most `limit` rows.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.skipped", skip_all)]
    pub async fn skipped_ticks(
        &self,
        schedule: &str,
        limit: u32,
    ) -> Result<Vec<SkippedTicks>, Error> {
        let rows = sqlx::query!(
            "SELECT schedule, first, last, count, reason, at FROM skipped_ticks
             WHERE schedule = ? ORDER BY first DESC LIMIT ?",
            schedule,
            limit,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| SkippedTicks {
                schedule: row.schedule,
                first: Timestamp::from_millis(row.first),
                last: Timestamp::from_millis(row.last),
                count: super::runs::count(row.count),
                reason: row.reason,
                at: Timestamp::from_millis(row.at),
            })
            .collect())
    }

    /// The runs of schedules that have not ended, by schedule and tick.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.unfinished", skip_all, level = "debug")]
    pub async fn unfinished_ticks(&self) -> Result<Vec<UnfinishedTick>, Error> {
        let rows = sqlx::query!(
            r#"SELECT id, schedule AS "schedule!", pipeline, scheduled_for, hold,
                   cancel_requested AS "cancel_requested: bool"
               FROM runs WHERE state IN ('queued', 'running') AND schedule IS NOT NULL
               ORDER BY schedule, scheduled_for"#
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| UnfinishedTick {
                run_id: row.id,
                schedule: row.schedule,
                pipeline: row.pipeline,
                scheduled_for: Timestamp::from_millis(row.scheduled_for),
                hold: row.hold,
                cancel_requested: row.cancel_requested,
            })
            .collect())
    }

    /// When a run is to have ended, where its schedule says so.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.deadline", skip_all, level = "debug")]
    pub async fn run_deadline(&self, run_id: &str) -> Result<Option<Timestamp>, Error> {
        let deadline_at = sqlx::query_scalar!("SELECT deadline_at FROM runs WHERE id = ?", run_id)
            .fetch_optional(self.state.read())
            .await?;
        Ok(deadline_at.flatten().map(Timestamp::from_millis))
    }

    /// Whether the interval of the last run that a schedule made for a tick before `scheduled_for`
    /// has a run that succeeded; true where there is no such run.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.schedules.past", skip_all)]
    pub async fn past_succeeded(
        &self,
        schedule: &str,
        scheduled_for: Timestamp,
    ) -> Result<bool, Error> {
        let scheduled_for = scheduled_for.as_millis();
        let succeeded = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT 1 FROM runs AS again
                   WHERE again.pipeline = past.pipeline
                       AND again.interval_start = past.interval_start
                       AND again.interval_end = past.interval_end
                       AND again.state = 'succeeded'
               ) AS "succeeded!: bool"
               FROM runs AS past WHERE past.schedule = ? AND past.scheduled_for < ?
               ORDER BY past.scheduled_for DESC LIMIT 1"#,
            schedule,
            scheduled_for,
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(succeeded.unwrap_or(true))
    }

    /// The pipelines whose schedules make no runs, with the time since when.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.pipelines.paused", skip_all, level = "debug")]
    pub async fn paused_pipelines(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        let rows =
            sqlx::query!("SELECT pipeline, paused_at FROM paused_pipelines ORDER BY pipeline")
                .fetch_all(self.state.read())
                .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.pipeline, Timestamp::from_millis(row.paused_at)))
            .collect())
    }

    /// Pauses a pipeline. `false` where it was paused before.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.pipelines.pause", skip_all)]
    pub async fn pause_pipeline(&self, pipeline: &str, at: Timestamp) -> Result<bool, Error> {
        let at = at.as_millis();
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "INSERT INTO paused_pipelines (pipeline, paused_at) VALUES (?, ?)
             ON CONFLICT DO NOTHING",
            pipeline,
            at,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "pause").await?;
        Ok(done.rows_affected() > 0)
    }

    /// Lets a paused pipeline go on. `false` where it was not paused.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.pipelines.unpause", skip_all)]
    pub async fn unpause_pipeline(&self, pipeline: &str) -> Result<bool, Error> {
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!("DELETE FROM paused_pipelines WHERE pipeline = ?", pipeline)
            .execute(&mut *transaction)
            .await?;
        self.state.commit(transaction, "pause").await?;
        Ok(done.rows_affected() > 0)
    }
}
