//! Runs and where their tasks stand.

use serde_json::{Map, Value};

use super::{Error, Store};
use crate::{
    clock::Timestamp,
    dag::{Graph, RunState, TaskRun, TaskState},
};

/// A run, without its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The SHA-256 of the pipeline's text.
    pub definition_hash: String,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// The source, where it has one.
    pub source: Option<String>,
    /// The profile, where it has one.
    pub profile: Option<String>,
    /// The schedule that made it.
    pub schedule: Option<String>,
    /// The moment it is for.
    pub scheduled_for: Timestamp,
    /// The data interval's first instant.
    pub interval_start: Timestamp,
    /// The first instant after the data interval.
    pub interval_end: Timestamp,
    /// The moment whose knowledge it may use.
    pub as_of: Timestamp,
    /// Whether everything is computed again.
    pub force: bool,
    /// What made it: `manual`, `scheduled` or `backfill`.
    pub trigger: String,
    /// Where it stands.
    pub state: RunState,
    /// Why, in words.
    pub cause: String,
    /// Equal for runs that are one and the same to a person.
    pub identity: String,
    /// The process at work on it.
    pub owner: Option<String>,
    /// Grows with every owner.
    pub fence: i64,
    /// Whether it was told to end.
    pub cancel_requested: bool,
    /// Why it may not start yet, in words; `None` where it may.
    pub hold: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was first started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Where a task of a run stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// Its position in the run's graph.
    pub position: usize,
    /// Its id in the pipeline.
    pub task_id: String,
    /// Its operator.
    pub op: String,
    /// State and counters.
    pub run: TaskRun,
    /// Why it has this state, in words.
    pub cause: String,
    /// For people: the outcome's sentence, the error, the reason of a skip.
    pub message: Option<String>,
    /// The outcome as JSON, once it succeeded.
    pub outcome: Option<String>,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long its ended attempts took together.
    pub seconds: f64,
}

/// The columns of a run as they are stored.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct RawRun {
    id: String,
    pipeline: String,
    definition_hash: String,
    params: String,
    source: Option<String>,
    profile: Option<String>,
    schedule: Option<String>,
    scheduled_for: i64,
    interval_start: i64,
    interval_end: i64,
    as_of: i64,
    force: bool,
    trigger: String,
    state: String,
    cause: String,
    identity: String,
    owner: Option<String>,
    fence: i64,
    cancel_requested: bool,
    hold: Option<String>,
    created_at: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
}

impl TryFrom<RawRun> for RunRow {
    type Error = Error;

    fn try_from(raw: RawRun) -> Result<Self, Error> {
        let bad = |column, message: String| Error::Inconsistent {
            table: "runs",
            column,
            row: raw.id.clone(),
            message,
        };
        Ok(Self {
            params: serde_json::from_str(&raw.params)
                .map_err(|error| bad("params", error.to_string()))?,
            state: RunState::from_name(&raw.state)
                .ok_or_else(|| bad("state", format!("`{}` is no state", raw.state)))?,
            id: raw.id,
            pipeline: raw.pipeline,
            definition_hash: raw.definition_hash,
            source: raw.source,
            profile: raw.profile,
            schedule: raw.schedule,
            scheduled_for: Timestamp::from_millis(raw.scheduled_for),
            interval_start: Timestamp::from_millis(raw.interval_start),
            interval_end: Timestamp::from_millis(raw.interval_end),
            as_of: Timestamp::from_millis(raw.as_of),
            force: raw.force,
            trigger: raw.trigger,
            cause: raw.cause,
            identity: raw.identity,
            owner: raw.owner,
            fence: raw.fence,
            cancel_requested: raw.cancel_requested,
            hold: raw.hold,
            created_at: Timestamp::from_millis(raw.created_at),
            started_at: raw.started_at.map(Timestamp::from_millis),
            ended_at: raw.ended_at.map(Timestamp::from_millis),
        })
    }
}

impl Store {
    /// The newest runs first, at most `limit`, of one pipeline or of all.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.list", skip_all)]
    pub async fn runs(&self, pipeline: Option<&str>, limit: u32) -> Result<Vec<RunRow>, Error> {
        let rows = sqlx::query_as!(
            RawRun,
            r#"SELECT id, pipeline, definition_hash, params, source, profile, schedule,
                   scheduled_for, interval_start, interval_end, as_of, force AS "force: bool",
                   trigger, state, cause, identity, owner, fence,
                   cancel_requested AS "cancel_requested: bool", hold, created_at, started_at,
                   ended_at
               FROM runs WHERE ?1 IS NULL OR pipeline = ?1
               ORDER BY id DESC LIMIT ?2"#,
            pipeline,
            limit,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(RunRow::try_from).collect()
    }

    /// The runs whose id begins with `prefix`, at most two: one more than a person can mean.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.find", skip_all)]
    pub async fn runs_with_prefix(&self, prefix: &str) -> Result<Vec<RunRow>, Error> {
        let rows = sqlx::query_as!(
            RawRun,
            r#"SELECT id, pipeline, definition_hash, params, source, profile, schedule,
                   scheduled_for, interval_start, interval_end, as_of, force AS "force: bool",
                   trigger, state, cause, identity, owner, fence,
                   cancel_requested AS "cancel_requested: bool", hold, created_at, started_at,
                   ended_at
               FROM runs WHERE id >= ?1 AND id < ?1 || char(1114111) ORDER BY id LIMIT 2"#,
            prefix,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(RunRow::try_from).collect()
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.get", skip_all)]
    pub async fn run(&self, id: &str) -> Result<Option<RunRow>, Error> {
        let row = sqlx::query_as!(
            RawRun,
            r#"SELECT id, pipeline, definition_hash, params, source, profile, schedule,
                   scheduled_for, interval_start, interval_end, as_of, force AS "force: bool",
                   trigger, state, cause, identity, owner, fence,
                   cancel_requested AS "cancel_requested: bool", hold, created_at, started_at,
                   ended_at
               FROM runs WHERE id = ?"#,
            id,
        )
        .fetch_optional(self.state.read())
        .await?;
        row.map(RunRow::try_from).transpose()
    }

    /// The runs that have not ended, oldest first; of one identity or of all. One that cannot be
    /// read is left out, with a word in the log: it must not hide all others.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.unfinished", skip_all)]
    pub async fn unfinished_runs(&self, identity: Option<&str>) -> Result<Vec<RunRow>, Error> {
        let rows = sqlx::query_as!(
            RawRun,
            r#"SELECT id, pipeline, definition_hash, params, source, profile, schedule,
                   scheduled_for, interval_start, interval_end, as_of, force AS "force: bool",
                   trigger, state, cause, identity, owner, fence,
                   cancel_requested AS "cancel_requested: bool", hold, created_at, started_at,
                   ended_at
               FROM runs WHERE state IN ('queued', 'running') AND (?1 IS NULL OR identity = ?1)
               ORDER BY id"#,
            identity,
        )
        .fetch_all(self.state.read())
        .await?;
        let readable = rows.into_iter().map(RunRow::try_from).filter_map(|row| {
            row.inspect_err(|error| tracing::error!("left out: {error}"))
                .ok()
        });
        Ok(readable.collect())
    }

    /// The run that a schedule made for one of its ticks.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.of_tick", skip_all)]
    pub async fn run_of_tick(
        &self,
        schedule: &str,
        scheduled_for: Timestamp,
    ) -> Result<Option<String>, Error> {
        let scheduled_for = scheduled_for.as_millis();
        Ok(sqlx::query_scalar!(
            "SELECT id FROM runs WHERE schedule = ? AND scheduled_for = ?",
            schedule,
            scheduled_for,
        )
        .fetch_optional(self.state.read())
        .await?)
    }

    /// The graph that a run was started with.
    ///
    /// # Errors
    ///
    /// Where there is no such run, or its graph cannot be read any more.
    #[tracing::instrument(name = "db.runs.graph", skip_all)]
    pub async fn run_graph(&self, id: &str) -> Result<Graph, Error> {
        let text = sqlx::query_scalar!("SELECT graph FROM runs WHERE id = ?", id)
            .fetch_optional(self.state.read())
            .await?
            .ok_or_else(|| Error::Conflict(format!("there is no run `{id}`")))?;
        serde_json::from_str(&text).map_err(|error| Error::Inconsistent {
            table: "runs",
            column: "graph",
            row: id.to_owned(),
            message: error.to_string(),
        })
    }

    /// The text of the pipeline that a run was started with.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.definitions.get", skip_all)]
    pub async fn definition(&self, hash: &str) -> Result<Option<String>, Error> {
        Ok(
            sqlx::query_scalar!("SELECT text FROM definitions WHERE hash = ?", hash)
                .fetch_optional(self.state.read())
                .await?,
        )
    }

    /// Where the tasks of a run stand, in the graph's order.
    ///
    /// # Errors
    ///
    /// Where the database fails or a state cannot be read.
    #[tracing::instrument(name = "db.tasks.list", skip_all)]
    pub async fn tasks(&self, run_id: &str) -> Result<Vec<TaskRow>, Error> {
        let rows = sqlx::query!(
            r#"SELECT position, task_id, op, state, cause, delayed_until, attempts, failures,
                   crashes, losses, cancel_requested AS "cancel_requested: bool", message,
                   outcome, started_at, ended_at,
                   (SELECT total(seconds) FROM attempts
                    WHERE attempts.run_id = tasks.run_id
                      AND attempts.position = tasks.position) AS "seconds!: f64"
               FROM tasks WHERE run_id = ? ORDER BY position"#,
            run_id,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let state = TaskState::from_parts(
                    &row.state,
                    row.delayed_until.map(Timestamp::from_millis),
                    row.message.as_deref(),
                )
                .ok_or_else(|| Error::Inconsistent {
                    table: "tasks",
                    column: "state",
                    row: format!("{run_id}/{}", row.task_id),
                    message: format!("`{}` is no state", row.state),
                })?;
                Ok(TaskRow {
                    position: usize::try_from(row.position).unwrap_or(usize::MAX),
                    task_id: row.task_id,
                    op: row.op,
                    run: TaskRun {
                        state,
                        attempts: count(row.attempts),
                        failures: count(row.failures),
                        crashes: count(row.crashes),
                        losses: count(row.losses),
                        cancel_requested: row.cancel_requested,
                        first_started: row.started_at.map(Timestamp::from_millis),
                    },
                    cause: row.cause,
                    message: row.message,
                    outcome: row.outcome,
                    started_at: row.started_at.map(Timestamp::from_millis),
                    ended_at: row.ended_at.map(Timestamp::from_millis),
                    seconds: row.seconds,
                })
            })
            .collect()
    }

    /// The faults that a quick check of `state.db` finds; for after an unclean stop.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.state.quick_check", skip_all)]
    pub async fn quick_check_state(&self) -> Result<Vec<String>, Error> {
        let lines: Vec<String> = sqlx::query_scalar("PRAGMA quick_check")
            .fetch_all(self.state.read())
            .await?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}

/// A counter as it is stored; it never grows beyond what it was written from.
pub(super) fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
