//! The vectors of records that need not be in the store.

use std::{collections::HashMap, sync::Arc};

use super::{Predictor, given::Given};
use crate::{
    app::Error,
    corpus::{ContentHash, Fingerprint, MediaInfo, MediaLocation, Record, Vector, VectorType},
    encoders::{DeviceSpec, ImageError, ImageInput},
    operators::{Environment, mean_vector, place, places_of},
    registry::BlockEncoder,
    sources::{Obtained, obtain},
    store::PlaceState,
};

/// The images of one record that can be had; bytes only where the media store lacks them.
pub(super) type FoundImages = Vec<(MediaInfo, Option<Vec<u8>>)>;

impl Predictor {
    /// The images of each record that can be had, in the author's order; bytes only where they
    /// are not in the media store.
    pub(super) async fn images(
        &self,
        records: &[Record],
        given: &Given,
    ) -> Result<Vec<FoundImages>, Error> {
        let environment = &self.environment;
        let known = environment.store.media_places(&places_of(records)).await?;
        let mut images = Vec::with_capacity(records.len());
        for record in records {
            let mut found = Vec::new();
            for location in &record.media {
                if let Some(image) = given.get(&place(location)) {
                    found.push(image.clone());
                    continue;
                }
                let state = match location {
                    MediaLocation::Url(_) => known.get(&place(location)),
                    MediaLocation::File(_) => None,
                };
                match state {
                    Some(PlaceState::Stored(info)) => found.push((info.clone(), None)),
                    Some(PlaceState::Refused(_) | PlaceState::Unavailable { .. }) => {}
                    None => {
                        let fetcher = environment
                            .fetcher()
                            .map_err(|error| Error::unfit(error.to_string(), None))?;
                        match obtain(fetcher, environment.limits, location).await {
                            Obtained::Image(info, bytes) => found.push((info, Some(bytes))),
                            Obtained::Nothing(outcome) => {
                                tracing::warn!(image = place(location), ?outcome, "no image");
                            }
                        }
                    }
                }
            }
            images.push(found);
        }
        Ok(images)
    }

    /// One vector per record, where it has one.
    pub(super) async fn block(
        &self,
        block: &BlockEncoder,
        records: &[Record],
        images: &[FoundImages],
    ) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let texts_of_row: Vec<Vec<String>> = match block.input.as_str() {
            "title" => records
                .iter()
                .map(|record| {
                    record
                        .title
                        .iter()
                        .filter(|title| !title.is_empty())
                        .cloned()
                        .collect()
                })
                .collect(),
            "caption" => self.captions(block, images).await?,
            "visual" => return self.visual(block, images).await,
            _ => {
                let vectors = self
                    .image_vectors(&block.encoder, block.fingerprint, images)
                    .await?;
                return Ok(images
                    .iter()
                    .map(|images| {
                        let contents: Vec<ContentHash> =
                            images.iter().map(|(info, _)| info.content).collect();
                        mean_vector(&vectors, &contents)
                    })
                    .collect());
            }
        };
        let mut texts: HashMap<ContentHash, String> = HashMap::new();
        for text in texts_of_row.iter().flatten() {
            texts
                .entry(ContentHash::of(text))
                .or_insert_with(|| text.clone());
        }
        let vectors = self
            .text_vectors(&block.encoder, block.fingerprint, texts)
            .await?;
        Ok(texts_of_row
            .iter()
            .map(|texts| {
                let contents: Vec<ContentHash> = texts.iter().map(ContentHash::of).collect();
                mean_vector(&vectors, &contents)
            })
            .collect())
    }

    pub(super) async fn image_vectors(
        &self,
        encoder: &str,
        fingerprint: Fingerprint,
        images: &[FoundImages],
    ) -> Result<HashMap<ContentHash, Vector>, Error> {
        let distinct = images
            .iter()
            .flatten()
            .map(|(info, bytes)| (info.content, bytes.clone()))
            .collect();
        let name = encoder.to_owned();
        self.vectors(
            encoder,
            fingerprint,
            distinct,
            move |environment, device, missing| {
                let encoder = environment.image_encoder(&name, device)?;
                let files: Vec<Vec<u8>> = missing
                    .iter()
                    .map(|(content, bytes)| match bytes {
                        Some(bytes) => Ok(bytes.clone()),
                        None => environment.media.read(content),
                    })
                    .collect::<Result<_, _>>()
                    .map_err(|error| Error::Failed(error.to_string()))?;
                let inputs: Vec<ImageInput<'_>> =
                    files.iter().map(|bytes| ImageInput::Bytes(bytes)).collect();
                Ok(seen(missing, encoder.embed(&inputs)))
            },
        )
        .await
    }

    /// One vector per record of its images with their captions.
    async fn visual(
        &self,
        block: &BlockEncoder,
        images: &[FoundImages],
    ) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let captions = match block.captioner {
            Some(_) => self.captions_by_image(block, images).await?,
            None => HashMap::new(),
        };
        let pair = |info: &MediaInfo| {
            let caption = captions.get(&info.content).cloned().unwrap_or_default();
            (info.content.with(&caption), caption)
        };
        let distinct = images
            .iter()
            .flatten()
            .map(|(info, bytes)| {
                let (content, caption) = pair(info);
                (content, (info.content, bytes.clone(), caption))
            })
            .collect();
        let name = block.encoder.clone();
        let vectors = self
            .vectors(
                &block.encoder,
                block.fingerprint,
                distinct,
                move |environment, device, missing| {
                    let encoder = environment.visual_encoder(&name, device)?;
                    let files: Vec<Vec<u8>> = missing
                        .iter()
                        .map(|(_, (image, bytes, _))| match bytes {
                            Some(bytes) => Ok(bytes.clone()),
                            None => environment.media.read(image),
                        })
                        .collect::<Result<_, _>>()
                        .map_err(|error| Error::Failed(error.to_string()))?;
                    let pairs: Vec<(Option<ImageInput<'_>>, Option<&str>)> = files
                        .iter()
                        .zip(missing)
                        .map(|(bytes, (_, (_, _, caption)))| {
                            (Some(ImageInput::Bytes(bytes)), Some(caption.as_str()))
                        })
                        .collect();
                    Ok(seen(missing, encoder.embed(&pairs)))
                },
            )
            .await?;
        let contents = |images: &FoundImages| -> Vec<ContentHash> {
            images.iter().map(|(info, _)| pair(info).0).collect()
        };
        Ok(images
            .iter()
            .map(|images| mean_vector(&vectors, &contents(images)))
            .collect())
    }

    async fn text_vectors(
        &self,
        encoder: &str,
        fingerprint: Fingerprint,
        texts: HashMap<ContentHash, String>,
    ) -> Result<HashMap<ContentHash, Vector>, Error> {
        let name = encoder.to_owned();
        self.vectors(
            encoder,
            fingerprint,
            texts,
            move |environment, device, missing| {
                let encoder = environment.text_encoder(&name, device)?;
                let texts: Vec<&str> = missing.iter().map(|(_, text)| text.as_str()).collect();
                let vectors = encoder.embed(&texts)?;
                let contents = missing.iter().map(|(content, _)| *content);
                Ok(contents.zip(vectors).collect())
            },
        )
        .await
    }

    /// The vectors that the store has, and those that `compute` makes of the contents it lacks,
    /// rounded as stored ones are.
    async fn vectors<T: Send + 'static>(
        &self,
        encoder: &str,
        fingerprint: Fingerprint,
        mut contents: HashMap<ContentHash, T>,
        compute: impl FnOnce(
            &Environment,
            DeviceSpec,
            &[(ContentHash, T)],
        ) -> Result<Vec<(ContentHash, Vec<f32>)>, Error>
        + Send
        + 'static,
    ) -> Result<HashMap<ContentHash, Vector>, Error> {
        let distinct: Vec<ContentHash> = contents.keys().copied().collect();
        let store = &self.environment.store;
        let mut vectors = store.embeddings(fingerprint, &distinct).await?;
        contents.retain(|content, _| !vectors.contains_key(content));
        if contents.is_empty() {
            return Ok(vectors);
        }
        let (environment, name) = (Arc::clone(&self.environment), encoder.to_owned());
        let missing: Vec<(ContentHash, T)> = contents.into_iter().collect();
        let computed = blocking(move || {
            // Computed as the model's own vectors were.
            let device = environment.device_as(&name, fingerprint)?;
            let device = device.unwrap_or(environment.device);
            compute(&environment, device, &missing)
        })
        .await??;
        let rounded = computed
            .into_iter()
            .map(|(content, vector)| (content, Vector::new(&vector, VectorType::F16)));
        vectors.extend(rounded);
        Ok(vectors)
    }
}

/// The vectors of the images that have one; the others are told of.
fn seen<T>(
    missing: &[(ContentHash, T)],
    vectors: Vec<Result<Vec<f32>, ImageError>>,
) -> Vec<(ContentHash, Vec<f32>)> {
    let vectors = missing.iter().zip(vectors);
    vectors
        .filter_map(|((content, _), vector)| match vector {
            Ok(vector) => Some((*content, vector)),
            Err(error) => {
                tracing::warn!(image = %content, %error, "an image cannot be embedded");
                None
            }
        })
        .collect()
}

/// Runs `work` on a thread of its own, so that the runtime stays free.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Failed(error.to_string()))
}
