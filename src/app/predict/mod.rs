//! Predictions for records that need not be in the store.

mod captions;
mod vectors;
mod words;

use std::{collections::HashMap, io::Read as _, path::Path, sync::Arc};

use serde::Serialize;
use vectors::blocking;
pub use words::record_from_words;

use self::captions::Captioners;
use super::{App, Error};
use crate::{
    corpus::{MediaInfo, Record},
    encoders::{openai, weights::catalogue},
    learning::{FeatureSchema, Head, RowInput, assemble},
    operators::{Choice, Environment},
    registry::{BlockEncoder, Fit, ModelName, ModelVersion},
    sources::{TableSource, TableSpec, every_row_of},
};

/// How many records are predicted together.
const CHUNK: usize = 64;

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
    captioners: Captioners,
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
            captioners: Captioners::default(),
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
}
