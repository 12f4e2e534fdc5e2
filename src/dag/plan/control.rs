//! What people ask of a run that goes on: to end, to do without a task, to do some again.

use std::sync::Arc;

use super::{Effect, Planner};
use crate::dag::{RunState, TaskState};

impl Planner<'_> {
    /// Ends what has not ended, but for what tidies up.
    pub(super) fn cancel(&mut self) {
        self.run.cancelled = true;
        for task in 0..self.run.tasks.len() {
            // A mapped task ends with its shards.
            if self.run.tidies_up(task) || self.run.graph.nodes()[task].is_expanded() {
                continue;
            }
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
        let graph = Arc::clone(&self.run.graph);
        if let [_, ..] = graph.shards(task) {
            self.run.tasks[task].cancel_requested = true;
            for &shard in graph.shards(task) {
                self.cancel_task(shard);
            }
            return;
        }
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

    /// Lets tasks begin anew: their failures are forgotten, their attempts go on counting. The
    /// mapped ones among `folded` are mapped anew.
    pub(super) fn clear(&mut self, tasks: &[usize], folded: &[usize]) {
        self.run.cancelled = false;
        self.run.abandoned = false;
        self.run.state = RunState::Running;
        for &parent in folded {
            let graph = Arc::clone(&self.run.graph);
            for &shard in graph.shards(parent) {
                if self.run.tasks[shard].state != TaskState::Running {
                    self.run.tasks[shard].cancel_requested = false;
                    self.shift(shard, "its task was cleared", TaskState::retire);
                }
            }
        }
        for &task in tasks {
            let current = &mut self.run.tasks[task];
            if current.state == TaskState::Running {
                continue;
            }
            current.failures = 0;
            current.crashes = 0;
            current.losses = 0;
            current.cancel_requested = false;
            current.first_started = None;
            if current.state != TaskState::Waiting {
                self.shift(task, "it was cleared", TaskState::clear);
            }
        }
        if !folded.is_empty() {
            self.run.graph = Arc::new(self.run.graph.folded(folded));
            let end = self.run.tasks.len();
            self.effects.push(Effect::Mapped { added: end..end });
        }
        self.run.tell_all();
        self.ended.clear();
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
