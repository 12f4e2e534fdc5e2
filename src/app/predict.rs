//! Predictions for records that need not be in the store.

use std::{collections::HashMap, path::Path, sync::Arc};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{App, Error};
use crate::{
    corpus::{ContentHash, MediaInfo, MediaLocation, Record, Vector, VectorType},
    encoders::{self, ImageInput, Tagger},
    learning::{FeatureSchema, Head, RowInput, assemble},
    operators::{Environment, caption_of, mean_vector, place},
    registry::{BlockEncoder, ModelName, ModelVersion},
    sources::{Obtained, Page, Source, SourceSpec, obtain},
    store::PlaceState,
};

/// The images of one record that can be had; bytes only where the media store lacks them.
type FoundImages = Vec<(MediaInfo, Option<Vec<u8>>)>;

/// How many records are predicted together.
const CHUNK: usize = 500;

/// One line of `predict`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PredictedRow {
    /// The record's id.
    pub id: String,
    /// The prediction on the training scale.
    pub prediction: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
}

/// A model version, ready to predict.
pub struct Predictor {
    environment: Arc<Environment>,
    version: ModelVersion,
    head: Head,
    schema: FeatureSchema,
    taggers: HashMap<String, Arc<Tagger>>,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor")
            .field("folder", &self.version.folder)
            .finish_non_exhaustive()
    }
}

impl App {
    /// A model version, ready to predict; its encoders must be those of the catalogue still.
    ///
    /// # Errors
    ///
    /// Where there is no such version, its files are damaged, or an encoder has changed since.
    pub async fn predictor(&self, name: &ModelName) -> Result<Predictor, Error> {
        let version = self.registry().resolve(name).await?;
        let head = Head::from_safetensors(&version.weights()?)
            .map_err(|error| Error::Failed(error.to_string()))?;
        let schema = serde_json::from_value(version.manifest.schema.clone()).map_err(|error| {
            Error::Failed(format!(
                "the manifest of `{name}` has a schema that cannot be read: {error}"
            ))
        })?;
        for block in &version.manifest.encoders {
            if encoders::fingerprint(&block.encoder)? != block.fingerprint {
                return Err(Error::Failed(format!(
                    "`{name}` was trained with another `{}` than this release has",
                    block.encoder
                )));
            }
        }
        Ok(Predictor {
            environment: self.environment(),
            version,
            head,
            schema,
            taggers: HashMap::new(),
        })
    }

    /// The records of a file: JSON lines, a table, or what `records export` wrote.
    ///
    /// # Errors
    ///
    /// Where the file is not there or is no table.
    pub async fn records_of_file(&self, path: &Path) -> Result<Vec<Record>, Error> {
        let spec: SourceSpec = format!("table:{}", path.display()).parse()?;
        let source: Arc<dyn Source> = super::open_source::table(spec.resolve(self.working_dir()))?;
        let (sender, mut pages) = mpsc::channel::<Page>(1);
        let request = crate::sources::ScrapeRequest {
            as_of: crate::clock::Timestamp::from_millis(i64::MAX),
            communities: None,
            watermarks: std::collections::BTreeMap::new(),
        };
        let mut records = Vec::new();
        let take = async {
            while let Some(page) = pages.recv().await {
                for (reason, rows) in &page.dropped {
                    tracing::warn!(reason, rows, "rows of the input cannot be read");
                }
                records.extend(page.records.into_iter().map(|(record, _)| record));
            }
        };
        let (walked, ()) = futures::join!(source.scrape(request, sender), take);
        walked?;
        Ok(records)
    }
}

impl Predictor {
    /// Predicts records in their order.
    ///
    /// Images and texts whose vector the store has are not encoded again; the others are encoded,
    /// rounded as stored vectors are, and forgotten.
    ///
    /// # Errors
    ///
    /// Where an encoder cannot be had or a row has no finite features.
    pub async fn predict(&mut self, records: &[Record]) -> Result<Vec<PredictedRow>, Error> {
        let mut predicted = Vec::with_capacity(records.len());
        for chunk in records.chunks(CHUNK) {
            predicted.extend(self.predict_chunk(chunk).await?);
        }
        Ok(predicted)
    }

    async fn predict_chunk(&mut self, records: &[Record]) -> Result<Vec<PredictedRow>, Error> {
        // Rows are joined by position's own key, since people may give two rows one id.
        let keyed: Vec<Record> = records
            .iter()
            .enumerate()
            .map(|(position, record)| Record {
                id: format!("{position:08}"),
                ..record.clone()
            })
            .collect();
        let images = self.images(&keyed).await?;
        let mut vectors: Vec<Vec<Option<Vec<f32>>>> = vec![Vec::new(); keyed.len()];
        for block in self.schema.blocks.clone() {
            let encoder = self.block_encoder(&block.name)?;
            let column = self.block(&encoder, &keyed, &images).await?;
            for (row, vector) in vectors.iter_mut().zip(column) {
                row.push(vector);
            }
        }
        let infos: Vec<Vec<MediaInfo>> = images
            .iter()
            .map(|images| images.iter().map(|(info, _)| info.clone()).collect())
            .collect();
        let rows = keyed
            .iter()
            .zip(vectors)
            .zip(&infos)
            .map(|((record, vectors), media)| RowInput {
                record,
                media,
                vectors,
                label: None,
                order: None,
            })
            .collect();
        let failed = |error: crate::learning::Error| Error::Failed(error.to_string());
        let matrix = assemble(rows, &self.schema).map_err(failed)?;
        let predictions = self.head.predict(&matrix).map_err(failed)?;
        let mut by_key: HashMap<&str, _> = matrix
            .rows
            .iter()
            .map(|row| row.id.as_str())
            .zip(predictions)
            .collect();
        Ok(keyed
            .iter()
            .zip(records)
            .filter_map(|(keyed, record)| {
                let prediction = by_key.remove(keyed.id.as_str())?;
                Some(PredictedRow {
                    id: record.id.clone(),
                    prediction: prediction.value,
                    low: prediction.low,
                    high: prediction.high,
                })
            })
            .collect())
    }

    fn block_encoder(&self, block: &str) -> Result<BlockEncoder, Error> {
        let encoders = &self.version.manifest.encoders;
        encoders
            .iter()
            .find(|encoder| encoder.block == block)
            .cloned()
            .ok_or_else(|| {
                Error::Failed(format!(
                    "the manifest names no encoder for the block `{block}`"
                ))
            })
    }

    /// The images of each record that can be had, in the author's order; bytes only where they
    /// are not in the media store.
    async fn images(&self, records: &[Record]) -> Result<Vec<FoundImages>, Error> {
        let environment = &self.environment;
        let places: Vec<String> = records
            .iter()
            .flat_map(|record| &record.media)
            .map(place)
            .collect();
        let known = environment.store.media_places(&places).await?;
        let mut images = Vec::with_capacity(records.len());
        for record in records {
            let mut found = Vec::new();
            for location in &record.media {
                let state = match location {
                    MediaLocation::Url(_) => known.get(&place(location)),
                    MediaLocation::File(_) => None,
                };
                match state {
                    Some(PlaceState::Stored(info)) => found.push((info.clone(), None)),
                    Some(PlaceState::Refused(_) | PlaceState::Unavailable(_)) => {}
                    None => {
                        match obtain(&environment.fetcher, environment.limits, location).await {
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
    async fn block(
        &mut self,
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
            _ => {
                let vectors = self.image_vectors(&block.encoder, images).await?;
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
        let vectors = self.text_vectors(&block.encoder, texts).await?;
        Ok(texts_of_row
            .iter()
            .map(|texts| {
                let contents: Vec<ContentHash> = texts.iter().map(ContentHash::of).collect();
                mean_vector(&vectors, &contents)
            })
            .collect())
    }

    async fn captions(
        &mut self,
        block: &BlockEncoder,
        images: &[FoundImages],
    ) -> Result<Vec<Vec<String>>, Error> {
        let name = block.captioner.clone().unwrap_or_default();
        let tagger = if let Some(tagger) = self.taggers.get(&name) {
            Arc::clone(tagger)
        } else {
            let weights = self.environment.weights.clone();
            let wanted = name.clone();
            let tagger = blocking(move || encoders::load_tagger(&wanted, &weights)).await??;
            Arc::clone(self.taggers.entry(name).or_insert(Arc::new(tagger)))
        };
        let reads = encoders::weights::catalogue::find(tagger.name())
            .and_then(|entry| entry.reads.clone())
            .ok_or_else(|| Error::Failed(format!("`{}` reads no image vectors", tagger.name())))?;
        let vectors = self.image_vectors(&reads, images).await?;
        Ok(images
            .iter()
            .map(|images| {
                images
                    .iter()
                    .filter_map(|(info, _)| vectors.get(&info.content))
                    .map(|vector| caption_of(&tagger, &vector.values()).caption)
                    .collect()
            })
            .collect())
    }

    async fn image_vectors(
        &self,
        encoder: &str,
        images: &[FoundImages],
    ) -> Result<HashMap<ContentHash, Vector>, Error> {
        let distinct: HashMap<ContentHash, Option<Vec<u8>>> = images
            .iter()
            .flatten()
            .map(|(info, bytes)| (info.content, bytes.clone()))
            .collect();
        let contents: Vec<ContentHash> = distinct.keys().copied().collect();
        let fingerprint = encoders::fingerprint(encoder)?;
        let mut vectors = self
            .environment
            .store
            .embeddings(fingerprint, &contents)
            .await?;
        let missing: Vec<(ContentHash, Option<Vec<u8>>)> = distinct
            .into_iter()
            .filter(|(content, _)| !vectors.contains_key(content))
            .collect();
        if missing.is_empty() {
            return Ok(vectors);
        }
        let (environment, name) = (Arc::clone(&self.environment), encoder.to_owned());
        let computed = blocking(move || {
            let encoder = environment.image_encoder(&name, environment.device)?;
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
            let vectors = encoder.embed(&inputs);
            Ok::<_, Error>(
                missing
                    .iter()
                    .zip(vectors)
                    .filter_map(|((content, _), vector)| match vector {
                        Ok(vector) => Some((*content, Vector::new(&vector, VectorType::F16))),
                        Err(error) => {
                            tracing::warn!(image = %content, %error, "an image cannot be embedded");
                            None
                        }
                    })
                    .collect::<Vec<_>>(),
            )
        })
        .await??;
        vectors.extend(computed);
        Ok(vectors)
    }

    async fn text_vectors(
        &self,
        encoder: &str,
        texts: HashMap<ContentHash, String>,
    ) -> Result<HashMap<ContentHash, Vector>, Error> {
        let contents: Vec<ContentHash> = texts.keys().copied().collect();
        let fingerprint = encoders::fingerprint(encoder)?;
        let mut vectors = self
            .environment
            .store
            .embeddings(fingerprint, &contents)
            .await?;
        let missing: Vec<(ContentHash, String)> = texts
            .into_iter()
            .filter(|(content, _)| !vectors.contains_key(content))
            .collect();
        if missing.is_empty() {
            return Ok(vectors);
        }
        let (environment, name) = (Arc::clone(&self.environment), encoder.to_owned());
        let computed = blocking(move || {
            let encoder = environment.text_encoder(&name, environment.device)?;
            let texts: Vec<&str> = missing.iter().map(|(_, text)| text.as_str()).collect();
            let vectors = encoder.embed(&texts)?;
            Ok::<_, Error>(
                missing
                    .iter()
                    .zip(vectors)
                    .map(|((content, _), vector)| (*content, Vector::new(&vector, VectorType::F16)))
                    .collect::<Vec<_>>(),
            )
        })
        .await??;
        vectors.extend(computed);
        Ok(vectors)
    }
}

/// One record made of what people type: `--text`, `--image`, `--set K=V`.
///
/// # Errors
///
/// Where a value does not fit its field.
pub fn record_from_words(
    text: Option<&str>,
    images: &[std::path::PathBuf],
    values: &[(String, Value)],
) -> Result<Record, Error> {
    let mut record = Record {
        id: "1".to_owned(),
        community: None,
        author: None,
        title: text.map(str::to_owned),
        created_at: None,
        media: images.iter().cloned().map(MediaLocation::File).collect(),
        fields: serde_json::Map::new(),
    };
    for (name, value) in values {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        match name.as_str() {
            "id" => record.id = text,
            "title" => record.title = Some(text),
            "community" => record.community = Some(text),
            "author" => record.author = Some(text),
            "created_at" => {
                let time = text
                    .parse()
                    .map_err(|error: crate::clock::ParseTimestampError| {
                        Error::wrong(error.to_string(), None)
                    })?;
                record.created_at = Some(time);
            }
            _ => {
                record.fields.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(record)
}

/// Runs `work` on a thread of its own, so that the runtime stays free.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Failed(error.to_string()))
}
