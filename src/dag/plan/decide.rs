//! What follows from a task's expressions: it starts, is skipped, or becomes several.

use std::sync::Arc;

use super::{Effect, Planner};
use crate::dag::{NewShard, TaskRun, TaskState};

/// What the expressions of a task say, once its trigger rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may start.
    Start,
    /// It is not wanted.
    Skip {
        /// Why, for people.
        reason: String,
    },
    /// They have no value.
    Fail {
        /// Why, for people.
        cause: String,
    },
    /// It is done as often.
    Expand {
        /// What for.
        shards: Vec<NewShard>,
    },
}

impl Planner<'_> {
    pub(super) fn decide(&mut self, task: usize, decision: Decision) {
        if self.run.tasks[task].state != TaskState::Waiting || !self.run.graph.must_decide(task) {
            return;
        }
        match decision {
            Decision::Start => self.shift(task, "its upstream allows it", TaskState::make_ready),
            Decision::Skip { reason } => {
                self.shift(task, reason.clone(), |state| state.skip(reason));
            }
            Decision::Fail { cause } => self.shift(task, cause, TaskState::fail),
            Decision::Expand { shards } => self.expand(task, shards),
        }
    }

    /// Adds the shards of a mapped task to the run.
    fn expand(&mut self, task: usize, shards: Vec<NewShard>) {
        let graph = Arc::new(self.run.graph.expanded(task, shards));
        let known = self.run.tasks.len();
        let added = known..graph.nodes().len();
        self.run.graph = Arc::clone(&graph);
        self.run.tasks.resize_with(added.end, TaskRun::default);
        self.effects.push(Effect::Mapped {
            added: added.clone(),
        });
        for position in added {
            self.run.note(position);
            self.run.tally.unfinished += 1;
        }
        for &shard in graph.shards(task).iter().filter(|&&shard| shard < known) {
            let current = &mut self.run.tasks[shard];
            current.failures = 0;
            current.crashes = 0;
            current.losses = 0;
            current.first_started = None;
            self.shift(shard, "its task is mapped anew", TaskState::clear);
        }
        self.run.tell_all();
        for &shard in graph.shards(task) {
            self.judge(shard);
        }
    }

    /// Ends a mapped task once all its shards have ended.
    pub(super) fn join(&mut self, task: usize) {
        let counts = self.run.upstream[task];
        if counts.succeeded + counts.failed + counts.skipped < counts.total {
            return;
        }
        let graph = Arc::clone(&self.run.graph);
        let shards = graph.shards(task);
        let failed = shards.iter().filter(|&&shard| {
            let state = &self.run.tasks[shard].state;
            matches!(state, TaskState::Failed | TaskState::UpstreamFailed)
        });
        let failed = failed.count();
        if failed > 0 {
            let cause = format!("{failed} of its {} shards failed", counts.total);
            self.shift(task, cause, TaskState::fail);
        } else if counts.failed > 0 {
            self.shift(task, "a shard of it was cancelled", TaskState::cancel);
        } else if counts.succeeded > 0 {
            self.shift(task, "its shards succeeded", TaskState::succeed);
        } else {
            let reason = shards.iter().find_map(|&shard| {
                if let TaskState::Skipped { reason } = &self.run.tasks[shard].state {
                    return Some(reason.clone());
                }
                None
            });
            let reason = reason.unwrap_or_default();
            self.shift(task, "its shards were skipped", |state| state.skip(reason));
        }
    }
}
