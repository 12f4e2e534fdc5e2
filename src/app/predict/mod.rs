//! Predictions for records that need not be in the store.

mod captions;
mod given;
mod history;
mod nearest;
mod process;
mod sights;
mod vectors;
mod wire;
mod words;

use std::{
    collections::HashMap,
    io::Read as _,
    path::Path,
    sync::{Arc, Mutex},
};

use futures::future::try_join_all;

use vectors::blocking;
pub(super) use wire::{Answer, Ask, exchange};
pub use words::record_from_words;

use self::{captions::Captioners, given::Given, history::Remembered, nearest::Posts};
use super::{App, Error};
use crate::{
    clock::Clock,
    corpus::{MediaInfo, Record},
    encoders::{openai, weights::catalogue},
    learning::{ClassProbability, FeatureSchema, Head, Parts, Prediction, RowInput, assemble},
    operators::{Choice, Environment, past_of},
    registry::{BlockEncoder, Fit, ModelName, ModelVersion},
    server::{Contributions, Original, PredictedClass, PredictedRow},
    sources::{TableSource, TableSpec, every_row_of},
};

/// How many records are predicted together.
const CHUNK: usize = 64;

/// A model version, ready to predict.
pub struct Predictor {
    environment: Arc<Environment>,
    version: ModelVersion,
    head: Head,
    schema: FeatureSchema,
    captioners: Mutex<Captioners>,
    history: Option<Remembered>,
    clock: Arc<dyn Clock>,
    /// The posts of the version, once somebody has asked for those that are like a record.
    posts: Option<Posts>,
}

/// What is told of a prediction beside its value and its interval.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    /// What each input adds.
    pub parts: bool,
    /// How many of the posts that are most like it.
    pub nearest: usize,
    /// How many of the most probable classes; all where it is `None`.
    pub top_k: Option<usize>,
    /// How probable a class must be at least that a record counts as one of it; as the head has
    /// learned where it is `None`.
    pub threshold: Option<f64>,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor")
            .field("folder", &self.version.folder)
            .finish_non_exhaustive()
    }
}

impl App {
    /// A model version, ready to predict by one of its fits; its encoders must be what they were when
    /// it was trained.
    ///
    /// # Errors
    ///
    /// Where there is no such version, its files are damaged, or an encoder has changed since.
    pub async fn predictor(&self, name: &ModelName, fit: Fit) -> Result<Predictor, Error> {
        let version = self.registry().resolve(name).await?;
        let head = Head::from_safetensors(&version.weights_of(fit)?)
            .map_err(|error| Error::Failed(error.to_string()))?;
        let schema = serde_json::from_value(version.manifest.schema.clone()).map_err(|error| {
            Error::Failed(format!(
                "the manifest of `{name}` has a schema that cannot be read: {error}"
            ))
        })?;
        for block in &version.manifest.encoders {
            let (encoder, trained_with) = (block.encoder.clone(), block.fingerprint);
            let environment = self.environment();
            let device = blocking(move || environment.device_as(&encoder, trained_with)).await??;
            if device.is_none() {
                return Err(changed(name, &block.encoder));
            }
            if let (Some(captioner), Some(filed)) = (&block.captioner, block.captioner_fingerprint)
            {
                let choice = Choice::filed(captioner, &block.captioner_settings)?;
                let environment = self.environment();
                let device = blocking(move || choice.device_as(&environment, filed)).await??;
                if device.is_none() {
                    return Err(changed(name, captioner));
                }
            }
        }
        Ok(Predictor {
            environment: self.environment(),
            version,
            head,
            schema,
            captioners: Mutex::default(),
            history: None,
            clock: Arc::clone(&self.clock),
            posts: None,
        })
    }

    /// The records of a table, one for each row that can be read; `-` is the standard input.
    ///
    /// # Errors
    ///
    /// Where the file is not there, is no table, or has no row that can be read.
    pub fn records_of_file(&self, path: &Path) -> Result<Vec<Record>, Error> {
        if path.as_os_str() == "-" {
            let mut text = Vec::new();
            std::io::stdin()
                .read_to_end(&mut text)
                .map_err(|error| Error::Failed(format!("standard input: {error}")))?;
            return Ok(every_row_of(&text, self.working_dir())?);
        }
        let spec = TableSpec::new(self.working_dir().join(path));
        Ok(TableSource::open(spec)?.every_row()?)
    }
}

/// Says that an encoder is not the one with which `name` was trained.
fn changed(name: &ModelName, encoder: &str) -> Error {
    let is_ours = encoder == openai::NAME || catalogue::find(encoder).is_some();
    let since = if is_ours {
        "than this release has"
    } else {
        "than lies in that directory now"
    };
    Error::Failed(format!(
        "`{name}` was trained with another `{encoder}` {since}"
    ))
}

/// What is told of what each input adds.
fn contributions(parts: Parts) -> Contributions {
    Contributions {
        base: parts.base,
        inputs: parts.inputs.into_iter().collect(),
        joint: parts.joint,
    }
}

/// The most probable of some classes.
fn told(classes: Vec<ClassProbability>, top_k: Option<usize>) -> Vec<PredictedClass> {
    let told = classes.into_iter().take(top_k.unwrap_or(usize::MAX));
    told.map(|of| PredictedClass {
        class: of.class,
        probability: of.probability.value,
        chosen: of.chosen,
    })
    .collect()
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
    pub async fn predict(
        &mut self,
        records: &[Record],
        telling: Telling,
    ) -> Result<Vec<PredictedRow>, Error> {
        self.predict_with(records, &Given::new(), telling).await
    }

    /// The same; some images are given.
    async fn predict_with(
        &mut self,
        records: &[Record],
        given: &Given,
        telling: Telling,
    ) -> Result<Vec<PredictedRow>, Error> {
        let asks_for_classes = telling.top_k.is_some() || telling.threshold.is_some();
        if asks_for_classes && self.head.membership().is_none() {
            return Err(Error::wrong(
                format!(
                    "the model predicts a number, `{}`, no classes",
                    self.version.manifest.target
                ),
                "ask without `top_k` and `threshold`".to_owned(),
            ));
        }
        self.remember(records).await?;
        let mut predicted = Vec::with_capacity(records.len());
        for chunk in records.chunks(CHUNK) {
            predicted.extend(self.predict_chunk(chunk, given, telling).await?);
        }
        Ok(predicted)
    }

    async fn predict_chunk(
        &mut self,
        records: &[Record],
        given: &Given,
        telling: Telling,
    ) -> Result<Vec<PredictedRow>, Error> {
        // Rows are joined by position's own key, since people may give two rows one id.
        let keyed: Vec<Record> = records
            .iter()
            .enumerate()
            .map(|(position, record)| Record {
                id: format!("{position:08}"),
                ..record.clone()
            })
            .collect();
        let images = self.images(&keyed, given).await?;
        let blocks = self.schema.blocks.iter();
        let encoders = blocks.map(|block| self.block_encoder(&block.name));
        let encoders = encoders.collect::<Result<Vec<_>, _>>()?;
        // Each computes on a thread of its own, so that images and texts are encoded side by side.
        let columns = encoders
            .iter()
            .map(|encoder| self.block(encoder, &keyed, &images));
        let columns = try_join_all(columns).await?;
        let nearest = match telling.nearest {
            0 => vec![Vec::new(); keyed.len()],
            count => self.nearest_of(&columns, count).await?,
        };
        let mut vectors: Vec<Vec<Option<Vec<f32>>>> = vec![Vec::new(); keyed.len()];
        for column in columns {
            for (row, vector) in vectors.iter_mut().zip(column) {
                row.push(vector);
            }
        }
        let infos: Vec<Vec<MediaInfo>> = images
            .iter()
            .map(|images| images.iter().map(|(info, _)| info.clone()).collect())
            .collect();
        let sights = self.sights(&images).await?;
        let history = self.history.as_ref().map(|of| &of.history);
        let rows = keyed
            .iter()
            .zip(vectors)
            .zip(infos.iter().zip(sights))
            .map(|((record, vectors), (media, sight))| RowInput {
                record,
                media,
                vectors,
                statistics: sight.statistics,
                past: past_of(history, record, sight.look),
                classes: Vec::new(),
                label: None,
                order: None,
            })
            .collect();
        let failed = |error: crate::learning::Error| Error::Failed(error.to_string());
        let matrix = assemble(rows, &self.schema).map_err(failed)?;
        let predictions = self.head.predict(&matrix).map_err(failed)?;
        let mut parts = vec![None; matrix.rows.len()];
        if telling.parts {
            let told = self.head.parts(&matrix).map_err(failed)?;
            parts = told.into_iter().map(|of| Some(contributions(of))).collect();
        }
        let classes = self.classes_of(&predictions, telling);
        // Of classes, the probability of the most probable one.
        let predictions = match &classes {
            Some(classes) => classes.iter().map(|of| of[0].probability).collect(),
            None => predictions,
        };
        let classes = classes.into_iter().flatten().map(Some);
        let classes = classes.chain(std::iter::repeat(None));
        let mut by_key: HashMap<&str, _> = matrix
            .rows
            .iter()
            .map(|row| row.id.as_str())
            .zip(predictions.into_iter().zip(parts).zip(classes))
            .collect();
        Ok(keyed
            .iter()
            .zip(records)
            .zip(infos.iter().zip(nearest))
            .filter_map(|((keyed, record), (images, nearest))| {
                let ((prediction, contributions), classes) = by_key.remove(keyed.id.as_str())?;
                let original = self.head.original(&prediction);
                Some(PredictedRow {
                    id: record.id.clone(),
                    prediction: prediction.value,
                    low: prediction.low,
                    high: prediction.high,
                    original: original.map(|number| Original {
                        value: number.value,
                        low: number.low,
                        high: number.high,
                    }),
                    classes: classes.map_or_else(Vec::new, |of| told(of, telling.top_k)),
                    missing_images: record.media.len() - images.len(),
                    contributions,
                    nearest,
                })
            })
            .collect())
    }

    /// The classes of each row, the most probable first; nothing where a number is predicted.
    fn classes_of(
        &self,
        answers: &[Prediction],
        telling: Telling,
    ) -> Option<Vec<Vec<ClassProbability>>> {
        self.head.membership()?;
        Some(self.head.class_probabilities(answers, telling.threshold))
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
}
