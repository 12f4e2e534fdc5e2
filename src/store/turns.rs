//! One turn of the engine's dispatcher: everything it changes, in one transaction.
//!
//! Sets are written with one statement each, whose rows come from a JSON document: a statement
//! costs more than its rows.

mod rows;

use serde::Serialize;
use sqlx::{Sqlite, Transaction};

pub use self::rows::{
    AddedTask, AttemptEnded, CancelMark, GraphChange, NewAttempt, NewRun, NewTask, RunChange,
    TaskChange, Transition, Turn,
};
use super::{Error, Store};
use crate::clock::Timestamp;

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
        if !turn.graphs.is_empty() {
            write_graphs(&mut transaction, turn).await?;
        }
        write_changes(&mut transaction, turn).await?;
        if !turn.cancels.is_empty() {
            write_cancels(&mut transaction, &turn.cancels).await?;
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
         FROM jsonb_each(?)",
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
///
/// `jsonb_each` hands each object on as it is; `json_each` would write it as text, to be read again
/// for every `->>`: half of all time.
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
           FROM jsonb_each(?) AS j
           WHERE runs.id = j.value ->> 'run' AND runs.fence = j.value ->> 'fence';

           UPDATE tasks SET
               state = j.value ->> 'state', cause = j.value ->> 'cause',
               delayed_until = j.value ->> 'delayed_until', attempts = j.value ->> 'attempts',
               failures = j.value ->> 'failures', crashes = j.value ->> 'crashes',
               losses = j.value ->> 'losses',
               message = j.value ->> 'message', outcome = j.value ->> 'outcome',
               started_at = j.value ->> 'started_at',
               ended_at = j.value ->> 'ended_at'
           FROM jsonb_each(?) AS j, runs
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
               error_code = j.value ->> 'error_code',
               peak_bytes = j.value ->> 'peak_bytes', result = NULL
           FROM jsonb_each(?) AS j
           WHERE attempts.id = j.value ->> 'id' AND attempts.state = 'running';

           INSERT INTO attempts (id, run_id, position, task_id, number, owner, fence, state,
               started_at, heartbeat_at, rows_done, log)
           SELECT value ->> 'id', value ->> 'run', value ->> 'position', value ->> 'task_id',
               value ->> 'number', value ->> 'owner', value ->> 'fence', 'running',
               value ->> 'started_at', value ->> 'started_at', 0, value ->> 'log'
           FROM jsonb_each(?);

           INSERT INTO transitions (run_id, position, "from", "to", cause, at)
           SELECT value ->> 'run', value ->> 'position', value ->> 'from', value ->> 'to',
               value ->> 'cause', value ->> 'at'
           FROM jsonb_each(?);"#,
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

/// Writes changed graphs and the tasks that are new in them.
///
/// A run that is taken over in the same turn has its old fence here: its owner is written after.
async fn write_graphs(
    transaction: &mut Transaction<'static, Sqlite>,
    turn: &Turn,
) -> Result<(), Error> {
    let (graphs, added) = (document(&turn.graphs), document(&turn.added_tasks));
    let done = sqlx::query!(
        "UPDATE runs SET graph = j.value ->> 'graph'
         FROM jsonb_each(?) AS j
         WHERE runs.id = j.value ->> 'run'
             AND j.value ->> 'fence' IN (runs.fence, runs.fence + 1);

         INSERT INTO tasks (run_id, position, task_id, op, state, cause, attempts, failures,
             crashes)
         SELECT value ->> 'run', value ->> 'position', value ->> 'task_id', value ->> 'op',
             'waiting', value ->> 'cause', 0, 0, 0
         FROM jsonb_each(?);",
        graphs,
        added,
    )
    .execute(&mut **transaction)
    .await?;
    let wanted = turn.graphs.len() + turn.added_tasks.len();
    all_written(done.rows_affected(), wanted)
}

/// Writes what is told to end: after the owners, so that a run that is taken over has its new fence.
async fn write_cancels(
    transaction: &mut Transaction<'static, Sqlite>,
    cancels: &[CancelMark],
) -> Result<(), Error> {
    let rows = document(&cancels);
    let done = sqlx::query!(
        "UPDATE tasks SET cancel_requested = j.value ->> 'requested'
         FROM jsonb_each(?) AS j, runs
         WHERE tasks.run_id = j.value ->> 'run' AND tasks.position = j.value ->> 'position'
             AND runs.id = j.value ->> 'run' AND runs.fence = j.value ->> 'fence';

         UPDATE runs SET cancel_requested = j.value ->> 'requested'
         FROM jsonb_each(?) AS j
         WHERE runs.id = j.value ->> 'run' AND j.value ->> 'position' IS NULL
             AND runs.fence = j.value ->> 'fence';",
        rows,
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
