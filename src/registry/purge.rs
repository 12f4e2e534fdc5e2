//! Rows of purged records go from the evaluations of all versions; how many they were is kept.

use super::{
    Error, ModelVersion, Registry,
    probes::lines,
    version::{EvaluatedRow, PREDICTIONS},
};
use crate::{artifacts, store::PurgedRows};

/// A version with rows of purged records.
struct Touched {
    version: ModelVersion,
    gone: Vec<EvaluatedRow>,
    kept: Vec<EvaluatedRow>,
}

impl Registry {
    /// The versions that have learned from such records or were measured by them, with how many
    /// rows that were.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read. A version whose files are damaged is passed over.
    pub async fn versions_with(
        &self,
        is_purged: impl Fn(&str, &str) -> bool + Send + Sync,
    ) -> Result<Vec<PurgedRows>, Error> {
        let touched = self.touched(is_purged).await?;
        Ok(touched
            .iter()
            .map(|Touched { version, gone, .. }| PurgedRows {
                name: version.manifest.name.clone(),
                version: version.manifest.version,
                rows: gone.len() as u64,
                learned: gone.iter().filter(|row| row.split == "train").count() as u64,
            })
            .collect())
    }

    /// Takes the rows of purged records from the evaluated rows of all versions, and notes in the
    /// store how many each has lost. Returns the versions that had some.
    ///
    /// The weights stay as they are: what they have learned cannot be taken out again.
    ///
    /// # Errors
    ///
    /// Where the store or the disk refuses. A version whose files are damaged is passed over.
    pub async fn purge_rows(
        &self,
        is_purged: impl Fn(&str, &str) -> bool + Send + Sync,
    ) -> Result<Vec<(String, u32)>, Error> {
        let mut names = Vec::new();
        for Touched {
            version,
            gone,
            kept,
        } in self.touched(&is_purged).await?
        {
            let manifest = &version.manifest;
            let gone: Vec<_> = gone.into_iter().map(|row| (row.id, row.split)).collect();
            // First the count, so that whoever goes on after a death does not lose it.
            self.store
                .note_purged_rows((&manifest.name, manifest.version), &manifest.dataset, &gone)
                .await?;
            // The predictions last: by them whoever goes on after a death finds the version.
            let dataset = &manifest.dataset;
            version.purge_probes(|id| is_purged(dataset, id))?;
            artifacts::write_atomic(&version.folder.join(PREDICTIONS), &lines(&kept)?)?;
            names.push((manifest.name.clone(), manifest.version));
        }
        Ok(names)
    }

    async fn touched(
        &self,
        is_purged: impl Fn(&str, &str) -> bool + Send + Sync,
    ) -> Result<Vec<Touched>, Error> {
        let mut touched = Vec::new();
        let rows = self.store.model_versions(None).await?;
        for row in rows.into_iter().filter(|row| row.removed_at.is_none()) {
            let read = self.read_row(row).and_then(|version| {
                let rows = version.evaluated_rows()?;
                Ok((version, rows))
            });
            let (version, rows) = match read {
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!(%error, "a version is not looked through");
                    continue;
                }
            };
            let dataset = &version.manifest.dataset;
            let (gone, kept): (Vec<_>, Vec<_>) = rows
                .into_iter()
                .partition(|row| is_purged(dataset, &row.id));
            if !gone.is_empty() {
                touched.push(Touched {
                    version,
                    gone,
                    kept,
                });
            }
        }
        Ok(touched)
    }
}
