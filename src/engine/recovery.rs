//! What is done about runs whose process died: their attempts crashed, and they can be resumed.

use std::{collections::HashMap, sync::Arc};

use super::{
    Error,
    draft::{Draft, why_ended},
    executor::AttemptResult,
    live::{About, Live},
    request::outcome,
};
use crate::{
    clock::Timestamp,
    dag::{AttemptEnd, Effect, Event, Pools, Run, RunState, TaskState, settle},
    store::{AttemptEnded, AttemptRow, RunChange, RunRow, Store, TaskRow},
    telemetry::chain,
};

/// Puts every unfinished run into a state from which it can be resumed, in one transaction. One
/// that cannot be read stays as it is: it must not keep all others from going on.
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
            count += 1;
            match Left::read(store, &row).await {
                Ok(left) => left.give_up(&row, &mut draft, now),
                Err(error) => tracing::error!(
                    run.id = row.id,
                    "what its process left cannot be read: {}",
                    chain(&error)
                ),
            }
        }
    }
    store.write_turn(&draft.finish()).await?;
    Ok(count)
}

/// A run as the store has it.
pub(super) async fn restore(store: &Store, row: &RunRow) -> Result<Run, Error> {
    Ok(read(store, row).await?.0)
}

/// A run as the store has it, with what its tasks have left for others, to be written under this
/// fence.
pub(super) async fn restore_live(store: &Store, row: &RunRow, fence: i64) -> Result<Live, Error> {
    let (run, tasks) = read(store, row).await?;
    let mut live = Live::new(run, About::from(row), fence);
    for task in tasks {
        if task.run.state == TaskState::Succeeded {
            let outcome = outcome(&row.id, &task.task_id, task.outcome.as_deref())?;
            live.keep(task.position, &outcome);
        }
    }
    Ok(live)
}

async fn read(store: &Store, row: &RunRow) -> Result<(Run, Vec<TaskRow>), Error> {
    let graph = Arc::new(store.run_graph(&row.id).await?);
    let tasks = store.tasks(&row.id).await?;
    if tasks.len() != graph.nodes().len() {
        return Err(Error::Store(crate::store::Error::Inconsistent {
            table: "tasks",
            column: "position",
            row: row.id.clone(),
            message: format!("{} rows for {} tasks", tasks.len(), graph.nodes().len()),
        }));
    }
    let states = tasks.iter().map(|task| task.run.clone()).collect();
    let run = Run::restore(&row.id, graph, states, row.cancel_requested);
    Ok((run, tasks))
}

/// What a process that died has left of a run.
struct Left {
    live: Live,
    attempts: Vec<LeftAttempt>,
}

/// An attempt that ran when its process died.
struct LeftAttempt {
    row: AttemptRow,
    progressed: bool,
    committed: u64,
    /// What it has reported, where it came so far.
    result: Option<AttemptResult>,
}

impl Left {
    async fn read(store: &Store, row: &RunRow) -> Result<Self, Error> {
        // Tasks are written under the fence that the run has now; the next owner raises it.
        let live = restore_live(store, row, row.fence).await?;
        let mut attempts = Vec::new();
        for attempt in store.attempts(&row.id, None).await? {
            if attempt.state == "running" {
                let (progressed, committed) =
                    progress_of(store, &row.id, &attempt.task_id, attempt.number).await?;
                attempts.push(LeftAttempt {
                    progressed,
                    committed,
                    result: reported(store, &attempt.id).await?,
                    row: attempt,
                });
            }
        }
        Ok(Self { live, attempts })
    }

    fn give_up(self, row: &RunRow, draft: &mut Draft, now: Timestamp) {
        let Self { mut live, attempts } = self;
        let mut events = Vec::new();
        let mut results = HashMap::new();
        for left in attempts {
            let attempt = left.row;
            let progressed = left.progressed;
            let seconds = attempt.heartbeat_at.since(attempt.started_at).as_secs_f64();
            events.push(Event::Ended {
                task: attempt.position,
                attempt: attempt.number,
                end: left
                    .result
                    .as_ref()
                    .map_or(AttemptEnd::Lost { progressed }, |result| {
                        // A child does not report that it ran out of memory: it is killed.
                        result.end(progressed, true)
                    }),
            });
            let Some(result) = left.result else {
                draft.turn().ended.push(AttemptEnded {
                    id: attempt.id,
                    state: "crashed",
                    ended_at: Some(now),
                    seconds,
                    rows_done: left.committed,
                    error: Some("the process that watched over it died".to_owned()),
                    error_code: Some("owner_lost".to_owned()),
                    ..AttemptEnded::default()
                });
                continue;
            };
            // Its work was done; only its owner did not live to write that down.
            draft.attempt_ended(attempt.id, &result, seconds, left.committed, None, now);
            if let AttemptResult::Succeeded { outcome } = &result {
                live.keep(attempt.position, outcome);
            }
            results.insert(attempt.position, result);
        }
        let effects = settle(&mut live.run, &mut Pools::default(), events, now);
        let mut state = RunState::Queued;
        let mut cause = "its process died; the same command resumes it".to_owned();
        for effect in &effects {
            let mut result = None;
            if let Effect::Move { task, .. } = effect {
                if let Some(joined) = live.join(effect) {
                    results.insert(*task, joined);
                }
                result = results.get(task);
            }
            draft.task_moved(&live.run, row.fence, effect, result, now);
            if let Effect::Finish { state: ended } = effect {
                state = *ended;
                cause = why_ended(&live.run, *ended).into_owned();
            }
        }
        let change = RunChange {
            run: row.id.clone(),
            fence: row.fence,
            new_fence: row.fence,
            owner: None,
            state: state.name(),
            cause,
            cancel_requested: row.cancel_requested,
            started_at: None,
            ended_at: state.is_final().then_some(now),
        };
        draft.run_moved(row.state, change, now);
    }
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
