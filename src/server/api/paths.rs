//! What routes take from their path.

use serde::Deserialize;
use utoipa::IntoParams;

/// A run.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfRun {
    /// An id, its unique beginning, or `latest`.
    #[param(example = "latest")]
    pub(super) run: String,
}

/// A task of a run.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfTask {
    /// An id, its unique beginning, or `latest`.
    #[param(example = "latest")]
    pub(super) run: String,
    /// The task's id.
    pub(super) task: String,
}

/// A pipeline.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfPipeline {
    /// The pipeline's name.
    pub(super) pipeline: String,
}

/// A backfill.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfBackfill {
    /// The beginning of its id.
    pub(super) backfill: String,
}
