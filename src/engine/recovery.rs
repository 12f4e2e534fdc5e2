//! What is done about runs whose process died: their attempts crashed, and they can be resumed.

use std::{collections::HashMap, sync::Arc};

use super::{
    Error,
    draft::{Draft, why_ended},
    executor::AttemptResult,
};
use crate::{
    clock::Timestamp,
    dag::{AttemptEnd, Effect, Event, Pools, Run, RunState, TaskRun, settle},
    store::{AttemptEnded, RunChange, RunRow, Store},
};

/// Puts every unfinished run into a state from which it can be resumed, in one transaction.
///
/// Only the holder of the home's lock may call this: then every owner in the store is dead, and
/// what was left of their attempts' processes was killed when the lock was taken.
///
/// Returns how many there were.
pub(super) async fn recover(store: &Store, now: Timestamp) -> Result<usize, Error> {
    let mut draft = Draft::default();
    let mut count = 0;
    for row in store.unfinished_runs(None).await? {
        if row.owner.is_some() || row.state == RunState::Running {
            give_up(store, &row, &mut draft, now).await?;
            count += 1;
        }
    }
    store.write_turn(&draft.finish()).await?;
    Ok(count)
}

/// A run as the store has it.
pub(super) async fn restore(store: &Store, row: &RunRow) -> Result<Run, Error> {
    let graph = Arc::new(store.run_graph(&row.id).await?);
    let tasks: Vec<TaskRun> = store
        .tasks(&row.id)
        .await?
        .into_iter()
        .map(|task| task.run)
        .collect();
    if tasks.len() != graph.nodes().len() {
        return Err(Error::Store(crate::store::Error::Inconsistent {
            table: "tasks",
            column: "position",
            row: row.id.clone(),
            message: format!("{} rows for {} tasks", tasks.len(), graph.nodes().len()),
        }));
    }
    Ok(Run::restore(&row.id, graph, tasks, row.cancel_requested))
}

async fn give_up(
    store: &Store,
    row: &RunRow,
    draft: &mut Draft,
    now: Timestamp,
) -> Result<(), Error> {
    let mut run = restore(store, row).await?;
    let attempts = store.attempts(&row.id, None).await?;
    let mut events = Vec::new();
    let mut results = HashMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.state == "running") {
        let (progressed, committed) =
            progress_of(store, &row.id, &attempt.task_id, attempt.number).await?;
        let reported = reported(store, &attempt.id).await?;
        events.push(Event::Ended {
            task: attempt.position,
            attempt: attempt.number,
            end: reported
                .as_ref()
                .map_or(AttemptEnd::Lost { progressed }, |result| {
                    // A child does not report that it ran out of memory: it is killed.
                    result.end(progressed, true)
                }),
        });
        if let Some(result) = reported {
            // Its work was done; only its owner did not live to write that down.
            let seconds = attempt.heartbeat_at.since(attempt.started_at).as_secs_f64();
            draft.attempt_ended(attempt.id.clone(), &result, seconds, committed, None, now);
            results.insert(attempt.position, result);
            continue;
        }
        draft.turn().ended.push(AttemptEnded {
            id: attempt.id.clone(),
            state: "crashed",
            ended_at: Some(now),
            seconds: attempt.heartbeat_at.since(attempt.started_at).as_secs_f64(),
            rows_done: committed,
            error: Some("the process that watched over it died".to_owned()),
            error_code: Some("owner_lost".to_owned()),
            ..AttemptEnded::default()
        });
    }
    let effects = settle(&mut run, &mut Pools::default(), events, now);
    let mut state = RunState::Queued;
    let mut cause = "its process died; the same command resumes it".to_owned();
    for effect in &effects {
        let result = match effect {
            Effect::Move { task, .. } => results.get(task),
            Effect::Start { .. }
            | Effect::Stop { .. }
            | Effect::Mapped { .. }
            | Effect::Finish { .. } => None,
        };
        draft.task_moved(&run, row.fence, effect, result, now);
        if let Effect::Finish { state: ended } = effect {
            state = *ended;
            cause = why_ended(&run, *ended).into_owned();
        }
    }
    draft.run_moved(
        row.state,
        RunChange {
            run: row.id.clone(),
            fence: row.fence,
            // Tasks are written under the fence that the run has now; the next owner raises it.
            new_fence: row.fence,
            owner: None,
            state: state.name(),
            cause,
            cancel_requested: row.cancel_requested,
            started_at: None,
            ended_at: state.is_final().then_some(now),
        },
        now,
    );
    Ok(())
}

/// The result that an attempt left before its owner could read it.
async fn reported(store: &Store, attempt_id: &str) -> Result<Option<AttemptResult>, Error> {
    let Some(text) = store.attempt_result(attempt_id).await? else {
        return Ok(None);
    };
    Ok(serde_json::from_str(&text)
        .inspect_err(|error| {
            tracing::error!(attempt.id = attempt_id, %error, "cannot read a result");
        })
        .ok())
}

/// Whether an attempt of this task has run out of memory before.
pub(super) async fn ran_out_of_memory(
    store: &Store,
    run_id: &str,
    task_id: &str,
) -> Result<bool, Error> {
    let attempts = store.attempts(run_id, Some(task_id)).await?;
    Ok(attempts
        .iter()
        .any(|attempt| attempt.error_code.as_deref() == Some("out_of_memory")))
}

/// Whether a crashed attempt had committed more than those before it, and how many rows the task
/// has committed in all.
pub(super) async fn progress_of(
    store: &Store,
    run_id: &str,
    task_id: &str,
    number: u32,
) -> Result<(bool, u64), Error> {
    let committed = store.task_progress(run_id, task_id).await?.rows_computed;
    let attempts = store.attempts(run_id, Some(task_id)).await?;
    let before = attempts
        .iter()
        .filter(|attempt| attempt.number < number)
        .map(|attempt| attempt.rows_done)
        .max()
        .unwrap_or(0);
    // An operator that keeps no count in the store may have told its progress to the heartbeat.
    let beat = attempts
        .iter()
        .find(|attempt| attempt.number == number)
        .map_or(0, |attempt| attempt.rows_done);
    let progressed = committed > before || (committed == 0 && beat > 0);
    Ok((progressed, committed.max(beat)))
}
