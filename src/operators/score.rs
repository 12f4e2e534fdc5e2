//! `score`: the champion's predictions for records whose label is still to come.

use std::{collections::BTreeMap, sync::Arc};

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
    corpus::{FeatureMatrix, Row},
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    learning::{Error, FeatureSchema, Head, Prediction},
    registry::{self, BlockEncoder, ModelName},
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
        let manifest = &version.manifest;
        if let Some(difference) = difference((&manifest.schema, &manifest.encoders), &merged) {
            return Err(TaskError::skip(format!(
                "the champion, version {}, was trained on other features: {difference}. It goes on \
                 predicting elsewhere; here the first version predicts that is trained on these",
                manifest.version
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
            foretold(&head, &waiting).map_err(TaskError::fail)
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

/// What a head says of the rows of a matrix, as it is filed.
fn foretold(head: &Head, waiting: &FeatureMatrix) -> Result<Vec<StoredPrediction>, Error> {
    let answers = head.predict(waiting)?;
    let filed = |row: &Row, prediction: Prediction, classes| StoredPrediction {
        record_id: row.id.clone(),
        value: prediction.value,
        low: prediction.low,
        high: prediction.high,
        classes,
    };
    if head.membership().is_none() {
        let rows = waiting.rows.iter().zip(answers);
        let rows = rows.map(|(row, answer)| filed(row, answer, BTreeMap::new()));
        return Ok(rows.collect());
    }
    let told = head.class_probabilities(&answers, None).into_iter();
    let rows = waiting.rows.iter().zip(told).map(|(row, told)| {
        // The most probable one is the first.
        let most = told[0].probability;
        let classes = told.into_iter();
        let classes = classes.map(|of| (of.class, of.probability.value));
        filed(row, most, classes.collect())
    });
    Ok(rows.collect())
}

/// What tells the features of this run from those that a version was trained on: its schema and its
/// encoders. None where they are the same.
pub(super) fn difference(
    (schema, encoders): (&Value, &[BlockEncoder]),
    merged: &MergeOutput,
) -> Option<String> {
    let of = |encoders: &[BlockEncoder], name: &str| {
        encoders.iter().find(|block| block.block == name).cloned()
    };
    let mut found = Vec::new();
    for block in &merged.encoders {
        let name = &block.block;
        let Some(old) = of(encoders, name) else {
            found.push(format!("this run has `{name}` by {}", block.encoder));
            continue;
        };
        if old.fingerprint != block.fingerprint {
            found.push(if old.encoder == block.encoder {
                format!("`{name}` is by another {}", block.encoder)
            } else {
                format!("`{name}` is by {}, not {}", block.encoder, old.encoder)
            });
        }
        // The first release did not file which captioner it was.
        if old.captioner != block.captioner
            || (old.captioner_fingerprint.is_some()
                && old.captioner_fingerprint != block.captioner_fingerprint)
        {
            let named =
                |block: &BlockEncoder| block.captioner.clone().unwrap_or_else(|| "nobody".into());
            let (new, old) = (named(block), named(&old));
            found.push(if new == old {
                format!("the captions of `{name}` are by another {new}")
            } else {
                format!("the captions of `{name}` are by {new}, not {old}")
            });
        }
    }
    for block in encoders {
        if of(&merged.encoders, &block.block).is_none() {
            found.push(format!("it lacks `{}` by {}", block.block, block.encoder));
        }
    }
    if found.is_empty() && *schema != json!(merged.schema) {
        let old: Result<FeatureSchema, _> = serde_json::from_value(schema.clone());
        found.push(match old {
            Ok(old) if old.metadata != merged.schema.metadata => {
                "`numbers` or `categories` differ".to_owned()
            }
            Ok(old) if old.history != merged.schema.history => {
                "the age at which labels are read differs".to_owned()
            }
            Ok(_) => "its vectors differ".to_owned(),
            Err(_) => "`numbers` or `categories` differ".to_owned(),
        });
    }
    (!found.is_empty()).then(|| found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        corpus::Fingerprint,
        learning::{HistorySchema, MetadataSchema},
    };

    fn block(name: &str, encoder: &str, version: &str, captioner: Option<&str>) -> BlockEncoder {
        let hash = |of: &str| Fingerprint::of(&[("of", of)]);
        BlockEncoder {
            block: name.to_owned(),
            encoder: encoder.to_owned(),
            input: name.to_owned(),
            fingerprint: hash(version),
            captioner: captioner.map(str::to_owned),
            captioner_fingerprint: captioner.map(hash),
            captioner_settings: Map::new(),
        }
    }

    fn merged(encoders: &[BlockEncoder]) -> MergeOutput {
        serde_json::from_value(json!({
            "matrix": "m", "matrix_file": {"rows": 1, "columns": 1, "sha256": "0".repeat(64)},
            "schema": FeatureSchema::default(), "encoders": encoders, "target": "score",
            "inverse": "identity", "labelled": 1,
        }))
        .unwrap()
    }

    #[test]
    fn what_differs_is_named() {
        let schema = json!(FeatureSchema::default());
        let title = || block("title", "minilm", "1", None);
        let said =
            |old: &[BlockEncoder], new: &[BlockEncoder]| difference((&schema, old), &merged(new));
        assert_eq!(said(&[title()], &[title()]), None);
        for (old, new, words) in [
            (
                vec![title()],
                vec![title(), block("image", "vit", "2", None)],
                "this run has `image` by vit",
            ),
            (
                vec![title(), block("image", "vit", "2", None)],
                vec![title()],
                "it lacks `image` by vit",
            ),
            (
                vec![title()],
                vec![block("title", "bge", "2", None)],
                "`title` is by bge, not minilm",
            ),
            (
                vec![title()],
                vec![block("title", "minilm", "2", None)],
                "`title` is by another minilm",
            ),
            (
                vec![block("caption", "minilm", "1", Some("tags"))],
                vec![block("caption", "minilm", "1", Some("blip"))],
                "the captions of `caption` are by blip, not tags",
            ),
            (
                vec![block("visual", "seeing", "1", None)],
                vec![block("visual", "seeing", "1", Some("blip"))],
                "the captions of `visual` are by blip, not nobody",
            ),
        ] {
            assert_eq!(said(&old, &new).as_deref(), Some(words));
        }
        let mut first = block("caption", "minilm", "1", Some("tags"));
        first.captioner_fingerprint = None;
        let now = block("caption", "minilm", "1", Some("tags"));
        assert_eq!(said(&[first], &[now]), None);
        let other = FeatureSchema {
            metadata: MetadataSchema::new(&["hour"], &["community"]).unwrap(),
            ..FeatureSchema::default()
        };
        let words = difference((&json!(other), &[title()]), &merged(&[title()]));
        assert_eq!(words.as_deref(), Some("`numbers` or `categories` differ"));
        let other = FeatureSchema {
            history: Some(HistorySchema {
                horizon: 1,
                tolerance: 1,
            }),
            ..FeatureSchema::default()
        };
        let words = difference((&json!(other), &[title()]), &merged(&[title()]));
        assert_eq!(
            words.as_deref(),
            Some("the age at which labels are read differs")
        );
    }
}
