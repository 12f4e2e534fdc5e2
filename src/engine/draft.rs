//! What a turn is about to write, gathered effect by effect.

use std::{borrow::Cow, collections::BTreeMap};

use super::executor::AttemptResult;
use crate::{
    clock::Timestamp,
    dag::{Effect, Graph, Node, Run, RunState, TaskState},
    store::{AddedTask, AttemptEnded, GraphChange, RunChange, TaskChange, Transition, Turn},
};

/// What a turn is about to write: each task once, whatever it went through.
#[derive(Debug, Default)]
pub(super) struct Draft {
    turn: Turn,
    tasks: BTreeMap<(String, usize), TaskChange>,
}

impl Draft {
    /// The turn, for what is not an effect.
    pub(super) fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    pub(super) fn finish(mut self) -> Turn {
        self.turn.tasks = self.tasks.into_values().collect();
        self.turn
    }

    /// Writes a task's move. `result` is that of the attempt that caused it, if one did.
    pub(super) fn task_moved(
        &mut self,
        run: &Run,
        fence: i64,
        effect: &Effect,
        result: Option<&AttemptResult>,
        now: Timestamp,
    ) {
        let Effect::Move {
            task,
            from,
            to,
            cause,
        } = effect
        else {
            return;
        };
        let counters = &run.tasks()[*task];
        let message = match to {
            TaskState::Skipped { reason } => Some(reason.clone()),
            TaskState::UpstreamFailed => Some(cause.to_string()),
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Delayed { .. }
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Cancelled => result.and_then(message_of),
        };
        let outcome = match (to, result) {
            (TaskState::Succeeded, Some(AttemptResult::Succeeded { outcome })) => {
                Some(serde_json::to_string(outcome).expect("an outcome is plain data"))
            }
            _ => None,
        };
        let change = TaskChange {
            run: run.id().to_owned(),
            fence,
            position: *task,
            state: to.name(),
            cause: cause.to_string(),
            delayed_until: match to {
                TaskState::Delayed { until } => Some(*until),
                _ => None,
            },
            attempts: counters.attempts,
            failures: counters.failures,
            crashes: counters.crashes,
            losses: counters.losses,
            message,
            outcome,
            started_at: counters.first_started,
            ended_at: to.is_final().then_some(now),
        };
        self.tasks.insert((change.run.clone(), *task), change);
        self.turn.transitions.push(Transition {
            run: run.id().to_owned(),
            position: Some(*task),
            from,
            to: to.name(),
            cause: cause.to_string(),
            at: now,
        });
    }

    /// Writes a run's graph as it is now, and the tasks that are new in it.
    pub(super) fn mapped(&mut self, run: &Run, fence: i64, added: &[Node], first: usize) {
        let graph: &Graph = run.graph();
        let change = GraphChange {
            run: run.id().to_owned(),
            fence,
            graph: serde_json::to_string(graph).expect("a graph is plain data"),
        };
        let graphs = &mut self.turn.graphs;
        graphs.retain(|earlier| earlier.run != change.run);
        graphs.push(change);
        let rows = added.iter().enumerate().map(|(nth, node)| AddedTask {
            run: run.id().to_owned(),
            position: first + nth,
            task_id: node.id.clone(),
            op: node.op.clone(),
            cause: "its task was mapped",
        });
        self.turn.added_tasks.extend(rows);
    }

    /// Writes a change of a run.
    pub(super) fn run_moved(&mut self, from: RunState, change: RunChange, now: Timestamp) {
        self.turn.transitions.push(Transition {
            run: change.run.clone(),
            position: None,
            from: from.name(),
            to: change.state,
            cause: change.cause.clone(),
            at: now,
        });
        // A run that begins and ends in one turn is two changes, of which the last counts.
        if let Some(earlier) = self
            .turn
            .runs
            .iter_mut()
            .find(|earlier| earlier.run == change.run)
        {
            *earlier = RunChange {
                fence: earlier.fence,
                started_at: earlier.started_at.or(change.started_at),
                ..change
            };
        } else {
            self.turn.runs.push(change);
        }
    }

    /// Writes how an attempt ended.
    pub(super) fn attempt_ended(
        &mut self,
        id: String,
        result: &AttemptResult,
        seconds: f64,
        rows_done: u64,
        peak_bytes: Option<u64>,
        now: Timestamp,
    ) {
        let mut row = AttemptEnded {
            id,
            peak_bytes,
            state: result.state(),
            ended_at: Some(now),
            seconds,
            rows_done,
            error: result.error().map(|(message, _)| message.to_owned()),
            error_code: result.error().map(|(_, code)| code.to_owned()),
            ..AttemptEnded::default()
        };
        if let AttemptResult::Succeeded { outcome } = result {
            row.rows_in = Some(outcome.rows_in);
            row.rows_out = Some(outcome.rows_out);
            row.rows_computed = Some(outcome.rows_computed);
            row.rows_reused = Some(outcome.rows_reused);
            row.bytes = Some(outcome.bytes);
            if !outcome.dropped.is_empty() {
                row.dropped =
                    Some(serde_json::to_string(&outcome.dropped).expect("counts by reason"));
            }
        }
        self.turn.ended.push(row);
    }
}

/// The sentence for people that an attempt leaves behind.
pub(super) fn message_of(result: &AttemptResult) -> Option<String> {
    match result {
        AttemptResult::Succeeded { outcome } => outcome.message.clone(),
        AttemptResult::Skipped { reason } | AttemptResult::Deferred { reason, .. } => {
            Some(reason.clone())
        }
        AttemptResult::Retry { .. }
        | AttemptResult::Failed { .. }
        | AttemptResult::TimedOut { .. }
        | AttemptResult::Crashed { .. }
        | AttemptResult::OutOfMemory { .. }
        | AttemptResult::Stopped => result.error().map(|(message, _)| message.to_owned()),
    }
}

/// Why a run has ended the way it did, in words.
pub(super) fn why_ended(run: &Run, state: RunState) -> Cow<'static, str> {
    match state {
        RunState::Succeeded => "every task succeeded or was skipped".into(),
        RunState::Cancelled => "it was cancelled".into(),
        RunState::Queued | RunState::Running => "it goes on".into(),
        RunState::Failed => {
            let named = |wanted: &TaskState| -> Vec<String> {
                let tasks = run.tasks().iter().zip(run.graph().nodes());
                tasks
                    .filter(|(task, _)| task.state == *wanted)
                    .map(|(_, node)| format!("`{}`", node.id))
                    .take(5)
                    .collect()
            };
            let failed = named(&TaskState::Failed);
            if failed.is_empty() {
                let cancelled = named(&TaskState::Cancelled).join(", ");
                return format!("{cancelled} was cancelled").into();
            }
            let failed = failed.join(", ");
            let lost = run.tasks().iter().enumerate().find_map(|(position, task)| {
                let failed = task.state == TaskState::Failed;
                failed.then(|| run.lost_too_often(position)).flatten()
            });
            match lost {
                Some(lost) => format!("{failed} failed: {lost}").into(),
                None => format!("{failed} failed").into(),
            }
        }
    }
}
