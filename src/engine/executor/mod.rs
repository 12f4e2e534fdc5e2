//! Where an attempt runs: in this process or in one of its own.

mod cgroup;
mod inline;
mod lines;
mod process;
mod group;
mod processes;
mod watch;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use cgroup::{Cgroups, enter_cgroup};
pub use group::ChildGroup;
pub(super) use group::kill_own_group;
pub(super) use inline::Inline;
pub use lines::{ChildLines, LONGEST_LINE, cut};
pub(super) use process::Process;
pub use process::relay;
pub use processes::Mark;
pub(super) use processes::{has_ended, kill_leftovers};

use super::{Operator, TaskContext, TaskError, TaskOutcome};
use crate::{
    clock::Timestamp,
    dag::{AttemptEnd, Node},
};

/// Runs attempts. A remote one would be one more implementation: an attempt is known by its id,
/// and everything else about it is in the store.
pub(super) trait Executor: Send + Sync + fmt::Debug {
    /// Runs one attempt to its end; the result comes when nothing of it is running any more.
    fn run(&self, assignment: Assignment) -> BoxFuture<'static, AttemptResult>;
}

/// An attempt that is to be run.
pub(super) struct Assignment {
    pub(super) attempt_id: String,
    pub(super) operator: Arc<dyn Operator>,
    pub(super) context: TaskContext,
    pub(super) timeout: Option<Duration>,
    pub(super) stall_timeout: Option<Duration>,
    /// How many bytes its processes may hold together; nothing limits those of an inline attempt.
    pub(super) memory: Option<u64>,
    /// Cancelled when the attempt must stop; `context.cancelled` is a child of it.
    pub(super) stop: CancellationToken,
    /// How long the attempt may take to stop by itself.
    pub(super) grace: Duration,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(super) enum AttemptResult {
    Succeeded {
        outcome: Box<TaskOutcome>,
    },
    Skipped {
        reason: String,
    },
    Deferred {
        until: Timestamp,
        reason: String,
    },
    Retry {
        message: String,
        class: Option<String>,
        /// How long it is useless to try again.
        #[serde(default)]
        after: Option<Duration>,
    },
    Failed {
        message: String,
        class: Option<String>,
    },
    TimedOut {
        message: String,
    },
    Crashed {
        message: String,
        code: CrashCode,
    },
    OutOfMemory {
        message: String,
    },
    Stopped,
}

/// What ended an attempt that did not end itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CrashCode {
    Panicked,
    ProcessLost,
    Stalled,
}

impl AttemptResult {
    /// What an operator's answer means. `told` says whether the attempt was told to stop.
    pub(super) fn of(answer: Result<TaskOutcome, TaskError>, told: bool) -> Self {
        match answer {
            Ok(outcome) => Self::Succeeded {
                outcome: Box::new(outcome),
            },
            Err(TaskError::Skip(reason)) => Self::Skipped { reason },
            // What fails while it stops has most likely failed because of that.
            Err(TaskError::Retry(_) | TaskError::Defer { .. } | TaskError::Cancelled) if told => {
                Self::Stopped
            }
            Err(TaskError::Defer { until, reason }) => Self::Deferred { until, reason },
            Err(error @ TaskError::Fail(_)) => Self::Failed {
                message: error.to_string(),
                class: error.class().map(str::to_owned),
            },
            Err(error @ TaskError::Retry(_)) => Self::Retry {
                after: error.after(),
                message: error.to_string(),
                class: error.class().map(str::to_owned),
            },
            Err(TaskError::Cancelled) => Self::Retry {
                message: "the operator stopped without being told to".to_owned(),
                class: None,
                after: None,
            },
        }
    }

    /// An attempt that got no further for `limit`.
    pub(super) fn stalled(limit: Option<Duration>) -> Self {
        Self::Crashed {
            message: format!("got no further for {:?}", limit.unwrap_or_default()),
            code: CrashCode::Stalled,
        }
    }

    /// What the plan needs to know: whether a crashed attempt had committed results, and whether
    /// its task ran out of memory for the first time.
    pub(super) fn end(&self, progressed: bool, first: bool) -> AttemptEnd {
        match self {
            Self::Succeeded { .. } => AttemptEnd::Succeeded,
            Self::Skipped { reason } => AttemptEnd::Skipped {
                reason: reason.clone(),
            },
            Self::Deferred { until, reason } => AttemptEnd::Deferred {
                until: *until,
                reason: reason.clone(),
            },
            Self::Retry { class: None, .. } => AttemptEnd::Retry,
            Self::Failed { class: None, .. } => AttemptEnd::Failed,
            Self::Retry {
                class: Some(class),
                after,
                ..
            } => AttemptEnd::FailedAs {
                class: class.clone(),
                again: true,
                after: *after,
            },
            Self::Failed {
                class: Some(class), ..
            } => AttemptEnd::FailedAs {
                class: class.clone(),
                again: false,
                after: None,
            },
            Self::TimedOut { .. } => AttemptEnd::TimedOut,
            Self::Crashed { code, .. } => match code {
                CrashCode::Panicked => AttemptEnd::Panicked { progressed },
                CrashCode::ProcessLost => AttemptEnd::Crashed { progressed },
                CrashCode::Stalled => AttemptEnd::Stalled { progressed },
            },
            Self::OutOfMemory { .. } => AttemptEnd::OutOfMemory { first },
            Self::Stopped => AttemptEnd::Stopped,
        }
    }

    /// The name of the attempt's state in the store.
    pub(super) const fn state(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "succeeded",
            Self::Skipped { .. } => "skipped",
            Self::Deferred { .. } => "deferred",
            Self::Retry { .. } | Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Crashed { .. } | Self::OutOfMemory { .. } => "crashed",
            Self::Stopped => "cancelled",
        }
    }

    /// What went wrong, with its stable code.
    pub(super) fn error(&self) -> Option<(&str, &str)> {
        match self {
            Self::Succeeded { .. } | Self::Skipped { .. } | Self::Deferred { .. } => None,
            Self::Retry { message, class, .. } => {
                Some((message, class.as_deref().unwrap_or("retry")))
            }
            Self::Failed { message, class } => {
                Some((message, class.as_deref().unwrap_or("failed")))
            }
            Self::OutOfMemory { message } => Some((message, "out_of_memory")),
            Self::TimedOut { message } => Some((message, "timed_out")),
            Self::Crashed { message, code } => Some((
                message,
                match code {
                    CrashCode::Panicked => "panicked",
                    CrashCode::ProcessLost => "process_lost",
                    CrashCode::Stalled => "stalled",
                },
            )),
            Self::Stopped => Some(("told to stop", "cancelled")),
        }
    }
}

/// Where a task's attempts run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In this process; for work that waits for others.
    Inline,
    /// In a process of its own, which runs `<executable> --home HOME attempt ID`; for work that
    /// may take its process with it.
    Process {
        /// The executable.
        executable: PathBuf,
    },
}

/// Decides where a task's attempts run.
#[derive(Clone)]
pub struct ExecutorChoice(Arc<dyn Fn(&Node) -> Placement + Send + Sync>);

impl ExecutorChoice {
    /// Decides by asking `choose`.
    pub fn new(choose: impl Fn(&Node) -> Placement + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }

    /// Where this task's attempts run.
    pub fn place(&self, node: &Node) -> Placement {
        (self.0)(node)
    }
}

impl Default for ExecutorChoice {
    fn default() -> Self {
        Self::new(|_| Placement::Inline)
    }
}

impl fmt::Debug for ExecutorChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExecutorChoice")
    }
}
