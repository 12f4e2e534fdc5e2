//! When a task may start, seen from its upstream tasks.

use serde::{Deserialize, Serialize};

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
