//! Where the attempts of a task run.

use serde::{Deserialize, Serialize};

/// Where the attempts of a task run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// In the process of the engine: for work that waits for others.
    #[default]
    Inline,
    /// Each in a process of its own: for work that may take its process with it, or must be
    /// killed to end.
    Process,
}

impl ExecutorKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Inline, Self::Process];

    /// The name in pipeline files and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Process => "process",
        }
    }
}
