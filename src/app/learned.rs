//! What a version has learned from and predicted, as it is filed.

use super::{App, Error};
use crate::{
    artifacts,
    corpus::FeatureMatrix,
    engine::{self, Earlier, EarlierResult},
    registry::{ModelName, ModelVersion},
    store::StoredPrediction,
};

impl App {
    /// A version and the matrix that its run has made.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or the files of its run are removed or damaged.
    pub async fn learned_matrix(
        &self,
        model: &str,
    ) -> Result<(ModelVersion, FeatureMatrix), Error> {
        let name: ModelName = model.parse()?;
        let version = self.registry().resolve(&name).await?;
        let (manifest, run) = (&version.manifest, &version.manifest.run_id);
        let made = Earlier::load(self.store(), self.data_dir(), run).await?;
        let mut matrices = made.results.values().filter_map(|result| match result {
            EarlierResult::Succeeded(outcome) => outcome.output["matrix"].as_str(),
            EarlierResult::Skipped(_) => None,
        });
        let path = matrices
            .next()
            .map(|name| engine::run_dir(self.data_dir(), run).join(name))
            .filter(|path| path.is_file());
        let Some(path) = path else {
            return Err(Error::wrong(
                format!(
                    "the matrix of {}/{} is not there: the files of its run {run} are removed",
                    manifest.name, manifest.version
                ),
                format!(
                    "choose a newer version, or run `trendmill run {}` again",
                    manifest.name
                ),
            ));
        };
        let matrix = artifacts::read_matrix(&path).map_err(|error| {
            Error::Failed(format!("`{}` cannot be read: {error}", path.display()))
        })?;
        Ok((version, matrix))
    }

    /// A version and the records that it was the first to predict, before their labels were known.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or the store fails.
    pub async fn predicted(
        &self,
        model: &str,
    ) -> Result<(ModelVersion, Vec<StoredPrediction>), Error> {
        let name: ModelName = model.parse()?;
        let version = self.registry().resolve(&name).await?;
        let manifest = &version.manifest;
        let first = self
            .store()
            .first_predictions(&manifest.dataset, &manifest.name)
            .await?;
        let by_this = first.into_iter().filter(|(by, _)| *by == manifest.version);
        let predictions = by_this.map(|(_, prediction)| prediction).collect();
        Ok((version, predictions))
    }
}
