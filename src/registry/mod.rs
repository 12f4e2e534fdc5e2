//! Model versions under `model_registry/<name>/<version>/`: immutable folders with the weights,
//! the manifest and the predictions of the evaluation.
//!
//! A version is visible only when it is whole: its folder is published by one rename, then a
//! transaction records it and moves the `champion` alias.

mod aliases;
mod card;
mod check;
mod error;
mod files;
mod headline;
mod logged_files;
#[cfg(test)]
mod made_up;
mod measured;
mod overview;
mod probes;
mod publish;
mod purge;
mod report;
mod resolve;
mod version;

pub use aliases::{CHAMPION, Moved};
pub use error::Error;
pub use headline::{Called, headlines};
pub use logged_files::LoggedFiles;
pub use measured::Measured;
pub use overview::{HistoryPoint, ModelOverview};
pub use probes::{ProbeAnswer, Probes};
pub use publish::{Candidate, Published, VersionFile};
pub use report::escaped;
pub use resolve::ModelName;
pub use version::{
    BlockEncoder, DataWindow, EvaluatedRow, Fit, Manifest, MatrixSummary, ModelVersion, Registry,
};
