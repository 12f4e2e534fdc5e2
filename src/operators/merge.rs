//! `merge`: vectors, metadata and labels → one feature matrix.

mod asked;
mod comparable;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use asked::Settings;
use comparable::check_comparable;

use super::{
    Environment,
    embed::{Contents, EmbedOutput, images_of},
    evaluation::value_or_reason,
    history::{history_before, past_of, schema_of},
    label::lesson_of,
    report::{blocking, upstream, writer},
    selection::{Selection, record_names},
    settings,
    sights::Sights,
};
use crate::{
    artifacts::{self, MatrixFile},
    corpus::{ContentHash, MediaInfo, Record, Vector},
    dag::ExecutorKind,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    expression::{Expression, Membership, Relative},
    learning::{BlockSchema, FeatureSchema, Inverse, RowInput, assemble},
    registry::BlockEncoder,
    store::Horizon,
};

/// `merge`: joins by key what is known of each record; a missing modality is masked, not dropped.
#[derive(Clone, Debug)]
pub struct Merge(pub Arc<Environment>);

/// What a `merge` task leaves for the tasks downstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MergeOutput {
    /// The matrix file's name within the run's folder.
    pub matrix: String,
    /// Its size and hash.
    pub matrix_file: MatrixFile,
    /// What a row must bring.
    pub schema: FeatureSchema,
    /// The encoder behind each block.
    pub encoders: Vec<BlockEncoder>,
    /// The target's expression.
    pub target: String,
    /// How a prediction goes back to the score's own scale.
    pub inverse: Inverse,
    /// How the target stands among those of other rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<Relative>,
    /// How many classes a row belongs to, where classes are the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Membership>,
    /// How many rows have a label.
    pub labelled: u64,
}

impl MergeOutput {
    /// The output of the `merge` task upstream.
    pub(super) fn upstream(context: &TaskContext) -> Result<Self, TaskError> {
        let found = context
            .upstream
            .values()
            .find(|output| output.get("matrix_file").is_some())
            .ok_or_else(|| {
                TaskError::fail(anyhow::anyhow!(
                    "no task upstream of `{}` made a matrix; put a `merge` task before it",
                    context.task_id
                ))
            })?;
        serde_json::from_value(found.clone()).map_err(TaskError::fail)
    }
}

impl Operator for Merge {
    fn name(&self) -> &'static str {
        "merge"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings)?.check()
    }

    /// A long window takes gigabytes, which go back when a process ends.
    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.merge(context))
    }
}

impl Merge {
    async fn merge(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        let metadata = settings.metadata().map_err(TaskError::fail)?;
        let target = settings.target().map_err(TaskError::fail)?;
        let order = settings.order().map_err(TaskError::fail)?;
        let selection = Selection::read(&self.0.store, &context).await?;
        let mut outcome = TaskOutcome {
            rows_in: selection.records.len() as u64,
            ..TaskOutcome::default()
        };

        let horizon = horizon(&context);
        let readings = match horizon {
            Some(horizon) => {
                let ids: Vec<&str> = selection.records.iter().map(|r| r.id.as_str()).collect();
                self.0
                    .store
                    .labels(&selection.dataset, &ids, context.as_of, horizon)
                    .await?
            }
            None => HashMap::new(),
        };
        let kept_out = self.0.store.kept_out(&selection.dataset).await?;
        let media = media_of(&self.0, &selection.records).await?;
        let mut blocks = self
            .blocks(&context, &settings.blocks, &selection.records)
            .await?;

        let (store, records) = (&self.0.store, &selection.records);
        let sights = Sights::read(&self.0, &metadata, records, &media, writer(&context)).await?;
        let history = if metadata.needs_history() {
            let of = (selection.dataset.as_str(), context.as_of);
            let with_looks = metadata.needs_looks();
            Some(history_before(store, of, records, &target, horizon, with_looks).await?)
        } else {
            None
        };

        let mut rows = Vec::with_capacity(selection.records.len());
        for record in &selection.records {
            if kept_out.contains(&record.id) || is_taken_away(record) {
                *outcome.dropped.entry("removed".to_owned()).or_default() += 1;
                continue;
            }
            let reading = readings.get(&record.id);
            let lesson = match lesson_of(&target, record, reading, horizon)? {
                Ok(lesson) => lesson,
                Err(reason) => {
                    *outcome.dropped.entry(reason).or_default() += 1;
                    continue;
                }
            };
            let images = media.get(&record.id).map_or(&[][..], Vec::as_slice);
            rows.push(RowInput {
                record,
                media: images,
                statistics: sights.statistics(images),
                vectors: blocks
                    .iter_mut()
                    .map(|block| block.vectors.remove(&record.id))
                    .collect(),
                past: past_of(history.as_ref(), record, sights.look(&record.id)),
                label: lesson.as_ref().map(|lesson| lesson.label),
                classes: lesson.map(|lesson| lesson.classes).unwrap_or_default(),
                order: order_of(order.as_ref(), record)?,
            });
        }
        check_comparable(&metadata, &blocks)?;
        let schema = FeatureSchema {
            blocks: blocks.iter().map(|block| block.schema.clone()).collect(),
            history: horizon.filter(|_| metadata.needs_history()).map(schema_of),
            metadata,
        };
        let matrix = assemble(rows, &schema).map_err(TaskError::fail)?;
        let labelled = matrix.rows.iter().filter(|row| row.label.is_some()).count() as u64;
        outcome.rows_out = matrix.rows.len() as u64;
        outcome.rows_computed = outcome.rows_out;
        let name = format!("{}.safetensors", context.task_id);
        let path = context.run_dir.join(&name);
        let matrix_file = blocking(move || artifacts::write_matrix(&path, &matrix)).await??;
        outcome.message = Some(format!(
            "{} rows × {} columns, {labelled} with a label",
            matrix_file.rows, matrix_file.columns
        ));
        outcome.files.push(name.clone());
        outcome.output = json!(MergeOutput {
            matrix: name,
            matrix_file,
            schema,
            encoders: blocks.into_iter().map(|block| block.encoder).collect(),
            inverse: match target.inverse() {
                crate::expression::Inverse::Expm1 => Inverse::Expm1,
                crate::expression::Inverse::Identity => Inverse::Identity,
            },
            relative: target.relative(),
            classes: target.membership(),
            target: settings.target,
            labelled,
        });
        Ok(outcome)
    }

    /// The blocks whose tasks have run, by name; a task that was skipped leaves none.
    async fn blocks(
        &self,
        context: &TaskContext,
        tasks: &BTreeMap<String, String>,
        records: &[Record],
    ) -> Result<Vec<BlockVectors>, TaskError> {
        let mut blocks = Vec::new();
        for (name, task) in tasks {
            let Some(output) = context.upstream.get(task) else {
                continue;
            };
            let output: EmbedOutput =
                serde_json::from_value(output.clone()).map_err(TaskError::fail)?;
            let contents = Contents::of(&self.0, &output, records).await?;
            let distinct: Vec<ContentHash> = contents.distinct.into_keys().collect();
            let stored = self
                .0
                .store
                .embeddings(output.fingerprint, &distinct)
                .await?;
            let vectors: HashMap<String, Vec<f32>> = contents
                .by_record
                .into_iter()
                .filter_map(|(id, contents)| Some((id, mean_vector(&stored, &contents)?)))
                .collect();
            // An encoder that nothing was given to has no say in the matrix.
            let Some(width) = vectors.values().next().map(Vec::len) else {
                continue;
            };
            blocks.push(BlockVectors {
                schema: BlockSchema {
                    name: name.clone(),
                    width,
                    encoder: output.fingerprint,
                },
                encoder: output.block_encoder(name),
                vectors,
            });
        }
        Ok(blocks)
    }
}

/// Whether the source told that its author, moderators or others have taken a record away: its
/// score is that of a post that nobody saw any more. One that was put back counts as there.
fn is_taken_away(record: &Record) -> bool {
    let told = |field: &str| match record.fields.get(field) {
        Some(Value::String(reason)) => !reason.is_empty(),
        Some(Value::Bool(is_so)) => *is_so,
        _ => false,
    };
    ["removed_by_category", "removal_type", "was_deleted_later"]
        .into_iter()
        .any(told)
}

/// One block before it is laid out in rows.
struct BlockVectors {
    schema: BlockSchema,
    encoder: BlockEncoder,
    /// By record id.
    vectors: HashMap<String, Vec<f32>>,
}

/// The horizon that the `refresh` task upstream worked with.
fn horizon(context: &TaskContext) -> Option<Horizon> {
    let seconds = |key| {
        upstream(context, key)
            .and_then(Value::as_u64)
            .map(Duration::from_secs)
    };
    Some(Horizon {
        age: seconds("horizon")?,
        tolerance: seconds("tolerance")?,
    })
}

/// What is known of the stored images of each record, in the author's order.
async fn media_of(
    environment: &Environment,
    records: &[Record],
) -> Result<HashMap<String, Vec<MediaInfo>>, TaskError> {
    let images = images_of(environment, records).await?;
    let distinct: Vec<ContentHash> = images
        .values()
        .flatten()
        .copied()
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    let infos = environment.store.media_infos(&distinct).await?;
    Ok(images
        .into_iter()
        .map(|(id, contents)| {
            (
                id,
                contents
                    .iter()
                    .filter_map(|content| infos.get(content).cloned())
                    .collect(),
            )
        })
        .collect())
}

/// The mean of the stored vectors of several contents; `None` where none is stored.
pub(crate) fn mean_vector(
    stored: &HashMap<ContentHash, Vector>,
    contents: &[ContentHash],
) -> Option<Vec<f32>> {
    let vectors: Vec<Vec<f32>> = contents
        .iter()
        .filter_map(|content| stored.get(content))
        .map(Vector::values)
        .collect();
    let (first, rest) = vectors.split_first()?;
    let mut mean = first.clone();
    for vector in rest {
        for (sum, value) in mean.iter_mut().zip(vector) {
            *sum += value;
        }
    }
    for sum in &mut mean {
        *sum /= vectors.len() as f32;
    }
    Some(mean)
}

/// The value of the order's expression; a record without one has none.
fn order_of(order: Option<&Expression>, record: &Record) -> Result<Option<f64>, TaskError> {
    let Some(order) = order else { return Ok(None) };
    Ok(value_or_reason("order", order.number(&record_names(record)))?.ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_away_is_told_by_its_fields() {
        let record = |fields: Value| Record {
            id: "a".to_owned(),
            community: None,
            author: None,
            title: None,
            created_at: None,
            media: Vec::new(),
            fields: fields.as_object().cloned().unwrap_or_default(),
        };
        for (fields, is_away) in [
            (json!({}), false),
            (json!({"removed_by_category": null}), false),
            (json!({"removed_by_category": "moderator"}), true),
            (json!({"removal_type": "deleted"}), true),
            (json!({"was_deleted_later": true}), true),
            (json!({"was_deleted_later": false}), false),
            (json!({"was_initially_deleted": true}), false),
        ] {
            assert_eq!(is_taken_away(&record(fields.clone())), is_away, "{fields}");
        }
    }
}
