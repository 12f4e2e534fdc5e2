//! Errors of the registry.

use std::path::PathBuf;

use crate::store;

/// Why a model version cannot be had or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text does not name a version.
    #[error("`{0}` names no model version; write `NAME/VERSION` or `NAME@ALIAS`")]
    Name(String),
    /// There is no such model or version.
    #[error("there is no model version `{wanted}`; {known}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is, in words.
        known: String,
    },
    /// There is no such metric.
    #[error("there is no metric `{metric}`")]
    UnknownMetric {
        /// What was asked for.
        metric: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file of a version is missing, unreadable or cannot be written.
    #[error("model registry: {0}")]
    File(#[from] std::io::Error),
    /// A file of a version is not what its manifest says.
    #[error("`{path}` is damaged: {message}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// The database failed.
    #[error("{0}")]
    Store(#[from] store::Error),
}
