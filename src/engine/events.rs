//! What the engine tells whoever listens. Published after the fact is durable.

use super::Progress;
use crate::{clock::Timestamp, dag::RunState};

/// Something that has happened and is in the store.
#[derive(Clone, Debug)]
pub enum EngineEvent {
    /// A run was made that does not start yet.
    RunQueued {
        /// The run.
        run_id: String,
        /// Why it waits, in words.
        cause: String,
    },
    /// Tasks of a run begin anew.
    TasksCleared {
        /// The run.
        run_id: String,
        /// The tasks.
        task_ids: Vec<String>,
    },
    /// A run began or was resumed.
    RunStarted {
        /// The run.
        run_id: String,
        /// Whether it had begun in an earlier process.
        resumed: bool,
    },
    /// An attempt started.
    AttemptStarted {
        /// The run.
        run_id: String,
        /// The task.
        task_id: String,
        /// Which try, from 1.
        attempt: u32,
        /// How far it is; keeps counting.
        progress: Progress,
    },
    /// An attempt ended and another one will follow.
    AttemptFailed {
        /// The run.
        run_id: String,
        /// The task.
        task_id: String,
        /// Which try, from 1.
        attempt: u32,
        /// What went wrong.
        message: String,
        /// When the next one starts.
        until: Timestamp,
    },
    /// A task reached its last state.
    TaskEnded {
        /// The run.
        run_id: String,
        /// The task.
        task_id: String,
        /// The name of the state.
        state: &'static str,
        /// For people.
        message: Option<String>,
    },
    /// A run ended.
    RunEnded {
        /// The run.
        run_id: String,
        /// How.
        state: RunState,
    },
}
