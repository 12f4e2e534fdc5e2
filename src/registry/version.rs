//! What a model version is, and how it is read.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Error, ModelName};
use crate::{
    clock::Timestamp,
    corpus::{ContentHash, Fingerprint},
    store::{ModelVersionRow, Store},
};

/// The weights of the fit that a version predicts with.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// The weights of the fit that was measured, where another one is published.
pub(super) const EVALUATED: &str = "evaluated.safetensors";
/// What a version is and how it came to be.
pub(super) const MANIFEST: &str = "manifest.json";
/// What a version is, for people who meet its folder.
pub(super) const CARD: &str = "MODEL_CARD.md";
/// How good it is, as a page with plots.
pub(super) const REPORT: &str = "report.html";
/// The evaluated rows of a version, one JSON object a line.
pub(super) const PREDICTIONS: &str = "predictions.jsonl";

/// What a model version is and how it came to be: `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name: that of its pipeline.
    pub name: String,
    /// 1, 2, 3 … per name.
    pub version: u32,
    /// The run that made it.
    pub run_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The run's data interval, first instant.
    pub interval_start: Timestamp,
    /// The run's data interval, first instant after it.
    pub interval_end: Timestamp,
    /// The moment whose knowledge was used.
    pub as_of: Timestamp,
    /// The data set.
    pub dataset: String,
    /// The release and build that made it.
    pub code_version: String,
    /// The run's parameters.
    pub params: Map<String, Value>,
    /// The settings of the training, seeds included.
    pub training: Value,
    /// What the target was, as an expression.
    pub target: String,
    /// The encoder behind each block of vectors.
    pub encoders: Vec<BlockEncoder>,
    /// The feature schema: what a row must bring.
    pub schema: Value,
    /// The feature matrix that it was made from.
    pub matrix: MatrixSummary,
    /// When the rows were published.
    pub data_window: DataWindow,
    /// The hash of row ids and split.
    pub row_set: String,
    /// The hash of the weights that the version predicts with: what was measured, learned once more
    /// with every row that had a label.
    pub weights_sha256: ContentHash,
    /// The hash of the weights that were measured; nothing where the release published those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_sha256: Option<ContentHash>,
    /// When the newest post was made that the weights have learned; nothing where the release did
    /// not say, or no row has a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_until: Option<Timestamp>,
    /// The evaluation: split, metrics, intervals, baselines, ablation.
    pub evaluation: Value,
    /// What the rows were like that it has learned; later rows are held against it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub profile: Value,
    /// What the gate decided and by what; nothing where the release had none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub gate: Value,
}

/// The encoder behind one block of vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockEncoder {
    /// The block: `title`, `image`, `caption`, `visual`.
    pub block: String,
    /// The encoder's name in the catalogue.
    pub encoder: String,
    /// What is encoded: `title`, `image`, `caption`, `visual`.
    pub input: String,
    /// Which encoder it is exactly.
    pub fingerprint: Fingerprint,
    /// The captioner between image and text, where there is one.
    pub captioner: Option<String>,
    /// Which captioner it is exactly; the first release did not file it.
    #[serde(default)]
    pub captioner_fingerprint: Option<Fingerprint>,
    /// What beside its name makes the same captioner again.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub captioner_settings: Map<String, Value>,
}

/// The feature matrix of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixSummary {
    /// Rows, those without a label included.
    pub rows: usize,
    /// Columns of the dense blocks.
    pub columns: usize,
    /// The hash of the matrix file.
    pub sha256: ContentHash,
}

/// When the rows of a version were published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataWindow {
    /// The first one.
    pub from: Option<Timestamp>,
    /// The last one with a label.
    pub to: Option<Timestamp>,
}

/// One of the two fits of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// What was chosen, learned once more with every row that had a label: it predicts.
    #[default]
    Published,
    /// The one whose metrics are filed: it has not learned the newest rows.
    Evaluated,
}

/// One row of the evaluation: `models show NAME/V --predictions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluatedRow {
    /// The record's id.
    pub id: String,
    /// `train`, `validation` or `test`.
    pub split: String,
    /// The target on the training scale; where classes are predicted, 1 where the most probable one is
    /// one of the record's, else 0.
    pub target: f64,
    /// The prediction on the training scale; where classes are predicted, the probability of the most
    /// probable one.
    pub prediction: f64,
    /// The classes that the record belongs to, where classes are predicted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// By class, how probable it is, where classes are predicted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probabilities: BTreeMap<String, f64>,
}

/// A version with its manifest, as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelVersion {
    /// What it is.
    pub manifest: Manifest,
    /// The aliases that point at it.
    pub aliases: Vec<String>,
    /// How many of its labelled rows are purged since.
    pub purged_rows: u64,
    /// What people have noted of it.
    pub tags: BTreeMap<String, String>,
    /// When its files were removed; its metrics stay.
    pub removed_at: Option<Timestamp>,
    /// Its folder.
    pub folder: PathBuf,
}

/// The registry of a home: its folder and its rows in the store.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(super) root: PathBuf,
    pub(super) store: Store,
}

impl Registry {
    /// The registry under `root` (`model_registry/` of a home).
    pub fn new(root: PathBuf, store: Store) -> Self {
        Self { root, store }
    }

    /// All versions of a model, or of all models, oldest first.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub async fn list(&self, name: Option<&str>) -> Result<Vec<ModelVersion>, Error> {
        let rows = self.store.model_versions(name).await?;
        rows.into_iter().map(|row| self.read_row(row)).collect()
    }

    /// The version that people call so.
    ///
    /// # Errors
    ///
    /// Where there is no such version; the message lists what there is.
    pub async fn resolve(&self, name: &ModelName) -> Result<ModelVersion, Error> {
        let number = match name {
            ModelName::Version(_, number) => Some(*number),
            ModelName::Alias(name, alias) => self.store.aliased_version(name, alias).await?,
        };
        // This one alone: what is wrong with another version is no matter of who asks for this.
        if let Some(number) = number
            && let Some(row) = self.store.model_version(name.name(), number).await?
        {
            return self.read_row(row);
        }
        let rows = self.store.model_versions(Some(name.name())).await?;
        let known = if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            format!(
                "`{}` has the versions {} to {}",
                name.name(),
                first.version,
                last.version
            )
        } else {
            let mut names: Vec<String> = self
                .store
                .model_versions(None)
                .await?
                .into_iter()
                .map(|row| row.name)
                .collect();
            names.dedup();
            if names.is_empty() {
                "the registry is empty; `trendmill run PIPELINE` makes a version".to_owned()
            } else {
                format!("the models are: {}", names.join(", "))
            }
        };
        Err(Error::Unknown {
            wanted: name.to_string(),
            known,
        })
    }

    pub(super) fn read_row(&self, row: ModelVersionRow) -> Result<ModelVersion, Error> {
        let folder = self.folder(&row.name, row.version);
        let manifest = serde_json::from_str(&row.manifest).map_err(|error| Error::Damaged {
            path: folder.join(MANIFEST),
            message: error.to_string(),
        })?;
        Ok(ModelVersion {
            manifest,
            aliases: row.aliases,
            purged_rows: row.purged_rows,
            tags: row.tags,
            removed_at: row.removed_at,
            folder,
        })
    }

    pub(super) fn folder(&self, name: &str, version: u32) -> PathBuf {
        self.root.join(name).join(version.to_string())
    }
}

impl ModelVersion {
    /// The bytes of the weights' file, checked against the manifest.
    ///
    /// # Errors
    ///
    /// Where the file is missing or has another hash than the manifest says.
    pub fn weights(&self) -> Result<Vec<u8>, Error> {
        self.read_checked(WEIGHTS, self.manifest.weights_sha256)
    }

    /// The bytes of the weights of one fit, checked against the manifest.
    ///
    /// # Errors
    ///
    /// As [`weights`](Self::weights).
    pub fn weights_of(&self, fit: Fit) -> Result<Vec<u8>, Error> {
        match fit {
            Fit::Published => self.weights(),
            Fit::Evaluated => self.evaluated_weights(),
        }
    }

    /// The bytes of the weights that were measured, checked against the manifest.
    ///
    /// # Errors
    ///
    /// As [`weights`](Self::weights).
    pub fn evaluated_weights(&self) -> Result<Vec<u8>, Error> {
        match self.manifest.evaluated_sha256 {
            Some(hash) => self.read_checked(EVALUATED, hash),
            None => self.weights(),
        }
    }

    fn read_checked(&self, file: &str, hash: ContentHash) -> Result<Vec<u8>, Error> {
        self.check_is_there()?;
        let path = self.folder.join(file);
        let bytes = fs::read(&path)?;
        let found = ContentHash::of(&bytes);
        if found != hash {
            return Err(Error::Damaged {
                path,
                message: format!("its SHA-256 is {found}, the manifest says {hash}"),
            });
        }
        Ok(bytes)
    }

    /// # Errors
    ///
    /// Where its files were removed.
    pub fn check_is_there(&self) -> Result<(), Error> {
        let manifest = &self.manifest;
        self.removed_at.map_or(Ok(()), |at| {
            Err(Error::Removed {
                name: manifest.name.clone(),
                version: manifest.version,
                at,
            })
        })
    }

    /// Why the version cannot be made again from what is stored, where it cannot.
    pub fn not_reproducible(&self) -> Option<String> {
        let rows = self.purged_rows;
        (rows > 0).then(|| format!("not reproducible: {rows} rows purged"))
    }

    /// The rows of the evaluation, as they were written, without those that are purged since.
    ///
    /// # Errors
    ///
    /// Where the file is missing or is not what was written.
    pub fn evaluated_rows(&self) -> Result<Vec<EvaluatedRow>, Error> {
        self.check_is_there()?;
        read_rows(&self.folder.join(PREDICTIONS))
    }
}

fn read_rows(path: &Path) -> Result<Vec<EvaluatedRow>, Error> {
    fs::read_to_string(path)?
        .lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|error| Error::Damaged {
                path: path.to_owned(),
                message: error.to_string(),
            })
        })
        .collect()
}
