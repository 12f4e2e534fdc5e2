//! The engine runs graphs of tasks; it knows nothing of posts or of Burn.

mod task;

pub use task::{
    Catalogue, Interval, Operator, Progress, SettingsError, TaskContext, TaskError, TaskOutcome,
};
