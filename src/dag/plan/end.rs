//! How attempts end, and what follows for their tasks.

use std::time::Duration;

use super::{
    super::{TaskState, retry::noise},
    Planner,
};
use crate::clock::Timestamp;

/// The pause after a crash whose process still lives, so that a crash loop does not spin.
const CRASH_PAUSE: Duration = Duration::from_secs(1);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It did its work.
    Succeeded,
    /// It found nothing to do.
    Skipped {
        /// Why.
        reason: String,
    },
    /// There is nothing to do before a time; spends no retry.
    Deferred {
        /// When another attempt begins.
        until: Timestamp,
        /// What is waited for.
        reason: String,
    },
    /// It failed, and another try may help.
    Retry,
    /// It failed, and another try is useless.
    Failed,
    /// It took longer than it may; counts as a failure that may be tried again.
    TimedOut,
    /// It panicked, or its process died. Never spends a retry.
    Crashed {
        /// Whether it had committed results before.
        progressed: bool,
    },
    /// The process that watched over it died, and it with it.
    Lost {
        /// Whether it had committed results before.
        progressed: bool,
    },
    /// It was told to stop and did.
    Stopped,
}

impl Planner<'_> {
    /// What follows from the end of an attempt; nothing, if that attempt does not run any more.
    pub(super) fn end(&mut self, task: usize, attempt: u32, end: AttemptEnd) {
        let cancelled = self.run.why_cancelled(task);
        let current = &mut self.run.tasks[task];
        if current.state != TaskState::Running || current.attempts != attempt {
            return;
        }
        let node = &self.run.graph.nodes()[task];
        self.pools.free(node.pool.as_deref());
        let policy = &node.retry;
        if !matches!(end, AttemptEnd::Crashed { .. } | AttemptEnd::Lost { .. }) {
            current.crashes = 0;
        }
        match end {
            AttemptEnd::Succeeded => self.shift(task, "the attempt succeeded", TaskState::succeed),
            AttemptEnd::Skipped { reason } => {
                self.shift(task, "there was nothing to do", |state| state.skip(reason));
            }
            AttemptEnd::Deferred { .. }
            | AttemptEnd::Retry
            | AttemptEnd::Failed
            | AttemptEnd::TimedOut
            | AttemptEnd::Crashed { .. }
            | AttemptEnd::Lost { .. }
            | AttemptEnd::Stopped
                if let Some(cause) = cancelled =>
            {
                self.shift(task, cause, TaskState::cancel);
            }
            AttemptEnd::Deferred { until, reason } => {
                self.shift(task, reason, |state| state.delay(until));
            }
            AttemptEnd::Failed => {
                current.failures += 1;
                self.shift(task, "the attempt failed for good", TaskState::fail);
            }
            AttemptEnd::Retry | AttemptEnd::TimedOut => {
                current.failures += 1;
                let what = if end == AttemptEnd::TimedOut {
                    "timed out"
                } else {
                    "failed"
                };
                if current.failures > policy.retries {
                    let cause = format!("the attempt {what} and no retry is left");
                    self.shift(task, cause, TaskState::fail);
                } else {
                    let noise = noise(&[
                        self.run.id.as_bytes(),
                        node.id.as_bytes(),
                        &attempt.to_le_bytes(),
                    ]);
                    let until = self.now + policy.pause(current.failures, noise);
                    let cause = format!(
                        "the attempt {what}; retry {} of {}",
                        current.failures, policy.retries
                    );
                    self.shift(task, cause, |state| state.delay(until));
                }
            }
            AttemptEnd::Crashed { progressed } | AttemptEnd::Lost { progressed } => {
                let lost = matches!(end, AttemptEnd::Lost { .. });
                self.crashed(task, lost, progressed);
            }
            AttemptEnd::Stopped => {
                let until = self.now;
                self.shift(task, "the process stops", |state| state.delay(until));
            }
        }
    }

    /// A crash never spends a retry; too many that got nowhere, or too many in the run, fail the
    /// task.
    fn crashed(&mut self, task: usize, lost: bool, progressed: bool) {
        let too_many = self.lose(task);
        let current = &mut self.run.tasks[task];
        current.crashes = if progressed { 0 } else { current.crashes + 1 };
        let crashes = current.crashes;
        let what = if lost { "its process died" } else { "crashed" };
        if crashes > self.run.graph.nodes()[task].retry.crash_retries {
            let cause =
                format!("the attempt {what}, for the {crashes}th time in a row without progress");
            self.shift(task, cause, TaskState::fail);
        } else if let Some(cause) = too_many {
            self.shift(task, cause, TaskState::fail);
        } else {
            let pause = if lost { Duration::ZERO } else { CRASH_PAUSE };
            let until = self.now + pause;
            let cause = format!("the attempt {what}; it goes on where it was");
            self.shift(task, cause, |state| state.delay(until));
        }
    }
}
