//! `persist`: a fitted and evaluated head → an immutable version.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    evaluate::{EvaluateOutput, EvaluationFile},
    merge::MergeOutput,
    report::upstream_text,
    settings,
    train::TrainOutput,
};
use crate::{
    artifacts,
    corpus::{ContentHash, Row},
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    registry::{Candidate, DataWindow, Manifest, MatrixSummary},
};

/// `persist`: files the model under `model_registry/`, where the champion moves to it.
///
/// Until a gate compares champion and challenger, every version with finite metrics is promoted.
#[derive(Clone, Debug)]
pub struct Persist(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

impl Operator for Persist {
    fn name(&self) -> &'static str {
        "persist"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.persist(context))
    }
}

impl Persist {
    async fn persist(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let merged = MergeOutput::upstream(&context)?;
        let trained = TrainOutput::upstream(&context)?;
        let mut outcome = TaskOutcome {
            rows_in: merged.labelled,
            rows_out: merged.labelled,
            ..TaskOutcome::default()
        };
        let registry = &self.0.registry;
        if let Some(version) = trained.existing {
            let start = context.interval.start;
            registry
                .link_run(&context.run_id, &context.pipeline, version, start)
                .await?;
            outcome.rows_reused = merged.labelled;
            outcome.message = Some(format!("linked to version {version}"));
            outcome.output = json!({ "version": version, "reused": true });
            return Ok(outcome);
        }
        let candidate = candidate(&context, merged, trained)?;
        let published = registry.publish(candidate).await?;
        outcome.rows_computed = 1;
        outcome.message = Some(format!(
            "{} version {}",
            if published.reused {
                "linked to"
            } else {
                "published"
            },
            published.version
        ));
        outcome.output = json!({ "version": published.version, "reused": published.reused });
        Ok(outcome)
    }
}

/// Reads back what the tasks upstream left and says what it is.
fn candidate(
    context: &TaskContext,
    merged: MergeOutput,
    trained: TrainOutput,
) -> Result<Candidate, TaskError> {
    let evaluated: EvaluateOutput = context
        .upstream
        .values()
        .find(|output| output.get("evaluation").is_some())
        .ok_or_else(|| {
            TaskError::fail(anyhow::anyhow!(
                "nothing upstream was evaluated; put `evaluate` before"
            ))
        })
        .and_then(|output| serde_json::from_value(output.clone()).map_err(TaskError::fail))?;
    let file: EvaluationFile =
        serde_json::from_slice(&fs_err::read(context.run_dir.join(&evaluated.evaluation))?)
            .map_err(TaskError::fail)?;
    let weights = fs_err::read(context.run_dir.join(&trained.weights))?;
    let weights_sha256 = ContentHash::of(&weights);
    if Some(weights_sha256) != trained.weights_sha256 {
        return Err(TaskError::fail(anyhow::anyhow!(
            "`{}` is not what `train` wrote; run again with `--force`",
            trained.weights
        )));
    }
    let rows = artifacts::read_matrix_rows(&context.run_dir.join(&merged.matrix))?;
    let manifest = Manifest {
        name: context.pipeline.clone(),
        version: 0,
        run_id: context.run_id.clone(),
        created_at: context.clock.now(),
        interval_start: context.interval.start,
        interval_end: context.interval.end,
        as_of: context.as_of,
        dataset: upstream_text(context, "dataset", "scrape")?,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        params: context.params.clone(),
        training: json!(trained.training),
        target: merged.target,
        encoders: merged.encoders,
        schema: json!(merged.schema),
        matrix: MatrixSummary {
            rows: merged.matrix_file.rows,
            columns: merged.matrix_file.columns,
            sha256: merged.matrix_file.sha256,
        },
        data_window: data_window(&rows),
        row_set: file.row_set,
        weights_sha256,
        evaluation: file.evaluation,
    };
    Ok(Candidate {
        manifest,
        content_key: trained.content_key,
        weights,
        rows: file.rows,
        promote: evaluated
            .finite
            .then(|| "the newest version with finite metrics".to_owned()),
    })
}

/// When the labelled rows were published.
fn data_window(rows: &[Row]) -> DataWindow {
    let times = || {
        rows.iter()
            .filter(|row| row.label.is_some())
            .filter_map(|row| row.created_at)
    };
    DataWindow {
        from: times().min(),
        to: times().max(),
    }
}
