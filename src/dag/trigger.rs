//! When a task may start, seen from its upstream tasks.

use serde::{Deserialize, Serialize};

use super::TaskState;

/// When a task may start, by the states of the tasks directly upstream.
///
/// The names and meanings are Airflow's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// All have succeeded.
    #[default]
    AllSuccess,
    /// All have ended, however.
    AllDone,
    /// At least one has succeeded; the others need not have ended.
    OneSuccess,
    /// All have ended and none failed or lacked its own upstream.
    NoneFailed,
    /// At once, whatever the others do.
    Always,
}

impl TriggerRule {
    /// Every rule, in the order in which messages list them.
    pub const ALL: [Self; 5] = [
        Self::AllSuccess,
        Self::AllDone,
        Self::OneSuccess,
        Self::NoneFailed,
        Self::Always,
    ];

    /// The name in pipeline files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllDone => "all_done",
            Self::OneSuccess => "one_success",
            Self::NoneFailed => "none_failed",
            Self::Always => "always",
        }
    }
}

/// How the tasks directly upstream of one task ended, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    /// How many there are.
    pub(super) total: usize,
    pub(super) succeeded: usize,
    /// Failed, lacking their own upstream, or cancelled.
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Upstream {
    /// The count in which a task of this state is; `None` where it has not ended.
    pub(super) const fn count(&mut self, state: &TaskState) -> Option<&mut usize> {
        match state {
            TaskState::Succeeded => Some(&mut self.succeeded),
            TaskState::Skipped { .. } => Some(&mut self.skipped),
            TaskState::Failed | TaskState::UpstreamFailed | TaskState::Cancelled => {
                Some(&mut self.failed)
            }
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Delayed { .. } => None,
        }
    }
}

/// What a trigger rule says of a waiting task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Start,
    Skip,
    Fail,
}

impl TriggerRule {
    /// What becomes of a waiting task.
    ///
    /// A failure upstream decides at once; a skip only when all have ended, so that the outcome
    /// never depends on the order in which tasks end.
    pub(super) fn verdict(self, upstream: Upstream) -> Verdict {
        let Upstream {
            total,
            succeeded,
            failed,
            skipped,
        } = upstream;
        let all_ended = succeeded + failed + skipped == total;
        match self {
            Self::AllSuccess | Self::NoneFailed if failed > 0 => Verdict::Fail,
            Self::AllSuccess if all_ended && skipped > 0 => Verdict::Skip,
            Self::OneSuccess if succeeded > 0 || total == 0 => Verdict::Start,
            Self::OneSuccess if all_ended && failed > 0 => Verdict::Fail,
            Self::OneSuccess if all_ended => Verdict::Skip,
            Self::AllSuccess | Self::AllDone | Self::NoneFailed if all_ended => Verdict::Start,
            Self::OneSuccess | Self::AllSuccess | Self::AllDone | Self::NoneFailed => Verdict::Wait,
            Self::Always => Verdict::Start,
        }
    }
}
