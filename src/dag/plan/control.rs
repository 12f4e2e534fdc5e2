//! What people ask of a run that goes on: to end, to do without a task, to do some again.

use std::sync::Arc;

use super::{Effect, Planner};
use crate::dag::{RunState, TaskState};

impl Planner<'_> {
    pub(super) fn cancel(&mut self) {
        self.run.cancelled = true;
        for task in 0..self.run.tasks.len() {
            match self.run.tasks[task].state {
                TaskState::Running => self.effects.push(Effect::Stop {
                    task,
                    attempt: self.run.tasks[task].attempts,
                }),
                TaskState::Waiting | TaskState::Ready | TaskState::Delayed { .. } => {
                    self.shift(task, "the run was cancelled", TaskState::cancel);
                }
                TaskState::Succeeded
                | TaskState::Failed
                | TaskState::UpstreamFailed
                | TaskState::Skipped { .. }
                | TaskState::Cancelled => {}
            }
        }
    }

    /// Ends one task; what lies downstream sees a failure, and the run goes on.
    pub(super) fn cancel_task(&mut self, task: usize) {
        let attempt = self.run.tasks[task].attempts;
        match self.run.tasks[task].state {
            TaskState::Running => {
                self.run.tasks[task].cancel_requested = true;
                self.effects.push(Effect::Stop { task, attempt });
            }
            TaskState::Waiting | TaskState::Ready | TaskState::Delayed { .. } => {
                self.shift(task, "the task was cancelled", TaskState::cancel);
            }
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Skipped { .. }
            | TaskState::Cancelled => {}
        }
    }

    /// Lets tasks begin anew: their failures are forgotten, their attempts go on counting.
    pub(super) fn clear(&mut self, tasks: &[usize]) {
        self.run.cancelled = false;
        self.run.state = RunState::Running;
        for &task in tasks {
            if self.run.tasks[task].state == TaskState::Running {
                continue;
            }
            self.run.untell_downstream(task);
            let current = &mut self.run.tasks[task];
            current.failures = 0;
            current.crashes = 0;
            current.cancel_requested = false;
            if current.state != TaskState::Waiting {
                self.shift(task, "it was cleared", TaskState::clear);
            }
        }
        let graph = Arc::clone(&self.run.graph);
        let mut cleared = vec![false; graph.nodes().len()];
        for &task in tasks {
            cleared[task] = true;
        }
        for &task in graph.order().iter().filter(|&&task| cleared[task]) {
            self.judge(task);
            self.spread();
        }
    }
}
