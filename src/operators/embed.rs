//! `embed`: contents → vectors.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Environment,
    caption::CaptionOutput,
    device,
    fetch_images::{place, places_of},
    report::{blocking, checkpoint, divided, writer},
    selection::Selection,
    settings,
    shard::Part,
};
use crate::{
    corpus::{ContentHash, Fingerprint, Record, Vector, VectorType},
    dag::ExecutorKind,
    encoders::{self, DeviceSpec, ImageInput},
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    registry::BlockEncoder,
    store::PlaceState,
};

/// How many texts are embedded and committed together: about a second's work of a processor, or of
/// a graphics card.
const fn text_batch(device: DeviceSpec) -> usize {
    if device.is_on_card() { 16_384 } else { 256 }
}

/// How many images are embedded and committed together.
const fn image_batch(device: DeviceSpec) -> usize {
    if device.is_on_card() { 1024 } else { 32 }
}

/// The number type in which vectors are stored.
pub(super) const STORED_AS: VectorType = VectorType::F16;

/// `embed`: gives every content that lacks one its vector.
#[derive(Clone, Debug)]
pub struct Embed(pub Arc<Environment>);

/// What of a record is embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Input {
    /// The title.
    Title,
    /// Each image.
    Image,
    /// The caption of each image.
    Caption,
    /// Each image together with its caption.
    Visual,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The encoder's name, or the directory of a checkpoint, from the home on; `none` skips the
    /// task.
    encoder: String,
    /// What is embedded.
    input: Input,
    /// The part of the records, where the task is mapped.
    #[serde(default)]
    shard: Option<Part>,
}

/// What an `embed` task leaves for the tasks downstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EmbedOutput {
    /// The encoder's name.
    pub encoder: String,
    /// What is embedded.
    pub input: Input,
    /// Which encoder it is exactly.
    pub fingerprint: Fingerprint,
    /// The captioner between image and text, where there is one.
    pub captioner: Option<CaptionOutput>,
}

impl EmbedOutput {
    /// The entry of a manifest for the block `block`.
    pub(super) fn block_encoder(&self, block: &str) -> BlockEncoder {
        BlockEncoder {
            block: block.to_owned(),
            encoder: self.encoder.clone(),
            input: json!(self.input).as_str().unwrap_or_default().to_owned(),
            fingerprint: self.fingerprint,
            captioner: self
                .captioner
                .as_ref()
                .map(|captioner| captioner.captioner.clone()),
            captioner_fingerprint: self
                .captioner
                .as_ref()
                .map(|captioner| captioner.fingerprint),
            captioner_settings: self
                .captioner
                .as_ref()
                .map(|captioner| captioner.settings.clone())
                .unwrap_or_default(),
        }
    }
}

impl Operator for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let (_, settings) = device::split(settings)?;
        let settings: Settings = settings::parse(&settings)?;
        if settings.encoder == "none" || settings.input == Input::Visual {
            return Ok(());
        }
        self.0
            .fingerprint(&settings.encoder)
            .map(drop)
            .map_err(|error| settings::wrong("encoder", error.to_string(), None))
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.embed(context))
    }
}

impl Embed {
    async fn embed(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let (device, settings) = device::split(&context.settings).map_err(TaskError::fail)?;
        let settings: Settings = settings::parse(&settings).map_err(TaskError::fail)?;
        let device = device.unwrap_or(self.0.device);
        if settings.encoder == "none" {
            return Err(TaskError::skip("the profile names no such encoder"));
        }
        let (environment, name) = (Arc::clone(&self.0), settings.encoder.clone());
        let fingerprint = blocking(move || environment.fingerprint_on(&name, device)).await??;
        let captioner = match settings.input {
            Input::Caption => Some(CaptionOutput::upstream(&context)?),
            Input::Visual => {
                return Err(TaskError::fail(anyhow::anyhow!(
                    "`{}` does not encode an image with its text",
                    settings.encoder
                )));
            }
            Input::Title | Input::Image => None,
        };
        let part = settings.shard;
        let output = EmbedOutput {
            encoder: settings.encoder,
            input: settings.input,
            fingerprint,
            captioner,
        };
        let selection = Selection::read(&self.0.store, &context).await?.part(part);
        let contents = Contents::of(&self.0, &output, &selection.records).await?;
        let distinct: Vec<ContentHash> = contents.distinct.keys().copied().collect();
        let present = if context.force {
            HashSet::new()
        } else {
            self.0.store.embedded(fingerprint, &distinct).await?
        };
        let missing: Vec<(ContentHash, Option<String>)> = contents
            .distinct
            .iter()
            .filter(|(content, _)| !present.contains(content))
            .map(|(content, text)| (*content, text.clone()))
            .collect();
        context.progress.expect(missing.len() as u64);
        let failed = if output.input == Input::Image {
            self.embed_images(&context, &output, device, &missing)
                .await?
        } else {
            self.embed_texts(&context, &output, device, missing).await?;
            BTreeMap::new()
        };
        self.0.store.sync_content().await?;
        let progress = self
            .0
            .store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        let done = self.0.store.embedded(fingerprint, &distinct).await?;
        Ok(TaskOutcome {
            rows_in: selection.records.len() as u64,
            rows_out: contents
                .by_record
                .values()
                .filter(|contents| contents.iter().any(|content| done.contains(content)))
                .count() as u64,
            rows_computed: progress.rows_computed,
            rows_reused: (done.len() as u64).saturating_sub(progress.rows_computed),
            dropped: failed,
            output: json!(output),
            ..TaskOutcome::default()
        })
    }

    async fn embed_texts(
        &self,
        context: &TaskContext,
        output: &EmbedOutput,
        device: DeviceSpec,
        mut missing: Vec<(ContentHash, Option<String>)>,
    ) -> Result<(), TaskError> {
        // Texts of similar length together make fuller batches for the encoder.
        missing.sort_by_key(|(content, text)| (text.as_ref().map_or(0, String::len), *content));
        for batch in missing.chunks(divided(text_batch(device), context)) {
            checkpoint(context)?;
            let (environment, name) = (Arc::clone(&self.0), output.encoder.clone());
            let batch = batch.to_vec();
            let vectors = blocking(move || {
                let encoder = environment.text_encoder(&name, device)?;
                let texts: Vec<&str> = batch
                    .iter()
                    .map(|(_, text)| text.as_deref().unwrap_or_default())
                    .collect();
                let vectors = encoder.embed(&texts)?;
                Ok::<_, encoders::Error>(
                    batch
                        .iter()
                        .zip(vectors)
                        .map(|((content, _), vector)| (*content, Vector::new(&vector, STORED_AS)))
                        .collect::<Vec<_>>(),
                )
            })
            .await??;
            let writer = writer(context);
            self.0
                .store
                .store_embeddings(output.fingerprint, &vectors, writer)
                .await?;
            context.progress.advance(vectors.len() as u64);
        }
        Ok(())
    }

    /// Returns how many images could not be read, by reason.
    async fn embed_images(
        &self,
        context: &TaskContext,
        output: &EmbedOutput,
        device: DeviceSpec,
        missing: &[(ContentHash, Option<String>)],
    ) -> Result<BTreeMap<String, u64>, TaskError> {
        let mut failed = BTreeMap::new();
        for batch in missing.chunks(divided(image_batch(device), context)) {
            checkpoint(context)?;
            let (environment, name) = (Arc::clone(&self.0), output.encoder.clone());
            let contents: Vec<ContentHash> = batch.iter().map(|(content, _)| *content).collect();
            let vectors =
                blocking(move || embed_files(&environment, &name, device, &contents)).await??;
            let rows = vectors.len() as u64;
            let mut good = Vec::with_capacity(vectors.len());
            for (content, vector) in vectors {
                match vector {
                    Ok(vector) => good.push((content, vector)),
                    Err(reason) => {
                        tracing::warn!(image = %content, reason, "an image cannot be embedded");
                        *failed.entry(reason).or_default() += 1;
                    }
                }
            }
            self.0
                .store
                .store_embeddings(output.fingerprint, &good, writer(context))
                .await?;
            context.progress.advance(rows);
        }
        Ok(failed)
    }
}

/// The vector of an image, or why there is none.
type ImageVector = (ContentHash, Result<Vector, String>);

/// Vectors of stored images, or why there is none.
fn embed_files(
    environment: &Environment,
    name: &str,
    device: DeviceSpec,
    contents: &[ContentHash],
) -> Result<Vec<ImageVector>, encoders::Error> {
    let encoder = environment.image_encoder(name, device)?;
    let files: Vec<Option<std::path::PathBuf>> = contents
        .iter()
        .map(|content| environment.media.find(content))
        .collect();
    let inputs: Vec<ImageInput<'_>> = files
        .iter()
        .flatten()
        .map(|path| ImageInput::File(path))
        .collect();
    let mut vectors = encoder.embed(&inputs).into_iter();
    Ok(contents
        .iter()
        .zip(&files)
        .map(|(content, file)| {
            let vector = match file {
                None => Err("missing_file".to_owned()),
                Some(_) => match vectors.next() {
                    Some(Ok(vector)) => Ok(Vector::new(&vector, STORED_AS)),
                    Some(Err(error)) => Err(error.to_string()),
                    None => Err("not_embedded".to_owned()),
                },
            };
            (*content, vector)
        })
        .collect())
}

/// Vectors of a few contents, as the task would make them; those that cannot be made are left out.
/// Nothing is stored.
pub(super) fn embed_some(
    environment: &Environment,
    output: &EmbedOutput,
    device: DeviceSpec,
    contents: &[(ContentHash, Option<String>)],
) -> Result<Vec<Vector>, encoders::Error> {
    if output.input == Input::Image {
        let images: Vec<ContentHash> = contents.iter().map(|(content, _)| *content).collect();
        let vectors = embed_files(environment, &output.encoder, device, &images)?;
        return Ok(vectors.into_iter().filter_map(|(_, v)| v.ok()).collect());
    }
    let texts: Vec<&str> = contents
        .iter()
        .map(|(_, text)| text.as_deref().unwrap_or_default())
        .collect();
    let encoder = environment.text_encoder(&output.encoder, device)?;
    let vectors = encoder.embed(&texts)?.into_iter();
    Ok(vectors.map(|v| Vector::new(&v, STORED_AS)).collect())
}

/// The contents of records under an input.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Each content once, with its text where it is one.
    pub distinct: BTreeMap<ContentHash, Option<String>>,
    /// The contents of each record that has one, in the author's order.
    pub by_record: HashMap<String, Vec<ContentHash>>,
}

impl Contents {
    /// The contents of `records` that `output` embeds.
    pub(super) async fn of(
        environment: &Environment,
        output: &EmbedOutput,
        records: &[Record],
    ) -> Result<Self, TaskError> {
        let mut contents = Self::default();
        match (&output.captioner, output.input) {
            (_, Input::Title) => {
                for record in records {
                    if let Some(title) = record.title.as_deref().filter(|title| !title.is_empty()) {
                        contents.add(&record.id, ContentHash::of(title), Some(title.to_owned()));
                    }
                }
            }
            (Some(captioner), _) => {
                let images = images_of(environment, records).await?;
                let distinct: Vec<ContentHash> = images
                    .values()
                    .flatten()
                    .copied()
                    .collect::<HashSet<_>>()
                    .into_iter()
                    .collect();
                let captions = environment
                    .store
                    .captions(captioner.fingerprint, &distinct)
                    .await?;
                for record in records {
                    for image in images.get(&record.id).into_iter().flatten() {
                        if let Some(caption) = captions.get(image) {
                            let text = &caption.caption;
                            contents.add(&record.id, ContentHash::of(text), Some(text.clone()));
                        }
                    }
                }
            }
            (None, _) => {
                for (id, images) in images_of(environment, records).await? {
                    for image in images {
                        contents.add(&id, image, None);
                    }
                }
            }
        }
        Ok(contents)
    }

    fn add(&mut self, id: &str, content: ContentHash, text: Option<String>) {
        self.distinct.insert(content, text);
        self.by_record
            .entry(id.to_owned())
            .or_default()
            .push(content);
    }
}

/// The stored images of each record that has one, in the author's order.
pub(super) async fn images_of(
    environment: &Environment,
    records: &[Record],
) -> Result<HashMap<String, Vec<ContentHash>>, TaskError> {
    let known = environment.store.media_places(&places_of(records)).await?;
    let mut images: HashMap<String, Vec<ContentHash>> = HashMap::new();
    for record in records {
        for location in &record.media {
            if let Some(PlaceState::Stored(info)) = known.get(&place(location)) {
                images
                    .entry(record.id.clone())
                    .or_default()
                    .push(info.content);
            }
        }
    }
    Ok(images)
}
