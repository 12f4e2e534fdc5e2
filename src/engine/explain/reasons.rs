//! The reasons why a task stands where it does, one for each state.

use std::collections::BTreeSet;

use super::words::{counted, counted_rows, join, quoted, sentence};
use crate::{
    clock::Timestamp,
    dag::{Graph, Node, RunState, TaskState},
    engine::{DiskRoom, Slots},
    store::{AttemptRow, OccupiedRow, RunRow, TaskRow},
};

/// A reason without what surrounds it.
pub(super) struct Reason {
    pub(super) code: &'static str,
    pub(super) text: String,
    pub(super) until: Option<Timestamp>,
    pub(super) because_of: Vec<String>,
}

impl Reason {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            until: None,
            because_of: Vec::new(),
        }
    }

    fn about(mut self, tasks: impl IntoIterator<Item = String>) -> Self {
        self.because_of = tasks.into_iter().collect();
        self
    }
}

/// Everything that an explanation looks at.
pub(super) struct Facts<'a> {
    pub(super) run: &'a RunRow,
    pub(super) graph: &'a Graph,
    pub(super) tasks: &'a [TaskRow],
    pub(super) attempts: &'a [AttemptRow],
    pub(super) slots: &'a Slots,
    pub(super) disk: DiskRoom,
}

/// The node of a task; a shard of a mapped task is described by the task itself.
pub(super) fn node_of<'a>(graph: &'a Graph, position: usize, task_id: &str) -> Option<&'a Node> {
    let base = task_id.split_once('[').map_or(task_id, |(base, _)| base);
    graph
        .nodes()
        .get(position)
        .filter(|node| node.id == task_id || node.id == base)
        .or_else(|| graph.nodes().iter().find(|node| node.id == base))
}

impl Facts<'_> {
    pub(super) fn reason(&self, task: &TaskRow) -> Reason {
        match &task.run.state {
            TaskState::Waiting | TaskState::Ready if self.run.state == RunState::Queued => {
                self.queued()
            }
            TaskState::Waiting => self.waiting(task),
            TaskState::Ready => Reason::new("slot", "waits for a slot"),
            TaskState::Running => self.running(task),
            TaskState::Delayed { until } => {
                let why = sentence(&task.cause, task.message.as_deref());
                let mut reason = Reason::new("delayed", format!("is tried at {until}: {why}"));
                if self.run.state == RunState::Queued {
                    reason
                        .text
                        .extend(["; its run is queued: ", &self.run.cause]);
                }
                reason.until = Some(*until);
                reason
            }
            TaskState::Succeeded => Reason::new(
                "succeeded",
                format!(
                    "succeeded: {}",
                    sentence(&task.cause, task.message.as_deref())
                ),
            ),
            TaskState::Failed => self.failed(task),
            TaskState::UpstreamFailed => self.upstream_failed(task),
            TaskState::Skipped { reason } => self.skipped(task, reason),
            TaskState::Cancelled => {
                Reason::new("cancelled", format!("was cancelled: {}", task.cause))
            }
        }
    }

    /// When the task got the state that it has, as far as its row tells.
    pub(super) fn since(&self, task: &TaskRow) -> Option<Timestamp> {
        match task.run.state {
            TaskState::Running => self.attempts.last().map(|attempt| attempt.started_at),
            TaskState::Delayed { .. } => self.attempts.last().and_then(|attempt| attempt.ended_at),
            TaskState::Waiting | TaskState::Ready => {
                self.run.started_at.or(Some(self.run.created_at))
            }
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Skipped { .. }
            | TaskState::Cancelled => task.ended_at,
        }
    }

    fn queued(&self) -> Reason {
        Reason::new(
            "run_queued",
            format!("waits because its run is queued: {}", self.run.cause),
        )
    }

    fn waiting(&self, task: &TaskRow) -> Reason {
        let open: Vec<&TaskRow> = self
            .above(task)
            .into_iter()
            .filter(|above| !above.run.state.is_final())
            .collect();
        if open.is_empty() {
            return Reason::new("planned", format!("is about to be planned: {}", task.cause));
        }
        let rule = node_of(self.graph, task.position, &task.task_id)
            .map_or("all_success", |node| node.trigger.name());
        let names: Vec<String> = open
            .iter()
            .map(|above| format!("`{}`, which is {}", above.task_id, standing(above)))
            .collect();
        Reason::new(
            "upstream",
            format!("waits for {} (rule {rule})", join(&names)),
        )
        .about(open.iter().map(|above| above.task_id.clone()))
    }

    /// A ready task waits for a slot; `occupied` are the tasks that run, each with its pool.
    pub(super) fn ready<'a>(
        &self,
        task: &TaskRow,
        occupied: impl Iterator<Item = (&'a OccupiedRow, Option<String>)>,
    ) -> Reason {
        let node = node_of(self.graph, task.position, &task.task_id);
        let pool = node.and_then(|node| node.pool.as_deref());
        let (mut in_pool, mut all) = (Vec::new(), Vec::new());
        for (row, other) in occupied {
            let name = if row.run_id == self.run.id {
                row.task_id.clone()
            } else {
                format!("{}/{}", row.run_id, row.task_id)
            };
            if pool.is_some() && other.as_deref() == pool {
                in_pool.push(name.clone());
            }
            all.push(name);
        }
        if self.disk.full {
            let text = format!("waits: {}", self.disk.in_words());
            return Reason::new("disk_full", text);
        }
        if let Some(pool) = pool {
            let limit = self.slots.pools.get(pool).map_or(1, |&slots| slots.max(1));
            if in_pool.len() >= limit {
                let text = format!(
                    "waits for the pool `{pool}`: its {} taken by {}",
                    counted(limit, "slot is", "slots are"),
                    join(&quoted(&in_pool)),
                );
                return Reason::new("pool_full", text).about(in_pool);
            }
        }
        let limit = self.slots.parallelism;
        if limit > 0 && all.len() >= limit {
            let shown: Vec<String> = all.iter().take(5).cloned().collect();
            let more = all.len() - shown.len();
            let text = format!(
                "waits because {} at once is the most (engine.parallelism): {}{}",
                counted(limit, "task", "tasks"),
                join(&quoted(&shown)),
                if more > 0 {
                    format!(" and {more} more run")
                } else {
                    " run".to_owned()
                },
            );
            return Reason::new("parallelism", text).about(all);
        }
        Reason::new(
            "slot",
            format!(
                "is ready and starts with the engine's next turn: {}",
                task.cause
            ),
        )
    }

    fn running(&self, task: &TaskRow) -> Reason {
        let Some(attempt) = self.attempts.last() else {
            return Reason::new("running", format!("runs: {}", task.cause));
        };
        let mut text = format!(
            "runs since {}, attempt {}, {}, last sign of life at {}",
            attempt.started_at,
            attempt.number,
            counted_rows(attempt.rows_done),
            attempt.heartbeat_at
        );
        if self.run.cancel_requested {
            text += "; it was told to stop";
        }
        Reason::new("running", text)
    }

    fn failed(&self, task: &TaskRow) -> Reason {
        let last = self.attempts.last();
        let error = last
            .and_then(|attempt| attempt.error.as_deref())
            .or(task.message.as_deref());
        let code = last.and_then(|attempt| attempt.error_code.as_deref());
        let mut text = format!(
            "failed after {}: {}",
            counted(self.attempts.len(), "attempt", "attempts"),
            sentence(&task.cause, error)
        );
        if let Some(code) = code {
            text.extend([" (", code, ")"]);
        }
        Reason::new("failed", text)
    }

    fn upstream_failed(&self, task: &TaskRow) -> Reason {
        let roots: Vec<&TaskRow> = self
            .origins(task, |state| *state == TaskState::UpstreamFailed)
            .into_iter()
            .filter(|above| matches!(above.run.state, TaskState::Failed | TaskState::Cancelled))
            .collect();
        if roots.is_empty() {
            return Reason::new("upstream_failed", format!("did not run: {}", task.cause));
        }
        let names: Vec<String> = roots
            .iter()
            .map(|root| {
                let message = root.message.as_deref().unwrap_or(&root.cause);
                format!("`{}` {}: {message}", root.task_id, root.run.state.name())
            })
            .collect();
        Reason::new(
            "upstream_failed",
            format!("did not run because {}", join(&names)),
        )
        .about(roots.iter().map(|root| root.task_id.clone()))
    }

    fn skipped(&self, task: &TaskRow, reason: &str) -> Reason {
        let roots: Vec<String> = self
            .origins(task, |state| matches!(state, TaskState::Skipped { .. }))
            .into_iter()
            .filter(|above| matches!(above.run.state, TaskState::Skipped { .. }))
            .map(|above| above.task_id.clone())
            .collect();
        let why = if reason.is_empty() {
            &task.cause
        } else {
            reason
        };
        if roots.is_empty() || task.run.attempts > 0 {
            return Reason::new("skipped", format!("was skipped: {why}"));
        }
        let text = format!("was skipped because {} was: {why}", join(&quoted(&roots)));
        Reason::new("upstream_skipped", text).about(roots)
    }

    /// The tasks directly upstream.
    fn above(&self, task: &TaskRow) -> Vec<&TaskRow> {
        let Some(node) = node_of(self.graph, task.position, &task.task_id) else {
            return Vec::new();
        };
        self.tasks
            .iter()
            .filter(|other| {
                let base = other.task_id.split('[').next().unwrap_or_default();
                node.after
                    .iter()
                    .any(|after| *after == other.task_id || after == base)
            })
            .collect()
    }

    /// The tasks upstream at which a state began that is only passed on: those that have it (or
    /// whatever caused it) and nobody above them that passed it on.
    fn origins(&self, task: &TaskRow, passed_on: impl Fn(&TaskState) -> bool) -> Vec<&TaskRow> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let mut open = self.above(task);
        while let Some(above) = open.pop() {
            if !seen.insert(above.position) {
                continue;
            }
            let further = self.above(above);
            let goes_on = passed_on(&above.run.state)
                && above.run.attempts == 0
                && further.iter().any(|further| {
                    passed_on(&further.run.state)
                        || matches!(further.run.state, TaskState::Failed | TaskState::Cancelled)
                });
            if goes_on {
                open.extend(further);
            } else {
                found.push(above);
            }
        }
        found.sort_by_key(|row| row.position);
        found
    }
}

/// A state in words, within a sentence about another task.
fn standing(task: &TaskRow) -> String {
    match &task.run.state {
        TaskState::Delayed { until } => format!("delayed until {until} ({})", task.cause),
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Succeeded
        | TaskState::Failed
        | TaskState::UpstreamFailed
        | TaskState::Skipped { .. }
        | TaskState::Cancelled => task.run.state.name().to_owned(),
    }
}
