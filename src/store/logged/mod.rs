//! Experiments and runs that others log through `MLflow`'s endpoints.

mod entries;
mod experiments;
mod gone;
mod runs;
mod search;

use std::collections::BTreeMap;

use super::Error;
use crate::clock::Timestamp;

pub use runs::{NewLoggedRun, RunUpdate};
pub use search::{LoggedSearch, SearchCell, SearchField, SearchTest};

/// An experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedExperiment {
    /// By which clients name it.
    pub id: i64,
    /// Its name, which no other has.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last renamed, deleted or restored.
    pub updated_at: Timestamp,
    /// Whether it is deleted; it can be restored.
    pub deleted: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedRun {
    /// By which clients name it.
    pub run_id: String,
    /// Its experiment.
    pub experiment: i64,
    /// Its name, which others may have too.
    pub name: String,
    /// Who logs it, as the client says.
    pub user: String,
    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    pub status: String,
    /// When it began, as the client says.
    pub started_at: Timestamp,
    /// When it ended, as the client says.
    pub ended_at: Option<Timestamp>,
    /// Whether it is deleted; it can be restored.
    pub deleted: bool,
    /// The last point of each metric.
    pub metrics: Vec<LoggedMetric>,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A point of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedMetric {
    /// The metric.
    pub key: String,
    /// What was measured; may be NaN, is never infinite.
    pub value: f64,
    /// When, as the client says.
    pub at: Timestamp,
    /// At which step.
    pub step: i64,
}

/// Why something was not logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// There is one of this name.
    #[error("{0}")]
    Exists(String),
    /// It may not be changed so.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for LogError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A text of keys and values, as a query gathers them.
fn gathered(
    table: &'static str,
    row: &dyn std::fmt::Display,
    json: &str,
) -> Result<BTreeMap<String, String>, Error> {
    serde_json::from_str(json).map_err(|error| Error::Inconsistent {
        table,
        column: "value",
        row: row.to_string(),
        message: error.to_string(),
    })
}
