//! How runs and tasks are ended that no process is at work on.

use super::{
    Error,
    draft::{Draft, why_ended},
    recovery::{recover, restore},
    request::position_of,
};
use crate::{
    clock::Timestamp,
    dag::{Effect, Event, Pools, RunState, settle},
    store::{RunChange, RunRow, Store},
};

/// Ends a run that no process is at work on.
///
/// Only the holder of the home's lock may call this.
///
/// # Errors
///
/// Where there is no such run or the store fails.
pub async fn cancel_idle(store: &Store, run_id: &str, now: Timestamp) -> Result<RunState, Error> {
    recover(store, now).await?;
    let row = stored(store, run_id).await?;
    if row.state.is_final() {
        return Ok(row.state);
    }
    let mut draft = Draft::default();
    let state = cancel(store, &row, "it was cancelled", &mut draft, now).await?;
    store.write_turn(&draft.finish()).await?;
    Ok(state)
}

/// Ends a task of a run that no process is at work on; the run can be resumed without it.
///
/// Only the holder of the home's lock may call this.
///
/// # Errors
///
/// Where there is no such run or task, the run has ended, or the store fails.
pub async fn cancel_task_idle(
    store: &Store,
    run_id: &str,
    task_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    recover(store, now).await?;
    let row = stored(store, run_id).await?;
    let mut draft = Draft::default();
    cancel_task(store, &row, task_id, &mut draft, now).await?;
    Ok(store.write_turn(&draft.finish()).await?)
}

/// The row of a run.
pub(super) async fn stored(store: &Store, run_id: &str) -> Result<RunRow, Error> {
    store
        .run(run_id)
        .await?
        .ok_or_else(|| Error::UnknownRun(run_id.to_owned()))
}

/// Cancels a run without attempts.
pub(super) async fn cancel(
    store: &Store,
    row: &RunRow,
    cause: &str,
    draft: &mut Draft,
    now: Timestamp,
) -> Result<RunState, Error> {
    let mut run = restore(store, row).await?;
    // Nobody is there to tidy up, so the teardown tasks end too.
    let events = [Event::Abandoned];
    let effects = settle(&mut run, &mut Pools::default(), events, now);
    for effect in &effects {
        draft.task_moved(&run, row.fence, effect, None, now);
    }
    let change = RunChange {
        run: row.id.clone(),
        fence: row.fence,
        new_fence: row.fence,
        owner: None,
        state: run.state().name(),
        cause: cause.to_owned(),
        cancel_requested: true,
        started_at: None,
        ended_at: Some(now),
    };
    draft.run_moved(row.state, change, now);
    Ok(run.state())
}

/// Cancels a task of a run without attempts; the run ends where it was the last one, and then it
/// is told how.
pub(super) async fn cancel_task(
    store: &Store,
    row: &RunRow,
    task_id: &str,
    draft: &mut Draft,
    now: Timestamp,
) -> Result<Option<RunState>, Error> {
    if row.state.is_final() {
        return Err(Error::Ended(row.id.clone()));
    }
    let mut run = restore(store, row).await?;
    let task = position_of(run.graph(), task_id)?;
    let events = [Event::TaskCancelRequested { task }];
    let effects = settle(&mut run, &mut Pools::default(), events, now);
    let mut ended = None;
    for effect in &effects {
        draft.task_moved(&run, row.fence, effect, None, now);
        if let Effect::Finish { state } = effect {
            let change = RunChange {
                run: row.id.clone(),
                fence: row.fence,
                new_fence: row.fence,
                owner: None,
                state: state.name(),
                cause: why_ended(&run, *state).into_owned(),
                cancel_requested: false,
                started_at: None,
                ended_at: Some(now),
            };
            draft.run_moved(row.state, change, now);
            ended = Some(*state);
        }
    }
    Ok(ended)
}
