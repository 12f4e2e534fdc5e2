//! One turn of the engine's dispatcher: everything it changes, in one transaction.
//!
//! Sets are written with one statement each, whose rows come from a JSON document: a statement
//! costs more than its rows.

use serde::{Serialize, Serializer};
use sqlx::{Sqlite, Transaction};

use super::{Error, Store};
use crate::clock::Timestamp;

/// Everything that one turn changes. Written in this order, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Runs that begin to exist.
    pub new_runs: Vec<NewRun>,
    /// Runs whose state or owner changes.
    pub runs: Vec<RunChange>,
    /// Tasks whose state changes, each once, with its last state.
    pub tasks: Vec<TaskChange>,
    /// Attempts that start.
    pub started: Vec<NewAttempt>,
    /// Attempts that ended.
    pub ended: Vec<AttemptEnded>,
    /// Running tasks that are told to end.
    pub task_cancels: Vec<TaskCancel>,
    /// Every move, in order.
    pub transitions: Vec<Transition>,
}

impl Turn {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.new_runs.is_empty()
            && self.runs.is_empty()
            && self.tasks.is_empty()
            && self.started.is_empty()
            && self.ended.is_empty()
            && self.task_cancels.is_empty()
            && self.transitions.is_empty()
    }
}

/// A run that begins to exist.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The SHA-256 of the pipeline's text.
    pub definition_hash: String,
    /// The pipeline's text.
    pub definition: String,
    /// All tasks with rendered settings, as JSON.
    pub graph: String,
    /// The parameters, as a JSON object.
    pub params: String,
    /// The source, where the run has one.
    pub source: Option<String>,
    /// The profile, where the run has one.
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
    pub trigger: &'static str,
    /// Why it was made, in words.
    pub cause: String,
    /// Equal for runs that are one and the same to a person.
    pub identity: String,
    /// The process at work on it; `None` where it is held.
    pub owner: Option<String>,
    /// Why it may not start yet, in words; `None` where it may.
    pub hold: Option<String>,
    /// When it is to have ended.
    pub deadline_at: Option<Timestamp>,
    /// The backfill that wants it, and its place in there.
    pub backfill: Option<(String, u32)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its tasks, in the graph's order.
    pub tasks: Vec<NewTask>,
}

/// A task of a new run.
#[derive(Clone, Debug, Serialize)]
pub struct NewTask {
    /// Its id in the pipeline.
    pub task_id: String,
    /// Its operator.
    pub op: String,
    /// The name of its state.
    pub state: &'static str,
    /// Why it has this state.
    pub cause: String,
    /// For people.
    pub message: Option<String>,
    /// The outcome as JSON, where it was taken over from another run.
    pub outcome: Option<String>,
    /// When it ended, where it was taken over or left out.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
}

/// A run whose state or owner changes.
#[derive(Clone, Debug, Serialize)]
pub struct RunChange {
    /// The run.
    pub run: String,
    /// The fence that it must have.
    pub fence: i64,
    /// The fence that it gets: one more where it changes hands.
    pub new_fence: i64,
    /// The process at work on it; `None` where it ended or was left.
    pub owner: Option<String>,
    /// The name of its state.
    pub state: &'static str,
    /// Why, in words.
    pub cause: String,
    /// Whether it was told to end.
    pub cancel_requested: bool,
    /// When it was started; kept where it was before.
    #[serde(serialize_with = "optional_millis")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
}

/// A task whose state changes.
#[derive(Clone, Debug, Serialize)]
pub struct TaskChange {
    /// The run.
    pub run: String,
    /// The fence that the run must have.
    pub fence: i64,
    /// The task's position.
    pub position: usize,
    /// The name of its new state.
    pub state: &'static str,
    /// Why, in words.
    pub cause: String,
    /// When its delay ends.
    #[serde(serialize_with = "optional_millis")]
    pub delayed_until: Option<Timestamp>,
    /// How many attempts were started.
    pub attempts: u32,
    /// How many of them failed or timed out.
    pub failures: u32,
    /// How many crashed in a row.
    pub crashes: u32,
    /// For people.
    pub message: Option<String>,
    /// The outcome as JSON, once it succeeded.
    pub outcome: Option<String>,
    /// When its first attempt started; kept where it was before.
    #[serde(serialize_with = "optional_millis")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
}

/// An attempt that starts.
#[derive(Clone, Debug, Serialize)]
pub struct NewAttempt {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The run.
    pub run: String,
    /// The fence of the run.
    pub fence: i64,
    /// The task's position.
    pub position: usize,
    /// The task's id.
    pub task_id: String,
    /// Which try this is, from 1.
    pub number: u32,
    /// The process that watches over it.
    pub owner: String,
    /// When it starts.
    #[serde(serialize_with = "millis")]
    pub started_at: Timestamp,
    /// Its log, below the data folder.
    pub log: String,
}

/// An attempt that ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AttemptEnded {
    /// Its id.
    pub id: String,
    /// The name of its state.
    pub state: &'static str,
    /// When it ended.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
    /// How long it ran.
    pub seconds: f64,
    /// Rows committed.
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
    /// Rows that go no further by reason, as JSON.
    pub dropped: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Its stable code.
    pub error_code: Option<&'static str>,
}

/// A running task that is told to end.
#[derive(Clone, Debug, Serialize)]
pub struct TaskCancel {
    /// The run.
    pub run: String,
    /// The fence that the run must have.
    pub fence: i64,
    /// The task's position.
    pub position: usize,
}

/// A change of state with its cause.
#[derive(Clone, Debug, Serialize)]
pub struct Transition {
    /// The run.
    pub run: String,
    /// The task's position; `None` for the run itself.
    pub position: Option<usize>,
    /// The state that was left.
    pub from: &'static str,
    /// The state that came.
    pub to: &'static str,
    /// Why, in words.
    pub cause: String,
    /// When.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references over"
)]
fn millis<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(time.as_millis())
}

#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
fn optional_millis<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(Timestamp::as_millis).serialize(serializer)
}

fn document(rows: &impl Serialize) -> String {
    serde_json::to_string(rows).expect("rows are plain data with text keys")
}

impl Store {
    /// Writes a turn; when this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where another process has taken over a run: nothing is written then.
    #[tracing::instrument(name = "db.turns.write", skip_all, level = "debug")]
    pub async fn write_turn(&self, turn: &Turn) -> Result<(), Error> {
        if turn.is_empty() {
            return Ok(());
        }
        let mut transaction = self.state.write().await?;
        for run in &turn.new_runs {
            insert_run(&mut transaction, run).await?;
        }
        write_changes(&mut transaction, turn).await?;
        if !turn.task_cancels.is_empty() {
            write_task_cancels(&mut transaction, &turn.task_cancels).await?;
        }
        self.state.commit(transaction, "turn").await?;
        Ok(())
    }
}

async fn insert_run(
    transaction: &mut Transaction<'static, Sqlite>,
    run: &NewRun,
) -> Result<(), Error> {
    let created_at = run.created_at.as_millis();
    sqlx::query!(
        "INSERT INTO definitions (hash, pipeline, text, first_seen_at) VALUES (?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
        run.definition_hash,
        run.pipeline,
        run.definition,
        created_at,
    )
    .execute(&mut **transaction)
    .await?;
    let deadline_at = run.deadline_at.map(Timestamp::as_millis);
    let (scheduled_for, interval_start, interval_end, as_of) = (
        run.scheduled_for.as_millis(),
        run.interval_start.as_millis(),
        run.interval_end.as_millis(),
        run.as_of.as_millis(),
    );
    sqlx::query!(
        "INSERT INTO runs (id, pipeline, definition_hash, graph, params, source, profile,
             schedule, scheduled_for, interval_start, interval_end, as_of, force, trigger, state,
             cause, identity, owner, fence, cancel_requested, hold, created_at, deadline_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, 1, 0, ?, ?, ?)",
        run.id,
        run.pipeline,
        run.definition_hash,
        run.graph,
        run.params,
        run.source,
        run.profile,
        run.schedule,
        scheduled_for,
        interval_start,
        interval_end,
        as_of,
        run.force,
        run.trigger,
        run.cause,
        run.identity,
        run.owner,
        run.hold,
        created_at,
        deadline_at,
    )
    .execute(&mut **transaction)
    .await?;
    mark_origin(transaction, run).await?;
    let tasks = document(&run.tasks);
    sqlx::query!(
        "INSERT INTO tasks (run_id, position, task_id, op, state, cause, attempts, failures,
             crashes, message, outcome, ended_at)
         SELECT ?, key, value ->> 'task_id', value ->> 'op', value ->> 'state',
             value ->> 'cause', 0, 0, 0, value ->> 'message', value ->> 'outcome',
             value ->> 'ended_at'
         FROM json_each(?)",
        run.id,
        tasks,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Tells the schedule or the backfill that wants a run that it was made: in the transaction that
/// makes it, so that it is made once.
async fn mark_origin(
    transaction: &mut Transaction<'static, Sqlite>,
    run: &NewRun,
) -> Result<(), Error> {
    if let Some(schedule) = &run.schedule {
        let scheduled_for = run.scheduled_for.as_millis();
        sqlx::query!(
            "UPDATE schedules SET handled_until = max(handled_until, ?), fault = NULL WHERE id = ?",
            scheduled_for,
            schedule,
        )
        .execute(&mut **transaction)
        .await?;
    }
    if let Some((backfill, position)) = &run.backfill {
        sqlx::query!(
            "UPDATE backfill_intervals SET run_id = ? WHERE backfill = ? AND position = ?",
            run.id,
            backfill,
            position,
        )
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Writes all sets of a turn with one call, because each call costs two changes of thread.
async fn write_changes(
    transaction: &mut Transaction<'static, Sqlite>,
    turn: &Turn,
) -> Result<(), Error> {
    let (runs, tasks) = (document(&turn.runs), document(&turn.tasks));
    let (ended, started) = (document(&turn.ended), document(&turn.started));
    let transitions = document(&turn.transitions);
    let done = sqlx::query!(
        r#"UPDATE runs SET
               fence = j.value ->> 'new_fence', owner = j.value ->> 'owner',
               state = j.value ->> 'state', cause = j.value ->> 'cause',
               -- A run that goes on after its end is wanted again.
               cancel_requested = iif(ended_at IS NULL, max(cancel_requested,
                   j.value ->> 'cancel_requested'), 0),
               hold = iif(j.value ->> 'state' = 'queued', hold, NULL),
               started_at = ifnull(started_at, j.value ->> 'started_at'),
               ended_at = j.value ->> 'ended_at'
           FROM json_each(?) AS j
           WHERE runs.id = j.value ->> 'run' AND runs.fence = j.value ->> 'fence';

           UPDATE tasks SET
               state = j.value ->> 'state', cause = j.value ->> 'cause',
               delayed_until = j.value ->> 'delayed_until', attempts = j.value ->> 'attempts',
               failures = j.value ->> 'failures', crashes = j.value ->> 'crashes',
               -- A task that waits again was cleared: it begins anew.
               cancel_requested = iif(j.value ->> 'state' = 'waiting', 0, tasks.cancel_requested),
               message = j.value ->> 'message', outcome = j.value ->> 'outcome',
               started_at = iif(j.value ->> 'state' = 'waiting', NULL,
                   ifnull(tasks.started_at, j.value ->> 'started_at')),
               ended_at = j.value ->> 'ended_at'
           FROM json_each(?) AS j, runs
           WHERE tasks.run_id = j.value ->> 'run' AND tasks.position = j.value ->> 'position'
               AND runs.id = j.value ->> 'run' AND runs.fence = j.value ->> 'fence';

           UPDATE attempts SET
               state = j.value ->> 'state', ended_at = j.value ->> 'ended_at',
               heartbeat_at = j.value ->> 'ended_at', seconds = j.value ->> 'seconds',
               rows_done = max(rows_done, j.value ->> 'rows_done'),
               rows_in = j.value ->> 'rows_in', rows_out = j.value ->> 'rows_out',
               rows_computed = j.value ->> 'rows_computed',
               rows_reused = j.value ->> 'rows_reused', bytes = j.value ->> 'bytes',
               dropped = j.value ->> 'dropped', error = j.value ->> 'error',
               error_code = j.value ->> 'error_code', result = NULL
           FROM json_each(?) AS j
           WHERE attempts.id = j.value ->> 'id' AND attempts.state = 'running';

           INSERT INTO attempts (id, run_id, position, task_id, number, owner, fence, state,
               started_at, heartbeat_at, rows_done, log)
           SELECT value ->> 'id', value ->> 'run', value ->> 'position', value ->> 'task_id',
               value ->> 'number', value ->> 'owner', value ->> 'fence', 'running',
               value ->> 'started_at', value ->> 'started_at', 0, value ->> 'log'
           FROM json_each(?);

           INSERT INTO transitions (run_id, position, "from", "to", cause, at)
           SELECT value ->> 'run', value ->> 'position', value ->> 'from', value ->> 'to',
               value ->> 'cause', value ->> 'at'
           FROM json_each(?);"#,
        runs,
        tasks,
        ended,
        started,
        transitions,
    )
    .execute(&mut **transaction)
    .await?;
    let wanted = turn.runs.len()
        + turn.tasks.len()
        + turn.ended.len()
        + turn.started.len()
        + turn.transitions.len();
    all_written(done.rows_affected(), wanted)
}

async fn write_task_cancels(
    transaction: &mut Transaction<'static, Sqlite>,
    cancels: &[TaskCancel],
) -> Result<(), Error> {
    let rows = document(&cancels);
    let done = sqlx::query!(
        "UPDATE tasks SET cancel_requested = 1
         FROM json_each(?) AS j, runs
         WHERE tasks.run_id = j.value ->> 'run' AND tasks.position = j.value ->> 'position'
             AND runs.id = j.value ->> 'run' AND runs.fence = j.value ->> 'fence'",
        rows,
    )
    .execute(&mut **transaction)
    .await?;
    all_written(done.rows_affected(), cancels.len())
}

fn all_written(written: u64, wanted: usize) -> Result<(), Error> {
    if written == wanted as u64 {
        Ok(())
    } else {
        Err(Error::Conflict(format!(
            "{} of {wanted} rows are not as this process left them: another one has taken over",
            (wanted as u64).saturating_sub(written),
        )))
    }
}
