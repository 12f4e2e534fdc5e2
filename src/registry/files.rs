//! The files of a version as people take them along, and their end.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;

use super::{
    Error, ModelVersion, Registry,
    card::card,
    version::{CARD, EVALUATED, MANIFEST, PREDICTIONS, REPORT, WEIGHTS},
};
use crate::{artifacts, clock::Timestamp, store};

/// What was a champion since so long is kept: a new version is held against it.
const FORMER: Duration = Duration::from_hours(31 * 24);

impl Registry {
    /// Removes the files of old versions, of each model all but the newest `keep`; the metrics stay.
    /// What an alias points at, and what has been the champion within a month, stays too. Returns how
    /// many went.
    ///
    /// # Errors
    ///
    /// Where the store or the disk refuses; what went until then is gone.
    pub async fn remove_old(&self, keep: usize, now: Timestamp) -> Result<u64, Error> {
        let mut rows = self.store.model_versions(None).await?;
        // Oldest first by model; the store says so of one model at a time.
        rows.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        let mut gone = 0;
        for of_model in rows.chunk_by(|a, b| a.name == b.name) {
            let name = &of_model[0].name;
            let moves = self.champions(name).await?;
            let is_former = |version: u32| {
                let mut moves = moves.iter();
                moves.any(|to| to.version == Some(version) && now.since(to.moved_at) <= FORMER)
            };
            let old = &of_model[..of_model.len().saturating_sub(keep)];
            for row in old {
                let free = row.removed_at.is_none() && row.aliases.is_empty();
                if !free || is_former(row.version) {
                    continue;
                }
                let version = self.read_row(row.clone())?;
                match self.remove(&version, now).await {
                    Ok(()) => gone += 1,
                    // An alias came to point at it meanwhile.
                    Err(Error::InUse(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(gone)
    }

    /// Removes the files of a version; its metrics, and where it came from, stay.
    ///
    /// It may be called again after a death: what was noted as removed is removed then.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] where an alias points at it; else where the store or the disk refuses.
    pub async fn remove(&self, version: &ModelVersion, now: Timestamp) -> Result<(), Error> {
        let (name, number) = (&version.manifest.name, version.manifest.version);
        self.store
            .remove_version(name, number, now)
            .await
            .map_err(|error| match error {
                store::Error::Conflict(message) => Error::InUse(message),
                error => Error::Store(error),
            })?;
        let folder = version.folder.clone();
        tokio::task::spawn_blocking(move || artifacts::remove_directory(&folder))
            .await
            .map_err(std::io::Error::other)??;
        Ok(())
    }
}

impl ModelVersion {
    /// Where the evaluated rows lie in a folder that [`ModelVersion::export`] has made.
    pub fn rows_in(folder: &Path) -> PathBuf {
        folder.join(PREDICTIONS)
    }

    /// Copies the files into a new folder. Returns their paths.
    ///
    /// # Errors
    ///
    /// Where the version's files are removed or damaged, the folder is there already, or the
    /// disk refuses.
    pub fn export(&self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let weights = self.weights()?;
        if folder.exists() {
            return Err(Error::Exists(folder.to_owned()));
        }
        let manifest = fs::read(self.folder.join(MANIFEST))?;
        let predictions = fs::read(self.folder.join(PREDICTIONS))?;
        let card = card(&self.manifest);
        let mut files = vec![
            (WEIGHTS, weights),
            (MANIFEST, manifest),
            (PREDICTIONS, predictions),
            (CARD, card.into_bytes()),
            (REPORT, self.report().into_bytes()),
        ];
        if self.manifest.evaluated_sha256.is_some() {
            files.push((EVALUATED, self.evaluated_weights()?));
        }
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect();
        artifacts::publish_directory(folder, &files)?;
        Ok(files.iter().map(|(name, _)| folder.join(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Candidate, Published, made_up};

    #[tokio::test]
    async fn what_is_removed_keeps_its_metrics_and_may_come_again() {
        let home = tempfile::tempdir().unwrap();
        let registry = made_up::registry(home.path(), 2).await;
        let now = Timestamp::from_millis(7);
        let first = registry
            .resolve(&"reddit/1".parse().unwrap())
            .await
            .unwrap();
        registry.remove(&first, now).await.unwrap();
        // As after a death between the row and the files.
        fs::create_dir_all(&first.folder).unwrap();
        registry.remove(&first, now).await.unwrap();
        assert!(!first.folder.exists());
        let first = registry
            .resolve(&"reddit/1".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(first.removed_at, Some(now));
        let points = registry.history("reddit", "spearman").await.unwrap();
        assert_eq!(points.len(), 2);
        assert!(registry.faults().await.unwrap().is_empty());
        let refused = first.export(&home.path().join("out")).unwrap_err();
        assert!(matches!(refused, Error::Removed { .. }), "{refused}");

        let again = Candidate {
            manifest: made_up::manifest(3),
            content_key: "1".to_owned(),
            weights: b"weights".to_vec(),
            more: Vec::new(),
            rows: Vec::new(),
            promote: None,
        };
        let published = registry.publish(again).await.unwrap();
        let wanted = Published {
            version: 3,
            reused: false,
        };
        assert_eq!(published, wanted);
    }

    #[tokio::test]
    async fn old_versions_go_and_what_is_needed_stays() {
        let home = tempfile::tempdir().unwrap();
        let registry = made_up::registry(home.path(), 6).await;
        let there = async || -> Vec<u32> {
            let versions = registry.list(Some("reddit")).await.unwrap();
            let there = versions.iter().filter(|version| version.folder.exists());
            there.map(|version| version.manifest.version).collect()
        };
        let made = made_up::manifest(1).created_at;
        // Each has been the champion today.
        assert_eq!(registry.remove_old(2, made).await.unwrap(), 0);
        let first = "reddit/1".parse().unwrap();
        let first = registry.resolve(&first).await.unwrap();
        registry.promote(&first, "a test", made).await.unwrap();
        let third = ("reddit", "kept");
        registry.set_alias(third, Some(3), made).await.unwrap();
        let later = made + 40 * Duration::from_hours(24);
        assert_eq!(registry.remove_old(2, later).await.unwrap(), 2);
        assert_eq!(there().await, [1, 3, 5, 6]);
        assert_eq!(registry.remove_old(2, later).await.unwrap(), 0);
        assert_eq!(
            registry.history("reddit", "spearman").await.unwrap().len(),
            6
        );
    }

    #[tokio::test]
    async fn an_export_is_what_was_published() {
        let home = tempfile::tempdir().unwrap();
        let registry = made_up::registry(home.path(), 1).await;
        let champion = registry.resolve(&"reddit".parse().unwrap()).await.unwrap();
        let out = home.path().join("out");
        let files = champion.export(&out).unwrap();
        assert_eq!(files.len(), 5);
        for file in files {
            let published = champion.folder.join(file.file_name().unwrap());
            assert_eq!(fs::read(&file).unwrap(), fs::read(published).unwrap());
        }
        assert!(ModelVersion::rows_in(&out).exists());
        let twice = champion.export(&out).unwrap_err();
        assert!(matches!(twice, Error::Exists(_)), "{twice}");
    }
}
