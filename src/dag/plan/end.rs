//! How attempts end, and what follows for their tasks.

use std::time::Duration;

use super::{
    super::{TaskState, retry::noise},
    Planner,
};
use crate::clock::Timestamp;

/// The pause after a crash whose process still lives, so that a crash loop does not spin.
const CRASH_PAUSE: Duration = Duration::from_secs(1);

/// How long a task waits for room on a full disk before it is tried again.
const ROOM_PAUSE: Duration = Duration::from_secs(30);

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
    /// It failed in a way that has a name of its own, as in `exit:75` or `disk_full`.
    FailedAs {
        /// The name, for the rules of the retry policy.
        class: String,
        /// Whether another try may help where no rule says so.
        again: bool,
        /// How long it is useless to try again, where whoever refused has said so.
        after: Option<Duration>,
    },
    /// It took longer than it may; counts as a failure that may be tried again.
    TimedOut,
    /// It panicked. Never spends a retry.
    Panicked {
        /// Whether it had committed results before.
        progressed: bool,
    },
    /// Its process died. Never spends a retry.
    Crashed {
        /// Whether it had committed results before.
        progressed: bool,
    },
    /// It got no further for so long that it was killed. Never spends a retry.
    Stalled {
        /// Whether it had committed results before.
        progressed: bool,
    },
    /// The process that watched over it died, and it with it.
    Lost {
        /// Whether it had committed results before.
        progressed: bool,
    },
    /// It held more memory than it may and was killed. The first time it is tried again with
    /// half the batch, which never spends a retry.
    OutOfMemory {
        /// Whether that is the first time for its task.
        first: bool,
    },
    /// It was told to stop and did.
    Stopped,
}

impl AttemptEnd {
    /// The name by which rules know this end; none where there is nothing to try again.
    fn class(&self) -> Option<&str> {
        Some(match self {
            Self::Succeeded | Self::Skipped { .. } | Self::Deferred { .. } | Self::Stopped => {
                return None;
            }
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::FailedAs { class, .. } => class,
            Self::TimedOut => "timed_out",
            Self::Panicked { .. } => "panicked",
            Self::Crashed { .. } => "process_lost",
            Self::Stalled { .. } => "stalled",
            Self::Lost { .. } => "owner_lost",
            Self::OutOfMemory { .. } => "out_of_memory",
        })
    }

    /// What happened, in words that follow "the attempt".
    fn words(&self) -> String {
        match self {
            Self::Succeeded => "succeeded".to_owned(),
            Self::Skipped { .. } => "had nothing to do".to_owned(),
            Self::Deferred { .. } => "waits".to_owned(),
            Self::Retry | Self::Failed => "failed".to_owned(),
            Self::FailedAs { class, .. } => format!("failed ({class})"),
            Self::TimedOut => "timed out".to_owned(),
            Self::Panicked { .. } => "panicked".to_owned(),
            Self::Crashed { .. } => "crashed".to_owned(),
            Self::Stalled { .. } => "stalled".to_owned(),
            Self::Lost { .. } => "its process died".to_owned(),
            Self::OutOfMemory { .. } => "ran out of memory".to_owned(),
            Self::Stopped => "was stopped".to_owned(),
        }
    }

    /// Whether it had committed results, where it crashed.
    const fn crash(&self) -> Option<bool> {
        match self {
            Self::Panicked { progressed }
            | Self::Crashed { progressed }
            | Self::Stalled { progressed }
            | Self::Lost { progressed } => Some(*progressed),
            Self::Succeeded
            | Self::Skipped { .. }
            | Self::Deferred { .. }
            | Self::Retry
            | Self::Failed
            | Self::FailedAs { .. }
            | Self::TimedOut
            | Self::OutOfMemory { .. }
            | Self::Stopped => None,
        }
    }
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
        if end.crash().is_none() {
            current.crashes = 0;
        }
        let done = matches!(end, AttemptEnd::Succeeded | AttemptEnd::Skipped { .. });
        if let (Some(cause), false) = (cancelled, done) {
            self.shift(task, cause, TaskState::cancel);
            return;
        }
        match end {
            AttemptEnd::Succeeded => self.shift(task, "the attempt succeeded", TaskState::succeed),
            AttemptEnd::Skipped { reason } => {
                self.shift(task, "there was nothing to do", |state| state.skip(reason));
            }
            AttemptEnd::Deferred { until, reason } => {
                self.shift(task, reason, |state| state.delay(until));
            }
            AttemptEnd::Stopped => {
                let until = self.now;
                self.shift(task, "the process stops", |state| state.delay(until));
            }
            AttemptEnd::OutOfMemory { first: true } => {
                let until = self.now;
                let cause = "the attempt ran out of memory; it is tried once more with half the \
                             batch";
                self.shift(task, cause, |state| state.delay(until));
            }
            AttemptEnd::Panicked { progressed }
            | AttemptEnd::Crashed { progressed }
            | AttemptEnd::Stalled { progressed }
            | AttemptEnd::Lost { progressed } => self.crashed(task, &end, progressed),
            AttemptEnd::Retry
            | AttemptEnd::Failed
            | AttemptEnd::FailedAs { .. }
            | AttemptEnd::TimedOut
            | AttemptEnd::OutOfMemory { first: false } => self.failed(task, attempt, &end),
        }
    }

    /// A failure spends a retry, where the policy or a rule has one for it.
    fn failed(&mut self, task: usize, attempt: u32, end: &AttemptEnd) {
        if self.waits_for_room(task, end) {
            return;
        }
        let current = &mut self.run.tasks[task];
        current.failures += 1;
        let failures = current.failures;
        let node = &self.run.graph.nodes()[task];
        let policy = &node.retry;
        let class = end.class().unwrap_or_default();
        let useless = matches!(
            end,
            AttemptEnd::Failed
                | AttemptEnd::FailedAs { again: false, .. }
                | AttemptEnd::OutOfMemory { .. }
        );
        let usual = if useless { 0 } else { policy.retries };
        let retries = policy
            .rule(class)
            .and_then(|rule| rule.retries)
            .unwrap_or(usual);
        let what = end.words();
        if failures > retries {
            let cause = if matches!(end, AttemptEnd::OutOfMemory { .. }) {
                "the attempt ran out of memory, with half the batch too".to_owned()
            } else if useless {
                format!("the attempt {what} for good")
            } else {
                format!("the attempt {what} and no retry is left")
            };
            self.shift(task, cause, TaskState::fail);
            return;
        }
        let noise = noise(&[
            self.run.id.as_bytes(),
            node.id.as_bytes(),
            &attempt.to_le_bytes(),
        ]);
        let mut after = None;
        if let AttemptEnd::FailedAs { after: told, .. } = end {
            after = *told;
        }
        let until = self.now
            + policy
                .pause(class, failures, noise)
                .max(after.unwrap_or_default());
        let cause = format!("the attempt {what}; retry {failures} of {retries}");
        self.shift(task, cause, |state| state.delay(until));
    }

    /// A full disk is nobody's failure: the task waits without a slot until there is room, unless
    /// a rule of its own says what is to be done.
    fn waits_for_room(&mut self, task: usize, end: &AttemptEnd) -> bool {
        let policy = &self.run.graph.nodes()[task].retry;
        if end.class() != Some("disk_full") || policy.rule("disk_full").is_some() {
            return false;
        }
        let until = self.now + ROOM_PAUSE;
        let cause = "disk full; it goes on when there is room";
        self.shift(task, cause, |state| state.delay(until));
        true
    }

    /// A crash never spends a retry; too many that got nowhere, or too many in the run, fail
    /// the task.
    ///
    /// The death of the process that watched over an attempt says nothing about its task, which
    /// most likely only ran at that time: it counts for the run, and for the task only where a
    /// rule says how often.
    fn crashed(&mut self, task: usize, end: &AttemptEnd, progressed: bool) {
        let too_many = self.lose(task, end);
        let current = &mut self.run.tasks[task];
        let policy = &self.run.graph.nodes()[task].retry;
        let rule = end.class().and_then(|class| policy.rule(class));
        let ruled = rule.and_then(|rule| rule.retries);
        let counts = ruled.is_some() || !matches!(end, AttemptEnd::Lost { .. });
        if progressed {
            current.crashes = 0;
        } else if counts {
            current.crashes += 1;
        }
        let crashes = current.crashes;
        let allowed = ruled.unwrap_or(policy.crash_retries);
        let what = end.words();
        if counts && crashes > allowed {
            let cause =
                format!("the attempt {what}, for the {crashes}th time in a row without progress");
            self.shift(task, cause, TaskState::fail);
            return;
        }
        if let Some(cause) = too_many {
            self.shift(task, cause, TaskState::fail);
            return;
        }
        let usual = if matches!(end, AttemptEnd::Lost { .. }) {
            Duration::ZERO
        } else {
            CRASH_PAUSE
        };
        let until = self.now + rule.and_then(|rule| rule.delay).unwrap_or(usual);
        let cause = format!("the attempt {what}; it goes on where it was");
        self.shift(task, cause, |state| state.delay(until));
    }
}
