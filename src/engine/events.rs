//! What the engine tells whoever listens. Published after the fact is durable.

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Progress, TaskOutcome};
use crate::{clock::Timestamp, dag::RunState};

/// What an attempt that succeeded did to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that have a result after the task.
    pub out: u64,
    /// Results that were made.
    pub computed: u64,
    /// Results that were there.
    pub reused: u64,
}

impl RowCounts {
    /// What an outcome tells of rows.
    pub(super) fn of(outcome: &TaskOutcome) -> Self {
        Self {
            out: outcome.rows_out,
            computed: outcome.rows_computed,
            reused: outcome.rows_reused,
        }
    }
}

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
    /// An attempt ended, however it did.
    AttemptEnded {
        /// The run.
        run_id: String,
        /// The task.
        task_id: String,
        /// The task's operator.
        op: &'static str,
        /// The name of the attempt's state.
        outcome: &'static str,
        /// How long it took.
        seconds: f64,
        /// What it did to rows, where it succeeded.
        rows: Option<RowCounts>,
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
    /// An attempt ended because there is nothing to do before a time.
    AttemptDeferred {
        /// The run.
        run_id: String,
        /// The task.
        task_id: String,
        /// Which try, from 1.
        attempt: u32,
        /// What is waited for.
        reason: String,
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

/// Waits until a run has ended, or events were missed that may have told so. Where the engine has
/// ended no run does any more, and this waits for ever.
pub async fn run_ended(events: &mut Receiver<EngineEvent>) {
    loop {
        match events.recv().await {
            Ok(EngineEvent::RunEnded { .. }) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
