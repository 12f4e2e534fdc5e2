//! What follows from a turn: its rows, and what is done once they are written.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use super::{
    EngineEvent, Progress, Submitted,
    clear::{ClearReply, Cleared},
    dispatcher::Dispatcher,
    draft::{Draft, message_of, why_ended},
    executor::AttemptResult,
    hear::{DoneReply, SubmitReply},
    live::RunningAttempt,
};
use crate::{
    clock::Timestamp,
    dag::{Effect, Event, Run, RunState, TaskState},
    store::{NewAttempt, RunChange},
};

/// What is done once the turn is written.
#[derive(Debug)]
pub(super) enum Act {
    Launch { run_id: String, task: usize },
    Stop(CancellationToken),
    Publish(EngineEvent),
    Reply(SubmitReply, Submitted),
    Cleared(ClearReply, Cleared),
    Done(DoneReply),
    Close { run_id: String, state: RunState },
}

/// One turn on its way: what will be written, and what will be done then.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) draft: Draft,
    pub(super) acts: Vec<Act>,
    pub(super) events: BTreeMap<String, Vec<Event>>,
    pub(super) results: HashMap<(String, usize), AttemptResult>,
    /// Runs and tasks of which this turn may change whether they are told to end.
    pub(super) told: BTreeSet<(String, Option<usize>)>,
    /// Runs without a process that this turn has ended or changed already.
    pub(super) ended: HashSet<String>,
}

impl Dispatcher {
    /// Turns effects into rows and acts.
    pub(super) fn record(
        &mut self,
        run_id: &str,
        effects: Vec<Effect>,
        step: &mut Step,
        now: Timestamp,
    ) {
        let Some(live) = self.live.get_mut(run_id) else {
            return;
        };
        let graph = live.graph();
        for effect in effects {
            match &effect {
                Effect::Move { task, to, .. } => {
                    if let Some(joined) = live.join(&effect) {
                        step.results.insert((run_id.to_owned(), *task), joined);
                    }
                    let result = step.results.get(&(run_id.to_owned(), *task));
                    step.draft
                        .task_moved(&live.run, live.fence, &effect, result, now);
                    let event = told(&live.run, *task, to, result);
                    step.acts.extend(event.map(Act::Publish));
                }
                Effect::Start { task, attempt } => {
                    let node = &graph.nodes()[*task];
                    let running = RunningAttempt {
                        id: uuid::Uuid::now_v7().to_string(),
                        number: *attempt,
                        began: Instant::now(),
                        stop: CancellationToken::new(),
                        progress: Progress::default(),
                    };
                    step.draft.turn().started.push(NewAttempt {
                        id: running.id.clone(),
                        run: run_id.to_owned(),
                        fence: live.fence,
                        position: *task,
                        task_id: node.id.clone(),
                        number: *attempt,
                        owner: self.owner.clone(),
                        started_at: now,
                        log: super::log_path(run_id, &node.id, *attempt),
                    });
                    step.acts.push(Act::Launch {
                        run_id: run_id.to_owned(),
                        task: *task,
                    });
                    step.acts.push(Act::Publish(EngineEvent::AttemptStarted {
                        run_id: run_id.to_owned(),
                        task_id: node.id.clone(),
                        attempt: *attempt,
                        progress: running.progress.clone(),
                    }));
                    live.attempts.insert(*task, running);
                }
                Effect::Mapped { added } => {
                    live.regraphed();
                    let tasks = &graph.nodes()[added.clone()];
                    step.draft.mapped(&live.run, live.fence, tasks, added.start);
                }
                Effect::Stop { task, .. } => {
                    if let Some(attempt) = live.attempts.get(task) {
                        step.acts.push(Act::Stop(attempt.stop.clone()));
                    }
                }
                Effect::Finish { state } => {
                    let change = RunChange {
                        run: run_id.to_owned(),
                        fence: live.fence,
                        new_fence: live.fence,
                        owner: None,
                        state: state.name(),
                        cause: why_ended(&live.run, *state).into_owned(),
                        cancel_requested: *state == RunState::Cancelled,
                        started_at: None,
                        ended_at: Some(now),
                    };
                    step.draft.run_moved(RunState::Running, change, now);
                    step.acts.push(Act::Close {
                        run_id: run_id.to_owned(),
                        state: *state,
                    });
                }
            }
        }
    }
}

/// What listeners are told of a task's move; nothing where the next one follows at once.
fn told(
    run: &Run,
    task: usize,
    to: &TaskState,
    result: Option<&AttemptResult>,
) -> Option<EngineEvent> {
    if !to.is_final() && !matches!(to, TaskState::Delayed { .. }) {
        return None;
    }
    let run_id = run.id().to_owned();
    let task_id = run.graph().nodes()[task].id.clone();
    let attempt = run.tasks()[task].attempts;
    let message = match to {
        TaskState::Skipped { reason } => Some(reason.clone()),
        _ => result.and_then(message_of),
    };
    match to {
        TaskState::Delayed { until } => {
            let (until, message) = (*until, message.unwrap_or_default());
            Some(match result {
                Some(AttemptResult::Deferred { .. }) => EngineEvent::AttemptDeferred {
                    run_id,
                    task_id,
                    attempt,
                    reason: message,
                    until,
                },
                _ => EngineEvent::AttemptFailed {
                    run_id,
                    task_id,
                    attempt,
                    message,
                    until,
                },
            })
        }
        ended => Some(EngineEvent::TaskEnded {
            run_id,
            task_id,
            state: ended.name(),
            message,
        }),
    }
}
