//! How a version comes to be: the folder first, then its row and the champion.

use tracing::info;

use super::{
    CHAMPION, Error, Manifest, Registry,
    card::card,
    probes::{ANSWERS, PROBES, ProbeAnswer, lines},
    report::report,
    version::{CARD, EVALUATED, EvaluatedRow, MANIFEST, PREDICTIONS, REPORT, WEIGHTS},
};
use crate::{artifacts, store::NewModelVersion};

/// A trained and evaluated model that is about to become a version.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is; its `version` is given by [`Registry::publish`].
    pub manifest: Manifest,
    /// The hash of row set, settings and encoders; equal means the same model.
    pub content_key: String,
    /// The bytes of the weights that the version predicts with.
    pub weights: Vec<u8>,
    /// Further files: the weights that were measured, probes.
    pub more: Vec<VersionFile>,
    /// The rows of the evaluation.
    pub rows: Vec<EvaluatedRow>,
    /// Whether the champion moves to it, and why; `None` leaves the alias where it is.
    pub promote: Option<String>,
}

/// A further file of a version.
#[derive(Clone, Debug)]
pub enum VersionFile {
    /// The weights that were measured.
    Evaluated(Vec<u8>),
    /// The rows that `models verify` predicts again, as a matrix.
    Probes(Vec<u8>),
    /// What was predicted of them.
    Answers(Vec<ProbeAnswer>),
}

impl VersionFile {
    fn named(self) -> Result<(&'static str, Vec<u8>), Error> {
        Ok(match self {
            Self::Evaluated(bytes) => (EVALUATED, bytes),
            Self::Probes(bytes) => (PROBES, bytes),
            Self::Answers(answers) => (ANSWERS, lines(&answers)?),
        })
    }
}

/// The version in which a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The version's number.
    pub version: u32,
    /// Whether it existed before.
    pub reused: bool,
}

impl Registry {
    /// Publishes a candidate, or links its run to the version with the same content.
    ///
    /// It may be called again for the same candidate after a crash at any point: the folder is
    /// renamed into place whole, and a folder without a row was never seen by anyone.
    ///
    /// # Errors
    ///
    /// Where the disk or the store refuses; then the champion is where it was.
    pub async fn publish(&self, candidate: Candidate) -> Result<Published, Error> {
        let Candidate {
            mut manifest,
            content_key,
            weights,
            more,
            rows,
            promote,
        } = candidate;
        let name = manifest.name.clone();
        if let Some(version) = self.existing(&name, &content_key).await? {
            self.link(&manifest, version).await?;
            // After a crash between the version's row and the task's success it is this run's own.
            let rows = self.store.model_versions(Some(&name)).await?;
            let is_own = rows
                .iter()
                .any(|row| row.version == version && row.run_id == manifest.run_id);
            return Ok(Published {
                version,
                reused: !is_own,
            });
        }
        let last = self
            .store
            .model_versions(Some(&name))
            .await?
            .last()
            .map_or(0, |row| row.version);
        manifest.version = last + 1;
        let text = serde_json::to_string_pretty(&manifest).map_err(std::io::Error::from)? + "\n";
        let rows = lines(&rows)?;
        let folder = self.folder(&name, manifest.version);
        let (manifest_text, card, page) = (text.clone(), card(&manifest), report(&manifest));
        let more: Result<Vec<_>, Error> = more.into_iter().map(VersionFile::named).collect();
        let more = more?;
        // A thread of its own for this, not one of the runtime's: children are told to end when
        // the thread ends that has started them.
        tokio::task::spawn_blocking(move || {
            let mut files = vec![
                (WEIGHTS, weights.as_slice()),
                (MANIFEST, manifest_text.as_bytes()),
                (PREDICTIONS, rows.as_slice()),
                (CARD, card.as_bytes()),
                (REPORT, page.as_bytes()),
            ];
            files.extend(more.iter().map(|(name, bytes)| (*name, bytes.as_slice())));
            // Left over from a crash between the rename and the row.
            artifacts::remove_directory(&folder)?;
            artifacts::publish_directory(&folder, &files)
        })
        .await
        .map_err(std::io::Error::other)??;
        fail::fail_point!("version.published");
        self.store
            .add_model_version(NewModelVersion {
                name: &name,
                version: manifest.version,
                run_id: &manifest.run_id,
                created_at: manifest.created_at,
                interval_start: manifest.interval_start,
                content_key: &content_key,
                manifest: &text,
                alias: promote.as_deref().map(|cause| (CHAMPION, cause)),
            })
            .await?;
        info!(
            model.name = name,
            model.version = manifest.version,
            "published a model version"
        );
        Ok(Published {
            version: manifest.version,
            reused: false,
        })
    }

    /// The version of this model with this content, where there is one.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub async fn existing(&self, name: &str, content_key: &str) -> Result<Option<u32>, Error> {
        Ok(self.store.model_version_by_key(name, content_key).await?)
    }

    async fn link(&self, manifest: &Manifest, version: u32) -> Result<(), Error> {
        self.store
            .link_run_to_version(
                &manifest.run_id,
                &manifest.name,
                version,
                manifest.interval_start,
            )
            .await?;
        Ok(())
    }

    /// Links a run to the version that it met.
    ///
    /// # Errors
    ///
    /// Where the store refuses.
    pub async fn link_run(
        &self,
        run_id: &str,
        name: &str,
        version: u32,
        interval_start: crate::clock::Timestamp,
    ) -> Result<(), Error> {
        Ok(self
            .store
            .link_run_to_version(run_id, name, version, interval_start)
            .await?)
    }
}
