//! `caption`: image → text.

use std::{collections::HashSet, sync::Arc};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Environment,
    embed::{EmbedOutput, images_of},
    report::{blocking, checkpoint, divided, upstream, writer},
    selection::Selection,
    settings,
    shard::Part,
};
use crate::{
    corpus::{ContentHash, Fingerprint},
    dag::ExecutorKind,
    encoders::{self, Tagger},
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    store::StoredCaption,
};

/// How many captions are written and committed together.
const BATCH: usize = 256;

/// `caption`: gives every image that lacks one its caption.
///
/// `imagenet-tags` applies the classifier's last layer to the vector that `embed` stored: no
/// second pass over the image. It is a tagger, not a captioner, and its captions are its labels.
#[derive(Clone, Debug)]
pub struct Caption(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The captioner's name; `none` skips the task.
    captioner: String,
    /// The task that embeds the images, whose vectors a tagger reads.
    #[serde(default)]
    from: Option<String>,
    /// The part of the records, where the task is mapped.
    #[serde(default)]
    shard: Option<Part>,
}

/// What a `caption` task leaves for the tasks downstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CaptionOutput {
    /// The captioner's name.
    pub captioner: String,
    /// Which captioner it is exactly.
    #[serde(rename = "captioner_fingerprint")]
    pub fingerprint: Fingerprint,
    /// The image encoder whose vectors it reads.
    pub reads: String,
}

impl CaptionOutput {
    /// The output of the `caption` task upstream.
    pub(super) fn upstream(context: &TaskContext) -> Result<Self, TaskError> {
        let found = context
            .upstream
            .values()
            .find(|output| output.get("captioner_fingerprint").is_some())
            .ok_or_else(|| TaskError::skip("no captions: nothing upstream wrote any"))?;
        serde_json::from_value(found.clone()).map_err(TaskError::fail)
    }
}

impl Operator for Caption {
    fn name(&self) -> &'static str {
        "caption"
    }

    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        if settings.captioner == "none" {
            return Ok(());
        }
        self.0
            .fingerprint(&settings.captioner)
            .map(drop)
            .map_err(|error| settings::wrong("captioner", error.to_string(), None))
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.caption(context))
    }
}

impl Caption {
    async fn caption(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        if settings.captioner == "none" {
            return Err(TaskError::skip("the profile names no captioner"));
        }
        let fingerprint = self.0.fingerprint(&settings.captioner)?;
        let vectors = image_vectors(&context, settings.from.as_deref())?;
        let selection = Selection::read(store, &context).await?.part(settings.shard);
        let images = images_of(&self.0, &selection.records).await?;
        let distinct: Vec<ContentHash> = images
            .values()
            .flatten()
            .copied()
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        // Captions come from stored vectors; an image that could not be embedded has none.
        let mut readable: Vec<ContentHash> = store
            .embedded(vectors.fingerprint, &distinct)
            .await?
            .into_iter()
            .collect();
        readable.sort_unstable();
        let present = store.captions(fingerprint, &readable).await?;
        let missing: Vec<ContentHash> = readable
            .iter()
            .filter(|image| context.force || !present.contains_key(*image))
            .copied()
            .collect();
        context.progress.expect(missing.len() as u64);
        if !missing.is_empty() {
            let (weights, name) = (self.0.weights.clone(), settings.captioner.clone());
            let tagger = blocking(move || encoders::load_tagger(&name, &weights)).await??;
            if tagger.encoder_fingerprint() != vectors.fingerprint {
                return Err(TaskError::fail(anyhow::anyhow!(
                    "`{}` cannot read the vectors of `{}`; it reads those of its own image encoder",
                    settings.captioner,
                    vectors.encoder
                )));
            }
            self.write_missing(&context, Arc::new(tagger), &missing)
                .await?;
        }
        store.sync_content().await?;
        let progress = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        let with_caption: HashSet<&ContentHash> = readable.iter().collect();
        Ok(TaskOutcome {
            rows_in: selection.records.len() as u64,
            rows_out: images
                .values()
                .filter(|images| images.iter().any(|image| with_caption.contains(image)))
                .count() as u64,
            rows_computed: progress.rows_computed,
            rows_reused: (readable.len() as u64).saturating_sub(progress.rows_computed),
            output: json!(CaptionOutput {
                captioner: settings.captioner,
                fingerprint,
                reads: vectors.encoder,
            }),
            ..TaskOutcome::default()
        })
    }

    async fn write_missing(
        &self,
        context: &TaskContext,
        tagger: Arc<Tagger>,
        missing: &[ContentHash],
    ) -> Result<(), TaskError> {
        for batch in missing.chunks(divided(BATCH, context)) {
            checkpoint(context)?;
            let values = self
                .0
                .store
                .embeddings(tagger.encoder_fingerprint(), batch)
                .await?;
            let (tagger, captioner) = (Arc::clone(&tagger), tagger.fingerprint());
            let captions: Vec<(ContentHash, StoredCaption)> = blocking(move || {
                values
                    .iter()
                    .map(|(image, vector)| (*image, caption_of(&tagger, &vector.values())))
                    .collect()
            })
            .await?;
            self.0
                .store
                .store_captions(captioner, &captions, writer(context))
                .await?;
            context.progress.advance(captions.len() as u64);
        }
        Ok(())
    }
}

/// A tagger's words for an image, from the image's stored vector.
pub(crate) fn caption_of(tagger: &Tagger, vector: &[f32]) -> StoredCaption {
    let caption = tagger.caption(vector);
    let tags: Vec<Value> = caption
        .tags
        .iter()
        .map(|tag| json!({ "label": tag.label, "score": tag.score }))
        .collect();
    StoredCaption {
        caption: caption.text,
        details: json!({ "tags": tags }),
    }
}

/// The output of the task that embeds the images: the one that `from` names, else the only one.
fn image_vectors(context: &TaskContext, from: Option<&str>) -> Result<EmbedOutput, TaskError> {
    let output = match from {
        Some(task) => context.upstream.get(task),
        None => context
            .upstream
            .values()
            .find(|output| output.get("input") == Some(&json!("image"))),
    };
    let output = output.ok_or_else(|| match upstream(context, "images") {
        Some(_) => TaskError::skip("no image vectors: nothing upstream embeds images"),
        None => TaskError::skip("no images"),
    })?;
    serde_json::from_value(output.clone()).map_err(TaskError::fail)
}
