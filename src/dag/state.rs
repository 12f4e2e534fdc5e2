//! The states of a task and of a run, and the moves between them.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a transition names the states it starts from and refuses every other one"
)]

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Where a task stands. Variants own their data; moves consume the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TaskState {
    /// Its trigger rule does not hold yet.
    #[default]
    Waiting,
    /// It may start as soon as its pool has a slot.
    Ready,
    /// An attempt of it is running.
    Running,
    /// It is tried again at `until`.
    Delayed {
        /// When it becomes ready.
        until: Timestamp,
    },
    /// It has done its work.
    Succeeded,
    /// Its last attempt failed and no retry is left.
    Failed,
    /// It never started, because a task upstream failed.
    UpstreamFailed,
    /// There was nothing to do.
    Skipped {
        /// Why, for people.
        reason: String,
    },
    /// The run was cancelled before it ended.
    Cancelled,
}

/// A move that a task's state does not allow; always a bug or a corrupt store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task that is `{from}` cannot become `{to}`")]
pub struct InvalidTransition {
    /// The state it has.
    pub from: &'static str,
    /// The state it was to get.
    pub to: &'static str,
}

impl TaskState {
    /// The name in the store, in JSON and on the screen.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Delayed { .. } => "delayed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::UpstreamFailed => "upstream_failed",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name with its data, as the store holds it; `None` for an unknown name
    /// or a delay without its end.
    pub fn from_parts(name: &str, until: Option<Timestamp>, reason: Option<&str>) -> Option<Self> {
        Some(match name {
            "waiting" => Self::Waiting,
            "ready" => Self::Ready,
            "running" => Self::Running,
            "delayed" => Self::Delayed { until: until? },
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "upstream_failed" => Self::UpstreamFailed,
            "skipped" => Self::Skipped {
                reason: reason.unwrap_or_default().to_owned(),
            },
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }

    /// Whether nothing will happen to the task any more.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Waiting | Self::Ready | Self::Running | Self::Delayed { .. } => false,
            Self::Succeeded
            | Self::Failed
            | Self::UpstreamFailed
            | Self::Skipped { .. }
            | Self::Cancelled => true,
        }
    }

    /// Its trigger rule holds, or its delay is over.
    pub(super) fn make_ready(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Waiting | Self::Delayed { .. } => Ok(Self::Ready),
            other => Err(other.refuse("ready")),
        }
    }

    /// An attempt starts.
    pub(super) fn start(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Ready => Ok(Self::Running),
            other => Err(other.refuse("running")),
        }
    }

    /// The attempt ended, another one follows at `until`.
    pub(super) fn delay(self, until: Timestamp) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running => Ok(Self::Delayed { until }),
            other => Err(other.refuse("delayed")),
        }
    }

    /// The attempt did the work, or all shards did.
    pub(super) fn succeed(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Waiting | Self::Running => Ok(Self::Succeeded),
            other => Err(other.refuse("succeeded")),
        }
    }

    /// The attempt failed and no other one follows; or a shard did, or the task's expression.
    pub(super) fn fail(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Waiting | Self::Running => Ok(Self::Failed),
            other => Err(other.refuse("failed")),
        }
    }

    /// A task upstream failed.
    pub(super) fn fail_upstream(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Waiting => Ok(Self::UpstreamFailed),
            other => Err(other.refuse("upstream_failed")),
        }
    }

    /// There is nothing to do.
    pub(super) fn skip(self, reason: String) -> Result<Self, InvalidTransition> {
        match self {
            Self::Waiting | Self::Running => Ok(Self::Skipped { reason }),
            other => Err(other.refuse("skipped")),
        }
    }

    /// The run was cancelled.
    pub(super) fn cancel(self) -> Result<Self, InvalidTransition> {
        if self.is_final() {
            Err(self.refuse("cancelled"))
        } else {
            Ok(Self::Cancelled)
        }
    }

    /// A shard takes no part any more: its task is mapped anew.
    pub(super) fn retire(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running => Err(self.refuse("skipped")),
            _ => Ok(Self::Skipped {
                reason: "its task is mapped anew".to_owned(),
            }),
        }
    }

    /// It is to run again, or to be judged again.
    pub(super) fn clear(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running => Err(self.refuse("waiting")),
            _ => Ok(Self::Waiting),
        }
    }

    const fn refuse(&self, to: &'static str) -> InvalidTransition {
        InvalidTransition {
            from: self.name(),
            to,
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delayed { until } => write!(f, "delayed until {until}"),
            Self::Skipped { reason } => write!(f, "skipped ({reason})"),
            Self::Waiting
            | Self::Ready
            | Self::Running
            | Self::Succeeded
            | Self::Failed
            | Self::UpstreamFailed
            | Self::Cancelled => f.write_str(self.name()),
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// No process is at work on it: it is new, or its owner died and it can be resumed.
    Queued,
    /// A process is at work on it.
    Running,
    /// Every task succeeded or was skipped.
    Succeeded,
    /// A task failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl RunState {
    /// The name in the store, in JSON and on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Queued,
            Self::Running,
            Self::Succeeded,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }

    /// Whether the run has ended.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
