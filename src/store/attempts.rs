//! Attempts: what ran, for how long, with what result.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Error, Store, runs::count};
use crate::clock::Timestamp;

/// One try of one task.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AttemptRow {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The run.
    pub run_id: String,
    /// The task's position in the run's graph.
    pub position: usize,
    /// The task's id.
    pub task_id: String,
    /// Which try this is, from 1.
    pub number: u32,
    /// The process that watches over it.
    pub owner: String,
    /// The fence of the run when it started.
    pub fence: i64,
    /// Its own process, where it has one.
    pub pid: Option<u32>,
    /// `running`, `succeeded`, `failed`, `crashed`, `timed_out`, `cancelled` or `skipped`.
    pub state: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When its owner last said that it runs.
    pub heartbeat_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long it ran.
    pub seconds: Option<f64>,
    /// Rows committed, as of the heartbeat.
    pub rows_done: u64,
    /// Rows that came in.
    pub rows_in: Option<u64>,
    /// Rows that have a result.
    pub rows_out: Option<u64>,
    /// Results made.
    pub rows_computed: Option<u64>,
    /// Results that were there.
    pub rows_reused: Option<u64>,
    /// Bytes read from outside.
    pub bytes: Option<u64>,
    /// Rows that go no further, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Its stable code.
    pub error_code: Option<String>,
    /// The most memory that its processes held together, in bytes, where it has its own.
    pub peak_bytes: Option<u64>,
    /// Its log, below the data folder.
    pub log: String,
}

/// The columns of an attempt as they are stored.
#[derive(Debug)]
struct RawAttempt {
    id: String,
    run_id: String,
    position: i64,
    task_id: String,
    number: i64,
    owner: String,
    fence: i64,
    pid: Option<i64>,
    state: String,
    started_at: i64,
    heartbeat_at: i64,
    ended_at: Option<i64>,
    seconds: Option<f64>,
    rows_done: i64,
    rows_in: Option<i64>,
    rows_out: Option<i64>,
    rows_computed: Option<i64>,
    rows_reused: Option<i64>,
    bytes: Option<i64>,
    dropped: Option<String>,
    error: Option<String>,
    error_code: Option<String>,
    peak_bytes: Option<i64>,
    log: String,
}

impl TryFrom<RawAttempt> for AttemptRow {
    type Error = Error;

    fn try_from(raw: RawAttempt) -> Result<Self, Error> {
        let dropped = match &raw.dropped {
            Some(text) => serde_json::from_str(text).map_err(|error| Error::Inconsistent {
                table: "attempts",
                column: "dropped",
                row: raw.id.clone(),
                message: error.to_string(),
            })?,
            None => BTreeMap::new(),
        };
        let rows = |value: Option<i64>| value.map(i64::unsigned_abs);
        Ok(Self {
            id: raw.id,
            run_id: raw.run_id,
            position: usize::try_from(raw.position).unwrap_or(usize::MAX),
            task_id: raw.task_id,
            number: count(raw.number),
            owner: raw.owner,
            fence: raw.fence,
            pid: raw.pid.map(count),
            state: raw.state,
            started_at: Timestamp::from_millis(raw.started_at),
            heartbeat_at: Timestamp::from_millis(raw.heartbeat_at),
            ended_at: raw.ended_at.map(Timestamp::from_millis),
            seconds: raw.seconds,
            rows_done: raw.rows_done.unsigned_abs(),
            rows_in: rows(raw.rows_in),
            rows_out: rows(raw.rows_out),
            rows_computed: rows(raw.rows_computed),
            rows_reused: rows(raw.rows_reused),
            bytes: rows(raw.bytes),
            dropped,
            error: raw.error,
            error_code: raw.error_code,
            peak_bytes: rows(raw.peak_bytes),
            log: raw.log,
        })
    }
}

impl Store {
    /// The attempts of a run, or of one of its tasks, in the order of tasks and tries.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.attempts.list", skip_all)]
    pub async fn attempts(
        &self,
        run_id: &str,
        task_id: Option<&str>,
    ) -> Result<Vec<AttemptRow>, Error> {
        let rows = sqlx::query_as!(
            RawAttempt,
            "SELECT id, run_id, position, task_id, number, owner, fence, pid, state, started_at,
                 heartbeat_at, ended_at, seconds, rows_done, rows_in, rows_out, rows_computed,
                 rows_reused, bytes, dropped, error, error_code, peak_bytes, log
             FROM attempts WHERE run_id = ?1 AND (?2 IS NULL OR task_id = ?2)
             ORDER BY position, number",
            run_id,
            task_id,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(AttemptRow::try_from).collect()
    }

    /// One attempt.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.attempts.get", skip_all)]
    pub async fn attempt(&self, id: &str) -> Result<Option<AttemptRow>, Error> {
        let row = sqlx::query_as!(
            RawAttempt,
            "SELECT id, run_id, position, task_id, number, owner, fence, pid, state, started_at,
                 heartbeat_at, ended_at, seconds, rows_done, rows_in, rows_out, rows_computed,
                 rows_reused, bytes, dropped, error, error_code, peak_bytes, log
             FROM attempts WHERE id = ?",
            id,
        )
        .fetch_optional(self.state.read())
        .await?;
        row.map(AttemptRow::try_from).transpose()
    }

    /// Says that attempts are running, and how many rows they have committed.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.attempts.heartbeat", skip_all, level = "debug")]
    pub async fn heartbeat(&self, attempts: &[(&str, u64)], now: Timestamp) -> Result<(), Error> {
        let rows = serde_json::to_string(attempts).expect("rows are plain data");
        let now = now.as_millis();
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "UPDATE attempts SET heartbeat_at = ?,
                 rows_done = max(rows_done, j.value ->> 1)
             FROM json_each(?) AS j
             WHERE attempts.id = j.value ->> 0 AND attempts.state = 'running'",
            now,
            rows,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "heartbeat").await?;
        Ok(())
    }

    /// Notes the process of an attempt; called by that process before it does anything.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where the attempt does not run, or its run has changed hands.
    #[tracing::instrument(name = "db.attempts.begin", skip_all)]
    pub async fn begin_attempt(&self, id: &str, pid: u32) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "UPDATE attempts SET pid = ?
             WHERE id = ? AND state = 'running' AND result IS NULL
               AND fence = (SELECT fence FROM runs WHERE runs.id = attempts.run_id)",
            pid,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "attempt_begin").await?;
        if done.rows_affected() == 0 {
            return Err(Error::Conflict(format!(
                "there is no attempt `{id}` to run: it is unknown, has ended, or was given up"
            )));
        }
        Ok(())
    }

    /// Leaves the result of an attempt for the process that watches over it.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where the attempt was given up meanwhile.
    #[tracing::instrument(name = "db.attempts.report", skip_all)]
    pub async fn report_attempt(&self, id: &str, result: &str) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "UPDATE attempts SET result = ?
             WHERE id = ? AND state = 'running'
               AND fence = (SELECT fence FROM runs WHERE runs.id = attempts.run_id)",
            result,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "attempt_report").await?;
        if done.rows_affected() == 0 {
            return Err(Error::Conflict(format!(
                "attempt `{id}` was given up before it ended; its result is not recorded"
            )));
        }
        Ok(())
    }

    /// What the process of an attempt left, if it did.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.attempts.result", skip_all)]
    pub async fn attempt_result(&self, id: &str) -> Result<Option<String>, Error> {
        Ok(
            sqlx::query_scalar!("SELECT result FROM attempts WHERE id = ?", id)
                .fetch_optional(self.state.read())
                .await?
                .flatten(),
        )
    }
}
