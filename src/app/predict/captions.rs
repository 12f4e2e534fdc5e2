//! The captions of images that need not be in the store, as in training.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, stream};

use super::{
    Predictor,
    vectors::{FoundImages, blocking},
};
use crate::{
    app::Error,
    corpus::{ContentHash, Fingerprint},
    encoders::{
        self, DeviceSpec, ImageInput, Tagger,
        openai::{Client, Question, Refusal},
    },
    operators::{Choice, Writing, caption_of},
    registry::BlockEncoder,
};

/// How many images are read at once for a server, which itself is asked about fewer.
const AT_ONCE: usize = 16;

/// Captions by image.
pub(super) type Captions = HashMap<ContentHash, String>;

/// Images; bytes only where they are not in the media store.
type Files = HashMap<ContentHash, Option<Vec<u8>>>;

/// Captioners that are ready.
#[derive(Debug, Default)]
pub(super) struct Captioners {
    taggers: HashMap<String, Arc<Tagger>>,
    clients: HashMap<Question, Arc<Client>>,
}

impl Predictor {
    /// The captions of each record's images.
    pub(super) async fn captions(
        &self,
        block: &BlockEncoder,
        images: &[FoundImages],
    ) -> Result<Vec<Vec<String>>, Error> {
        let captions = self.captions_by_image(block, images).await?;
        let of_row = |images: &FoundImages| {
            let of_image = |(info, _): &(crate::corpus::MediaInfo, _)| captions.get(&info.content);
            images.iter().filter_map(of_image).cloned().collect()
        };
        Ok(images.iter().map(of_row).collect())
    }

    /// The caption of each image that has one.
    pub(super) async fn captions_by_image(
        &self,
        block: &BlockEncoder,
        images: &[FoundImages],
    ) -> Result<Captions, Error> {
        let name = block.captioner.as_deref().unwrap_or_default();
        Ok(match Choice::filed(name, &block.captioner_settings)? {
            Choice::Tagger(name) => self.tags(&name, images).await?,
            choice => {
                let (environment, asked) = (Arc::clone(&self.environment), choice.clone());
                let filed = block.captioner_fingerprint;
                let (fingerprint, device) = blocking(move || {
                    let usual = environment.device;
                    Ok::<_, encoders::Error>(match filed {
                        // Computed as the model's own captions were.
                        Some(filed) => {
                            let device = asked.device_as(&environment, filed)?;
                            (filed, device.unwrap_or(usual))
                        }
                        None => (asked.fingerprint(&environment, usual)?, usual),
                    })
                })
                .await??;
                let (mut captions, missing) = self.stored(fingerprint, images).await?;
                let made = match choice {
                    _ if missing.is_empty() => Captions::default(),
                    Choice::Server(question) => self.answers(question, missing).await?,
                    Choice::Checkpoint(writing) => self.written(writing, device, missing).await?,
                    Choice::Tagger(_) => Captions::default(),
                };
                captions.extend(made);
                captions
            }
        })
    }

    async fn tags(&self, name: &str, images: &[FoundImages]) -> Result<Captions, Error> {
        let known = self.captioners().taggers.get(name).cloned();
        let tagger = if let Some(tagger) = known {
            tagger
        } else {
            let weights = self.environment.weights.clone();
            let wanted = name.to_owned();
            let tagger = blocking(move || encoders::load_tagger(&wanted, &weights)).await??;
            let mut ready = self.captioners();
            Arc::clone(
                ready
                    .taggers
                    .entry(name.to_owned())
                    .or_insert(Arc::new(tagger)),
            )
        };
        let reads = encoders::weights::catalogue::find(tagger.name())
            .and_then(|entry| entry.reads.clone())
            .ok_or_else(|| Error::Failed(format!("`{}` reads no image vectors", tagger.name())))?;
        let vectors = self
            .image_vectors(&reads, tagger.encoder_fingerprint(), images)
            .await?;
        let caption =
            |vector: &crate::corpus::Vector| caption_of(&tagger, &vector.values()).caption;
        Ok(vectors
            .iter()
            .map(|(image, vector)| (*image, caption(vector)))
            .collect())
    }

    /// The captions that the store has, and the images that lack one.
    async fn stored(
        &self,
        captioner: Fingerprint,
        images: &[FoundImages],
    ) -> Result<(Captions, Files), Error> {
        let mut files: Files = images
            .iter()
            .flatten()
            .map(|(info, bytes)| (info.content, bytes.clone()))
            .collect();
        let distinct: Vec<ContentHash> = files.keys().copied().collect();
        let stored = self
            .environment
            .store
            .captions(captioner, &distinct)
            .await?;
        files.retain(|image, _| !stored.contains_key(image));
        let captions = stored.into_iter();
        let captions = captions.map(|(image, stored)| (image, stored.caption));
        Ok((captions.collect(), files))
    }

    /// What a checkpoint writes of images.
    async fn written(
        &self,
        writing: Writing,
        device: DeviceSpec,
        files: Files,
    ) -> Result<Captions, Error> {
        let environment = Arc::clone(&self.environment);
        blocking(move || {
            let captioner = environment.captioner(&writing.name, device)?;
            captioner.check(&writing.options)?;
            let mut images = Vec::with_capacity(files.len());
            for (image, bytes) in files {
                let bytes = bytes.map_or_else(|| environment.media.read(&image), Ok);
                let bytes = bytes.map_err(|error| Error::Failed(error.to_string()))?;
                images.push((image, bytes));
            }
            // How images are batched may show in the last digit of a score.
            images.sort_unstable_by_key(|(image, _)| *image);
            let inputs: Vec<ImageInput<'_>> = images
                .iter()
                .map(|(_, bytes)| ImageInput::Bytes(bytes))
                .collect();
            let written = captioner.caption(&inputs, &writing.options);
            let images = images.iter().map(|(image, _)| *image);
            Ok(images
                .zip(written)
                .filter_map(|(image, written)| match written {
                    Ok(written) if written.text.trim().is_empty() => None,
                    Ok(written) => Some((image, written.text)),
                    Err(error) => {
                        tracing::warn!(%image, %error, "an image has no caption");
                        None
                    }
                })
                .collect())
        })
        .await?
    }

    /// What the server says of images.
    async fn answers(&self, question: Question, files: Files) -> Result<Captions, Error> {
        let mut captions = Captions::default();
        let client = self.client(question)?;
        let answers = stream::iter(files).map(|(image, bytes)| {
            let (client, environment) = (Arc::clone(&client), Arc::clone(&self.environment));
            async move {
                let bytes = match bytes {
                    Some(bytes) => bytes,
                    None => blocking(move || environment.media.read(&image))
                        .await?
                        .map_err(|error| Error::Failed(error.to_string()))?,
                };
                Ok::<_, Error>((image, client.caption(bytes).await))
            }
        });
        let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
        while let Some(answer) = answers.next().await {
            match answer? {
                (image, Ok(caption)) => {
                    captions.insert(image, caption.text);
                }
                (_, Err(Refusal::Server(fault))) => {
                    return Err(Error::unfit(fault.to_string(), None));
                }
                (image, Err(refusal)) => {
                    tracing::warn!(%image, %refusal, "an image has no caption");
                }
            }
        }
        Ok(captions)
    }

    /// Those that are ready; the lock is never held while one is made.
    fn captioners(&self) -> MutexGuard<'_, Captioners> {
        let held = self.captioners.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, question: Question) -> Result<Arc<Client>, Error> {
        if let Some(client) = self.captioners().clients.get(&question) {
            return Ok(Arc::clone(client));
        }
        let captioner = &self.environment.caption_server;
        let server = captioner.server()?;
        let client = Client::new(server, question.clone(), &captioner.manners, None)?;
        let client = Arc::new(client);
        self.captioners()
            .clients
            .insert(question, Arc::clone(&client));
        Ok(client)
    }
}
