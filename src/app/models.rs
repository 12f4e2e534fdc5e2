//! What people do with model versions: promote, go back, compare, tag, export, remove.

use std::{
    collections::HashMap,
    path::{self, Path, PathBuf},
};

use serde::{Deserialize as _, Serialize};

use super::{App, Error};
use crate::{
    artifacts::{self, Copy, CopyKind},
    corpus::Row,
    learning::{Comparison, TrainSettings, compare},
    registry::{self, ModelName, ModelVersion, Moved},
};

/// The least rows that say something of a difference.
const LEAST_ROWS: usize = 30;

/// Two versions on the rows that both were tested on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedVersions {
    /// The first, as `NAME/VERSION`.
    pub first: String,
    /// The second.
    pub second: String,
    /// How many rows both were tested on.
    pub rows: usize,
    /// How they do there.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// What has been noted of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagging {
    /// Tags with their values; a tag without one is taken away.
    pub tags: Vec<(String, Option<String>)>,
    /// Aliases that shall point at it.
    pub aliases: Vec<String>,
    /// Aliases that shall point nowhere.
    pub without_aliases: Vec<String>,
}

impl App {
    /// The version that people call so.
    async fn version(&self, name: &str) -> Result<ModelVersion, Error> {
        let name: ModelName = name.parse()?;
        Ok(self.registry().resolve(&name).await?)
    }

    /// Makes a version the champion.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or its files are removed or damaged.
    pub async fn promote(&self, model: &str, cause: &str) -> Result<Moved, Error> {
        let version = self.version(model).await?;
        let now = self.clock().now();
        Ok(self.registry().promote(&version, cause, now).await?)
    }

    /// Makes the version champion again that was it before.
    ///
    /// # Errors
    ///
    /// Where there is no such model, or no version before.
    pub async fn roll_back(&self, name: &str, cause: &str) -> Result<Moved, Error> {
        let now = self.clock().now();
        Ok(self.registry().roll_back(name, cause, now).await?)
    }

    /// Notes something of a version. Returns it as it is then.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or a name is not good.
    pub async fn tag_version(&self, model: &str, tagging: &Tagging) -> Result<ModelVersion, Error> {
        let version = self.version(model).await?;
        let (registry, now) = (self.registry(), self.clock().now());
        let name = version.manifest.name.as_str();
        registry.tag(&version, &tagging.tags).await?;
        for alias in &tagging.aliases {
            let to = Some(version.manifest.version);
            registry.set_alias((name, alias), to, now).await?;
        }
        for alias in &tagging.without_aliases {
            registry.set_alias((name, alias), None, now).await?;
        }
        let version = ModelName::Version(name.to_owned(), version.manifest.version);
        Ok(registry.resolve(&version).await?)
    }

    /// Copies a version's files into a new folder.
    ///
    /// The predictions in it are noted, so that a purge finds them.
    ///
    /// # Errors
    ///
    /// Where there is no such version, its files are removed or damaged, the folder is there
    /// already, or the disk refuses.
    pub async fn export_version(
        &self,
        model: &str,
        folder: &Path,
    ) -> Result<(ModelVersion, Vec<PathBuf>), Error> {
        let version = self.version(model).await?;
        let folder = path::absolute(folder).map_err(registry::Error::File)?;
        let copy = Copy {
            path: ModelVersion::rows_in(&folder),
            kind: CopyKind::Jsonl,
            dataset: Some(version.manifest.dataset.clone()),
        };
        artifacts::note_copy(self.data_dir(), &copy).map_err(registry::Error::File)?;
        let files = version.export(&folder)?;
        Ok((version, files))
    }

    /// Removes the files of a version; its metrics stay.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or an alias points at it.
    pub async fn remove_version(&self, model: &str) -> Result<ModelVersion, Error> {
        let version = self.version(model).await?;
        self.registry().remove(&version, self.clock().now()).await?;
        Ok(version)
    }

    /// Compares two versions on the rows that both were tested on, and neither learned from.
    ///
    /// # Errors
    ///
    /// Where there is no such version, they predict different targets, or too few rows are common
    /// to their tests.
    pub async fn compare_versions(&self, a: &str, b: &str) -> Result<ComparedVersions, Error> {
        let (a, b) = (self.version(a).await?, self.version(b).await?);
        let named = |v: &ModelVersion| format!("{}/{}", v.manifest.name, v.manifest.version);
        let (first, second) = (named(&a), named(&b));
        if (&a.manifest.target, &a.manifest.dataset) != (&b.manifest.target, &b.manifest.dataset) {
            return Err(Error::wrong(
                format!(
                    "{first} predicts `{}` of `{}`, {second} `{}` of `{}`",
                    a.manifest.target, a.manifest.dataset, b.manifest.target, b.manifest.dataset
                ),
                "compare versions with one target on one data set".to_owned(),
            ));
        }
        let tested = a.evaluated_rows()?.into_iter();
        let tested: HashMap<String, f64> = tested
            .filter(|row| row.split == "test")
            .map(|row| (row.id, row.prediction))
            .collect();
        let mut common: Vec<_> = b.evaluated_rows()?;
        common.retain(|row| row.split == "test" && tested.contains_key(&row.id));
        if common.len() < LEAST_ROWS {
            return Err(Error::wrong(
                format!(
                    "{} rows are in the tests of both {first} and {second}; at least {LEAST_ROWS} \
                     are needed",
                    common.len()
                ),
                "compare versions of neighbouring days, or of one day".to_owned(),
            ));
        }
        let ids: Vec<String> = common.iter().map(|row| row.id.clone()).collect();
        let dataset = &b.manifest.dataset;
        let records = self.store().records_by_id(dataset, &ids).await?;
        let records: HashMap<&str, _> = records.iter().map(|r| (r.id.as_str(), r)).collect();
        let rows: Vec<Row> = ids
            .iter()
            .map(|id| {
                let record = records.get(id.as_str());
                Row {
                    id: id.clone(),
                    created_at: record.and_then(|record| record.created_at),
                    community: record.and_then(|record| record.community.clone()),
                    author: None,
                    order: None,
                    classes: Vec::new(),
                    label: None,
                }
            })
            .collect();
        let rows: Vec<&Row> = rows.iter().collect();
        let targets: Vec<f64> = common.iter().map(|row| row.target).collect();
        let predictions = (
            common.iter().map(|row| tested[&row.id]).collect::<Vec<_>>(),
            common.iter().map(|row| row.prediction).collect::<Vec<_>>(),
        );
        let training = TrainSettings::deserialize(&b.manifest.training).map_err(|error| {
            Error::Failed(format!("the manifest of {second} cannot be read: {error}"))
        })?;
        let both = (predictions.0.as_slice(), predictions.1.as_slice());
        let comparison = compare(&rows, &targets, both, training.inverse, training.seed)
            .map_err(|error| Error::wrong(error.to_string(), None))?;
        Ok(ComparedVersions {
            first,
            second,
            rows: rows.len(),
            comparison,
        })
    }
}
