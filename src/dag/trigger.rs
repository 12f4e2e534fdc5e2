//! When a task may start, seen from its upstream tasks.

use serde::{Deserialize, Serialize};

use super::TaskState;

/// When a task may start, by the states of the tasks directly upstream.
///
/// The names and meanings are Airflow's. A task that was cancelled, or that lacks its own
/// upstream, counts as failed. A task with nothing upstream starts at once, whatever its rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// All have succeeded.
    #[default]
    AllSuccess,
    /// All have failed.
    AllFailed,
    /// All have ended, however.
    AllDone,
    /// All have ended, and at least one succeeded.
    AllDoneMinOneSuccess,
    /// All have ended, and at least one of those marked `setup` succeeded, where there are any.
    AllDoneSetupSuccess,
    /// At least one has succeeded; the others need not have ended.
    OneSuccess,
    /// At least one has failed; the others need not have ended.
    OneFailed,
    /// At least one has succeeded or failed; the others need not have ended.
    OneDone,
    /// All have ended and none failed.
    NoneFailed,
    /// All have ended, none failed, and at least one succeeded.
    NoneFailedMinOneSuccess,
    /// All have ended and none was skipped.
    NoneSkipped,
    /// All were skipped.
    AllSkipped,
    /// At once, whatever the others do.
    Always,
}

impl TriggerRule {
    /// Every rule, in the order in which messages list them.
    pub const ALL: [Self; 13] = [
        Self::AllSuccess,
        Self::AllFailed,
        Self::AllDone,
        Self::AllDoneMinOneSuccess,
        Self::AllDoneSetupSuccess,
        Self::OneSuccess,
        Self::OneFailed,
        Self::OneDone,
        Self::NoneFailed,
        Self::NoneFailedMinOneSuccess,
        Self::NoneSkipped,
        Self::AllSkipped,
        Self::Always,
    ];

    /// The name in pipeline files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllFailed => "all_failed",
            Self::AllDone => "all_done",
            Self::AllDoneMinOneSuccess => "all_done_min_one_success",
            Self::AllDoneSetupSuccess => "all_done_setup_success",
            Self::OneSuccess => "one_success",
            Self::OneFailed => "one_failed",
            Self::OneDone => "one_done",
            Self::NoneFailed => "none_failed",
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::NoneSkipped => "none_skipped",
            Self::AllSkipped => "all_skipped",
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
    pub(super) setups: Setups,
}

/// How those among them ended that prepare something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Setups {
    pub(super) total: usize,
    pub(super) succeeded: usize,
    pub(super) skipped: usize,
}

impl Upstream {
    /// Counts a task that has ended so; nothing, where it has not.
    pub(super) fn tell(&mut self, state: &TaskState, setup: bool) {
        let setup = usize::from(setup);
        match state {
            TaskState::Succeeded => {
                self.succeeded += 1;
                self.setups.succeeded += setup;
            }
            TaskState::Skipped { .. } => {
                self.skipped += 1;
                self.setups.skipped += setup;
            }
            TaskState::Failed | TaskState::UpstreamFailed | TaskState::Cancelled => {
                self.failed += 1;
            }
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Delayed { .. } => {}
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
    /// What can be decided before all have ended is what no later end can change, so that the
    /// outcome never depends on the order in which tasks end.
    pub(super) const fn verdict(self, upstream: Upstream) -> Verdict {
        let Upstream {
            total,
            succeeded,
            failed,
            skipped,
            setups,
        } = upstream;
        if total == 0 {
            return Verdict::Start;
        }
        let all_ended = succeeded + failed + skipped == total;
        match self {
            Self::Always => Verdict::Start,
            Self::AllSuccess | Self::NoneFailed | Self::NoneFailedMinOneSuccess if failed > 0 => {
                Verdict::Fail
            }
            Self::AllFailed if succeeded + skipped > 0 => Verdict::Skip,
            Self::AllSkipped if succeeded + failed > 0 => Verdict::Skip,
            Self::NoneSkipped if skipped > 0 => Verdict::Skip,
            Self::OneSuccess if succeeded > 0 => Verdict::Start,
            Self::OneFailed if failed > 0 => Verdict::Start,
            Self::OneDone if succeeded + failed > 0 => Verdict::Start,
            _ if !all_ended => Verdict::Wait,
            Self::AllSuccess if skipped > 0 => Verdict::Skip,
            Self::OneFailed | Self::OneDone => Verdict::Skip,
            Self::OneSuccess | Self::AllDoneMinOneSuccess | Self::NoneFailedMinOneSuccess
                if succeeded == 0 =>
            {
                if failed > 0 {
                    Verdict::Fail
                } else {
                    Verdict::Skip
                }
            }
            Self::AllDoneSetupSuccess if setups.total > 0 && setups.succeeded == 0 => {
                if setups.skipped == setups.total {
                    Verdict::Skip
                } else {
                    Verdict::Fail
                }
            }
            Self::AllSuccess
            | Self::AllFailed
            | Self::AllDone
            | Self::AllDoneMinOneSuccess
            | Self::AllDoneSetupSuccess
            | Self::OneSuccess
            | Self::NoneFailed
            | Self::NoneFailedMinOneSuccess
            | Self::NoneSkipped
            | Self::AllSkipped => Verdict::Start,
        }
    }

    /// Why a task with this rule is skipped where nothing upstream was skipped.
    pub(super) const fn why_skipped(self) -> &'static str {
        match self {
            Self::AllFailed => "not every task upstream failed",
            Self::AllSkipped => "not every task upstream was skipped",
            Self::OneFailed => "no task upstream failed",
            Self::AllSuccess
            | Self::AllDone
            | Self::AllDoneMinOneSuccess
            | Self::AllDoneSetupSuccess
            | Self::OneSuccess
            | Self::OneDone
            | Self::NoneFailed
            | Self::NoneFailedMinOneSuccess
            | Self::NoneSkipped
            | Self::Always => "a task upstream was skipped",
        }
    }

    /// Whether a skipped task upstream is why this rule skips.
    pub(super) const fn passes_skips_on(self) -> bool {
        !matches!(self, Self::AllFailed | Self::AllSkipped | Self::OneFailed)
    }
}
