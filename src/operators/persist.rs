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
    learning::{Decision, GateSettings, Verdict},
    registry::{
        self, CHAMPION, Candidate, DataWindow, Manifest, MatrixSummary, ModelName, Published,
        Registry, VersionFile,
    },
};

/// `persist`: files the model under `model_registry/`; it becomes the champion where the gate lets it
/// through, see [`decide`](crate::learning::decide).
#[derive(Clone, Debug)]
pub struct Persist(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What the gate demands.
    #[serde(default)]
    gate: GateSettings,
}

impl Operator for Persist {
    fn name(&self) -> &'static str {
        "persist"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        let checked = settings.gate.check();
        checked.map_err(|error| settings::wrong("gate", error.to_string(), None))
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
        let gate = settings::parse::<Settings>(&context.settings)
            .map_err(TaskError::fail)?
            .gate;
        let champion = champion(registry, &context.pipeline).await?;
        let (candidate, decision) = candidate(&context, merged, trained, &gate, champion)?;
        let published = registry.publish(candidate).await?;
        outcome.rows_computed = 1;
        outcome.message = Some(told(published, &decision));
        outcome.output = json!({ "version": published.version, "reused": published.reused });
        Ok(outcome)
    }
}

/// What a person reads of it.
fn told(published: Published, decision: &Decision) -> String {
    let Published { version, reused } = published;
    if reused {
        return format!("linked to version {version}");
    }
    let cause = &decision.cause;
    match decision.verdict {
        Verdict::Promote => format!("published version {version}, now the champion: {cause}"),
        Verdict::Keep => format!("published version {version}; the champion stays: {cause}"),
        Verdict::Ask => format!(
            "published version {version}; the champion stays until you decide (`trendmill models \
             promote`): {cause}"
        ),
    }
}

/// The version that is the champion now.
async fn champion(registry: &Registry, name: &str) -> Result<Option<u32>, TaskError> {
    let champion = ModelName::Alias(name.to_owned(), CHAMPION.to_owned());
    match registry.resolve(&champion).await {
        Ok(version) => Ok(Some(version.manifest.version)),
        Err(registry::Error::Unknown { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads back what the tasks upstream left and says what it is.
fn candidate(
    context: &TaskContext,
    merged: MergeOutput,
    trained: TrainOutput,
    gate: &GateSettings,
    champion: Option<u32>,
) -> Result<(Candidate, Decision), TaskError> {
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
    let evaluated_weights = read_weights(context, &trained.weights, trained.weights_sha256)?;
    let (weights, more) = match &trained.published {
        None => (evaluated_weights, Vec::new()),
        Some(published) => {
            let read = |name: &str| fs_err::read(context.run_dir.join(name));
            let answers = read(&published.answers)?;
            let answers = serde_json::from_slice(&answers).map_err(TaskError::fail)?;
            let more = vec![
                VersionFile::Evaluated(evaluated_weights),
                VersionFile::Probes(read(&published.probes)?),
                VersionFile::Answers(answers),
            ];
            let weights = read_weights(context, &published.weights, Some(published.sha256))?;
            (weights, more)
        }
    };
    let coverage = trained.training.coverage;
    let decision = file
        .contest
        .decide(gate, evaluated.finite, coverage, champion);
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
        weights_sha256: ContentHash::of(&weights),
        evaluated_sha256: trained.published.and(trained.weights_sha256),
        trained_until: data_window(&rows).to,
        evaluation: file.evaluation,
        profile: file.profile,
        gate: file.contest.document(gate, &decision),
    };
    let candidate = Candidate {
        manifest,
        content_key: trained.content_key,
        weights,
        more,
        rows: file.rows,
        promote: (decision.verdict == Verdict::Promote).then(|| decision.cause.clone()),
    };
    Ok((candidate, decision))
}

/// Weights that `train` has left.
fn read_weights(
    context: &TaskContext,
    name: &str,
    sha256: Option<ContentHash>,
) -> Result<Vec<u8>, TaskError> {
    let bytes = fs_err::read(context.run_dir.join(name))?;
    if Some(ContentHash::of(&bytes)) != sha256 {
        return Err(TaskError::fail(anyhow::anyhow!(
            "`{name}` is not what `train` wrote; run again with `--force`"
        )));
    }
    Ok(bytes)
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
