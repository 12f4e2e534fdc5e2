//! What a mapped task leaves, of what its shards have left.

use serde_json::Value;

use super::{TaskOutcome, executor::AttemptResult, live::Live};
use crate::dag::{Effect, TaskState};

/// How many rows a task has seen and made, without the rest of its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those that expressions use"
)]
pub(super) struct Rows {
    pub(super) rows_in: u64,
    pub(super) rows_out: u64,
    pub(super) rows_computed: u64,
    pub(super) rows_reused: u64,
    pub(super) bytes: u64,
}

impl From<&TaskOutcome> for Rows {
    fn from(outcome: &TaskOutcome) -> Self {
        Self {
            rows_in: outcome.rows_in,
            rows_out: outcome.rows_out,
            rows_computed: outcome.rows_computed,
            rows_reused: outcome.rows_reused,
            bytes: outcome.bytes,
        }
    }
}

impl Live {
    /// Keeps what a task that has succeeded leaves for others.
    pub(super) fn keep(&mut self, task: usize, outcome: &TaskOutcome) {
        if !outcome.output.is_null() {
            self.outputs.insert(task, outcome.output.clone());
        }
        if self.run.graph().has_expressions() {
            self.rows.insert(task, Rows::from(outcome));
        }
    }

    /// Forgets what tasks have left that begin anew.
    pub(super) fn forget(&mut self, tasks: &[usize]) {
        for task in tasks {
            self.outputs.remove(task);
            self.rows.remove(task);
        }
    }

    /// What a mapped task leaves whose shards have succeeded with this effect; `None` for any other
    /// effect.
    pub(super) fn join(&mut self, effect: &Effect) -> Option<AttemptResult> {
        let Effect::Move {
            task,
            to: TaskState::Succeeded,
            ..
        } = effect
        else {
            return None;
        };
        if !self.run.graph().nodes()[*task].is_expanded() {
            return None;
        }
        let outcome = self.joined(*task);
        self.keep(*task, &outcome);
        let outcome = Box::new(outcome);
        Some(AttemptResult::Succeeded { outcome })
    }

    /// The outcome of a mapped task: sums of rows; the shards' output where all have the same one,
    /// else a list of their outputs.
    fn joined(&self, task: usize) -> TaskOutcome {
        let graph = self.graph();
        let mut outcome = TaskOutcome::default();
        let mut outputs: Vec<Value> = Vec::new();
        let mut done = 0_usize;
        for &shard in graph.shards(task) {
            if self.run.tasks()[shard].state != TaskState::Succeeded {
                continue;
            }
            done += 1;
            let rows = self.rows.get(&shard).copied().unwrap_or_default();
            outcome.rows_in += rows.rows_in;
            outcome.rows_out += rows.rows_out;
            outcome.rows_computed += rows.rows_computed;
            outcome.rows_reused += rows.rows_reused;
            outcome.bytes += rows.bytes;
            outputs.push(self.outputs.get(&shard).cloned().unwrap_or_default());
        }
        outcome.message = Some(format!("{done} of {} shards", graph.shards(task).len()));
        outcome.output = match outputs.first() {
            Some(first) if outputs.iter().all(|output| output == first) => first.clone(),
            _ => Value::Array(outputs),
        };
        outcome
    }
}
