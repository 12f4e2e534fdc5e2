//! `train`: the feature matrix → a fitted head.

use std::{io, path::Path, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Environment,
    checkpoints::CheckpointFiles,
    device,
    merge::MergeOutput,
    report::{blocking, upstream},
    settings,
};
use crate::{
    artifacts,
    corpus::{ContentHash, FeatureMatrix},
    dag::ExecutorKind,
    engine::{Operator, Progress, SettingsError, TaskContext, TaskError, TaskOutcome},
    learning::{self, Choices, Fitted, Head, LEAST_LABELS, Split, SplitBasis, TrainSettings},
    registry::ProbeAnswer,
};

/// `train`: fits the head on the rows that have a label.
///
/// Where the registry has a version of the same rows, settings and encoders, nothing is fitted
/// and the run goes on with that version.
#[derive(Clone, Debug)]
pub struct Train(pub Arc<Environment>);

/// What a `train` task leaves for the tasks downstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TrainOutput {
    /// The hash of matrix, settings and encoders: equal means the same model.
    pub content_key: String,
    /// The version that exists already; nothing was fitted then.
    pub existing: Option<u32>,
    /// The name of the weights' file within the run's folder; empty where nothing was fitted.
    pub weights: String,
    /// The name of the file within the run's folder that tells how the rows were split.
    pub fit: String,
    /// The hash of the weights' file.
    pub weights_sha256: Option<ContentHash>,
    /// What is published of it; nothing where nothing was fitted.
    #[serde(default)]
    pub published: Option<Published>,
    /// The settings of the training, seeds included.
    pub training: TrainSettings,
}

impl TrainOutput {
    /// The output of the `train` task upstream.
    pub(super) fn upstream(context: &TaskContext) -> Result<Self, TaskError> {
        let found = context
            .upstream
            .values()
            .find(|output| output.get("content_key").is_some())
            .ok_or_else(|| {
                TaskError::fail(anyhow::anyhow!(
                    "no task upstream of `{}` fitted a head; put a `train` task before it",
                    context.task_id
                ))
            })?;
        serde_json::from_value(found.clone()).map_err(TaskError::fail)
    }
}

/// What was chosen, learned once more from every row with a label.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Published {
    /// The name of its weights' file within the run's folder.
    pub weights: String,
    /// The hash of that file.
    pub sha256: ContentHash,
    /// The name of the probes' features.
    pub probes: String,
    /// The name of what was said of the probes.
    pub answers: String,
}

/// How a head came to be, as far as its evaluation needs to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FitFile {
    /// The id and part of each labelled row.
    split: Vec<(String, Split)>,
    /// What the rows were split by.
    basis: SplitBasis,
    /// The hash of the labelled rows: ids, targets, ages, parts.
    pub rows_sha256: ContentHash,
    /// What was chosen on the way.
    choices: Choices,
}

impl FitFile {
    fn of(fitted: &Fitted) -> Self {
        Self {
            split: fitted.split.clone(),
            basis: fitted.basis,
            rows_sha256: fitted.rows_sha256,
            choices: fitted.choices.clone(),
        }
    }

    /// The fit of which this tells, with its head.
    pub(super) fn with_head(self, head: Head) -> Fitted {
        Fitted {
            head,
            split: self.split,
            basis: self.basis,
            rows_sha256: self.rows_sha256,
            history: Vec::new(),
            choices: self.choices,
        }
    }
}

fn fit_name(task_id: &str) -> String {
    format!("{task_id}.json")
}

impl Operator for Train {
    fn name(&self) -> &'static str {
        "train"
    }

    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let (_, settings) = device::split(settings)?;
        read(&settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.train(context))
    }
}

/// The settings, checked.
fn read(settings: &Map<String, Value>) -> Result<TrainSettings, SettingsError> {
    let read: TrainSettings = settings::parse(settings)?;
    read.check().map_err(|error| SettingsError {
        key: settings
            .keys()
            .find(|key| error.to_string().contains(&format!("`{key}`")))
            .cloned(),
        message: error.to_string(),
        hint: None,
    })?;
    Ok(read)
}

impl Train {
    async fn train(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let (device, settings) = device::split(&context.settings).map_err(TaskError::fail)?;
        let device = device.unwrap_or(self.0.device);
        let merged = MergeOutput::upstream(&context)?;
        let training = TrainSettings {
            inverse: merged.inverse,
            relative: merged.relative,
            classes: merged.classes,
            ..read(&settings).map_err(TaskError::fail)?
        };
        if merged.labelled == 0 {
            return Err(TaskError::skip("no mature labels"));
        }
        if merged.labelled < LEAST_LABELS as u64 {
            return Err(TaskError::skip(format!(
                "too few mature labels: {} where at least {LEAST_LABELS} are needed",
                merged.labelled
            )));
        }
        if let Some(dataset) = upstream(&context, "dataset").and_then(Value::as_str)
            && let Some(reason) = self.0.not_permitted
            && self.0.store.is_by_permission(dataset).await?
        {
            return Err(TaskError::fail(anyhow::anyhow!(reason)));
        }
        let content_key = content_key(&merged, &training);
        let mut outcome = TaskOutcome {
            rows_in: merged.labelled,
            ..TaskOutcome::default()
        };
        outcome.rows_out = merged.labelled;
        let existing = self
            .0
            .registry
            .existing(&context.pipeline, &content_key)
            .await?;
        if let (Some(version), false) = (existing, context.force) {
            outcome.rows_reused = merged.labelled;
            outcome.message = Some(format!("nothing has changed since version {version}"));
            outcome.output = json!(TrainOutput {
                content_key,
                existing,
                weights: String::new(),
                fit: String::new(),
                weights_sha256: None,
                published: None,
                training,
            });
            return Ok(outcome);
        }
        let weights = format!("{}.safetensors", context.task_id);
        let (fit, fit_name) = (fit_name(&context.task_id), fit_name(&context.task_id));
        let (path, run_dir) = (context.run_dir.join(&weights), context.run_dir.clone());
        let task_id = context.task_id.clone();
        // The key stays that of the settings: what was asked for is the same.
        let rows = usize::try_from(merged.labelled).unwrap_or(usize::MAX);
        let settings = training
            .clone()
            .with_smaller_batches(context.batch_divisor, rows);
        let interval = self.0.checkpoint_interval;
        let watch = AttemptWatch::of(&context).with_checkpoints(&context, interval);
        let (summary, hash, published) = blocking(move || {
            let matrix = artifacts::read_matrix(&run_dir.join(&merged.matrix))?;
            let device = device.open().map_err(TaskError::fail)?;
            let fitted = learning::train(&matrix, &settings, &device, &watch)
                .map_err(|error| learning_error(error, &watch))?;
            let bytes = fitted.head.to_safetensors().map_err(TaskError::fail)?;
            artifacts::write_json(&run_dir.join(&fit), &FitFile::of(&fitted))?;
            artifacts::write_atomic(&path, &bytes)?;
            let summary = summary(&fitted);
            let published = learning::refit(&matrix, &fitted, &settings, &device, &watch)
                .map_err(|error| learning_error(error, &watch))?;
            let heads = (&fitted.head, &published);
            let published = publish(&run_dir, &task_id, &matrix, heads)?;
            watch.remove_checkpoints()?;
            Ok::<_, TaskError>((summary, ContentHash::of(&bytes), published))
        })
        .await??;
        outcome.rows_computed = outcome.rows_out;
        outcome.message = Some(summary);
        outcome.files = vec![
            weights.clone(),
            fit_name.clone(),
            published.weights.clone(),
            published.probes.clone(),
            published.answers.clone(),
        ];
        outcome.output = json!(TrainOutput {
            content_key,
            existing: None,
            weights,
            fit: fit_name,
            weights_sha256: Some(hash),
            published: Some(published),
            training,
        });
        Ok(outcome)
    }
}

/// What was chosen, in words.
fn summary(fitted: &Fitted) -> String {
    let (choices, classes) = (&fitted.choices, fitted.head.classes());
    if classes.is_empty() {
        return format!(
            "ridge penalty {:.3}, networks blended in at {:.2}, {} trees at {:.2}",
            choices.penalty, choices.blend, choices.trees.0, choices.trees.1
        );
    }
    match fitted.head.threshold() {
        Some(threshold) => format!("{} classes, told from {threshold:.2} on", classes.len()),
        None => format!("{} classes", classes.len()),
    }
}

/// How many rows prove later that a version says what it said.
const PROBES: usize = 16;

/// Writes the head that is published, and what both heads say of some rows.
fn publish(
    run_dir: &Path,
    task_id: &str,
    matrix: &FeatureMatrix,
    (evaluated, published): (&Head, &Head),
) -> Result<Published, TaskError> {
    let bytes = published.to_safetensors().map_err(TaskError::fail)?;
    let labelled = matrix.rows.iter().enumerate();
    let labelled = labelled.filter(|(_, row)| row.label.is_some());
    let labelled: Vec<usize> = labelled.map(|(at, _)| at).collect();
    let count = PROBES.min(labelled.len());
    let chosen: Vec<usize> = (0..count)
        .map(|at| labelled[at * labelled.len() / count])
        .collect();
    let mut probes = matrix.select(&chosen);
    for row in &mut probes.rows {
        row.author = None;
    }
    let of = |head: &Head| head.predict(&probes).map_err(TaskError::fail);
    let answers = of(published)?.into_iter().zip(of(evaluated)?);
    let answers = probes.rows.iter().zip(answers);
    let answers: Vec<ProbeAnswer> = answers
        .map(|(row, (published, evaluated))| ProbeAnswer {
            id: row.id.clone(),
            published: published.value,
            evaluated: evaluated.value,
        })
        .collect();
    let named = |what: &str| format!("{task_id}.{what}");
    let published = Published {
        weights: named("published.safetensors"),
        sha256: ContentHash::of(&bytes),
        probes: named("probes.safetensors"),
        answers: named("probes.json"),
    };
    artifacts::write_atomic(&run_dir.join(&published.weights), &bytes)?;
    artifacts::write_matrix(&run_dir.join(&published.probes), &probes)?;
    artifacts::write_json(&run_dir.join(&published.answers), &answers)?;
    Ok(published)
}

/// Equal for equal rows, labels, features, settings and encoders.
fn content_key(merged: &MergeOutput, training: &TrainSettings) -> String {
    let parts = json!({
        "matrix": merged.matrix_file.sha256,
        "schema": merged.schema,
        "target": merged.target,
        "training": training,
    });
    ContentHash::of(parts.to_string()).to_string()
}

/// An error of the learning as the decision of a task.
pub(super) fn learning_error(error: learning::Error, watch: &AttemptWatch) -> TaskError {
    use learning::Watch;
    if watch.cancelled() {
        TaskError::Cancelled
    } else {
        TaskError::fail(error)
    }
}

/// Shows the learning to the attempt: its progress, and when to stop.
#[derive(Debug)]
pub(super) struct AttemptWatch {
    cancelled: tokio_util::sync::CancellationToken,
    progress: Progress,
    checkpoints: Option<CheckpointFiles>,
    /// Networks learn in threads of their own, which know nothing of the attempt.
    span: tracing::Span,
}

impl AttemptWatch {
    pub(super) fn of(context: &TaskContext) -> Self {
        Self {
            cancelled: context.cancelled.clone(),
            progress: context.progress.clone(),
            checkpoints: None,
            span: tracing::Span::current(),
        }
    }

    /// The same; trainings put down how far they are here.
    fn with_checkpoints(mut self, context: &TaskContext, interval: Duration) -> Self {
        let folder = format!("{}.checkpoints", context.task_id);
        self.checkpoints = Some(CheckpointFiles::new(
            context.run_dir.join(folder),
            interval,
            Arc::clone(&context.clock),
        ));
        self
    }

    /// Removes what trainings have put down: nobody will go on from there.
    fn remove_checkpoints(&self) -> io::Result<()> {
        match &self.checkpoints {
            Some(checkpoints) => artifacts::remove_directory(checkpoints.folder()),
            None => Ok(()),
        }
    }
}

impl learning::Watch for AttemptWatch {
    fn progress(&self, progress: &learning::Progress) {
        self.span.in_scope(|| match progress {
            learning::Progress::Stage(stage) => tracing::debug!(stage, "training"),
            learning::Progress::Resumed { member, epoch } => {
                tracing::info!(member, epoch, "a network goes on after this pass");
            }
            learning::Progress::Epoch {
                epoch,
                epochs,
                train_loss,
                validation_loss,
            } => {
                tracing::trace!(epoch, epochs, train_loss, validation_loss, "a pass is done");
                self.progress.advance(1);
            }
        });
    }

    fn cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    fn checkpoints(&self) -> Option<&dyn learning::Checkpoints> {
        let checkpoints = self.checkpoints.as_ref();
        checkpoints.map(|files| files as &dyn learning::Checkpoints)
    }
}
