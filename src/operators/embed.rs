//! `embed`: contents → vectors.

mod contents;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

pub(super) use contents::{Content, Contents, What, images_of};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Environment,
    caption::CaptionOutput,
    device,
    report::{blocking, checkpoint, divided, writer},
    selection::Pages,
    settings,
    shard::Part,
    sharing::{self, Decoded, Followers, Reader, Work},
};
use crate::{
    corpus::{ContentHash, Fingerprint, Vector, VectorType},
    dag::ExecutorKind,
    encoders::{self, DeviceSpec, ImageInput, Kind, weights::catalogue},
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    registry::BlockEncoder,
    store::Writer,
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
///
/// A task that embeds images may name others below it that read the same ones (`share`): each image
/// is decoded once for all of them. Their encoders are in memory together, and this task takes the
/// time of all.
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
    /// Each image together with its caption; alone where it has none.
    Visual,
}

impl Input {
    /// Whether images are read for it.
    pub(super) const fn is_of_images(self) -> bool {
        matches!(self, Self::Image | Self::Visual)
    }
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
    /// Tasks below that read the same images.
    #[serde(default)]
    share: Vec<String>,
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
        if settings.encoder == "none" {
            return Ok(());
        }
        self.0
            .fingerprint(&settings.encoder)
            .map_err(|error| settings::wrong("encoder", error.to_string(), None))?;
        if settings.input == Input::Visual && !self.0.is_visual(&settings.encoder) {
            let words = format!(
                "`{}` does not encode an image with its text",
                settings.encoder
            );
            let hint = format!(
                "give {}, a directory with `Visualized_….pth`, or `none`",
                catalogue::names(Some(Kind::Visual))
            );
            return Err(settings::wrong("encoder", words, Some(hint)));
        }
        if !settings.share.is_empty() && !settings.input.is_of_images() {
            let words = "`share` is for tasks that read images";
            return Err(settings::wrong("share", words, None));
        }
        Ok(())
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
            Input::Visual => CaptionOutput::found(&context)?,
            Input::Title | Input::Image => None,
        };
        let part = settings.shard;
        let output = EmbedOutput {
            encoder: settings.encoder,
            input: settings.input,
            fingerprint,
            captioner,
        };
        let mut followers = Followers::of(&self.0, &context, &settings.share).await?;
        let mut pages = Pages::of(&self.0.store, &context, part).await?;
        let (mut contents, mut rows_in) = (Contents::default(), 0);
        while let Some(records) = pages.next(&self.0.store).await? {
            rows_in += records.len() as u64;
            followers.note(&self.0, &records).await?;
            contents.extend(Contents::of(&self.0, &output, &records).await?);
        }
        let distinct: Vec<ContentHash> = contents.distinct.keys().copied().collect();
        let present = if context.force {
            HashSet::new()
        } else {
            self.0.store.embedded(fingerprint, &distinct).await?
        };
        let missing: Vec<Content> = contents
            .distinct
            .iter()
            .filter(|(content, _)| !present.contains(content))
            .map(|(content, what)| (*content, what.clone()))
            .collect();
        context.progress.expect(missing.len() as u64);
        let failed = if output.input.is_of_images() {
            self.embed_images(&context, &output, device, &missing, followers)
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
            rows_in,
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
        mut missing: Vec<Content>,
    ) -> Result<(), TaskError> {
        // Texts of similar length together make fuller batches for the encoder.
        missing.sort_by_key(|(content, what)| (what.text().len(), *content));
        for batch in missing.chunks(divided(text_batch(device), context)) {
            checkpoint(context)?;
            let (environment, name) = (Arc::clone(&self.0), output.encoder.clone());
            let batch = batch.to_vec();
            let vectors = blocking(move || {
                let encoder = environment.text_encoder(&name, device)?;
                let texts: Vec<&str> = batch.iter().map(|(_, what)| what.text()).collect();
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
        missing: &[Content],
        followers: Followers,
    ) -> Result<BTreeMap<String, u64>, TaskError> {
        let followers = followers.readers(&self.0).await?;
        if !followers.is_empty() {
            let images = missing.iter().map(|(content, what)| what.image(*content));
            let mut readers = vec![Reader {
                task: context.task_id.clone(),
                device,
                work: Work::Embed(output.clone()),
                missing: images.collect(),
            }];
            readers.extend(followers);
            return sharing::read(&self.0, context, &readers).await;
        }
        let (mut failed, decoded) = (BTreeMap::<String, u64>::new(), Arc::default());
        for batch in missing.chunks(divided(image_batch(device), context)) {
            checkpoint(context)?;
            let made = embed_and_store(
                &self.0,
                output,
                device,
                batch.to_vec(),
                &decoded,
                writer(context),
            );
            for (reason, count) in made.await? {
                *failed.entry(reason).or_default() += count;
            }
            context.progress.advance(batch.len() as u64);
        }
        Ok(failed)
    }
}

/// Embeds images and stores their vectors. Returns how many images could not be read, by reason.
pub(super) async fn embed_and_store(
    environment: &Arc<Environment>,
    output: &EmbedOutput,
    device: DeviceSpec,
    pictures: Vec<Content>,
    decoded: &Arc<Decoded>,
    writer: Writer<'_>,
) -> Result<BTreeMap<String, u64>, TaskError> {
    let (with, output_of, decoded) = (Arc::clone(environment), output.clone(), Arc::clone(decoded));
    let vectors =
        blocking(move || embed_files(&with, &output_of, device, &pictures, &decoded)).await??;
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
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
    environment
        .store
        .store_embeddings(output.fingerprint, &good, writer)
        .await?;
    Ok(failed)
}

/// The vector of an image, or why there is none.
type ImageVector = (ContentHash, Result<Vector, String>);

/// Vectors of stored images, or why there is none.
fn embed_files(
    environment: &Environment,
    output: &EmbedOutput,
    device: DeviceSpec,
    pictures: &[Content],
    decoded: &Decoded,
) -> Result<Vec<ImageVector>, encoders::Error> {
    let files: Vec<Option<std::path::PathBuf>> = pictures
        .iter()
        .map(|(content, what)| environment.media.find(&what.image(*content)))
        .collect();
    let found = files.iter().zip(pictures);
    let found = found.filter_map(|(path, (content, what))| {
        let input = decoded.input(what.image(*content), path.as_deref()?);
        Some((input, what))
    });
    let vectors = if output.input == Input::Visual {
        let encoder = environment.visual_encoder(&output.encoder, device)?;
        let pairs: Vec<(Option<ImageInput<'_>>, Option<&str>)> = found
            .map(|(input, what)| (Some(input), Some(what.text())))
            .collect();
        encoder.embed(&pairs)
    } else {
        let encoder = environment.image_encoder(&output.encoder, device)?;
        let inputs: Vec<ImageInput<'_>> = found.map(|(input, _)| input).collect();
        encoder.embed(&inputs)
    };
    let mut vectors = vectors.into_iter();
    Ok(pictures
        .iter()
        .zip(&files)
        .map(|((content, _), file)| {
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
    contents: &[Content],
) -> Result<Vec<Vector>, encoders::Error> {
    if output.input.is_of_images() {
        let decoded = Decoded::default();
        let vectors = embed_files(environment, output, device, contents, &decoded)?;
        return Ok(vectors.into_iter().filter_map(|(_, v)| v.ok()).collect());
    }
    let texts: Vec<&str> = contents.iter().map(|(_, what)| what.text()).collect();
    let encoder = environment.text_encoder(&output.encoder, device)?;
    let vectors = encoder.embed(&texts)?.into_iter();
    Ok(vectors.map(|v| Vector::new(&v, STORED_AS)).collect())
}
