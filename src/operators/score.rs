//! `score`: the champion's predictions for records whose label is still to come.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    merge::MergeOutput,
    report::{blocking, upstream_text, writer},
    settings,
};
use crate::{
    artifacts,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    learning::Head,
    registry::{self, ModelName},
    store::StoredPrediction,
};

/// `score`: predicts what has no label yet; the predictions are held against the labels later.
#[derive(Clone, Debug)]
pub struct Score(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

impl Operator for Score {
    fn name(&self) -> &'static str {
        "score"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.score(context))
    }
}

impl Score {
    async fn score(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let merged = MergeOutput::upstream(&context)?;
        let dataset = upstream_text(&context, "dataset", "scrape")?;
        let champion = ModelName::Alias(context.pipeline.clone(), "champion".to_owned());
        let version = match self.0.registry.resolve(&champion).await {
            Ok(version) => version,
            Err(registry::Error::Unknown { .. }) => {
                return Err(TaskError::skip("there is no champion yet"));
            }
            Err(error) => return Err(error.into()),
        };
        if version.manifest.schema != json!(merged.schema) {
            return Err(TaskError::skip(format!(
                "the champion, version {}, was trained on other features",
                version.manifest.version
            )));
        }
        let run_dir = context.run_dir.clone();
        let number = version.manifest.version;
        let predictions = blocking(move || {
            let waiting = artifacts::read_matrix_of(&run_dir.join(&merged.matrix), |row| {
                row.label.is_none()
            })?;
            let weights = version.weights()?;
            let head = Head::from_safetensors(&weights).map_err(TaskError::fail)?;
            let predictions = head.predict(&waiting).map_err(TaskError::fail)?;
            let rows = waiting
                .rows
                .iter()
                .zip(predictions)
                .map(|(row, prediction)| StoredPrediction {
                    record_id: row.id.clone(),
                    value: prediction.value,
                    low: prediction.low,
                    high: prediction.high,
                });
            Ok::<Vec<_>, TaskError>(rows.collect())
        })
        .await??;
        let rows = predictions.len() as u64;
        let new = self
            .0
            .store
            .store_predictions(
                &dataset,
                &context.pipeline,
                number,
                &predictions,
                writer(&context),
            )
            .await?;
        self.0.store.sync_content().await?;
        Ok(TaskOutcome {
            rows_in: rows,
            rows_out: rows,
            rows_computed: new,
            rows_reused: rows - new,
            message: Some(format!("by version {number}")),
            output: json!({ "version": number }),
            ..TaskOutcome::default()
        })
    }
}
