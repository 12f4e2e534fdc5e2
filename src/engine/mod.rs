//! The engine runs graphs of tasks; it knows nothing of posts or of Burn.
//!
//! One dispatcher owns all run state. Each turn it takes everything that has
//! happened, asks [`dag::plan`](crate::dag::plan) what follows, writes that in one transaction,
//! and only then acts. Executors run attempts and tell the dispatcher how they ended. Everybody
//! else holds a [`Handle`].

mod task;
mod error;
mod lock;
mod request;
mod events;
mod handle;
mod live;
mod draft;
mod dispatcher;
mod hear;
mod admission;
mod launch;
mod executor;
mod recovery;
mod step;
mod summary;
mod files;
mod again;
mod overview;
mod decide;
mod join;
mod clear;
mod cancel;
mod explain;
mod replay;
mod tuning;
pub mod attempt;
pub mod scheduler;

pub use admission::Submitted;
pub use cancel::{cancel_idle, cancel_task_idle};
pub use clear::{ClearSelection, Cleared, to_clear};
pub use error::Error;
pub use events::{EngineEvent, RowCounts, run_ended};
pub use executor::{
    Cgroups, ChildGroup, ChildLines, ExecutorChoice, LONGEST_LINE, Mark, Placement, cut,
    enter_cgroup, relay,
};
pub use explain::Explanation;
pub use files::run_dir;
pub use handle::{EngineParts, EngineSettings, Handle};
pub use lock::HomeLock;
pub use overview::{RunOverview, find_run, find_task};
pub use replay::replay;
pub use request::{Earlier, EarlierResult, RunRequest, Selection, Trigger, position_of};
pub use summary::{RunSummary, TaskSummary};
pub use task::{
    Catalogue, Interval, Operator, Progress, SettingsError, TaskContext, TaskError, TaskOutcome,
};
pub use tuning::{DiskRoom, Slots};

/// The log of an attempt, below the data folder: `logs/<run>/<task>.<attempt>.log`.
fn log_path(run_id: &str, task_id: &str, attempt: u32) -> String {
    let task: String = task_id
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.[]".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("logs/{run_id}/{task}.{attempt}.log")
}
