//! `evaluate`: the fitted head on rows that it has not seen, beside the baselines.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Environment,
    contest::{Contest, Rivals},
    device,
    merge::MergeOutput,
    report::{blocking, upstream, upstream_text},
    settings,
    train::{AttemptWatch, FitFile, TrainOutput, learning_error},
};
use crate::{
    artifacts,
    clock::Timestamp,
    corpus::{FeatureMatrix, Row},
    dag::ExecutorKind,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    learning::{
        self, Beside, ClassProbability, Evaluation, Fitted, Foretold, Head, Prediction,
        Prequential, Profile, Split, TrainSettings,
    },
    registry::EvaluatedRow,
};

/// `evaluate`: metrics with intervals, baselines, and what each block is worth.
#[derive(Clone, Debug)]
pub struct Evaluate(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Whether the head is fitted again without each block.
    #[serde(default = "yes")]
    ablation: bool,
}

const fn yes() -> bool {
    true
}

/// What an `evaluate` task leaves for the tasks downstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EvaluateOutput {
    /// The name of the evaluation's file within the run's folder; empty where the version
    /// existed already and carries its own.
    pub evaluation: String,
    /// Whether every metric that decides is a number.
    pub finite: bool,
}

/// The file that an evaluation leaves.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EvaluationFile {
    /// Split, metrics, intervals, baselines, ablation.
    pub evaluation: Value,
    /// The hash of row ids and split.
    pub row_set: String,
    /// The rows with their predictions.
    pub rows: Vec<EvaluatedRow>,
    /// How it stands against the champion and those before.
    pub contest: Contest,
    /// What the labelled rows were like.
    #[serde(default)]
    pub profile: Value,
}

impl Operator for Evaluate {
    fn name(&self) -> &'static str {
        "evaluate"
    }

    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let (_, settings) = device::split(settings)?;
        settings::parse::<Settings>(&settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.evaluate(context))
    }
}

impl Evaluate {
    async fn evaluate(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let (device, settings) = device::split(&context.settings).map_err(TaskError::fail)?;
        let settings: Settings = settings::parse(&settings).map_err(TaskError::fail)?;
        let device = device.unwrap_or(self.0.device);
        let merged = MergeOutput::upstream(&context)?;
        let trained = TrainOutput::upstream(&context)?;
        let mut outcome = TaskOutcome {
            rows_in: merged.labelled,
            rows_out: merged.labelled,
            ..TaskOutcome::default()
        };
        if let Some(version) = trained.existing {
            outcome.rows_reused = merged.labelled;
            outcome.message = Some(format!("as it was for version {version}"));
            outcome.output = json!(EvaluateOutput {
                evaluation: String::new(),
                finite: true
            });
            return Ok(outcome);
        }
        let truth = match upstream(&context, "source").and_then(Value::as_str) {
            Some(source) => self.0.source(source).await?.truth,
            None => None,
        };
        let rivals = Rivals::of(&self.0, &context, &merged, &trained.training).await?;
        let dataset = upstream_text(&context, "dataset", "scrape")?;
        let foretold = self.foretold(&dataset, &context.pipeline).await?;
        let watch = AttemptWatch::of(&context);
        let run_dir = context.run_dir.clone();
        let name = format!("{}.json", context.task_id);
        let path = run_dir.join(&name);
        let (headline, finite) = blocking(move || {
            let matrix = artifacts::read_matrix(&run_dir.join(&merged.matrix))?;
            let head = Head::from_safetensors(&fs_err::read(run_dir.join(&trained.weights))?)
                .map_err(TaskError::fail)?;
            let fit: FitFile = serde_json::from_slice(&fs_err::read(run_dir.join(&trained.fit))?)
                .map_err(TaskError::fail)?;
            let fitted = fit.with_head(head);
            let device = device.open().map_err(TaskError::fail)?;
            let drift = rivals.drift(&matrix);
            let contest = rivals
                .contest(&matrix, &fitted, &trained.training)
                .map_err(|error| learning_error(error, &watch))?;
            let training = TrainSettings {
                ablation: settings.ablation,
                ..trained.training
            };
            let beside = Beside {
                truth: truth.as_deref(),
                modalities: vec![of_images(&merged)],
            };
            let evaluation =
                learning::evaluate(&matrix, &fitted, &training, &beside, &device, &watch)
                    .map_err(|error| learning_error(error, &watch))?;
            let (inverse, seed) = (training.inverse, training.seed);
            let targets = fitted.head.targets(&matrix.rows);
            let prequential = match training.classes {
                Some(_) => learning::prequential_of_classes(&matrix, &fitted.head, &foretold, seed),
                None => learning::prequential(&matrix, &targets, &foretold, (inverse, seed)),
            }
            .map_err(|error| learning_error(error, &watch))?;
            let rows = evaluated_rows(&matrix, &fitted)?;
            // A constant has no rank correlation; an error that is no number is a fault.
            let finite = ["mae", "rmse"].iter().all(|metric| {
                evaluation
                    .metrics
                    .get(*metric)
                    .copied()
                    .flatten()
                    .is_some_and(f64::is_finite)
            });
            let headline = evaluation.first_line.clone();
            let file = EvaluationFile {
                row_set: fitted.rows_sha256.to_string(),
                evaluation: with(&evaluation, prequential.as_ref(), drift),
                profile: json!(Profile::of(&matrix)),
                rows,
                contest,
            };
            artifacts::write_json(&path, &file)?;
            Ok::<_, TaskError>((headline, finite))
        })
        .await??;
        outcome.rows_computed = outcome.rows_out;
        outcome.message = Some(headline);
        outcome.files.push(name.clone());
        outcome.output = json!(EvaluateOutput {
            evaluation: name,
            finite
        });
        Ok(outcome)
    }
}

impl Evaluate {
    /// What champions have said of records before their labels were known.
    async fn foretold(&self, dataset: &str, model: &str) -> Result<Vec<Foretold>, TaskError> {
        let filed = self.0.store.first_predictions(dataset, model).await?;
        let versions = self.0.registry.list(Some(model)).await?;
        let learned: HashMap<u32, Option<Timestamp>> = versions
            .iter()
            .map(|version| &version.manifest)
            .map(|of| (of.version, of.trained_until.or(of.data_window.to)))
            .collect();
        let made = filed.into_iter().map(|(version, filed)| Foretold {
            id: filed.record_id,
            version,
            learned_until: learned.get(&version).copied().flatten(),
            prediction: Prediction {
                value: filed.value,
                low: filed.low,
                high: filed.high,
            },
            classes: filed.classes,
        });
        Ok(made.collect())
    }
}

/// The blocks that tell what is to be seen: vectors of images, of their captions and of both.
fn of_images(merged: &MergeOutput) -> Vec<String> {
    let blocks = merged.encoders.iter();
    let blocks =
        blocks.filter(|block| matches!(block.input.as_str(), "image" | "caption" | "visual"));
    blocks.map(|block| block.block.clone()).collect()
}

/// The evaluation as it is filed: with what became of former predictions, and how the rows have
/// changed.
fn with(evaluation: &Evaluation, prequential: Option<&Prequential>, drift: Value) -> Value {
    let mut document = json!(evaluation);
    document["prequential"] = json!(prequential);
    document["drift"] = drift;
    document
}

/// The labelled rows with their predictions, in the order of the matrix.
fn evaluated_rows(matrix: &FeatureMatrix, fitted: &Fitted) -> Result<Vec<EvaluatedRow>, TaskError> {
    let head = &fitted.head;
    let predictions = head.predict(matrix).map_err(TaskError::fail)?;
    let parts: HashMap<&str, Split> = fitted
        .split
        .iter()
        .map(|(id, part)| (id.as_str(), *part))
        .collect();
    let split_of = |row: &Row| {
        let split = parts.get(row.id.as_str())?;
        Some(json!(split).as_str().unwrap_or_default().to_owned())
    };
    if head.membership().is_some() {
        let told = head.class_probabilities(&predictions, None).into_iter();
        let rows = matrix.rows.iter().zip(told);
        let rows =
            rows.filter_map(|(row, told)| Some(evaluated_classes(row, split_of(row)?, told)));
        return Ok(rows.collect());
    }
    let rows = matrix
        .rows
        .iter()
        .zip(predictions)
        .zip(head.targets(&matrix.rows))
        .filter_map(|((row, prediction), target)| {
            Some(EvaluatedRow {
                id: row.id.clone(),
                split: split_of(row)?,
                target: target?,
                prediction: prediction.value,
                classes: Vec::new(),
                probabilities: BTreeMap::new(),
            })
        });
    Ok(rows.collect())
}

/// A row whose classes were predicted, the most probable first.
fn evaluated_classes(row: &Row, split: String, told: Vec<ClassProbability>) -> EvaluatedRow {
    let most = told.first();
    let is_right = most.is_some_and(|most| row.classes.contains(&most.class));
    EvaluatedRow {
        id: row.id.clone(),
        split,
        target: f64::from(u8::from(is_right)),
        prediction: most.map_or(0.0, |most| most.probability.value),
        classes: row.classes.clone(),
        probabilities: told
            .into_iter()
            .map(|of| (of.class, of.probability.value))
            .collect(),
    }
}
